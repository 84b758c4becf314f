"""An emergency rotation: access is withdrawn, everything is made anew, access is restored. Pure, and resumable anywhere.

Each step is over when what it is for is true, or cannot be made true and need not; then the next one begins. What keeps a
step from being over keeps access withdrawn: that is the safe side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.rotation_status import (
    EmergencyStatus,
    EmergencyStep,
    EmergencyStepStatus,
    RotationPhase,
    RotationStatus,
)
from secureai_operator.core.rotation.situation import UNDER_WAY

_AUDIT = "nothing that runs is touched under enforcement Audit"


@dataclass(frozen=True, slots=True)
class EmergencyFacts:
    """What tells whether a step is over."""

    access_withdrawn: bool = False
    """The identity is disabled and the policy in Vault denies; asked for while it is to be so."""
    access_restored: bool = False
    rotation: RotationStatus = field(default_factory=RotationStatus)
    min_decryption_version: int = 0
    unprovable: str = ""
    """Why no proof can ever be had that old versions are out of use; empty if it can, or is there."""
    certificate: str = ""
    """Serial number of the certificate in the Secret; empty for none."""
    wants_certificate: bool = True
    account: str = ""
    """UID of the ServiceAccount as it is; empty for none."""
    restarted: bool = False
    unrestarted: str = ""
    """Why it is not waited any longer for pods that were to be restarted; empty while it is."""
    touches_pods: bool = True
    """False under enforcement Audit: nothing that runs is touched."""


def begun(request_id: str, certificate: str, account: str, now: datetime) -> EmergencyStatus:
    """The status as an emergency begins: on the API server before anything is withdrawn."""
    return EmergencyStatus(
        request_id=request_id, started_at=rfc3339(now), certificate=certificate, service_account=account
    )


def is_asked_for(request_id: str, emergency: EmergencyStatus | None) -> bool:
    """Whether a new emergency is to begin; one that is under way ends first."""
    if not request_id:
        return False
    if emergency is None:
        return True
    return emergency.finished_at is not None and emergency.request_id != request_id


def is_under_way(emergency: EmergencyStatus | None) -> bool:
    return emergency is not None and emergency.finished_at is None


def steps_over(emergency: EmergencyStatus) -> frozenset[EmergencyStep]:
    return frozenset(step.step for step in emergency.steps)


def denies(emergency: EmergencyStatus | None) -> bool:
    """Whether the workload's access is to be withdrawn now."""
    if emergency is None or emergency.finished_at is not None:
        return False
    return EmergencyStep.PODS_RESTARTED not in steps_over(emergency)


def next_emergency_step(emergency: EmergencyStatus) -> EmergencyStep | None:
    """The step that is under way; None if all are over."""
    over = steps_over(emergency)
    return next((step for step in EmergencyStep if step not in over), None)


def advanced(
    emergency: EmergencyStatus, facts: EmergencyFacts, now: datetime, milliseconds: int
) -> EmergencyStatus:
    """The status with the step that is under way written down, if it is over; the same status if it is not.

    `milliseconds` is how long the step took.
    """
    step = next_emergency_step(emergency)
    if step is None:
        return emergency
    skipped = _skipped(step, facts)
    if not skipped and not _is_over(step, emergency, facts):
        return emergency
    entry = EmergencyStepStatus(step=step, at=rfc3339(now), milliseconds=milliseconds, skipped=skipped)
    last = step is EmergencyStep.ACCESS_RESTORED
    return emergency.model_copy(
        update={
            "steps": (*emergency.steps, entry),
            "finished_at": rfc3339(now) if last else None,
        }
    )


def _skipped(step: EmergencyStep, facts: EmergencyFacts) -> str:
    """Why the step has nothing to do, or can never be done; empty if it is to be done."""
    reasons: Mapping[EmergencyStep, str] = {
        EmergencyStep.MINIMUM_RAISED: facts.unprovable,
        EmergencyStep.CERTIFICATE_REISSUED: "" if facts.wants_certificate else "no certificate is asked for",
        EmergencyStep.IDENTITY_REPLACED: "" if facts.touches_pods else _AUDIT,
        EmergencyStep.PODS_RESTARTED: facts.unrestarted if facts.touches_pods else _AUDIT,
    }
    return reasons.get(step, "")


def _is_over(step: EmergencyStep, emergency: EmergencyStatus, facts: EmergencyFacts) -> bool:
    rotation = facts.rotation
    ours = rotation.emergency_request_id == emergency.request_id
    over = {
        EmergencyStep.ACCESS_WITHDRAWN: facts.access_withdrawn,
        EmergencyStep.KEY_ROTATED: ours and rotation.phase is not RotationPhase.PLANNED,
        EmergencyStep.DATA_KEYS_REWRAPPED: ours and rotation.phase not in UNDER_WAY,
        EmergencyStep.MINIMUM_RAISED: facts.min_decryption_version >= rotation.version,
        EmergencyStep.CERTIFICATE_REISSUED: facts.certificate not in {"", emergency.certificate},
        EmergencyStep.IDENTITY_REPLACED: facts.account not in {"", emergency.service_account},
        EmergencyStep.PODS_RESTARTED: facts.restarted,
        EmergencyStep.ACCESS_RESTORED: facts.access_restored,
    }
    return over[step]
