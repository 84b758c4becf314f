"""What a TLS Secret says of its certificate, as a plain value (standard library only)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a TLS Secret holds, as read from its certificate; times are unix seconds."""

    serial: str
    not_before: int
    not_after: int
    dns_names: frozenset[str]
    usages: frozenset[str]
    intact: bool
    """The private key fits the certificate, and the certificate is signed by the CA beside it."""
    ca_digest: str
