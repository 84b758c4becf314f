"""X.509: keys and requests for Vault to sign, and what a certificate says. Local computation, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from secureai_operator.api.certificate import CertificateFacts

MAX_PEM_BYTES = 64 * 1024
"""A chain is a few KiB; parsing more is work that somebody else chose for us (cert-manager CVE-2024-12401)."""
MAX_KEY_BYTES = 1024
"""A P-256 key is a quarter of this. Reading an RSA key tests its factors for being prime: one of 64 KiB takes minutes."""
MAX_AUTHORITIES = 16
"""A chain has a few; each costs a check of a signature."""

_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What reading something that is no certificate, no key or a strange one raises."""

_USAGES = {ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth", ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth"}


@dataclass(frozen=True, slots=True, repr=False)
class CertificateRequest:
    """A new private key and the request for its certificate, both PEM. Never printed."""

    private_key_pem: str
    csr_pem: str


def new_certificate_request(dns_names: Sequence[str]) -> CertificateRequest:
    """A P-256 key, whose private half Vault never sees, and a CSR for the names."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names]), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return CertificateRequest(private.decode(), csr.public_bytes(Encoding.PEM).decode())


def ca_digest(ca_pem: bytes) -> str:
    """A digest of the CA certificates, whatever their order and line breaks; "" if there is none to read."""
    if len(ca_pem) > MAX_PEM_BYTES:
        return ""
    try:
        certificates = x509.load_pem_x509_certificates(ca_pem)
    except _UNREADABLE:
        return ""
    parts = sorted(certificate.fingerprint(hashes.SHA256()) for certificate in certificates)
    return blake2b(b"".join(parts), digest_size=16).hexdigest()


def certificate_facts(certificate_pem: bytes, key_pem: bytes, ca_pem: bytes) -> CertificateFacts | None:
    """What the three parts of a TLS Secret say together; None if they are not a certificate, a key and a CA."""
    if max(len(certificate_pem), len(ca_pem)) > MAX_PEM_BYTES or len(key_pem) > MAX_KEY_BYTES:
        return None
    try:
        return _facts(certificate_pem, key_pem, ca_pem)
    except _UNREADABLE:
        return None


def _facts(certificate_pem: bytes, key_pem: bytes, ca_pem: bytes) -> CertificateFacts | None:
    leaf = x509.load_pem_x509_certificate(certificate_pem)
    authorities = x509.load_pem_x509_certificates(ca_pem)
    key = load_pem_private_key(key_pem, password=None)
    if len(authorities) > MAX_AUTHORITIES:
        return None
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fits = key.public_key().public_bytes(*spki) == leaf.public_key().public_bytes(*spki)
    return CertificateFacts(
        serial=f"{leaf.serial_number:x}",
        not_before=int(leaf.not_valid_before_utc.timestamp()),
        not_after=int(leaf.not_valid_after_utc.timestamp()),
        dns_names=frozenset(_dns_names(leaf)),
        usages=frozenset(_extended_usages(leaf)),
        intact=fits and any(_is_issued_by(leaf, authority) for authority in authorities),
        ca_digest=ca_digest(ca_pem),
    )


def _dns_names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.DNSName)


def _extended_usages(certificate: x509.Certificate) -> list[str]:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return []
    return [_USAGES.get(usage, usage.dotted_string) for usage in usages.value]


def _is_issued_by(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True
