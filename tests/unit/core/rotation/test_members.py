"""A policy's numbers: every workload is counted once, runs are found from what is, and nothing changes without a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
from hypothesis import given

from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.rotation import KeyRotationPolicyStatus, PlannedAction
from secureai_operator.core.rotation.members import Census, Member, State, policy_numbers
from tests.unit.samples import NOW

POLICY = ("team-a", "weekly")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def one(
    name: str = "llm", state: State = State.CURRENT, planned: float | None = None, **more: object
) -> Member:
    stamps: dict[str, object] = {}
    if planned is not None:
        stamps["planned_at"] = rfc3339(at(planned))
        if state is State.CURRENT:
            stamps["finished_at"] = rfc3339(at(planned + 1))
    return Member(workload=("team-a", name), policy=POLICY, state=state, **stamps, **more)  # type: ignore[arg-type]


def numbers(
    before: KeyRotationPolicyStatus, *members: Member, now: float = 0.0, dry_run: bool = False
) -> KeyRotationPolicyStatus:
    fields = policy_numbers(before, Census(members), at(now), dry_run=dry_run)
    return before.model_copy(update=fields)


EMPTY = KeyRotationPolicyStatus()


@given(
    st.lists(st.sampled_from(State), max_size=20),
    st.dictionaries(st.text("ab", min_size=1), st.integers(1, 5)),
)
def test_every_selected_workload_is_counted_exactly_once(states: list[State], masked: dict[str, int]) -> None:
    members = tuple(one(f"w{place}", state) for place, state in enumerate(states))
    census = Census(members, tuple(masked.items()))
    status = EMPTY.model_copy(update=policy_numbers(EMPTY, census, NOW, dry_run=False))
    parts = (status.current, status.pending, status.in_progress, status.failed, status.skipped, status.masked)
    assert status.selected == sum(parts) == len(states) + sum(masked.values())


def test_a_run_begins_with_the_first_that_rotates_and_ends_when_none_is_left() -> None:
    begun = numbers(EMPTY, one("a", State.IN_PROGRESS, 0), one("b", State.PENDING), now=0)
    assert begun.run is not None
    assert (begun.run.started_at, begun.run.rotated, begun.history) == (rfc3339(at(0)), 0, ())
    halfway = numbers(begun, one("a", State.CURRENT, 0), one("b", State.IN_PROGRESS, 2), now=2)
    assert halfway.run is not None
    assert halfway.run.rotated == 1
    over = numbers(halfway, one("a", State.CURRENT, 0), one("b", State.CURRENT, 2), now=4)
    assert over.run is None
    (entry,) = over.history
    assert (entry.rotated, entry.failed) == (2, 0)
    assert (entry.started_at, entry.finished_at) == (rfc3339(at(0)), rfc3339(at(3)))
    assert over.rotated == 2
    assert over.last_time == rfc3339(at(3))


def test_a_run_that_nobody_saw_is_found_by_what_it_left() -> None:
    over = numbers(EMPTY, one("a", State.CURRENT, 0), one("b", State.CURRENT, 1), now=10)
    assert [entry.rotated for entry in over.history] == [2]


def test_a_second_look_changes_nothing() -> None:
    over = numbers(EMPTY, one("a", State.CURRENT, 0), now=10)
    assert numbers(over, one("a", State.CURRENT, 0), now=500) == over


def test_the_next_run_is_another_one() -> None:
    first = numbers(EMPTY, one("a", State.CURRENT, 0), now=10)
    second = numbers(first, one("a", State.CURRENT, 3600), now=3700)
    assert [entry.rotated for entry in second.history] == [1, 1]


def test_what_cannot_go_on_is_told_as_failed_and_ends_the_run() -> None:
    begun = numbers(EMPTY, one("a", State.IN_PROGRESS, 0), one("b", State.IN_PROGRESS, 0))
    over = numbers(begun, one("a", State.CURRENT, 0), one("b", State.FAILED, 0), now=5)
    assert [(entry.rotated, entry.failed) for entry in over.history] == [(1, 1)]


def test_history_is_bounded() -> None:
    status = EMPTY
    for hour in range(15):
        status = numbers(status, one("a", State.CURRENT, hour * 3600), now=hour * 3600 + 60)
    assert len(status.history) == 10
    assert status.history[-1].started_at == rfc3339(at(14 * 3600))


def test_the_dry_run_lists_the_next_due_first_and_only_so_many() -> None:
    members = [one(f"w{n:02}", State.CURRENT, next_time=at(100 - n)) for n in range(30)]
    due = one("due", State.PENDING, next_time=at(-5), from_version=3, why="scheduled")
    status = numbers(EMPTY, *members, due, dry_run=True)
    assert len(status.dry_run) == 20
    assert status.dry_run[0].workload == "team-a/due"
    assert status.dry_run[0].action is PlannedAction.ROTATE
    assert status.dry_run[1].action is PlannedAction.WAIT
    assert numbers(EMPTY, due).dry_run == ()


def test_the_next_time_is_the_first_of_all() -> None:
    status = numbers(EMPTY, one("a", next_time=at(50)), one("b", next_time=at(20)), one("c"))
    assert status.next_time == rfc3339(at(20))
    assert datetime.fromisoformat(status.next_time).tzinfo == UTC
