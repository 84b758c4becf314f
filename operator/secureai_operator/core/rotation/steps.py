"""The steps of a rotation, as plain values. `next_step` chooses one; its effect is the caller's; `record` writes it down.

A step with `intent` must be on the API server before anything is done after it: what follows cannot be asked whether it
has happened, or cannot be undone. All other records may be lost, and the same step comes again and harms nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from secureai_operator.api.rotation_status import Trigger
from secureai_operator.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do, until `until` if that is known."""

    until: datetime | None = None
    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Observe:
    """Wait until `until` for what is under way: a doubt, a grace period or a canary."""

    until: datetime
    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """Somebody has to do something first; nothing is made worse meanwhile."""

    verdict: Verdict
    until: datetime | None = None
    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Write down that the version after `from_version` is to be made. No effect."""

    from_version: int
    target: int
    trigger: Trigger
    request_id: str = ""
    scheduled: datetime | None = None
    intent: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Rotate:
    """Ask Vault for a new version, unless the key, read once more, is not at `expect_latest`."""

    expect_latest: int
    target: int
    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Confirm:
    """The target is there: write it down. No effect."""

    target: int
    at: datetime
    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Adopt:
    """Others made the versions after `from_version` up to `to`: make them a rotation of theirs. No effect."""

    from_version: int
    to: int
    at: datetime
    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Rewrap:
    """Have these data keys rewrapped, and keep what comes back. `last` if none is left then."""

    names: tuple[str, ...]
    to: int
    last: bool
    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Finish:
    """The rotation is over: write its history, and from when the versions below `below` may retire. No effect."""

    below: int
    retire_at: datetime | None
    emergency: bool
    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class PlanMinimum:
    """Write down that the minimum is to rise from `before` to `to`, and until when it is on trial. No effect."""

    to: int
    before: int
    canary_until: datetime
    due_until: datetime | None
    """What was due to retire until then is part of it."""
    intent: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class RaiseMinimum:
    """Have Vault decrypt nothing below `to` any more; `inventory.may_raise_minimum` looks once more before it."""

    to: int
    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class RollBackMinimum:
    """Have Vault decrypt from `to` again. `hold` if a decrypt had failed: then nothing retires until asked for."""

    to: int
    hold: bool
    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Conclude:
    """The versions below `below` are retired; or what was due until `due_until` had nothing to retire. No effect."""

    below: int
    due_until: datetime | None = None
    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Release:
    """Somebody asked for the retirement that was held. No effect."""

    intent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class PlanTrim:
    """Write down that the versions below `to` are to be destroyed. No effect."""

    to: int
    intent: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Trim:
    """Destroy the versions below `to` for ever; `inventory.may_trim` looks once more before it.

    Vault wants `min_encryption_version` at `to` or above first.
    """

    to: int
    intent: ClassVar[bool] = False


Step = (
    Nothing
    | Observe
    | Blocked
    | Plan
    | Rotate
    | Confirm
    | Adopt
    | Rewrap
    | Finish
    | PlanMinimum
    | RaiseMinimum
    | RollBackMinimum
    | Conclude
    | Release
    | PlanTrim
    | Trim
)
WITHOUT_EFFECT = (Plan, Confirm, Adopt, Finish, PlanMinimum, Conclude, Release, PlanTrim)
"""Steps that only their record does."""
