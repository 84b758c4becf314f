"""SecureAIWorkloads as the API server would hand them out, for the tests of what the verbs say about them."""

from __future__ import annotations

from typing import Any

from secureai_operator.api.conditions import ConditionType
from secureai_operator.cli.workloads import WorkloadView, view

SINCE = "2026-01-31T12:00:00Z"
HEALTHY = {
    ConditionType.READY: ("True", "AllReady"),
    ConditionType.RECONCILING: ("False", "Settled"),
    ConditionType.STALLED: ("False", "Settled"),
    ConditionType.IDENTITY_READY: ("True", "IdentityEstablished"),
    ConditionType.KEY_READY: ("True", "KeyAvailable"),
    ConditionType.CERTIFICATE_READY: ("True", "CertificateIssued"),
    ConditionType.ACCESS_GRANTED: ("True", "NoAccessRequested"),
    ConditionType.NETWORK_ISOLATED: ("True", "PoliciesApplied"),
    ConditionType.CONFIDENTIAL_SCHEDULABLE: ("True", "Schedulable"),
    ConditionType.PODS_BOUND: ("True", "NoPods"),
    ConditionType.VAULT_REACHABLE: ("True", "VaultHealthy"),
    ConditionType.DRIFT_DETECTED: ("False", "NoDrift"),
}


def workload(
    changed: dict[ConditionType, tuple[str, str]] | None = None,
    *,
    spec: dict[str, Any] | None = None,
    generation: int = 1,
    observed: int = 1,
    deleting: bool = False,
    status: dict[str, Any] | None = None,
) -> WorkloadView:
    """A healthy workload but for the conditions that are `changed` to (status, reason)."""
    conditions = [
        {
            "type": kind.value,
            "status": state,
            "reason": reason,
            "message": f"about {kind.value}",
            "lastTransitionTime": SINCE,
        }
        for kind, (state, reason) in {**HEALTHY, **(changed or {})}.items()
    ]
    metadata: dict[str, Any] = {
        "name": "llm",
        "namespace": "team-a",
        "uid": "uid-1",
        "generation": generation,
        "creationTimestamp": SINCE,
    }
    if deleting:
        metadata["deletionTimestamp"] = SINCE
    content = {"observedGeneration": observed, "conditions": conditions, **(status or {})}
    return view({"metadata": metadata, "spec": spec or {}, "status": content})
