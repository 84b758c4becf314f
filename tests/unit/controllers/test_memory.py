"""What is remembered between passes: bounded, of this uid, and enough to slow down a fight."""

from __future__ import annotations

import pytest

from secureai_operator.api.workload_status import SecureAIWorkloadStatus
from secureai_operator.controllers import memory
from secureai_operator.controllers.memory import (
    CONTENTION_LIMIT,
    CONTENTION_PAUSE,
    CONTENTION_WINDOW,
    Memories,
    Memory,
)
from secureai_operator.controllers.status_json import encoded

ROLE = ("Role", "saw-llm")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(memory, "time", clock)
    return clock


def heal(one: Memory, times: int, clock: Clock, every: float) -> None:
    for _ in range(times):
        one.healed(ROLE)
        clock.now += every


def test_a_few_heals_are_no_fight(clock: Clock) -> None:
    one = Memory("u")
    assert one.contended(ROLE) == 0
    heal(one, CONTENTION_LIMIT - 1, clock, 0.1)
    assert one.contended(ROLE) == 0


def test_a_fight_pauses_and_the_pause_ends(clock: Clock) -> None:
    one = Memory("u")
    heal(one, CONTENTION_LIMIT, clock, 0.1)
    pause = one.contended(ROLE)
    assert 0 < pause <= CONTENTION_PAUSE
    clock.now += pause
    assert one.contended(ROLE) == 0
    one.healed(ROLE)
    assert one.contended(ROLE) == CONTENTION_PAUSE


def test_heals_far_apart_are_no_fight(clock: Clock) -> None:
    one = Memory("u")
    heal(one, 3 * CONTENTION_LIMIT, clock, CONTENTION_WINDOW / (CONTENTION_LIMIT - 2))
    assert one.contended(ROLE) == 0


def test_one_object_s_fight_does_not_slow_the_others(clock: Clock) -> None:
    one = Memory("u")
    heal(one, CONTENTION_LIMIT, clock, 0.01)
    assert one.contended(ROLE)
    assert one.contended(("Role", "other")) == 0


def test_a_fight_for_ever_is_remembered_in_bounded_space(clock: Clock) -> None:
    one = Memory("u")
    heal(one, 10_000, clock, 0.01)
    assert len(one.heals) == 1
    assert len(one.heals[ROLE]) == CONTENTION_LIMIT


def test_a_new_uid_is_a_new_workload() -> None:
    memories = Memories()
    old = memories.of(("a", "b"), "u1")
    old.applied[ROLE] = b"x"
    assert memories.of(("a", "b"), "u1") is old
    new = memories.of(("a", "b"), "u2")
    assert new is not old
    assert not new.applied
    assert len(memories) == 1
    assert memories.forget(("a", "b")) is new
    assert memories.forget(("a", "b")) is None
    assert len(memories) == 0


def models(one: Memory) -> tuple[SecureAIWorkloadStatus | None, SecureAIWorkloadStatus | None]:
    return one.status, one.seen_status


def test_what_was_written_is_the_same_after_a_rest() -> None:
    one = Memory("u")
    seen, written = SecureAIWorkloadStatus(resync="1"), SecureAIWorkloadStatus(resync="2")
    one.wake(encoded(seen), seen)
    assert one.status is None
    one.status = written
    one.rest(encoded(seen))
    assert models(one) == (None, None)
    assert one.last_status == written
    one.wake(encoded(seen), seen)
    assert models(one) == (written, seen)


def test_at_rest_the_store_s_own_bytes_are_kept_and_no_models() -> None:
    one = Memory("u")
    status = SecureAIWorkloadStatus(resync="1")
    stored = encoded(status)
    one.wake(stored, status)
    one.status = status
    one.rest(stored)
    assert {id(kept) for kept in (one._written, one._seen)} == {id(stored)}
    one.wake(stored, status)
    assert one.status is status


def test_before_any_pass_nothing_is_known() -> None:
    assert Memory("u").last_status == SecureAIWorkloadStatus()


def test_a_status_that_was_only_seen_is_known_at_rest() -> None:
    one = Memory("u")
    seen = SecureAIWorkloadStatus(resync="1")
    one.wake(encoded(seen), seen)
    one.rest(encoded(seen))
    assert one.last_status == seen
    one.wake(encoded(seen), seen)
    assert one.status is None
