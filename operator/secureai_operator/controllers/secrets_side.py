"""The Secrets of a workload: wrapped data keys from status, and a certificate that is valid, intact and ours."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field

from secureai_operator import errors, names
from secureai_operator.api.certificate import CertificateFacts
from secureai_operator.api.conditions import ConditionType
from secureai_operator.api.resources import SECRETS
from secureai_operator.api.workload import CertificateDelivery, DriftPolicy
from secureai_operator.clients.vault_api import VaultApi
from secureai_operator.clients.x509 import ca_digest
from secureai_operator.controllers import kubernetes_side
from secureai_operator.controllers.assessment import Found
from secureai_operator.controllers.kubernetes_side import Outcome, Side
from secureai_operator.controllers.revocation import revoke_certificate
from secureai_operator.controllers.vault_side import (
    NewCertificate,
    VaultSide,
    sign_certificate,
    vault_verdict,
)
from secureai_operator.core.desired.certificate import REPLACED, renewal_reason, renewal_time
from secureai_operator.core.desired.keys import desired_keys_secret
from secureai_operator.core.desired.objects import DesiredObject, desired_object
from secureai_operator.core.desired.vault import foreign_dns_names
from secureai_operator.core.drift import (
    Child,
    controller_uid,
    differing_parts,
    needs_replacement,
)
from secureai_operator.core.facts import Workload
from secureai_operator.core.plan import Apply, Create, Replace, Step, plan

CA_SECONDS = 60.0
"""How long a connection's CA chain counts before it is read again."""

_FOREIGN = frozenset({"SecretDoesNotExist", "SecretNotIntact"})
"""Reasons to renew that mean that somebody else changed the Secret, if there was a certificate before."""


@dataclass(slots=True)
class CaChains:
    """The digest of each connection's CA chain, read once in a while for all workloads."""

    _digests: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def digest(self, connection: str, vault: VaultApi) -> str:
        known, until = self._digests.get(connection, ("", 0.0))
        if time.monotonic() >= until:
            # Taken before the answer: a thousand passes at once ask once.
            self._digests[connection] = (known, time.monotonic() + CA_SECONDS)
            known = ca_digest((await vault.ca_chain()).encode())
            self._digests[connection] = (known, time.monotonic() + CA_SECONDS)
        return known

    def learn(self, connection: str, chain_pem: str) -> None:
        """A certificate was just signed: its chain is newer than what was read."""
        self._digests[connection] = (ca_digest(chain_pem.encode()), time.monotonic() + CA_SECONDS)


async def converge_secrets(
    side: Side, vault: VaultSide, found: Found, chains: CaChains, spread: float
) -> None:
    """Bring both Secrets to what they must be, and leave in `found` what is known of the certificate."""
    workload = side.workload
    owned = side.children.owned(workload.namespace, workload.uid)
    live = {place: child for place, child in owned.items() if place[0] == "Secret"}
    tls_place = ("Secret", names.tls_secret(workload.name))
    tls = live.pop(tls_place, None)
    steps = _keys_steps(workload, found, live)
    if workload.spec.certificate.delivery is CertificateDelivery.NONE:
        live_tls = {} if tls is None else {tls_place: tls}
        steps += list(plan([], live_tls))
    else:
        steps += await _certificate_steps(side, vault, found, chains, tls, spread)
    found.secrets = await kubernetes_side.execute(side, steps)
    after = side.children.owned(workload.namespace, workload.uid).get(tls_place)
    found.certificate = after.certificate if after is not None else None
    if found.certificate is not None:
        found.clock = vault.vault.now()
        found.renew_at = renewal_time(found.certificate, spread)


def _keys_steps(workload: Workload, found: Found, live: dict[tuple[str, str], Child]) -> list[Step]:
    data_keys = found.vault.data_keys if found.vault is not None else workload.status.data_keys
    keys = desired_keys_secret(workload, data_keys)
    return list(plan([keys] if keys is not None else [], live))


async def _certificate_steps(  # noqa: PLR0917 - the pass's own context
    side: Side, vault: VaultSide, found: Found, chains: CaChains, live: Child | None, spread: float
) -> list[Step]:
    workload = side.workload
    if live is None and workload.status.certificate is not None:
        live = await _unseen(side)
    # Without its PKI role, which spec.keys keeps from being made, there is nobody to sign.
    if (
        found.keys is not None
        or foreign_dns_names(workload)
        or (found.vault and ConditionType.CERTIFICATE_READY in found.vault.failures)
    ):
        return []
    try:
        known_ca = await chains.digest(workload.spec.vault.connection, vault.vault)
        reason = renewal_reason(
            workload, _usable(side, live), known_ca, vault.vault.now(), spread, replaced=found.renew_serial
        )
        if not reason:
            return []
        if reason == REPLACED:
            # Nobody waits for those who still trust it.
            await revoke_certificate(workload, side.kube, vault.vault)
        is_drift = workload.status.certificate is not None and reason in _FOREIGN
        if is_drift and workload.spec.drift_policy is DriftPolicy.WARN:
            # It is only to be reported: a certificate that nobody gets need not be signed.
            item = _tls_manifest(workload, {})
        else:
            new = await sign_certificate(vault)
            chains.learn(workload.spec.vault.connection, new.signed.ca_chain_pem)
            item = _tls_secret(workload, new)
    except errors.OperatorError as error:
        found.certificate_failure = vault_verdict(error)
        return []
    # A new certificate is never what was applied before; only a foreign change is drift and not a renewal.
    side.memory.applied[item.resource.kind, item.name] = item.digest if is_drift else b""
    if live is None:
        return [Create(item)]
    parts = differing_parts("Secret", item.digest, live.digest)
    return [Replace(item, live, parts) if needs_replacement(parts) else Apply(item, live, parts)]


async def _unseen(side: Side) -> Child | None:
    """The Secret itself, if it is there and ours although the watch does not tell of it: one may be late."""
    try:
        found = await side.kube.get(SECRETS, names.tls_secret(side.workload.name))
    except errors.OperatorError:
        # Whoever writes it next finds out.
        return None
    if found is None or controller_uid(found) != side.workload.uid:
        return None
    side.children.exists(str(found["metadata"]["uid"]))
    return side.children.wrote(found)


def _usable(side: Side, live: Child | None) -> CertificateFacts | None:
    """The certificate in the Secret, if the Secret itself is as we make it."""
    if live is None:
        return None
    certificate = live.certificate
    if certificate is None or _is_tampered(side.workload, live):
        return _NOT_INTACT
    return certificate


def _is_tampered(workload: Workload, live: Child) -> bool:
    """Whether anything but the data differs; what the data must be only the certificate itself can tell."""
    parts = differing_parts("Secret", _tls_manifest(workload, {}).digest, live.digest)
    return bool(set(parts) - {"data"})


_NOT_INTACT = CertificateFacts("", 0, 0, frozenset(), frozenset(), intact=False, ca_digest="")


def _tls_secret(workload: Workload, new: NewCertificate) -> DesiredObject:
    chain = new.signed.certificate_pem
    return _tls_manifest(
        workload,
        {
            "tls.crt": _base64(chain),
            "tls.key": _base64(new.private_key_pem),
            "ca.crt": _base64(new.signed.ca_chain_pem),
        },
    )


def _tls_manifest(workload: Workload, data: dict[str, str]) -> DesiredObject:
    return desired_object(
        workload,
        SECRETS,
        names.tls_secret(workload.name),
        ConditionType.CERTIFICATE_READY,
        {"type": "kubernetes.io/tls", "data": data},
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


__all__ = ["CaChains", "Outcome", "converge_secrets"]
