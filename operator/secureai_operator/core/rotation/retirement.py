"""How old versions leave: grace, proof, trial, and, only if asked for, destruction.

The minimum rises only with proof, and is on trial for the canary period; what has passed that has retired. Only what has
retired is ever trimmed. `keepVersions` counts from the latest, and only an emergency overrides it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from secureai_operator.api import reasons
from secureai_operator.api.model import seconds
from secureai_operator.api.rotation import Retire
from secureai_operator.api.rotation_status import RetirementStatus, RotationStatus
from secureai_operator.api.vault_types import KeyState
from secureai_operator.core.rotation.situation import Situation, moment, passed
from secureai_operator.core.rotation.steps import (
    Blocked,
    Conclude,
    PlanMinimum,
    PlanTrim,
    RaiseMinimum,
    Release,
    Step,
    Trim,
)
from secureai_operator.core.verdict import bad


def next_retirement(situation: Situation, key: KeyState) -> Step | None:
    """The next step of retirement; None while there is nothing to do, or only to wait."""
    rotation = situation.rotation
    if rotation.retirement_held:
        return _held(situation)
    if rotation.raising:
        return _in_emergency(situation, key) or _on_trial(situation, key)
    return _due(situation, key) or _trim(situation, key)


def retirement_waits(rotation: RotationStatus) -> tuple[datetime, ...]:
    """The instants for which retirement waits."""
    if rotation.raising and rotation.canary_until is not None:
        return (moment(rotation.canary_until),)
    return tuple(moment(entry.at) for entry in rotation.retirements)


def _held(situation: Situation) -> Step:
    if situation.retry_retirement:
        return Release()
    message = "decrypts failed as old versions retired; they decrypt again, and none retires until asked for"
    return Blocked(bad(reasons.RETIREMENT_ROLLED_BACK, message), situation.next_time)


def _on_trial(situation: Situation, key: KeyState) -> Step | None:
    rotation, now = situation.rotation, situation.now
    if key.min_decryption_version >= rotation.raising:
        return Conclude(rotation.raising) if passed(rotation.canary_until, now) else None
    if doubt := situation.held.doubt(rotation.raising):
        return _unproven(situation, rotation.raising, doubt)
    if passed(rotation.canary_until, now):
        # Nothing was tried in all that time: the trial starts as the minimum rises.
        return PlanMinimum(
            rotation.raising, key.min_decryption_version, _canary_end(situation), due_until=None
        )
    return RaiseMinimum(rotation.raising)


def _in_emergency(situation: Situation, key: KeyState) -> Step | None:
    """An emergency waits for the end of no trial: access stays withdrawn until its minimum is raised. The trial goes on with it."""
    due = _entries_due(situation)
    if not any(entry.emergency for entry in due):
        return None
    minimum = _minimum(due, key, situation.retire)
    if minimum <= situation.rotation.raising:
        return None
    if doubt := situation.held.doubt(minimum):
        return _on_trial(situation, key) or _unproven(situation, minimum, doubt)
    # What was not yet on trial to its end comes back with all the rest, if decrypts fail.
    before = min(situation.rotation.minimum_before, key.min_decryption_version)
    return PlanMinimum(minimum, before, _canary_end(situation), situation.now)


def _entries_due(situation: Situation) -> list[RetirementStatus]:
    due = [entry for entry in situation.rotation.retirements if passed(entry.at, situation.now)]
    return due if situation.retire is not None else [entry for entry in due if entry.emergency]


def _due(situation: Situation, key: KeyState) -> Step | None:
    due = _entries_due(situation)
    if not due:
        return None
    minimum = _minimum(due, key, situation.retire)
    if minimum <= key.min_decryption_version:
        # Somebody else's doing, or keepVersions keeps them: nothing was on trial, so nothing is to be trimmed for it.
        return Conclude(situation.rotation.retired_below, situation.now)
    if doubt := situation.held.doubt(minimum):
        return _unproven(situation, minimum, doubt)
    return PlanMinimum(minimum, key.min_decryption_version, _canary_end(situation), situation.now)


def _canary_end(situation: Situation) -> datetime:
    return situation.now + timedelta(seconds=seconds((situation.retire or Retire()).canary))


def _minimum(due: Iterable[RetirementStatus], key: KeyState, retire: Retire | None) -> int:
    """The highest minimum that the entries ask for."""
    kept = _oldest_kept(key, retire or Retire())
    return max(entry.below if entry.emergency else min(entry.below, kept) for entry in due)


def _oldest_kept(key: KeyState, retire: Retire) -> int:
    return max(key.latest_version - retire.keep_versions + 1, 1)


def _trim(situation: Situation, key: KeyState) -> Step | None:
    retire, rotation = situation.retire, situation.rotation
    if retire is None or not retire.trim:
        return None
    to = min(rotation.retired_below, key.min_decryption_version, _oldest_kept(key, retire))
    if to <= max(key.min_available_version, 1):
        return None
    if not situation.may_trim:
        message = f"versions below {to} are retired and cannot be destroyed without a retireRole"
        return Blocked(bad(reasons.RETIRE_ROLE_MISSING, message), situation.next_time)
    if doubt := situation.held.doubt(to):
        return _unproven(situation, to, doubt)
    return Trim(to) if rotation.trimming == to else PlanTrim(to)


def _unproven(situation: Situation, minimum: int, doubt: str) -> Blocked:
    message = f"versions below {minimum} cannot retire: {doubt}"
    return Blocked(bad(reasons.RETIREMENT_UNPROVEN, message), situation.next_time)
