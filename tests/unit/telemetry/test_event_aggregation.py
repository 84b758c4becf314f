"""Aggregation of events: first at once, repeats as one, floods cut off, security never."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from secureai_operator.api import reasons
from secureai_operator.api.reasons import Reason
from secureai_operator.telemetry.event_aggregation import (
    Aggregation,
    AggregationSettings,
    Occurrence,
    Regarding,
)

LLM = Regarding("secureai.dev/v1alpha1", "SecureAIWorkload", "team-a", "llm", "uid-1")
MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def occurrence(
    message: str = "m", reason: Reason = reasons.DRIFT_HEALED, about: Regarding = LLM
) -> Occurrence:
    return Occurrence(about, reason, message, MOMENT, MOMENT)


@pytest.fixture
def aggregation() -> Aggregation:
    return Aggregation(AggregationSettings(window=60, burst=3, refill=10, max_tracked=4))


def test_the_first_of_its_kind_is_told_at_once(aggregation: Aggregation) -> None:
    assert aggregation.offer(occurrence(), 0) == occurrence()


def test_repeats_are_told_once_with_their_number_when_the_window_ends(aggregation: Aggregation) -> None:
    aggregation.offer(occurrence(), 0)
    assert [aggregation.offer(occurrence(), at) for at in (1, 2, 59)] == [None] * 3
    assert aggregation.due(59.9) == []
    assert [told.count for told in aggregation.due(60)] == [3]


def test_after_a_told_repeat_the_next_window_begins(aggregation: Aggregation) -> None:
    aggregation.offer(occurrence(), 0)
    aggregation.offer(occurrence(), 1)
    aggregation.due(60)
    assert aggregation.offer(occurrence(), 61) is None
    assert [told.count for told in aggregation.due(120)] == [1]


def test_a_window_without_repeats_tells_nothing_and_is_forgotten(aggregation: Aggregation) -> None:
    aggregation.offer(occurrence(), 0)
    assert aggregation.due(60) == []
    assert aggregation.next_due() is None
    assert aggregation.offer(occurrence(), 61) is not None


def test_repeats_of_a_window_that_nobody_closed_are_counted_in_the_next(aggregation: Aggregation) -> None:
    aggregation.offer(occurrence(), 0)
    aggregation.offer(occurrence(), 1)
    told = aggregation.offer(occurrence(), 100)
    assert told is not None
    assert told.count == 2


def test_another_object_reason_or_message_is_another_event(aggregation: Aggregation) -> None:
    aggregation.offer(occurrence(), 0)
    others = [
        occurrence("other"),
        occurrence(reason=reasons.POD_REPLACED),
        occurrence(about=replace(LLM, uid="uid-2")),
    ]
    assert all(aggregation.offer(other, 0) for other in others)


def test_a_flood_of_one_object_is_cut_off_and_flows_again(aggregation: Aggregation) -> None:
    told = [aggregation.offer(occurrence(str(n)), 0) for n in range(5)]
    assert [item is not None for item in told] == [True] * 3 + [False] * 2
    assert aggregation.suppressed == 2
    assert aggregation.offer(occurrence("later"), 10) is not None


def test_a_flood_does_not_cost_another_object_anything(aggregation: Aggregation) -> None:
    for n in range(9):
        aggregation.offer(occurrence(str(n)), 0)
    assert aggregation.offer(occurrence(about=replace(LLM, uid="uid-2")), 0) is not None


def test_security_is_told_whatever_the_rate(aggregation: Aggregation) -> None:
    for n in range(9):
        aggregation.offer(occurrence(str(n)), 0)
    assert aggregation.offer(occurrence("x", reasons.KEY_EXPOSED), 0) is not None


def test_memory_is_bounded(aggregation: Aggregation) -> None:
    for n in range(100):
        aggregation.offer(occurrence(about=replace(LLM, uid=f"uid-{n}")), 0)
    assert len(aggregation._windows) <= 4
    assert len(aggregation._buckets) <= 4


def test_at_the_end_what_was_counted_is_told(aggregation: Aggregation) -> None:
    aggregation.offer(occurrence(), 0)
    aggregation.offer(occurrence(), 1)
    assert [told.count for told in aggregation.flush()] == [1]
