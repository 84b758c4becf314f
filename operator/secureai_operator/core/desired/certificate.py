"""Certificate: when the one in the Secret will do, and when a new one is due."""

from __future__ import annotations

from datetime import datetime

from secureai_operator.api.certificate import CertificateFacts
from secureai_operator.api.model import seconds
from secureai_operator.api.workload import CertificateUsage
from secureai_operator.core.desired.vault import dns_names
from secureai_operator.core.facts import Workload

RENEW_AT = 2 / 3
"""Part of the lifetime after which it is renewed: leaves a third for Vault to come back."""
JITTER = 0.05
"""Part of the lifetime over which renewals spread, so that certificates made at once do not renew at once."""

BACKDATED = 120
"""Seconds by which a certificate may begin before it was signed: Vault takes thirty, for clocks that are behind."""

_USAGES = {CertificateUsage.SERVER: "serverAuth", CertificateUsage.CLIENT: "clientAuth"}


def renewal_time(certificate: CertificateFacts, spread: float) -> int:
    """Unix time of the renewal; `spread` (0 to 1) is the workload's own place in the jitter."""
    lifetime = certificate.not_after - certificate.not_before
    return int(certificate.not_before + lifetime * (RENEW_AT + JITTER * (spread - 0.5)))


REPLACED = "Replaced"
"""An emergency replaces it, whatever is left of its time."""


def renewal_reason(
    workload: Workload,
    certificate: CertificateFacts | None,
    ca_digest: str,
    now: datetime,
    spread: float,
    *,
    replaced: str = "",
) -> str:
    """Why a new certificate is due, or "" if the one there will do: the first check that holds.

    `ca_digest` is that of the connection's CA chain, or "" while it is not known; `replaced` is the serial number of a
    certificate that is to go now.
    """
    if certificate is None:
        return "SecretDoesNotExist"
    checks = (
        (REPLACED, bool(replaced) and certificate.serial == replaced),
        ("SecretNotIntact", not certificate.intact),
        ("CAChanged", bool(ca_digest) and certificate.ca_digest != ca_digest),
        ("NamesChanged", not has_declared_names(workload, certificate)),
        ("UsagesChanged", not has_declared_usages(workload, certificate)),
        ("LifetimeShortened", outlives_declared(workload, certificate)),
        ("RenewalDue", now.timestamp() >= renewal_time(certificate, spread)),
    )
    return next((reason for reason, holds in checks if holds), "")


def has_declared_names(workload: Workload, certificate: CertificateFacts) -> bool:
    return certificate.dns_names == frozenset(dns_names(workload))


def has_declared_usages(workload: Workload, certificate: CertificateFacts) -> bool:
    return certificate.usages == frozenset(_USAGES[usage] for usage in workload.spec.certificate.usages)


def outlives_declared(workload: Workload, certificate: CertificateFacts) -> bool:
    """Whether it is valid for longer than the spec wants now; a longer lifetime comes with the next renewal."""
    lifetime = certificate.not_after - certificate.not_before
    return lifetime > seconds(workload.spec.certificate.ttl) + BACKDATED


def is_expired(certificate: CertificateFacts, now: datetime) -> bool:
    return now.timestamp() >= certificate.not_after
