"""The condition types of a SecureAIWorkload, and how a condition changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from secureai_operator.api.workload_status import Condition


class ConditionType(StrEnum):
    """In the order in which status lists them; Ready first."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    IDENTITY_READY = "IdentityReady"
    KEY_READY = "KeyReady"
    CERTIFICATE_READY = "CertificateReady"
    ACCESS_GRANTED = "AccessGranted"
    NETWORK_ISOLATED = "NetworkIsolated"
    CONFIDENTIAL_SCHEDULABLE = "ConfidentialSchedulable"
    PODS_BOUND = "PodsBound"
    VAULT_REACHABLE = "VaultReachable"
    DRIFT_DETECTED = "DriftDetected"


_ORDER = {str(kind): place for place, kind in enumerate(ConditionType)}


def rfc3339(moment: datetime) -> str:
    """The moment as Kubernetes writes it: UTC, whole seconds."""
    # Not strftime: it writes the year 1 of a strange certificate as `1`, which the API server refuses.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def merged(old: Sequence[Condition], new: Iterable[Condition]) -> tuple[Condition, ...]:
    """`new` in order, where a condition whose status did not change keeps its transition time."""
    before = {condition.type: condition for condition in old}
    kept = (
        condition.model_copy(update={"last_transition_time": before[condition.type].last_transition_time})
        if condition.type in before and before[condition.type].status == condition.status
        else condition
        for condition in new
    )
    return tuple(sorted(kept, key=lambda condition: _ORDER.get(condition.type, len(_ORDER))))


def condition(conditions: Sequence[Condition], kind: ConditionType) -> Condition | None:
    return next((found for found in conditions if found.type == kind), None)
