"""Attacks with a workload's own identity in Vault, and on certificates: another's key, login, certificate or name."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from lab import RequestFailed
from lab.rest import JsonClient
from secureai_operator import names
from secureai_operator.api.resources import SECRETS, SECURE_AI_WORKLOADS
from tests.integration.crd_objects import Json
from tests.integration.vault_identity import CLUSTER, PKI, TRANSIT, Identity, pod_token, vault_name
from tests.security.arena import Arena
from tests.security.catalogue import HARMLESS, REFUSED, Attack, add, attack

KEY = "another workload's key"
CERTIFICATE = "another workload's certificate"
LOGIN = "another workload's identity"


def insider(arena: Arena) -> tuple[str, Identity]:
    """A workload of the tenant's, and its identity as a pod of it would have it."""
    name = "insider"
    if arena.workloads.find(SECURE_AI_WORKLOADS, arena.namespace, name) is None:
        arena.ready({"keys": {"dataKeys": [{"name": "model"}]}}, name)
    return name, Identity.of(arena.lab, arena.namespace, name)


def is_denied(identity: Identity, method: str, path: str, body: object = None) -> None:
    """Vault refuses it, or sends the client on to the cleaned path: that path has a row of its own."""
    client = JsonClient(identity.lab.vault_address, {"X-Vault-Token": identity.token})
    status, _ = client.raw(method, f"/v1/{path}", body)
    assert status in {301, 307, 400, 403, 404, 405}, f"{method} {path}: {status}"


@dataclass(frozen=True, slots=True)
class Path:
    """A path in Vault; VICTIM and OWN stand for the two names."""

    name: str
    method: str
    path: str
    body: Json | None = None


_CIPHERTEXT = {"ciphertext": "vault:v1:" + "A" * 64}
_PLAINTEXT = {"plaintext": "YQ=="}

PATHS = (
    Path("decrypts with the victim's key", "POST", f"{TRANSIT}/decrypt/VICTIM", _CIPHERTEXT),
    Path("encrypts with the victim's key", "POST", f"{TRANSIT}/encrypt/VICTIM", _PLAINTEXT),
    Path("makes a data key of the victim's", "POST", f"{TRANSIT}/datakey/plaintext/VICTIM", {}),
    Path("rewraps with the victim's key", "POST", f"{TRANSIT}/rewrap/VICTIM", _CIPHERTEXT),
    Path("reads the victim's key", "GET", f"{TRANSIT}/keys/VICTIM"),
    Path("steps from its own key to the victim's", "POST", f"{TRANSIT}/decrypt/OWN/../VICTIM", _CIPHERTEXT),
    Path("steps up by encoded dots", "POST", f"{TRANSIT}/decrypt/%2e%2e/decrypt/VICTIM", _CIPHERTEXT),
    Path("goes on behind its own path", "POST", f"{TRANSIT}/decrypt/OWN/VICTIM", _CIPHERTEXT),
    Path("asks for a path of two slashes", "POST", f"{TRANSIT}//decrypt//VICTIM", _CIPHERTEXT),
    Path("exports its own key", "GET", f"{TRANSIT}/export/encryption-key/OWN"),
    Path("backs its own key up", "GET", f"{TRANSIT}/backup/OWN"),
    Path("makes its own key exportable", "POST", f"{TRANSIT}/keys/OWN/config", {"exportable": True}),
    Path("rotates its own key", "POST", f"{TRANSIT}/keys/OWN/rotate"),
    Path("trims its own key", "POST", f"{TRANSIT}/keys/OWN/trim", {"min_available_version": 1}),
    Path("deletes its own key", "DELETE", f"{TRANSIT}/keys/OWN"),
    Path("lists all keys", "LIST", f"{TRANSIT}/keys"),
    Path("makes a key by encrypting", "POST", f"{TRANSIT}/encrypt/OWN-more", _PLAINTEXT),
    Path("widens its own policy", "PUT", "sys/policies/acl/OWN", {"policy": 'path "*" {capabilities=["sudo"]}'}),
    Path("reads its own policy", "GET", "sys/policies/acl/OWN"),
    Path("changes its own login", "POST", "auth/kubernetes/role/OWN", {"token_policies": ["root"]}),
    Path("makes a token that outlives it", "POST", "auth/token/create-orphan", {"policies": ["root"]}),
    Path("makes a child token", "POST", "auth/token/create", {}),
    Path("looks up others' tokens", "LIST", "auth/token/accessors"),
    Path("reads identities", "LIST", "identity/entity/id"),
    Path("hides something in the cubbyhole", "POST", "cubbyhole/x", {"a": "b"}),
    Path("wraps something for somebody", "POST", "sys/wrapping/wrap", {"a": "b"}),
    Path("reads the audit devices", "GET", "sys/audit"),
    Path("seals Vault", "PUT", "sys/seal"),
    Path("changes its own issuer", "POST", f"{PKI}/roles/OWN", {"allow_any_name": True}),
    Path("has the victim's issuer sign", "POST", f"{PKI}/sign/VICTIM", {"common_name": "llm.VICTIM-NS.svc"}),
    Path("has an issuer make a key", "POST", f"{PKI}/issue/OWN", {"common_name": "llm.OWN-NS.svc"}),
    Path("has anything signed as it is", "POST", f"{PKI}/sign-verbatim", {"csr": "x"}),
    Path("makes an authority of its own", "POST", f"{PKI}/root/sign-intermediate", {"csr": "x"}),
    Path("revokes another's certificate", "POST", f"{PKI}/revoke", {"serial_number": "00:01"}),
)  # fmt: skip


def _asked(path: Path, arena: Arena) -> None:
    name, identity = insider(arena)
    where = path.path
    for word, value in (
        ("VICTIM-NS", arena.victim),
        ("OWN-NS", arena.namespace),
        ("VICTIM", vault_name(arena.victim)),
        ("OWN", vault_name(arena.namespace, name)),
    ):
        where = where.replace(word, value)
    is_denied(identity, path.method, where, path.body)


for _path in PATHS:
    add(
        Attack(
            f"a workload {_path.name}",
            KEY,
            f"`{_path.method} {_path.path}` in Vault with the workload's own login",
            REFUSED,
            "Vault refuses it, and the victim's key, policy, login and issuer are as they were",
            partial(_asked, _path),
        )
    )


@attack(
    "the victim's wrapped data key under the own key",
    KEY,
    "ciphertext of the victim's data key, decrypted by way of the own key, its own context and a rewrap",
    REFUSED,
    "no plaintext comes back: the ciphertext is the other key's",
)
def borrowed_ciphertext(arena: Arena) -> None:
    name, identity = insider(arena)
    secret = arena.workloads.find(SECRETS, arena.victim, "saw-llm-keys")
    assert secret is not None
    wrapped = base64.b64decode(secret["data"]["model"]).decode()
    key = vault_name(arena.namespace, name)
    is_denied(identity, "POST", f"{TRANSIT}/decrypt/{key}", {"ciphertext": wrapped})
    is_denied(identity, "POST", f"{TRANSIT}/rewrap/{key}", {"ciphertext": wrapped})
    batch = {"batch_input": [{"ciphertext": wrapped}]}
    is_denied(identity, "POST", f"{TRANSIT}/decrypt/{key}", batch)


# Logins


def _login_is_refused(arena: Arena, role: str, jwt: str) -> None:
    with pytest.raises(RequestFailed) as refused:
        Identity.login(arena.lab, role, jwt)
    assert refused.value.status in {400, 403}


@attack(
    "the own token for the victim's login",
    LOGIN,
    "a pod's projected token at the role of the victim's workload",
    REFUSED,
    "the role is bound to another audience, namespace and ServiceAccount",
)
def token_at_another_role(arena: Arena) -> None:
    name, _ = insider(arena)
    _login_is_refused(arena, vault_name(arena.victim), pod_token(arena.lab, arena.namespace, name))


@attack(
    "a token with the victim's audience",
    LOGIN,
    "a token of the own ServiceAccount, asked for with the victim's audience, at the victim's role",
    REFUSED,
    "the namespace and the ServiceAccount are still others",
)
def forged_audience(arena: Arena) -> None:
    name, _ = insider(arena)
    audience = names.audience(CLUSTER, arena.victim, "llm")
    jwt = arena.lab.token(arena.namespace, names.service_account(name), audience, seconds=600)
    _login_is_refused(arena, vault_name(arena.victim), jwt)


@attack(
    "a token for the API server",
    LOGIN,
    "the workload's own token without its audience, as any pod of an automounting account has it",
    REFUSED,
    "the login wants the workload's own audience",
)
def token_for_the_api_server(arena: Arena) -> None:
    name, _ = insider(arena)
    jwt = arena.lab.token(arena.namespace, names.service_account(name), seconds=600)
    _login_is_refused(arena, vault_name(arena.namespace, name), jwt)


@attack(
    "another account of the namespace with the workload's audience",
    LOGIN,
    "a token of the ServiceAccount `default`, asked for with the workload's audience, at the workload's role",
    REFUSED,
    "the role is bound to the workload's ServiceAccount by name",
)
def another_account(arena: Arena) -> None:
    name, _ = insider(arena)
    jwt = arena.lab.token(
        arena.namespace, "default", names.audience(CLUSTER, arena.namespace, name), seconds=600
    )
    _login_is_refused(arena, vault_name(arena.namespace, name), jwt)


@attack(
    "the workload's token at the operator's login",
    LOGIN,
    "the workload's token at the role of the operator itself",
    REFUSED,
    "the role is bound to the operator's ServiceAccount and audience",
)
def operators_login(arena: Arena) -> None:
    name, _ = insider(arena)
    for audience in (names.audience(CLUSTER, arena.namespace, name), "vault"):
        jwt = arena.lab.token(arena.namespace, names.service_account(name), audience, seconds=600)
        _login_is_refused(arena, "secureai-operator", jwt)


@attack(
    "a login kept from a workload that is gone",
    LOGIN,
    "a Vault token from before the workload's deletion, and a new login by its old ServiceAccount token",
    REFUSED,
    "the policy is gone, so the token opens nothing; the role is gone, so nobody logs in",
)
def login_after_the_end(arena: Arena) -> None:
    name = arena.ready({})
    jwt = pod_token(arena.lab, arena.namespace, name)
    identity = Identity.login(arena.lab, vault_name(arena.namespace, name), jwt)
    key = vault_name(arena.namespace, name)
    assert identity.encrypt(key, b"a")
    assert arena.tenant.delete(name).accepted
    arena.gone(name)
    is_denied(identity, "POST", f"{TRANSIT}/encrypt/{key}", _PLAINTEXT)
    _login_is_refused(arena, key, jwt)


# Certificates


def request_for(*alternatives: x509.GeneralName, common_name: str = "", authority: bool = False) -> str:
    """A CSR as an attacker writes one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    if authority:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@dataclass(frozen=True, slots=True)
class Signing:
    """A certificate that somebody asks their own issuer for; both functions are given the arena."""

    name: str
    csr: Callable[[Arena], str]
    parameters: Callable[[Arena], Json]


def _own_name(arena: Arena) -> str:
    return f"insider.{arena.namespace}.svc"


SIGNINGS = (
    Signing("the victim's DNS name in the CSR", lambda a: request_for(x509.DNSName(f"llm.{a.victim}.svc")), lambda _: {}),
    Signing("the victim's DNS name as a parameter", lambda _: request_for(), lambda a: {"alt_names": f"llm.{a.victim}.svc"}),
    Signing("the victim's name as common name", lambda a: request_for(common_name=f"llm.{a.victim}.svc"),
            lambda a: {"common_name": f"llm.{a.victim}.svc"}),
    Signing("a SPIFFE id in the CSR",
            lambda a: request_for(x509.UniformResourceIdentifier(f"spiffe://cluster.local/ns/{a.victim}/sa/saw-llm")), lambda _: {}),
    Signing("a SPIFFE id as a parameter", lambda _: request_for(),
            lambda a: {"uri_sans": f"spiffe://cluster.local/ns/{a.victim}/sa/saw-llm"}),
    Signing("an address in the CSR", lambda _: request_for(x509.IPAddress(ip_address("10.0.0.1"))), lambda _: {}),
    Signing("an address as a parameter", lambda _: request_for(), lambda _: {"ip_sans": "10.0.0.1"}),
    Signing("a wildcard", lambda _: request_for(), lambda a: {"alt_names": f"*.{a.namespace}.svc"}),
    Signing("a certificate that signs others", lambda _: request_for(authority=True), lambda _: {}),
    Signing("a lifetime of ten years", lambda _: request_for(), lambda _: {"ttl": "87600h"}),
    Signing("another name by another field", lambda _: request_for(),
            lambda _: {"other_sans": "1.3.6.1.4.1.311.20.2.3;utf8:admin@victim"}),
)  # fmt: skip


def _signed(signing: Signing, arena: Arena) -> None:
    """Refused, or what comes back says nothing but what the workload is."""
    name, identity = insider(arena)
    body = {"common_name": _own_name(arena), "csr": signing.csr(arena), **signing.parameters(arena)}
    try:
        answer = identity.request("POST", f"{PKI}/sign/{vault_name(arena.namespace, name)}", body)
    except RequestFailed as error:
        assert error.status in {400, 403}  # noqa: PT017 - one of two ways to come to nothing
        return
    certificate = x509.load_pem_x509_certificate(answer["data"]["certificate"].encode())
    own = {_own_name(arena)}
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {one.value for one in found} <= own
    assert {str(one.value) for one in certificate.subject} <= own
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime.total_seconds() <= 25 * 3600
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return
    assert constraints.ca is False


for _signing in SIGNINGS:
    add(
        Attack(
            f"a certificate with {_signing.name}",
            CERTIFICATE,
            f"the workload's own issuer in Vault is asked for {_signing.name}",
            REFUSED,
            "refused, or the certificate has the workload's own names only, its lifetime, and signs nothing",
            partial(_signed, _signing),
        )
    )

FOREIGN_NAMES = {
    "of the victim": "llm.VICTIM.svc",
    "of the API server": "kubernetes.default.svc",
    "of Vault": "vault.vault.svc.cluster.local",
    "of the operator": "secureai-operator.secureai-system.svc",
    "with the own namespace before the victim's": "llm.OWN.VICTIM.svc",
    "that is a SPIFFE id": "spiffe://cluster.local/ns/VICTIM/sa/saw-llm",
    "that is a wildcard": "*.OWN.svc",
    "outside the cluster": "api.example.com",
}


def _declared(text: str, arena: Arena) -> None:
    name = text.replace("VICTIM", arena.victim).replace("OWN", arena.namespace)
    arena.is_refused({"certificate": {"dnsNames": [f"llm.{arena.namespace}.svc", name]}})


for _name, _text in FOREIGN_NAMES.items():
    add(
        Attack(
            f"a declared name {_name}",
            CERTIFICATE,
            f"`spec.certificate.dnsNames` with `{_text}` besides a right one",
            REFUSED,
            "the API server refuses the workload",
            partial(_declared, _text),
        )
    )


@attack(
    "the victim's whole name inside the own namespace",
    CERTIFICATE,
    "`spec.certificate.dnsNames` with `llm.VICTIM.svc.OWN.svc`",
    HARMLESS,
    "it is a name of the own namespace, and the certificate has it as it is, with nothing of the victim's beside it",
)
def nested_name(arena: Arena) -> None:
    wanted = f"llm.{arena.victim}.svc.{arena.namespace}.svc"
    name = arena.ready({"certificate": {"dnsNames": [wanted]}})
    secret = arena.workloads.find(SECRETS, arena.namespace, f"saw-{name}-tls")
    assert secret is not None
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {one.value for one in found} == {wanted}
    arena.clear()
