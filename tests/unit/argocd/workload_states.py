"""States that a SecureAIWorkload can be in, as the API server holds them; see `states`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from secureai_operator import errors, names
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.model import ApiModel
from secureai_operator.api.rotation_status import RotationPhase, RotationStatus
from secureai_operator.controllers.assessment import Found, assess
from secureai_operator.controllers.rotation import RotationFound
from secureai_operator.controllers.status_json import status_body
from secureai_operator.controllers.vault_side import VaultOutcome, vault_verdict
from secureai_operator.controllers.workload_status import failed_status, next_status
from secureai_operator.controllers.workloads import stored
from secureai_operator.core.desired.access import access_verdict
from secureai_operator.core.desired.keys import key_awaited_verdict
from secureai_operator.core.facts import ClusterFacts, Facts, Workload
from secureai_operator.core.rotation.emergency import begun
from secureai_operator.core.rotation.steps import Blocked, Nothing, Step
from secureai_operator.core.rotation.verdict import Ruled, rotation_verdict
from secureai_operator.core.verdict import bad, unknown
from tests.unit.controllers.findings import HEALTHY, SICK, all_good, drift, vault_outcome
from tests.unit.samples import CUSTOMERS, NOW, Json, certificate, facts, key_state, pod, workload

DELETED = "2026-01-31T12:30:00Z"
UNREACHABLE, SEALED, _, RATE_LIMITED = SICK
AWAITED = unknown(reasons.AWAITING_KEY_MATERIAL, "import version 2 of the key; version 1 is used until then")


def live_workload(item: Workload, status: Json | None = None, **metadata: Any) -> Json:
    """The CR as the API server holds it; `status` in place of the workload's own."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "SecureAIWorkload",
        "metadata": {
            "name": item.name,
            "namespace": item.namespace,
            "uid": item.uid,
            "resourceVersion": "10",
            "generation": item.generation,
            "creationTimestamp": item.created,
            "finalizers": [names.FINALIZER],
            **metadata,
        },
        "spec": spec_as_stored(item.spec),
        "status": status_body(item.status) if status is None else status,
    }


def spec_as_stored(spec: ApiModel) -> Json:
    return spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def after(item: Workload, found: Found, known: Facts | None = None) -> Workload:
    """The workload with the status that a pass which found this writes."""
    known = known or facts()
    return replace(item, status=next_status(item, found, known, assess(item, found, known), NOW))


def ready(spec: Json | None = None) -> Workload:
    item = workload(spec)
    return after(item, all_good(item))


def rotating(
    item: Workload, rotation: RotationStatus, step: Step | None = None, ruled: Ruled | None = None
) -> RotationFound:
    step = step or Nothing()
    return RotationFound(
        rotation, item.status.data_keys, key_state(), rotation_verdict(ruled or Ruled(), rotation, step), step
    )


def _unasked(item: Workload, error: errors.OperatorError, **others: Any) -> Found:
    """A pass in which Vault did not say anything."""
    return replace(all_good(item), vault=None, certificate=None, vault_error=error, **others)


def _new_spec() -> Json:
    return live_workload(replace(ready(), generation=2))


def _ready_while_sealed() -> Json:
    item = ready()
    found = replace(
        all_good(item), vault=None, health=SEALED, vault_error=errors.VaultUnavailable("VaultSealed", "x")
    )
    return live_workload(after(item, found))


def _ready_with_late_key_material() -> Json:
    item = ready()
    planned = RotationStatus(phase=RotationPhase.PLANNED, version=1, target=2, from_version=1)
    found = replace(all_good(item), rotation=rotating(item, planned, Blocked(AWAITED)))
    return live_workload(after(item, found))


def _ready_rotating() -> Json:
    item = ready()
    rotated = RotationStatus(phase=RotationPhase.ROTATED, version=1, target=2, from_version=1)
    return live_workload(after(item, replace(all_good(item), rotation=rotating(item, rotated))))


def _ready_contended() -> Json:
    item = ready()
    found = all_good(item)
    found.kubernetes.contended = "Role saw-llm"
    return live_workload(after(item, found))


def _ready_healed() -> Json:
    item = ready()
    found = all_good(item)
    found.kubernetes.drift = drift()
    return live_workload(after(item, found))


def _ready_in_quarantine() -> Json:
    item = workload()
    pods = (pod("llm-0"), pod("llm-1", quarantined=True))
    return live_workload(after(item, all_good(item), facts(pods=pods)))


def _ready_under_audit() -> Json:
    item = workload({"enforcement": "Audit"})
    pods = (pod("llm-0", "it does not run as ServiceAccount saw-llm"),)
    return live_workload(after(item, all_good(item), facts(pods=pods)))


def _ready_without_tdx() -> Json:
    item = workload({"confidential": {"mode": "Preferred"}})
    known = facts(cluster=ClusterFacts(known=True))
    return live_workload(after(item, all_good(item, known), known))


def _api_server_away() -> Json:
    item = workload()
    found = all_good(item)
    found.kubernetes.failures[C.IDENTITY_READY] = bad(
        reasons.KUBERNETES_UNAVAILABLE, "ServiceAccount saw-llm could not be written yet"
    )
    return live_workload(after(item, found))


def _vault_sealed() -> Json:
    item = workload()
    found = _unasked(item, errors.VaultUnavailable("VaultSealed", "x"), health=SEALED)
    return live_workload(after(item, found))


def _vault_unreachable() -> Json:
    item = workload()
    found = _unasked(item, errors.VaultUnavailable("VaultUnreachable", "x"), health=UNREACHABLE)
    return live_workload(after(item, found))


def _vault_rate_limited() -> Json:
    item = workload()
    found = _unasked(item, errors.VaultUnavailable("VaultRateLimited", "x"), health=RATE_LIMITED)
    return live_workload(after(item, found))


def _one_request_timed_out() -> Json:
    item = workload()
    verdict = vault_verdict(errors.VaultUncertain("VaultTimeout", "x"))
    outcome = vault_outcome(item, key_state(), failures={C.IDENTITY_READY: verdict})
    return live_workload(after(item, replace(all_good(item), health=HEALTHY, vault=outcome)))


def _key_lost() -> Json:
    item = ready()
    return live_workload(after(item, replace(all_good(item), vault=vault_outcome(item, None))))


def _key_exposed() -> Json:
    item = ready()
    outcome = vault_outcome(item, key_state(exportable=True))
    return live_workload(after(item, replace(all_good(item), vault=outcome)))


def _certificate_expired() -> Json:
    item = ready()
    expired = certificate(not_after=int(NOW.timestamp()))
    return live_workload(after(item, replace(all_good(item), certificate=expired)))


def _invalid_spec() -> Json:
    spec = {"certificate": {"dnsNames": ["llm.team-b.svc"]}}
    item = workload(spec)
    return live_workload(after(item, all_good(item)))


def _operator_failed() -> Json:
    item = ready()
    raw = live_workload(item)
    message = "the operator failed on this workload; its log has the trace"
    _, status = failed_status(stored(raw), reasons.INTERNAL_ERROR, message, NOW)
    return live_workload(replace(item, status=status))


def _connection_not_configured() -> Json:
    item = workload({"vault": {"connection": "prod"}})
    return live_workload(after(item, Found(place=all_good(item).place, connections=("default",))))


def _beyond_ceiling() -> Json:
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    item = workload({"access": {"rules": [rule]}})
    return live_workload(after(item, replace(all_good(item), access=access_verdict(item, facts()))))


def _drift_reported() -> Json:
    item = ready({"driftPolicy": "Warn"})
    found = all_good(item)
    found.kubernetes.drift = drift(action="Reported")
    found.kubernetes.standing[C.NETWORK_ISOLATED] = "NetworkPolicy saw-llm-allow: deleted"
    return live_workload(after(item, found))


def _pods_unbound() -> Json:
    item = workload()
    pods = (pod("llm-0"), pod("llm-1", "it has no identity token for Vault"))
    return live_workload(after(item, all_good(item), facts(pods=pods)))


def _no_tdx_nodes() -> Json:
    item = workload({"confidential": {"mode": "Required"}})
    known = facts(cluster=ClusterFacts(known=True))
    return live_workload(after(item, all_good(item, known), known))


def _customer_locked() -> Json:
    spec = {"keys": {"custody": "hold-your-own-key"}, "vault": {"connection": CUSTOMERS.name}}
    item = workload(spec)
    item = after(item, replace(all_good(item), connection=CUSTOMERS))
    error = errors.VaultUnavailable("VaultSealed", "x")
    found = _unasked(item, error, health=SEALED, connection=CUSTOMERS)
    return live_workload(after(item, found))


def _awaiting_key_material() -> Json:
    item = workload({"keys": {"custody": "customer-managed"}})
    outcome = VaultOutcome(key=key_awaited_verdict(item, "saw.main.team-a.llm"))
    return live_workload(after(item, replace(all_good(item), vault=outcome)))


def _suspended() -> Json:
    item = replace(ready(), spec=workload({"suspend": True}).spec, generation=2)
    found = Found(suspended=True)
    return live_workload(replace(item, status=next_status(item, found, None, assess(item, found, None), NOW)))


def _suspended_and_not_seen() -> Json:
    return live_workload(replace(ready(), spec=workload({"suspend": True}).spec, generation=2))


def _terminating(item: Workload) -> Json:
    found = Found(terminating=True)
    status = next_status(item, found, None, assess(item, found, None), NOW)
    return live_workload(replace(item, status=status), deletionTimestamp=DELETED)


def _terminating_while_sealed() -> Json:
    item = ready()
    found = _unasked(item, errors.VaultUnavailable("VaultSealed", "x"), health=SEALED)
    return _terminating(after(item, found))


def _emergency(step: Step | None = None, spec: Json | None = None) -> Json:
    item = ready(spec)
    planned = RotationStatus(phase=RotationPhase.PLANNED, version=1, target=2, from_version=1)
    found = replace(
        all_good(item),
        emergency=begun("incident-7", "1f", "uid-sa", NOW),
        rotation=rotating(item, planned, step),
    )
    return live_workload(after(item, found))


def archive_full() -> Json:
    item = ready()
    full = Blocked(bad(reasons.KEY_ARCHIVE_FULL, "have old ones trimmed"))
    return live_workload(
        after(item, replace(all_good(item), rotation=rotating(item, RotationStatus(), full)))
    )


WORKLOADS: Mapping[str, Callable[[], Json]] = MappingProxyType(
    {
        "no-status": lambda: live_workload(workload(), {"observedGeneration": -1}),
        "new-spec": _new_spec,
        "ready": lambda: live_workload(ready()),
        "ready-rotating": _ready_rotating,
        "ready-drift-healed": _ready_healed,
        "ready-drift-contended": _ready_contended,
        "ready-vault-sealed": _ready_while_sealed,
        "ready-key-material-due": _ready_with_late_key_material,
        "ready-pod-in-quarantine": _ready_in_quarantine,
        "ready-under-audit": _ready_under_audit,
        "ready-tdx-preferred": _ready_without_tdx,
        "api-server-away": _api_server_away,
        "vault-sealed": _vault_sealed,
        "vault-unreachable": _vault_unreachable,
        "vault-rate-limited": _vault_rate_limited,
        "vault-request-timed-out": _one_request_timed_out,
        "key-lost": _key_lost,
        "key-exposed": _key_exposed,
        "certificate-expired": _certificate_expired,
        "invalid-spec": _invalid_spec,
        "internal-error": _operator_failed,
        "connection-not-configured": _connection_not_configured,
        "beyond-ceiling": _beyond_ceiling,
        "drift-reported": _drift_reported,
        "pods-unbound": _pods_unbound,
        "no-tdx-nodes": _no_tdx_nodes,
        "customer-locked": _customer_locked,
        "awaiting-key-material": _awaiting_key_material,
        "suspended": _suspended,
        "suspended-not-seen": _suspended_and_not_seen,
        "terminating": lambda: _terminating(ready()),
        "terminating-vault-sealed": _terminating_while_sealed,
        "emergency": _emergency,
        "emergency-awaiting-key-material": lambda: _emergency(
            Blocked(AWAITED), {"keys": {"custody": "customer-managed"}}
        ),
    }
)
