"""Conditions: one of each type, in order, whose transition time moves only with its status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from secureai_operator.api.conditions import ConditionType, condition, merged, rfc3339
from secureai_operator.api.workload_status import Condition

THEN, NOW = "2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"


def one(kind: str, status: str, time: str, reason: str = "R", text: str = "") -> Condition:
    return Condition.model_validate(
        {"type": kind, "status": status, "reason": reason, "message": text, "lastTransitionTime": time}
    )


def test_an_unchanged_status_keeps_its_time_though_reason_and_message_change() -> None:
    (result,) = merged([one("Ready", "False", THEN)], [one("Ready", "False", NOW, "Other", "words")])
    assert (result.last_transition_time, result.reason, result.message) == (THEN, "Other", "words")


def test_a_changed_status_has_a_new_time() -> None:
    (result,) = merged([one("Ready", "Unknown", THEN)], [one("Ready", "True", NOW)])
    assert result.last_transition_time == NOW


def test_merging_twice_is_merging_once() -> None:
    old = [one("Ready", "False", THEN), one("KeyReady", "True", THEN)]
    new = [one("KeyReady", "True", NOW), one("Ready", "True", NOW)]
    first = merged(old, new)
    assert merged(first, new) == first


def test_ready_sorts_first_and_what_is_not_named_any_more_goes() -> None:
    kinds = [kind.value for kind in ConditionType]
    result = merged([one("Gone", "True", THEN)], [one(kind, "True", NOW) for kind in reversed(kinds)])
    assert [entry.type for entry in result] == kinds
    assert kinds[0] == "Ready"


def test_a_condition_is_found_by_its_type() -> None:
    entries = [one("KeyReady", "True", THEN), one("Ready", "False", THEN)]
    assert condition(entries, ConditionType.READY) == entries[1]
    assert condition(entries, ConditionType.STALLED) is None


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00Z"),
        (datetime(2026, 1, 31, 12, 0, 0, 999999, tzinfo=UTC), "2026-01-31T12:00:00Z"),
        (datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2))), "2026-01-31T10:00:00Z"),
        # A certificate may say it; the API server takes four digits of a year only.
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "9999-12-31T23:59:59Z"),
    ],
)
def test_times_are_written_as_kubernetes_does(moment: datetime, text: str) -> None:
    assert rfc3339(moment) == text


def test_a_status_is_one_of_three() -> None:
    with pytest.raises(ValidationError):
        one("Ready", "Maybe", NOW)
