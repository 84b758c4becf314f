"""What a step leaves in the status. Pure; a record that is lost is made again by the same step."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import singledispatch
from typing import Any

from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.rotation_status import (
    RetirementStatus,
    RotationPhase,
    RotationRecord,
    RotationStatus,
    Trigger,
)
from secureai_operator.core.rotation.inventory import Inventory
from secureai_operator.core.rotation.situation import moment
from secureai_operator.core.rotation.steps import (
    Adopt,
    Blocked,
    Conclude,
    Confirm,
    Finish,
    Plan,
    PlanMinimum,
    PlanTrim,
    Release,
    Rewrap,
    RollBackMinimum,
    Step,
)

HISTORY_MAX = 10
RETIREMENTS_MAX = 8
DOUBT = timedelta(seconds=120)
"""Longer than Vault works on any request (`default_max_request_duration` is 90 s): then it was done, or never will be."""


def recorded(rotation: RotationStatus, step: Step, now: datetime) -> RotationStatus:
    """The status after the step and its effect; unchanged for one that leaves nothing."""
    changes = _changes(step, rotation, now)
    return rotation.model_copy(update=changes) if changes else rotation


def doubted(rotation: RotationStatus, now: datetime) -> RotationStatus:
    """The status after a rotate of which nobody knows whether it reached Vault."""
    return rotation.model_copy(update={"doubt_until": rfc3339(now + DOUBT)})


def shown(
    rotation: RotationStatus, step: Step, held: Inventory, next_time: datetime | None
) -> RotationStatus:
    """The status with what people ask: the oldest version in use, what is in the way, and when it goes on."""
    changes: dict[str, Any] = {
        "oldest_version_in_use": held.oldest or 0,
        "blocked_reason": step.verdict.reason.name if isinstance(step, Blocked) else "",
        "next_time": None if next_time is None else rfc3339(next_time),
        "retire_at": min((entry.at for entry in rotation.retirements), default=None),
    }
    return rotation.model_copy(update=changes)


@singledispatch
def _changes(step: object, rotation: RotationStatus, now: datetime) -> dict[str, Any]:
    """Rotate, RaiseMinimum, Trim and waiting leave nothing: Vault itself shows whether they were done."""
    del step, rotation, now
    return {}


@_changes.register
def _(step: Plan, rotation: RotationStatus, now: datetime) -> dict[str, Any]:
    del rotation
    return {
        "phase": RotationPhase.PLANNED,
        "version": step.from_version,
        "from_version": step.from_version,
        "target": step.target,
        "trigger": step.trigger,
        **_request(step),
        "scheduled_for": None if step.scheduled is None else rfc3339(step.scheduled),
        "planned_at": rfc3339(now),
        "doubt_until": None,
        "rotated_at": None,
        "rewrapped_at": None,
        "items_rewrapped": 0,
    }


def _request(step: Plan) -> dict[str, Any]:
    """Each trigger has a place of its own: two requests that both stand must not take turns for ever."""
    if not step.request_id:
        return {}
    field = "emergency_request_id" if step.trigger is Trigger.EMERGENCY else "request_id"
    return {field: step.request_id}


@_changes.register
def _(step: Confirm, rotation: RotationStatus, now: datetime) -> dict[str, Any]:
    del rotation, now
    return {
        "phase": RotationPhase.ROTATED,
        "version": step.target,
        "rotated_at": rfc3339(step.at),
        "doubt_until": None,
    }


@_changes.register
def _(step: Adopt, rotation: RotationStatus, now: datetime) -> dict[str, Any]:
    # Never backwards: a scheduled time that was acted on would be due again where Vault's clock is behind.
    known = step.at if rotation.planned_at is None else max(step.at, moment(rotation.planned_at))
    return {
        "phase": RotationPhase.ROTATED,
        "version": step.to,
        "from_version": step.from_version,
        "target": step.to,
        "trigger": Trigger.EXTERNAL,
        "scheduled_for": None,
        "planned_at": rfc3339(min(known, now)),
        "rotated_at": rfc3339(step.at),
        "rewrapped_at": None,
        "items_rewrapped": 0,
    }


@_changes.register
def _(step: Rewrap, rotation: RotationStatus, now: datetime) -> dict[str, Any]:
    # Also a data key that came back from a backup is rewrapped, long after the rotation: that is no news of it.
    if rotation.phase is not RotationPhase.ROTATED:
        return {}
    counted = {"items_rewrapped": rotation.items_rewrapped + len(step.names)}
    return (
        counted | {"phase": RotationPhase.REWRAPPED, "rewrapped_at": rfc3339(now)} if step.last else counted
    )


@_changes.register
def _(step: Finish, rotation: RotationStatus, now: datetime) -> dict[str, Any]:
    retirements = rotation.retirements
    if step.retire_at is not None:
        entry = RetirementStatus(below=step.below, at=rfc3339(step.retire_at), emergency=step.emergency)
        # The newest make place: the others are due earlier, and give the place back.
        retirements = (*retirements[: RETIREMENTS_MAX - 1], entry)
    return {
        "phase": RotationPhase.OBSERVING if retirements else RotationPhase.RETIRED,
        "rewrapped_at": rotation.rewrapped_at or rfc3339(now),
        "retirements": retirements,
        "history": (*rotation.history, _history(rotation, now))[-HISTORY_MAX:],
    }


def _history(rotation: RotationStatus, now: datetime) -> RotationRecord:
    external = rotation.trigger is Trigger.EXTERNAL
    return RotationRecord(
        from_version=rotation.from_version,
        to_version=rotation.target,
        trigger=rotation.trigger or Trigger.SCHEDULED,
        started_at=(rotation.rotated_at if external else rotation.planned_at) or rfc3339(now),
        finished_at=rotation.rewrapped_at or rfc3339(now),
        items_rewrapped=rotation.items_rewrapped,
        result="Adopted" if external else "Done",
    )


@_changes.register
def _(step: PlanMinimum, rotation: RotationStatus, now: datetime) -> dict[str, Any]:
    del now
    return {
        "retirements": _after(rotation, step.due_until),
        "raising": step.to,
        "minimum_before": step.before,
        "canary_until": rfc3339(step.canary_until),
    }


@_changes.register
def _(step: RollBackMinimum, rotation: RotationStatus, now: datetime) -> dict[str, Any]:
    again = RetirementStatus(below=rotation.raising, at=rfc3339(now))
    return {
        # In front: what was on trial was due before all that waits.
        "retirements": (again, *rotation.retirements)[:RETIREMENTS_MAX]
        if rotation.raising
        else rotation.retirements,
        "raising": 0,
        "minimum_before": 0,
        "canary_until": None,
        "retirement_held": rotation.retirement_held or step.hold,
        "retired_below": min(rotation.retired_below, step.to),
        "trimming": 0,
    }


@_changes.register
def _(step: Conclude, rotation: RotationStatus, now: datetime) -> dict[str, Any]:
    """Of versions that keepVersions keeps the entry goes too: the next rotation makes one that holds them."""
    del now
    left = _after(rotation, step.due_until)
    quiet = rotation.phase is RotationPhase.OBSERVING and not left
    return {
        "phase": RotationPhase.RETIRED if quiet else rotation.phase,
        "retirements": left,
        "retired_below": max(rotation.retired_below, step.below),
        "raising": 0,
        "minimum_before": 0,
        "canary_until": None,
    }


def _after(rotation: RotationStatus, due_until: datetime | None) -> tuple[RetirementStatus, ...]:
    """What is not due until then; everything if nothing was taken from it."""
    if due_until is None:
        return rotation.retirements
    return tuple(entry for entry in rotation.retirements if moment(entry.at) > due_until)


@_changes.register
def _(step: Release, rotation: RotationStatus, now: datetime) -> dict[str, Any]:
    del step, rotation, now
    return {"retirement_held": False}


@_changes.register
def _(step: PlanTrim, rotation: RotationStatus, now: datetime) -> dict[str, Any]:
    del rotation, now
    return {"trimming": step.to}
