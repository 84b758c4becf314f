"""Which schedule rules since when, and what a request to the policy makes due."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.api.rotation_status import RotationStatus, Trigger
from secureai_operator.core.rotation.ruling import answer, ruled, schedule_digest
from secureai_operator.core.rotation.schedule import Answer, Due, NotYet, Timetable, timetable
from secureai_operator.core.rotation.selection import Policy
from tests.unit.samples import NOW

HOUR = timedelta(hours=1)


def spec(**change: Any) -> KeyRotationPolicySpec:
    return KeyRotationPolicySpec.model_validate({"selector": {}, "schedule": {"interval": "24h"}, **change})


def policy(name: str = "weekly") -> Policy:
    return Policy("team-a", name, "2026-01-01T00:00:00Z", spec())


def asked(requested_at: datetime | None, *, rotated: datetime, now: datetime = NOW) -> Answer:
    table = timetable(spec().schedule, ())
    assert isinstance(table, Timetable)
    rotation = ruled(RotationStatus(), policy(), "a", NOW - 2 * HOUR)
    return answer(table, rotation, rotated=rotated, requested_at=requested_at, spread=0.0, now=now)


def test_a_schedule_rules_from_when_it_is_first_seen() -> None:
    first = ruled(RotationStatus(), policy(), "a", NOW)
    assert (first.policy, first.schedule, first.ruled_since) == ("team-a/weekly", "a", "2026-01-31T12:00:00Z")
    assert ruled(first, policy(), "a", NOW + HOUR) is first


def test_another_schedule_and_another_policy_rule_from_then_on() -> None:
    first = ruled(RotationStatus(), policy(), "a", NOW)
    for changed in (ruled(first, policy(), "b", NOW + HOUR), ruled(first, policy("daily"), "a", NOW + HOUR)):
        assert changed.ruled_since == "2026-01-31T13:00:00Z"
    assert ruled(first, None, "", NOW + HOUR).ruled_since is None


def test_the_digest_tells_schedules_and_windows_apart_and_nothing_else() -> None:
    same = spec(retire={"after": "1h"}, suspend=True, priority=5, limits={"maxConcurrent": 1})
    assert schedule_digest(spec()) == schedule_digest(same)
    others = (
        spec(schedule={"interval": "25h"}),
        spec(schedule={"interval": "24h", "jitter": "1h"}),
        spec(windows=[{"start": "0 1 * * *", "duration": "1h"}]),
    )
    assert len({schedule_digest(spec()), *map(schedule_digest, others)}) == 4


def test_a_request_makes_every_older_key_due_and_no_younger_one() -> None:
    assert asked(NOW, rotated=NOW - HOUR) == Due(NOW, Trigger.MANUAL)
    assert isinstance(asked(NOW, rotated=NOW), NotYet)
    assert isinstance(asked(None, rotated=NOW - HOUR), NotYet)


def test_a_request_of_this_second_waits_for_its_end_so_that_it_counts_once() -> None:
    soon = NOW + timedelta(seconds=1)
    assert asked(soon, rotated=NOW) == NotYet(soon)
    assert asked(soon, rotated=NOW, now=soon) == Due(soon, Trigger.MANUAL)
    assert isinstance(asked(soon, rotated=soon, now=soon), NotYet)
