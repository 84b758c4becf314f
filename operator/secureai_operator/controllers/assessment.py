"""From what a pass found to verdicts and the next status. Pure: no I/O, no clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from secureai_operator import errors
from secureai_operator.api import reasons
from secureai_operator.api.certificate import CertificateFacts
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.conditions import condition, rfc3339
from secureai_operator.api.reasons import REASONS
from secureai_operator.api.rotation_status import DataKeyRotationStatus, EmergencyStatus
from secureai_operator.api.vault_types import VaultHealth, VaultStatus
from secureai_operator.api.workload import CertificateDelivery, Enforcement
from secureai_operator.api.workload_status import DriftStatus
from secureai_operator.controllers.data_keys_side import data_key_verdict
from secureai_operator.controllers.kubernetes_side import Outcome
from secureai_operator.controllers.rotation import RotationFound
from secureai_operator.controllers.vault_side import (
    VaultOutcome,
    VaultSide,
    vault_verdict,
)
from secureai_operator.core.custody import lock_verdict
from secureai_operator.core.desired.certificate import has_declared_names, has_declared_usages, is_expired
from secureai_operator.core.desired.placement import Placement
from secureai_operator.core.desired.vault import foreign_dns_names
from secureai_operator.core.facts import Connection, Facts, PodFacts, Workload
from secureai_operator.core.rotation.emergency import is_under_way, next_emergency_step
from secureai_operator.core.status import Assessment
from secureai_operator.core.verdict import Verdict, bad, good, unknown

KEY_AWAITED_SECONDS = 15.0
"""How often to look whether the customer has imported their key: nobody tells."""


@dataclass(slots=True)
class Found:
    """What one pass found out; filled by its two halves."""

    suspended: bool = False
    terminating: bool = False
    place: Placement | None = None
    access: Verdict | None = None
    claimed: Verdict | None = None
    kubernetes: Outcome = field(default_factory=Outcome)
    secrets: Outcome = field(default_factory=Outcome)
    connection: Connection | None = None
    connections: tuple[str, ...] = ()
    """The configured connections, if the spec's is not among them."""
    health: VaultHealth | None = None
    side: VaultSide | None = None
    keys: Verdict | None = None
    vault: VaultOutcome | None = None
    vault_error: errors.OperatorError | None = None
    certificate: CertificateFacts | None = None
    certificate_failure: Verdict | None = None
    renew_at: float = 0.0
    """Unix time of the certificate's renewal; 0 if there is none."""
    clock: datetime | None = None
    """The time by Vault's clock, if there is a certificate that lives by it."""

    status_after: float = 0.0
    """Seconds until the rest of the status is to be written; 0 if it was."""
    vault_standing: dict[C, str] = field(default_factory=dict)
    rotation: RotationFound | None = None
    emergency: EmergencyStatus | None = None
    withdrawn: bool | None = None
    """Whether an emergency has the workload's identity withdrawn (True) or restored (False) in this pass."""
    data_key_rotation: DataKeyRotationStatus | None = None
    data_keys_refused: Verdict | None = None
    """Why data keys that were asked for are not made."""
    renew_serial: str = ""
    """Serial number of a certificate that is to be replaced and revoked, whatever is left of its time."""
    again: float | None = None
    """Seconds until there is more to do in a rotation; None to wait for a change."""

    @property
    def standing(self) -> dict[C, str]:
        """What is left as somebody else made it, by the concern that is not true because of it."""
        return {**self.vault_standing, **self.secrets.standing, **self.kubernetes.standing}

    @property
    def has_failed(self) -> bool:
        """Whether something may work when it is tried again."""
        outcome_failed = self.vault is not None and bool(self.vault.failures)
        return bool(
            self.kubernetes.failures
            or self.secrets.failures
            or self.vault_error
            or outcome_failed
            or self.certificate_failure
            or (self.rotation is not None and self.rotation.failure)
        )

    @property
    def retry_after(self) -> float:
        """Seconds until it is worth another look, if that is known; else 0."""
        asked = max(self.kubernetes.retry_after, self.secrets.retry_after)
        awaits_key = self.vault is not None and self.vault.awaits_key
        return KEY_AWAITED_SECONDS if awaits_key and not asked and not self.has_failed else asked

    @property
    def drift(self) -> DriftStatus | None:
        return (
            self.kubernetes.drift
            or self.secrets.drift
            or (self.vault.drift if self.vault is not None else None)
        )

    @property
    def reported(self) -> set[tuple[str, str, str]]:
        """The drift of Kubernetes objects that stands."""
        return self.kubernetes.reported | self.secrets.reported

    @property
    def contended(self) -> str:
        return self.kubernetes.contended or self.secrets.contended


def assess(workload: Workload, found: Found, facts: Facts | None) -> Assessment:
    """A verdict for every condition."""
    if found.suspended or found.terminating:
        return _unchanged(workload, found)
    concerns = {
        C.IDENTITY_READY: _identity(workload, found),
        C.KEY_READY: _key(workload, found),
        C.CERTIFICATE_READY: _certificate(workload, found, facts),
        C.ACCESS_GRANTED: _access(workload, found),
        C.NETWORK_ISOLATED: _network(workload, found),
        C.CONFIDENTIAL_SCHEDULABLE: found.place.verdict if found.place else unknown(reasons.PROGRESSING),
        C.PODS_BOUND: _pods(workload, found, facts.pods if facts else ()),
        C.ROTATION_ON_TRACK: _rotation(workload, found),
    }
    # What was left as somebody else made it is not true, however the rest went.
    for kind, what in found.standing.items():
        if concerns[kind].status == "True":
            concerns[kind] = bad(reasons.DRIFT_REPORTED, f"{what}; spec.driftPolicy is Warn")
    # What a customer may do with their own Vault is no failure of it.
    for kind in set(concerns) & set(reasons.CUSTOMER_LOCKED.conditions):
        concerns[kind] = lock_verdict(found.connection, concerns[kind].reason.name) or concerns[kind]
    return Assessment(concerns, vault=_vault(found), drift=_drift(workload, found))


def _unchanged(workload: Workload, found: Found) -> Assessment:
    """Nothing is looked at: every condition says what it last said."""

    def last(kind: C) -> Verdict:
        before = condition(workload.status.conditions, kind)
        if before is None or before.reason not in REASONS:
            return unknown(reasons.PROGRESSING)
        return Verdict(before.status, REASONS[before.reason], before.message)

    kinds = [kind for kind in C if kind not in (C.READY, C.RECONCILING, C.STALLED)]
    return Assessment(
        concerns={kind: last(kind) for kind in kinds},
        vault=last(C.VAULT_REACHABLE),
        drift=last(C.DRIFT_DETECTED),
        suspended=found.suspended,
        terminating=found.terminating,
    )


def _kept(workload: Workload, kind: C) -> Verdict | None:
    """What was last seen, good or left so on purpose, while Vault cannot be asked; none for a spec never verified."""
    before = condition(workload.status.conditions, kind)
    if before is None or before.observed_generation != workload.generation or before.reason not in REASONS:
        return None
    if before.status == "True" or before.reason == reasons.DRIFT_REPORTED.name:
        return Verdict(before.status, REASONS[before.reason], before.message)
    return None


def _vault_problem(workload: Workload, found: Found, kind: C) -> Verdict | None:
    """What keeps anything that needs Vault from being known, or None."""
    if found.connection is None:
        return _not_configured(workload, found)
    if found.vault_error is not None:
        return _kept(workload, kind) or vault_verdict(found.vault_error)
    if found.vault is None:
        return _kept(workload, kind) or unknown(reasons.PROGRESSING)
    failure = found.vault.failures.get(kind)
    if failure is not None and _outage(found) is not None:
        # It went away in the middle of the look.
        return _kept(workload, kind) or failure
    return failure


def _outage(found: Found) -> VaultHealth | None:
    """The health of a Vault that as a whole is of no use now, or None."""
    health = found.health
    if health is None or health.usable or health.status is VaultStatus.UNKNOWN:
        return None
    return health


def _not_configured(workload: Workload, found: Found) -> Verdict:
    names = ", ".join(found.connections) or "none"
    return bad(
        reasons.CONNECTION_NOT_CONFIGURED,
        f"spec.vault.connection {workload.spec.vault.connection} is not configured; configured: {names}",
        terminal=True,
    )


def _refused(found: Found) -> Verdict | None:
    """Nothing is made in Vault for a spec whose keys cannot be made."""
    return None if found.keys is None else bad(reasons.WAITING, "waits for KeyReady")


def _trouble(found: Found) -> str:
    """Why this Vault as a whole is of no use now, as its health or this pass's first read says; "" if it is."""
    if (outage := _outage(found)) is not None:
        return outage.reason
    return found.vault_error.reason if found.vault_error is not None else ""


def _locked(found: Found) -> Verdict | None:
    """That the customer keeps the key from everybody now, or None; an outage of their Vault is not that."""
    return lock_verdict(found.connection, _trouble(found))


def _still_locked(workload: Workload, found: Found) -> Verdict | None:
    """A Vault that was locked and is away now: as far as anybody knows it still is."""
    before = condition(workload.status.conditions, C.KEY_READY)
    if before is None or before.reason != reasons.CUSTOMER_LOCKED.name or not _trouble(found):
        return None
    return bad(reasons.CUSTOMER_LOCKED, before.message)


def _identity(workload: Workload, found: Found) -> Verdict:
    return (
        found.kubernetes.failures.get(C.IDENTITY_READY)
        or _refused(found)
        or _vault_problem(workload, found, C.IDENTITY_READY)
        or _withdrawn(found)
        or good(reasons.IDENTITY_ESTABLISHED)
    )


def _withdrawn(found: Found) -> Verdict | None:
    """Access is withdrawn until the last step of an emergency is over."""
    if not is_under_way(found.emergency) or found.emergency is None:
        return None
    step = next_emergency_step(found.emergency)
    return bad(reasons.ACCESS_WITHDRAWN, f"request {found.emergency.request_id}, at {step or 'its end'}")


def _key(workload: Workload, found: Found) -> Verdict:
    if found.keys is not None:
        return found.keys
    lock = _locked(found) or _still_locked(workload, found)
    if lock is not None:
        return lock
    problem = _vault_problem(workload, found, C.KEY_READY)
    if problem is not None:
        return problem
    assert found.vault is not None  # noqa: S101 - narrows the type; _vault_problem said so
    verdict = found.vault.key or _kept(workload, C.KEY_READY)
    if verdict is not None and verdict.status != "True":
        return verdict
    failure = data_key_verdict(found.vault) or found.secrets.failures.get(C.KEY_READY)
    return failure or verdict or unknown(reasons.PROGRESSING)


def _certificate(workload: Workload, found: Found, facts: Facts | None) -> Verdict:
    if workload.spec.certificate.delivery is CertificateDelivery.NONE:
        return good(reasons.CERTIFICATE_NOT_REQUESTED)
    foreign = foreign_dns_names(workload)
    if foreign:
        return bad(
            reasons.INVALID_SPEC,
            f"spec.certificate.dnsNames: {foreign[0]} is not inside this namespace; "
            f"names end in .{workload.namespace}.svc",
            terminal=True,
        )
    certificate = found.certificate
    now = found.clock or (facts.now if facts else None)
    if certificate is not None and now is not None and is_expired(certificate, now):
        return bad(reasons.CERTIFICATE_EXPIRED, "the certificate has expired and could not be renewed yet")
    failure = found.certificate_failure or found.secrets.failures.get(C.CERTIFICATE_READY)
    if certificate is not None and _is_as_declared(workload, certificate):
        pending = "; its renewal is being tried again" if failure else ""
        return good(reasons.CERTIFICATE_ISSUED, f"valid until {_stamp(certificate.not_after)}{pending}")
    return (
        _refused(found)
        or _vault_problem(workload, found, C.CERTIFICATE_READY)
        or failure
        or unknown(reasons.PROGRESSING, "the certificate is not known yet")
    )


def _is_as_declared(workload: Workload, certificate: CertificateFacts) -> bool:
    """Whether it can stand until its renewal: one for other names or uses is no certificate for this spec."""
    return (
        certificate.intact
        and has_declared_names(workload, certificate)
        and has_declared_usages(workload, certificate)
    )


def _access(workload: Workload, found: Found) -> Verdict:
    if found.access is not None:
        return found.access
    failure = found.kubernetes.failures.get(C.ACCESS_GRANTED)
    if failure is not None:
        return failure
    access = workload.spec.access
    if not access.rules and not access.role_refs:
        return good(reasons.NO_ACCESS_REQUESTED)
    return good(reasons.ACCESS_GRANTED, f"{len(access.rules)} rules, {len(access.role_refs)} roles")


def _network(workload: Workload, found: Found) -> Verdict:
    if workload.spec.enforcement is Enforcement.AUDIT:
        return bad(reasons.AUDIT_ONLY, "no NetworkPolicy is made under enforcement Audit")
    if found.claimed is not None:
        return bad(reasons.WAITING, "waits for PodsBound: a policy would open the other workload's pods")
    return found.kubernetes.failures.get(C.NETWORK_ISOLATED) or good(reasons.NETWORK_POLICIES_APPLIED)


def _pods(workload: Workload, found: Found, pods: tuple[PodFacts, ...]) -> Verdict:
    if found.claimed is not None:
        return found.claimed
    unbound = [pod for pod in pods if pod.problem]
    if workload.spec.enforcement is Enforcement.AUDIT:
        return bad(reasons.AUDIT_ONLY, f"{len(unbound)} of {len(pods)} pods would be replaced by bound ones")
    if unbound:
        first = unbound[0]
        return bad(
            reasons.PODS_UNBOUND,
            f"{len(unbound)} of {len(pods)} pods are not bound; {first.name}: {first.problem}",
        )
    return good(reasons.PODS_BOUND, f"{len(pods)} pods") if pods else good(reasons.NO_PODS)


def _rotation(workload: Workload, found: Found) -> Verdict:
    if found.data_keys_refused is not None:
        return found.data_keys_refused
    if found.rotation is not None:
        return found.rotation.verdict
    if found.vault is not None and found.vault.key is not None and found.vault.key.status != "True":
        reason = found.vault.key.reason
        # What is wrong with the key itself, KeyReady explains.
        return (
            found.vault.key
            if reason is reasons.AWAITING_KEY_MATERIAL
            else bad(reasons.WAITING, "waits for KeyReady")
        )
    return _kept(workload, C.ROTATION_ON_TRACK) or unknown(reasons.PROGRESSING)


def _vault(found: Found) -> Verdict:
    if found.connection is None:
        return bad(reasons.CONNECTION_NOT_CONFIGURED, f"configured: {', '.join(found.connections) or 'none'}")
    lock = _locked(found)
    if lock is not None:
        return lock
    if (outage := _outage(found)) is not None:
        reason = REASONS.get(outage.reason, reasons.VAULT_UNREACHABLE)
        return bad(reason, f"{reason.meaning} The last good state stays.")
    if isinstance(found.vault_error, errors.VaultUnavailable | errors.VaultDenied):
        return vault_verdict(found.vault_error)
    if found.vault is None and (found.health is None or not found.health.usable):
        return unknown(reasons.PROGRESSING, "Vault was not asked yet")
    return good(reasons.VAULT_HEALTHY, f"connection {found.connection.name}")


def _drift(workload: Workload, found: Found) -> Verdict:
    if found.contended:
        return Verdict("True", reasons.DRIFT_CONTENDED, f"{found.contended} is being changed again and again")
    drift = found.drift or _standing(workload, found)
    if drift is not None and drift.action == "Reported":
        return Verdict("True", reasons.DRIFT_REPORTED, _drift_text(drift))
    last = drift or workload.status.last_drift
    if last is not None and last.action == "Healed":
        return bad(reasons.DRIFT_HEALED, _drift_text(last))
    return bad(reasons.NO_DRIFT)


def _standing(workload: Workload, found: Found) -> DriftStatus | None:
    """Drift in Vault that was reported last and cannot be looked at now."""
    last, before = workload.status.last_drift, condition(workload.status.conditions, C.DRIFT_DETECTED)
    stands = last is not None and last.action == "Reported" and last.kind.startswith("Vault")
    return last if stands and found.vault is None and before is not None and before.status == "True" else None


def _drift_text(drift: DriftStatus) -> str:
    return f"{drift.kind} {drift.name}: {drift.field or 'deleted'}"


def _stamp(unix: float) -> str:
    return rfc3339(datetime.fromtimestamp(unix, UTC))
