"""Proof: the workload's certificate is what it says, by the CA that Vault itself names."""

from __future__ import annotations

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from secureai_operator import names
from secureai_operator.api.resources import SECRETS
from secureai_operator.cli.demo_report import Report, expect
from secureai_operator.cli.demo_stage import Stage
from secureai_operator.cli.demo_workloads import Cast
from secureai_operator.cli.output import string
from secureai_operator.cli.workloads import WorkloadView


async def prove(stage: Stage, cast: Cast, report: Report) -> None:
    hero = cast.hero
    report.section(f"Certificate: Secret {names.tls_secret(hero.name)}")
    name = server_name(hero)
    with report.claim(f"it verifies against Vault's CA, for {name}") as line:
        secret = await stage.kube.get(SECRETS, hero.namespace, names.tls_secret(hero.name))
        expect(secret, "the Secret does not exist")
        authority = await _authority(stage, hero)
        leaf, key, delivered = (_entry(secret or {}, entry) for entry in ("tls.crt", "tls.key", "ca.crt"))
        chain = verified(leaf, authority, name)
        line.note = f"{len(chain)} certificates, until {chain[0].not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    with report.claim("its private key fits, and ca.crt is that CA"):
        expect(public_part(key) == _public(chain[0].public_key()), "the private key is another's")
        expect(fingerprints(delivered) == fingerprints(authority), "ca.crt is another CA")
    with report.claim("it is refused for any other name"):
        try:
            _verify(leaf, authority, "somebody-else.example.org")
        except VerificationError:
            return
        expect(False, "it verifies for somebody-else.example.org too")


def server_name(workload: WorkloadView) -> str:
    """The first of the names that the certificate is for."""
    declared = (workload.spec.get("certificate") or {}).get("dnsNames") or ()
    return str(next(iter(declared), f"{workload.name}.{workload.namespace}.svc"))


def verified(leaf: bytes, authority: bytes, name: str) -> list[x509.Certificate]:
    """The chain from the certificate to the CA by the rules of the web (RFC 5280); ProofFailed if there is none."""
    try:
        return _verify(leaf, authority, name)
    except VerificationError as error:
        expect(False, f"it does not verify: {error}")
        raise


def _verify(leaf: bytes, authority: bytes, name: str) -> list[x509.Certificate]:
    certificates = x509.load_pem_x509_certificates(leaf)
    store = Store(x509.load_pem_x509_certificates(authority))
    verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName(name))
    return list(verifier.verify(certificates[0], certificates[1:]))


async def _authority(stage: Stage, workload: WorkloadView) -> bytes:
    mount = string(workload.status, "vault", "pkiMount")
    answer = await stage.vault("GET", f"{mount}/cert/ca_chain")
    chain = string(answer, "data", "certificate") or string(answer, "data", "ca_chain")
    expect(chain, "Vault names no CA")
    return chain.encode()


def _entry(secret: dict[str, Any], name: str) -> bytes:
    found = (secret.get("data") or {}).get(name)
    expect(found, f"the Secret has no {name}")
    return base64.b64decode(str(found))


def fingerprints(pem: bytes) -> set[bytes]:
    return {certificate.public_bytes(Encoding.DER) for certificate in x509.load_pem_x509_certificates(pem)}


def public_part(key_pem: bytes) -> bytes:
    return _public(load_pem_private_key(key_pem, None).public_key())


def _public(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
