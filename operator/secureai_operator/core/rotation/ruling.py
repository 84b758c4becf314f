"""What the ruling policy says of one workload now. Pure."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b

from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.api.rotation_status import RotationStatus, Trigger
from secureai_operator.core.rotation.schedule import Answer, Due, NotYet, Timetable, due
from secureai_operator.core.rotation.selection import Policy
from secureai_operator.core.rotation.situation import moment


def schedule_digest(spec: KeyRotationPolicySpec) -> str:
    """A short form of what says when: with another one, what was due before it is not due."""
    text = spec.schedule.model_dump_json() + "".join(window.model_dump_json() for window in spec.windows)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def ruled(rotation: RotationStatus, policy: Policy | None, digest: str, now: datetime) -> RotationStatus:
    """The status with the policy that rules, and since when; unchanged while the same schedule of the same policy does."""
    name = "" if policy is None else str(policy)
    if (rotation.policy, rotation.schedule) == (name, digest):
        return rotation
    since = None if policy is None else rfc3339(now)
    return rotation.model_copy(update={"policy": name, "schedule": digest, "ruled_since": since})


def answer(
    table: Timetable,
    rotation: RotationStatus,
    *,
    rotated: datetime,
    requested_at: datetime | None,
    spread: float,
    now: datetime,
) -> Answer:
    """Whether the key may rotate now, or when.

    `requested_at` is when somebody asked the policy for a rotation: every key that is older is due, windows or not.
    """
    since = moment(rotation.ruled_since) if rotation.ruled_since else now
    if requested_at is not None and requested_at > rotated:
        return NotYet(requested_at) if now < requested_at else Due(requested_at, Trigger.MANUAL)
    return due(table, rotated=rotated, ruled_since=since, spread=spread, now=now)
