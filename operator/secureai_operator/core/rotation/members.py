"""How each workload stands with the policy that rules it, and what the policy's status makes of all of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from secureai_operator.api import reasons
from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.rotation import (
    DryRunItem,
    KeyRotationPolicyStatus,
    PlannedAction,
    PolicyRun,
)
from secureai_operator.api.rotation_status import RotationStatus, Trigger
from secureai_operator.core.rotation.schedule import Due, Missed
from secureai_operator.core.rotation.situation import UNDER_WAY, moment
from secureai_operator.core.rotation.steps import Blocked, Step
from secureai_operator.core.rotation.verdict import Ruled

Key = tuple[str, str]

HISTORY_MAX = 10
DRY_RUN_MAX = 20
MASKED_BY_MAX = 5


_OF_RETIREMENT = (
    reasons.RETIREMENT_UNPROVEN,
    reasons.RETIREMENT_ROLLED_BACK,
    reasons.RETIRE_ROLE_MISSING,
)
"""What keeps old versions from leaving: the rotation itself is done."""


class State(StrEnum):
    """Where a workload stands with its policy: exactly one of these."""

    CURRENT = "current"
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Member:
    """One workload that policies select, as its last pass found it."""

    workload: Key
    policy: Key
    masked: tuple[Key, ...] = ()
    state: State = State.CURRENT
    next_time: datetime | None = None
    planned_at: str = ""
    """Of the last rotation that the policy made, and when it was over; empty if none was, or it is not."""
    finished_at: str = ""
    requested: bool = False
    from_version: int = 0
    why: str = ""


def member(  # noqa: PLR0917 - all that a workload's pass found
    workload: Key,
    masked: Sequence[Key],
    ruled: Ruled,
    rotation: RotationStatus,
    step: Step,
    latest_version: int,
    *,
    pending: bool,
) -> Member | None:
    """The workload as a member; None if no policy selects it."""
    if ruled.policy is None:
        return None
    ours = rotation.trigger in (Trigger.SCHEDULED, Trigger.MANUAL) and rotation.scheduled_for is not None
    over = ours and rotation.phase not in UNDER_WAY
    return Member(
        workload=workload,
        policy=ruled.policy.key,
        masked=tuple(masked),
        state=_state(ruled, rotation, step, pending=pending),
        next_time=_next_time(ruled),
        planned_at=(rotation.planned_at or "") if ours else "",
        finished_at=(rotation.rewrapped_at or "") if over else "",
        requested=rotation.trigger is Trigger.MANUAL,
        from_version=latest_version,
        why=_why(ruled, step),
    )


def _state(ruled: Ruled, rotation: RotationStatus, step: Step, *, pending: bool) -> State:
    if isinstance(step, Blocked) and step.verdict.reason not in _OF_RETIREMENT:
        return State.FAILED
    if rotation.phase in UNDER_WAY:
        return State.IN_PROGRESS
    if pending or isinstance(ruled.answer, Due):
        return State.PENDING
    return State.SKIPPED if isinstance(ruled.answer, Missed) else State.CURRENT


def _next_time(ruled: Ruled) -> datetime | None:
    if isinstance(ruled.answer, Due):
        return ruled.answer.scheduled
    return None if ruled.answer is None else getattr(ruled.answer, "next_time", None)


def _why(ruled: Ruled, step: Step) -> str:
    if isinstance(step, Blocked):
        return step.verdict.message[:256]
    if isinstance(ruled.answer, Missed):
        return ruled.answer.message[:256]
    if isinstance(ruled.answer, Due):
        how = "asked for" if ruled.answer.trigger is Trigger.MANUAL else "scheduled for"
        return f"{how} {rfc3339(ruled.answer.scheduled)}"
    return ""


@dataclass(frozen=True, slots=True)
class Census:
    """All that is known of the workloads of one policy."""

    ruled: tuple[Member, ...] = ()
    masked_by: tuple[tuple[str, int], ...] = ()
    """The policies that rule what this one selects as well, and how many each."""

    @property
    def masked(self) -> int:
        return sum(count for _, count in self.masked_by)

    @property
    def states(self) -> Counter[State]:
        return Counter(one.state for one in self.ruled)


def policy_numbers(
    before: KeyRotationPolicyStatus, census: Census, now: datetime, *, dry_run: bool
) -> dict[str, Any]:
    """The fields of the policy's status that count its workloads; the same as before if nothing is new."""
    states = census.states
    last = max((one.finished_at for one in census.ruled), default="")
    run, history = _run(before, census, now)
    counted = run if run is not None else (history[-1] if history else None)
    upcoming = [one.next_time for one in census.ruled if one.next_time is not None]
    return {
        "selected": len(census.ruled) + census.masked,
        "current": states[State.CURRENT],
        "pending": states[State.PENDING],
        "in_progress": states[State.IN_PROGRESS],
        "failed": states[State.FAILED],
        "skipped": states[State.SKIPPED],
        "masked": census.masked,
        "masked_by": tuple(name for name, _ in census.masked_by[:MASKED_BY_MAX]),
        "rotated": 0 if counted is None else counted.rotated,
        "next_time": rfc3339(min(upcoming)) if upcoming else None,
        "last_time": max(last, before.last_time or "") or None,
        "run": run,
        "history": history,
        "dry_run": tuple(_dry_run(census.ruled)) if dry_run else (),
    }


def _run(
    before: KeyRotationPolicyStatus, census: Census, now: datetime
) -> tuple[PolicyRun | None, tuple[PolicyRun, ...]]:
    """The run that is under way, and those that are over. Found from what is, so that none is missed or counted twice."""
    started = before.run.started_at if before.run is not None else _first_start(before, census)
    if started is None:
        return None, before.history
    ours = [one for one in census.ruled if one.planned_at >= started]
    states = census.states
    run = PolicyRun(
        started_at=started,
        rotated=sum(1 for one in ours if one.finished_at),
        failed=states[State.FAILED],
        requested=any(one.requested for one in ours),
    )
    if states[State.PENDING] or states[State.IN_PROGRESS]:
        return run, before.history
    if not run.rotated and not run.failed:
        # What was due is not due any more: nobody rotated, and there is nothing to tell.
        return None, before.history
    over = run.model_copy(update={"finished_at": _end(ours) or rfc3339(now)})
    return None, (*before.history, over)[-HISTORY_MAX:]


def _end(ours: Iterable[Member]) -> str:
    return max((one.finished_at for one in ours), default="")


def _first_start(before: KeyRotationPolicyStatus, census: Census) -> str | None:
    """When the first rotation after the last run was planned; None if there is none."""
    last = max((run.finished_at or "" for run in before.history), default=before.last_time or "")
    under_way = [one.planned_at for one in census.ruled if one.state is State.IN_PROGRESS and one.planned_at]
    over = [one.planned_at for one in census.ruled if one.finished_at > last]
    return min([*under_way, *over], default=None)


def _dry_run(members: Iterable[Member]) -> Iterable[DryRunItem]:
    far = datetime.max.replace(tzinfo=moment("2026-01-01T00:00:00Z").tzinfo)
    ordered = sorted(members, key=lambda one: (one.next_time or far, one.workload))
    for one in ordered[:DRY_RUN_MAX]:
        yield DryRunItem(
            workload="/".join(one.workload),
            action=_ACTIONS[one.state],
            at=None if one.next_time is None else rfc3339(one.next_time),
            from_version=one.from_version,
            why=one.why,
        )


_ACTIONS = {
    State.CURRENT: PlannedAction.WAIT,
    State.PENDING: PlannedAction.ROTATE,
    State.IN_PROGRESS: PlannedAction.ROTATE,
    State.FAILED: PlannedAction.SKIP,
    State.SKIPPED: PlannedAction.SKIP,
}
