"""From what a pass found to the next status. Pure: no I/O, no clock of its own."""

from __future__ import annotations

from datetime import UTC, datetime

from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.reasons import Reason
from secureai_operator.api.workload import CertificateDelivery, SecureAIWorkloadSpec
from secureai_operator.api.workload_status import (
    BindingStatus,
    CertificateStatus,
    DriftStatus,
    PodsStatus,
    SecureAIWorkloadStatus,
    VaultStatus,
)
from secureai_operator.controllers.assessment import Found
from secureai_operator.controllers.status_json import decoded
from secureai_operator.controllers.workloads import StoredWorkload
from secureai_operator.core.desired.binding_status import desired_binding
from secureai_operator.core.facts import Facts, PodFacts, Workload
from secureai_operator.core.status import Assessment, conditions
from secureai_operator.core.verdict import Verdict, bad, unknown

_UNBOUND_NAMES_MAX = 10


def next_status(
    workload: Workload, found: Found, facts: Facts | None, assessment: Assessment, now: datetime
) -> SecureAIWorkloadStatus:
    """The status after the pass; equal to the one before if nothing is new."""
    before = workload.status
    fields: dict[str, object] = {
        "observed_generation": workload.generation,
        "conditions": conditions(workload, assessment, now),
        "resync": workload.resync,
        "last_drift": _last_drift(before.last_drift, found.drift),
    }
    if found.suspended or found.terminating:
        return before.model_copy(update=fields)
    if (
        found.vault is not None
        and found.connection is not None
        and found.side is not None
        and found.keys is None
    ):
        fields["key"] = found.vault.key_status
        fields["data_keys"] = found.vault.data_keys
        fields["vault"] = VaultStatus(
            connection=found.connection.name,
            name=found.side.desired.name,
            applied=found.side.desired.seal if not found.vault.failures else _applied_before(before),
            transit_mount=found.connection.transit_mount,
            pki_mount=found.connection.pki_mount,
            auth_mount=found.connection.auth_mount,
        )
    if found.rotation is not None:
        fields["rotation"] = found.rotation.rotation
    fields["emergency"] = found.emergency or before.emergency
    fields["data_key_rotation"] = found.data_key_rotation or before.data_key_rotation
    if found.vault is not None:
        fields["certificate"] = _certificate_status(found)
    if facts is not None:
        fields["binding"] = _binding(workload, found, facts, assessment)
        fields["pods"] = _pods_status(facts.pods)
    return before.model_copy(update=fields)


def _applied_before(before: SecureAIWorkloadStatus) -> str:
    return before.vault.applied if before.vault is not None else ""


def _last_drift(before: DriftStatus | None, new: DriftStatus | None) -> DriftStatus | None:
    """A drift that stands under driftPolicy Warn is not told anew with every look."""
    if new is None:
        return before
    if (
        before is not None
        and new.action == "Reported"
        and before.model_copy(update={"time": new.time}) == new
    ):
        return before
    return new


def _certificate_status(found: Found) -> CertificateStatus | None:
    certificate = found.certificate
    if certificate is None:
        return None
    return CertificateStatus(
        serial=certificate.serial,
        not_after=_stamp(certificate.not_after),
        renewal_time=_stamp(found.renew_at) if found.renew_at else None,
    )


_STARTS_ALL_THE_SAME = (
    # An exposed key still works: stopping what runs would add an outage to a leak.
    reasons.KEY_EXPOSED,
    # Pods that an emergency restarts find access again in a moment: refused, they would come back minutes later.
    reasons.ACCESS_WITHDRAWN,
    reasons.AUDIT_ONLY,
    reasons.DRIFT_REPORTED,
)
"""Reasons for which a concern that is not True keeps no pod from starting."""
_NEEDED_TO_START = (C.IDENTITY_READY, C.KEY_READY, C.CERTIFICATE_READY, C.ACCESS_GRANTED, C.NETWORK_ISOLATED)


def _binding(workload: Workload, found: Found, facts: Facts, assessment: Assessment) -> BindingStatus | None:
    if found.place is None or found.claimed is not None:
        return None
    if found.place.verdict.status == "Unknown":
        # Where its pods belong is not known: what was said last counts, and nothing said means that none may start.
        return workload.status.binding
    concerns = assessment.concerns
    before = workload.status.binding
    ready = all(
        concerns[kind].status == "True"
        or concerns[kind].reason in _STARTS_ALL_THE_SAME
        # What is behind a customer's lock cannot be looked at: what was said last counts.
        or (concerns[kind].reason is reasons.CUSTOMER_LOCKED and before is not None and before.ready)
        for kind in _NEEDED_TO_START
    )
    data_keys = found.vault.data_keys if found.vault is not None else workload.status.data_keys
    return desired_binding(
        workload,
        facts.config,
        found.place,
        ready=ready,
        keys=bool(data_keys),
        certificate=workload.spec.certificate.delivery is not CertificateDelivery.NONE,
    )


def _pods_status(pods: tuple[PodFacts, ...]) -> PodsStatus:
    unbound = sorted(pod.name for pod in pods if pod.problem)
    return PodsStatus(
        bound=len(pods) - len(unbound),
        unbound=len(unbound),
        unbound_names=tuple(unbound[:_UNBOUND_NAMES_MAX]),
        quarantined=sum(1 for pod in pods if pod.quarantined),
    )


def failed_status(
    item: StoredWorkload, reason: Reason, message: str, now: datetime
) -> tuple[Workload, SecureAIWorkloadStatus]:
    """The workload and its status when nothing could even be looked at."""
    workload = Workload(
        namespace=item.namespace,
        name=item.name,
        uid=item.uid,
        generation=item.generation,
        spec=SecureAIWorkloadSpec(),
        status=decoded(item.status),
    )
    verdict = bad(reason, message, terminal=True)
    concerns: dict[C, Verdict] = {
        kind: verdict for kind in C if kind not in (C.READY, C.RECONCILING, C.STALLED)
    }
    not_looked_at = unknown(reasons.PROGRESSING)
    assessment = Assessment(concerns, vault=not_looked_at, drift=not_looked_at)
    return workload, next_status(workload, Found(), None, assessment, now)


def _stamp(unix: float) -> str:
    return rfc3339(datetime.fromtimestamp(unix, UTC))
