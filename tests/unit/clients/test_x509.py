"""Certificates: what ours says, and that nobody can make us read for long or fail."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from secureai_operator.api.certificate import CertificateFacts
from secureai_operator.clients.x509 import (
    MAX_AUTHORITIES,
    MAX_KEY_BYTES,
    MAX_PEM_BYTES,
    ca_digest,
    certificate_facts,
    new_certificate_request,
)
from tests.unit.samples import NOW

Key = ec.EllipticCurvePrivateKey
DAY = timedelta(days=1)


class Authority:
    """A CA that signs what it is asked to."""

    def __init__(self, name: str = "ca") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = self._sign(self.name, self.key.public_key(), [(x509.BasicConstraints(True, None), True)])

    def _sign(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        extensions: Sequence[tuple[x509.ExtensionType, bool]],
    ) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(0x5B1C)
            .not_valid_before(NOW)
            .not_valid_after(NOW + DAY)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def certificate(self, csr_pem: str, *, strange: Sequence[x509.ExtensionType] = ()) -> bytes:
        """As Vault's PKI signs it: the names of the request, and both usages."""
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        public = csr.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        extensions = [(names, True), (usages, False), *((one, False) for one in strange)]
        return self._sign(x509.Name([]), public, extensions)


CA = Authority()
REQUEST = new_certificate_request(["b.team-a.svc", "a.team-a.svc"])
LEAF = CA.certificate(REQUEST.csr_pem)
KEY = REQUEST.private_key_pem.encode()


def facts(leaf: bytes = LEAF, key: bytes = KEY, ca: bytes = CA.pem) -> CertificateFacts | None:
    return certificate_facts(leaf, key, ca)


def pkcs8(key: rsa.RSAPrivateKey | Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


# Ours ---------------------------------------------------------------------------------------------------------


def test_our_own_certificate_says_what_it_is() -> None:
    assert facts() == CertificateFacts(
        serial="5b1c",
        not_before=int(NOW.timestamp()),
        not_after=int((NOW + DAY).timestamp()),
        dns_names=frozenset({"a.team-a.svc", "b.team-a.svc"}),
        usages=frozenset({"serverAuth", "clientAuth"}),
        intact=True,
        ca_digest=ca_digest(CA.pem),
    )


def test_the_request_has_a_p256_key_and_only_names() -> None:
    key = load_pem_private_key(KEY, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    csr = x509.load_pem_x509_csr(REQUEST.csr_pem.encode())
    assert csr.is_signature_valid
    assert not list(csr.subject)
    assert len(csr.extensions) == 1


def test_a_request_is_never_printed() -> None:
    assert "PRIVATE" not in repr(REQUEST)
    assert REQUEST.private_key_pem not in f"{REQUEST} {[REQUEST]}"


def test_two_requests_share_no_key() -> None:
    assert new_certificate_request(["a"]).private_key_pem != new_certificate_request(["a"]).private_key_pem


# Not ours -----------------------------------------------------------------------------------------------------


def test_another_key_or_another_authority_is_not_intact() -> None:
    other = pkcs8(ec.generate_private_key(ec.SECP256R1()))
    for found in (facts(key=other), facts(ca=Authority().pem), facts(ca=Authority("other").pem)):
        assert found is not None
        assert not found.intact


def test_one_authority_of_several_is_enough() -> None:
    found = facts(ca=Authority("other").pem + CA.pem)
    assert found is not None
    assert found.intact
    assert found.ca_digest != ca_digest(CA.pem)


@pytest.mark.parametrize(
    "garbage", [b"", b"x", b"\x00" * 64, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_garbage_is_no_certificate(garbage: bytes) -> None:
    assert facts(leaf=garbage) is None
    assert facts(key=garbage) is None
    assert facts(ca=garbage) is None
    assert ca_digest(garbage) == ""


@given(st.integers(0, len(LEAF) - 1), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_damaged_certificate_is_never_intact_and_never_fails(place: int, byte: int) -> None:
    damaged = LEAF[:place] + bytes([byte]) + LEAF[place + 1 :]
    found = facts(leaf=damaged)
    assert found is None or not found.intact or found == facts()


def test_a_strange_extension_does_not_fail() -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\xff\xff")
    found = facts(leaf=CA.certificate(REQUEST.csr_pem, strange=[strange]))
    assert found is not None
    assert found.intact


def test_broken_names_are_no_certificate() -> None:
    csr = x509.load_pem_x509_csr(REQUEST.csr_pem.encode())
    public = csr.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x03\x82\x05\x61")
    assert facts(leaf=CA._sign(x509.Name([]), public, [(broken, False)])) is None


def test_a_certificate_without_names_has_none() -> None:
    public = load_pem_private_key(KEY, None).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    found = facts(leaf=CA._sign(x509.Name([]), public, []))
    assert found is not None
    assert (found.dns_names, found.usages) == (frozenset(), frozenset())


# Work that somebody else chooses for us ----------------------------------------------------------------------


def seconds(leaf: bytes = LEAF, key: bytes = KEY, ca: bytes = CA.pem) -> float:
    started = time.process_time()
    assert facts(leaf, key, ca) is None
    return time.process_time() - started


@pytest.mark.parametrize("which", ["leaf", "key", "ca"])
def test_more_than_the_bound_is_not_read_at_all(which: str) -> None:
    pem = {"leaf": LEAF, "key": KEY, "ca": CA.pem}
    bound = MAX_KEY_BYTES if which == "key" else MAX_PEM_BYTES
    bomb = pem[which] + b"\n" * bound
    assert seconds(**{**pem, which: bomb}) < 0.05


def test_a_key_whose_check_takes_long_is_not_checked() -> None:
    """Reading an RSA key tests its factors for being prime; ours are never RSA."""
    assert seconds(key=pkcs8(rsa.generate_private_key(65537, 2048))) < 0.05


def test_a_key_behind_a_password_is_not_derived() -> None:
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    assert len(locked) < MAX_KEY_BYTES
    assert seconds(key=locked) < 0.05


def test_a_chain_of_too_many_authorities_is_refused() -> None:
    found = facts(ca=CA.pem * MAX_AUTHORITIES)
    assert found is not None
    assert seconds(ca=CA.pem * (MAX_AUTHORITIES + 1)) < 0.1


def test_many_empty_blocks_are_read_quickly() -> None:
    block = b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
    assert seconds(ca=block * (MAX_PEM_BYTES // len(block))) < 0.5
    assert seconds(ca=(b"-----BEGIN CERTIFICATE-----\n" * 2400)[:MAX_PEM_BYTES]) < 0.5


# The digest of a CA -------------------------------------------------------------------------------------------


def test_the_digest_does_not_depend_on_order_and_line_breaks() -> None:
    one, other = CA.pem, Authority("other").pem
    assert (
        ca_digest(one + other)
        == ca_digest(other + b"\n\n" + one)
        == ca_digest((one + other).replace(b"\n", b"\r\n"))
    )
    assert ca_digest(one) != ca_digest(other)
    assert ca_digest(one) != ca_digest(one + other)
    assert ca_digest(b"\n" * (MAX_PEM_BYTES + 1)) == ""
