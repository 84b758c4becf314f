"""Key material of a customer's own, in a real Vault: every type works there, and what is refused changes nothing."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from lab import Lab, RequestFailed
from lab.json_lines import entries
from secureai_operator.api.workload import KeyType
from secureai_operator.cli.exits import NO, UNANSWERED, USAGE, CliError
from secureai_operator.cli.key_import import Action, brought, connected_vault, wrapping_key
from secureai_operator.clients.key_material import SYMMETRIC_TYPES, new_material
from secureai_operator.clients.key_wrapping import WrappedKey, WrappingKey, wrapped
from secureai_operator.clients.vault_user import VaultAccess, VaultUser
from tests.faults.proxy import VAULT, Forward, Proxies, Proxy, Reply, Seen
from tests.integration.customers import Customer, a_token, b64, material_of, new_mount

pytestmark = pytest.mark.integration

PLAINTEXT = b"what the workload encrypts"
AES = KeyType.AES256_GCM96
SIGNING = sorted({KeyType.ECDSA_P256, KeyType.ECDSA_P384, KeyType.ED25519})
RSA = sorted({KeyType.RSA_3072, KeyType.RSA_4096})


@pytest.fixture(scope="module")
def mount(lab: Lab) -> str:
    """A transit mount of the module's own: making its wrapping key takes a second."""
    return new_mount(lab)


@pytest.fixture(scope="module")
def another_vaults_key(lab: Lab) -> WrappingKey:
    """Of another mount, which for Vault is another wrapping key as of another Vault."""
    pem = lab.vault_request("GET", f"{new_mount(lab)}/wrapping_key")["data"]["public_key"]
    return WrappingKey.from_pem(pem.encode())


@pytest.fixture
def customer(lab: Lab, mount: str) -> Iterator[Customer]:
    name = f"saw.main.team-a.llm-{secrets.token_hex(4)}"
    token = a_token(lab, mount, name)
    with VaultUser(VaultAccess(lab.vault_address, token), timeout=30) as vault:
        yield Customer(lab, mount, name, token, vault)


def payload(answer: str) -> bytes:
    """What follows `vault:vN:`."""
    return base64.b64decode(answer.split(":")[2])


# Every type works in Vault, and it is the customer's own key that does


@pytest.mark.parametrize("key_type", sorted(KeyType))
def test_a_key_of_each_type_is_imported_and_can_neither_leave_vault_nor_rotate_there(
    customer: Customer, key_type: KeyType
) -> None:
    done = brought(
        customer.vault,
        customer.target(key_type),
        customer.wrapped(key_type, bytearray(material_of(key_type))),
        version=1,
    )
    assert (done.action, done.version, done.key) == (Action.IMPORTED, 1, customer.name)
    key = customer.key()
    assert key is not None
    assert (key["type"], key["latest_version"], key["imported_key"]) == (key_type.value, 1, True)
    for flag in (
        "exportable",
        "allow_plaintext_backup",
        "imported_key_allow_rotation",
        "deletion_allowed",
        "derived",
    ):
        assert key[flag] is False
    with pytest.raises(RequestFailed):
        customer.lab.vault_request("POST", f"{customer.mount}/keys/{customer.name}/rotate")


_CIPHERS: Mapping[KeyType, type[AESGCM | ChaCha20Poly1305]] = {
    AES: AESGCM,
    KeyType.CHACHA20_POLY1305: ChaCha20Poly1305,
}


@pytest.mark.parametrize("key_type", sorted(_CIPHERS))
def test_what_vault_encrypts_the_customer_can_decrypt_and_the_other_way_round(
    customer: Customer, key_type: KeyType
) -> None:
    material = material_of(key_type)
    brought(customer.vault, customer.target(key_type), customer.wrapped(key_type, bytearray(material)))
    cipher = _CIPHERS[key_type](material)

    sealed = payload(customer.use("encrypt", plaintext=b64(PLAINTEXT))["ciphertext"])
    assert cipher.decrypt(sealed[:12], sealed[12:], None) == PLAINTEXT
    nonce = os.urandom(12)
    own = f"vault:v1:{b64(nonce + cipher.encrypt(nonce, PLAINTEXT, None))}"
    assert customer.use("decrypt", ciphertext=own)["plaintext"] == b64(PLAINTEXT)


@pytest.mark.parametrize("key_type", [*SIGNING, *RSA])
def test_what_vault_signs_verifies_with_the_customers_own_public_key(
    customer: Customer, key_type: KeyType
) -> None:
    pem = material_of(key_type)
    brought(customer.vault, customer.target(key_type), customer.wrapped(key_type, bytearray(pem)))
    signature = customer.use("sign", input=b64(PLAINTEXT), hash_algorithm="sha2-256")["signature"]

    public: Any = load_pem_private_key(pem, None).public_key()
    verify(public, payload(signature), PLAINTEXT)
    with pytest.raises(InvalidSignature):
        verify(public, payload(signature), PLAINTEXT + b"!")
    checked = customer.use("verify", input=b64(PLAINTEXT), signature=signature, hash_algorithm="sha2-256")
    assert checked["valid"] is True


def verify(public: Any, signature: bytes, data: bytes) -> None:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    hashed = digest.finalize()
    match public:
        case ed25519.Ed25519PublicKey():
            public.verify(signature, data)
        case ec.EllipticCurvePublicKey():
            public.verify(signature, hashed, ec.ECDSA(Prehashed(hashes.SHA256())))
        case rsa.RSAPublicKey():
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
            public.verify(signature, hashed, pss, Prehashed(hashes.SHA256()))


@pytest.mark.parametrize("key_type", RSA)
def test_what_is_encrypted_to_the_customers_public_key_vault_decrypts(
    customer: Customer, key_type: KeyType
) -> None:
    pem = material_of(key_type)
    brought(customer.vault, customer.target(key_type), customer.wrapped(key_type, bytearray(pem)))
    key = customer.key()
    assert key is not None
    public = load_pem_public_key(key["keys"]["1"]["public_key"].encode())
    assert isinstance(public, rsa.RSAPublicKey)
    own: Any = load_pem_private_key(pem, None)
    assert public == own.public_key()
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    sealed = f"vault:v1:{b64(public.encrypt(PLAINTEXT, oaep))}"
    assert customer.use("decrypt", ciphertext=sealed)["plaintext"] == b64(PLAINTEXT)


def test_an_imported_key_can_be_one_that_keys_are_derived_from(customer: Customer) -> None:
    one = customer.wrapped(AES, new_material(AES))
    brought(customer.vault, customer.target(derived=True), one)
    key = customer.key()
    assert key is not None
    assert (key["derived"], key["convergent_encryption"]) == (True, False)
    context = b64(b"tenant-42")
    sealed = customer.use("encrypt", plaintext=b64(PLAINTEXT), context=context)["ciphertext"]
    assert customer.use("decrypt", ciphertext=sealed, context=context)["plaintext"] == b64(PLAINTEXT)

    with pytest.raises(CliError, match="of type aes256-gcm96, derived"):
        brought(customer.vault, customer.target(), one)
    brought(customer.vault, customer.target(derived=True), one, version=2)


# The next version


@pytest.mark.parametrize("key_type", [AES, KeyType.ED25519])
def test_the_next_version_is_added_and_the_old_one_keeps_working(
    customer: Customer, key_type: KeyType
) -> None:
    encrypts = key_type in SYMMETRIC_TYPES
    for version in (1, 2):
        material = customer.wrapped(key_type, new_material(key_type))
        done = brought(customer.vault, customer.target(key_type), material, version=version)
        assert (done.action, done.version) == (Action.IMPORTED, version)
        if version == 1:
            made = (
                customer.use("encrypt", plaintext=b64(PLAINTEXT))
                if encrypts
                else customer.use("sign", input=b64(PLAINTEXT))
            )
    if encrypts:
        assert customer.use("decrypt", ciphertext=made["ciphertext"])["plaintext"] == b64(PLAINTEXT)
        assert customer.use("rewrap", ciphertext=made["ciphertext"])["ciphertext"].startswith("vault:v2:")
    else:
        assert customer.use("verify", input=b64(PLAINTEXT), signature=made["signature"])["valid"] is True


def test_a_version_that_is_there_is_not_imported_again_and_none_is_left_out(customer: Customer) -> None:
    target = customer.target()
    one = customer.wrapped(AES, new_material(AES))
    with pytest.raises(CliError, match=r"version 2 of key .* is not the next one: Vault has none"):
        brought(customer.vault, target, one, version=2)
    assert customer.key() is None
    brought(customer.vault, target, one, version=1)
    again = brought(customer.vault, target, one, version=1)
    assert (again.action, again.version) == (Action.THERE_ALREADY, 1)
    with pytest.raises(CliError, match="the next import becomes version 2"):
        brought(customer.vault, target, one, version=3)
    assert customer.latest_version() == 1
    # Without a version it is the next one each time: Vault takes the same material twice.
    assert brought(customer.vault, target, one).version == 2


def test_a_dry_run_checks_everything_and_imports_nothing(
    customer: Customer, another_vaults_key: WrappingKey
) -> None:
    target = customer.target()
    one = customer.wrapped(AES, new_material(AES))
    done = brought(customer.vault, target, one, dry_run=True)
    assert (done.action, done.version) == (Action.PLANNED, 1)
    with pytest.raises(CliError, match="wrapped for another Vault"):
        brought(
            customer.vault,
            target,
            replace(one, wrapping_key_sha256=another_vaults_key.fingerprint),
            dry_run=True,
        )
    assert customer.key() is None


# What is refused changes nothing


def forged(customer: Customer, key_type: KeyType, target: bytes, **how: Any) -> WrappedKey:
    """As another tool might have wrapped it: unchecked, and by the wrong recipe."""
    key = how.get("key") or wrapping_key(customer.vault, customer.mount)
    hashing = how.get("hashing") or hashes.SHA256()
    ephemeral = os.urandom(how.get("ephemeral", 32))
    blob = key.public.encrypt(ephemeral, padding.OAEP(padding.MGF1(hashing), hashing, None))
    fingerprint = wrapping_key(customer.vault, customer.mount).fingerprint
    return WrappedKey(key_type, fingerprint, b64(blob + aes_key_wrap_with_padding(ephemeral, target)))


Forge = Callable[[Customer, WrappingKey], WrappedKey]
WRONG: Mapping[str, Forge] = {
    "wrapped for another Vault": lambda c, other: forged(c, AES, os.urandom(32), key=other),
    "wrapped by another hash function": lambda c, _: forged(c, AES, os.urandom(32), hashing=hashes.SHA512()),
    "an ephemeral key of another size": lambda c, _: forged(c, AES, os.urandom(32), ephemeral=16),
    "16 bytes": lambda c, _: forged(c, AES, os.urandom(16)),
    "another curve": lambda c, _: forged(c, KeyType.ECDSA_P256, _der(KeyType.ECDSA_P384)),
    "another algorithm": lambda c, _: forged(c, KeyType.RSA_3072, _der(KeyType.ED25519)),
    "PEM where DER should be": lambda c, _: forged(c, KeyType.ED25519, material_of(KeyType.ED25519)),
    "damaged on the way": lambda c, _: _damaged(c),
}


def _der(key_type: KeyType) -> bytes:
    lines = material_of(key_type).splitlines()
    return base64.b64decode(b"".join(line for line in lines if not line.startswith(b"-----")))


def _damaged(customer: Customer) -> WrappedKey:
    good = forged(customer, AES, os.urandom(32))
    blob = bytearray(base64.b64decode(good.ciphertext))
    blob[-1] ^= 1
    return replace(good, ciphertext=b64(bytes(blob)))


@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_what_vault_cannot_use_is_refused_with_what_to_do_and_nothing_is_changed(
    customer: Customer, another_vaults_key: WrappingKey, wrong: str
) -> None:
    one = WRONG[wrong](customer, another_vaults_key)
    target = customer.target(one.type)
    with pytest.raises(
        CliError, match=r"Vault does not take the material, and key .* is as it was"
    ) as refused:
        brought(customer.vault, target, one)
    assert refused.value.code == UNANSWERED
    assert "decryption error" not in refused.value.message
    assert f"secureai key wrapping-key --mount {customer.mount}" in refused.value.message
    assert customer.key() is None

    good = customer.wrapped(one.type, bytearray(material_of(one.type)))
    brought(customer.vault, target, good)
    before = customer.key()
    with pytest.raises(CliError, match="Vault does not take the material"):
        brought(customer.vault, target, one)
    assert customer.key() == before


def test_material_for_another_vault_or_of_another_type_is_not_even_sent(
    customer: Customer, another_vaults_key: WrappingKey
) -> None:
    other = wrapped(AES, new_material(AES), another_vaults_key)
    with pytest.raises(CliError, match="wrapped for another Vault or another mount") as refused:
        brought(customer.vault, customer.target(), other)
    assert refused.value.code == USAGE
    with pytest.raises(CliError, match=r"spec\.keys\.type of the workload is ed25519"):
        brought(
            customer.vault,
            customer.target(KeyType.ED25519),
            customer.wrapped(AES, new_material(AES)),
        )
    assert customer.key() is None
    assert not any("/import" in entry and customer.name in entry for entry in audited(customer.lab))


def audited(lab: Lab) -> list[str]:
    assert lab.vault_audit_log is not None
    return [
        entry["request"]["path"] for entry, _ in entries(lab.vault_audit_log) if entry["type"] == "request"
    ]


@pytest.mark.parametrize("version", [None, 1, 2])
def test_a_key_that_vault_made_is_refused_and_stays_as_it_was(
    customer: Customer, version: int | None
) -> None:
    customer.lab.vault_request("POST", f"{customer.mount}/keys/{customer.name}", {"type": "aes256-gcm96"})
    before = customer.key()
    one = customer.wrapped(AES, new_material(AES))
    with pytest.raises(CliError, match=r"Vault made \(or rotated\) key .* itself, and never takes imports"):
        brought(customer.vault, customer.target(), one, version=version)
    assert customer.key() == before


def test_a_key_that_vault_rotated_is_refused_too(customer: Customer) -> None:
    one = customer.wrapped(AES, new_material(AES))
    body = {"type": "aes256-gcm96", "ciphertext": one.ciphertext, "allow_rotation": True}
    customer.lab.vault_request("POST", f"{customer.mount}/keys/{customer.name}/import", body)
    customer.lab.vault_request("POST", f"{customer.mount}/keys/{customer.name}/rotate")
    before = customer.key()
    with pytest.raises(CliError, match="Vault made"):
        brought(customer.vault, customer.target(), one)
    assert customer.key() == before


def test_a_key_that_is_lost_is_not_made_anew(customer: Customer) -> None:
    one = customer.wrapped(AES, new_material(AES))
    with pytest.raises(
        CliError, match="had version 1 and is gone from Vault: restore it from Vault's backup"
    ):
        brought(customer.vault, customer.target(known_version=1), one)
    assert customer.key() is None


# The policy of the document


@pytest.mark.parametrize("flag", ["exportable", "allow_plaintext_backup", "allow_rotation"])
@pytest.mark.parametrize("value", [True, "true", 1, "1"])
def test_with_the_documents_policy_nobody_imports_a_key_that_could_leave(
    customer: Customer, flag: str, value: object
) -> None:
    one = customer.wrapped(AES, new_material(AES))
    body = {"type": "aes256-gcm96", "ciphertext": one.ciphertext, flag: value}
    with pytest.raises(RequestFailed) as refused:
        customer.lab.vault_request(
            "POST", f"{customer.mount}/keys/{customer.name}/import", body, customer.token
        )
    assert refused.value.status == 403
    assert customer.key() is None


def test_with_the_documents_policy_no_other_key_is_read_or_imported(customer: Customer) -> None:
    one = customer.wrapped(AES, new_material(AES))
    with pytest.raises(CliError, match=r"docs/key-custody.md has the policy"), as_customer(customer) as vault:
        brought(vault, customer.target(name="saw.main.team-b.llm"), one)
    for operation in ("encrypt", "decrypt", "rewrap"):
        with pytest.raises(RequestFailed) as refused:
            customer.lab.vault_request(
                "POST", f"{customer.mount}/{operation}/{customer.name}", {}, customer.token
            )
        assert refused.value.status == 403


@contextmanager
def as_customer(customer: Customer) -> Iterator[VaultUser]:
    """Vault as the verb reaches it: by the customer's VAULT_ADDR and VAULT_TOKEN."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAULT_ADDR", customer.lab.vault_address)
        patch.setenv("VAULT_TOKEN", customer.token)
        with connected_vault() as vault:
            yield vault


# When nobody knows what became of it


@dataclass
class Fault:
    """What happens to an import between the customer and Vault, and whether Vault answers afterwards."""

    arrives: bool
    status: int | None
    reads_afterwards: bool = True
    imports: int = 0

    def concerns(self, seen: Seen) -> bool:
        return "/import" in seen.target or (self.imports > 0 and not self.reads_afterwards)

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        if "/import" not in seen.target:
            return None
        self.imports += 1
        if self.arrives:
            await forward()
        return None if self.status is None else Reply.of(self.status)


@contextmanager
def through(customer: Customer, fault: Fault) -> Iterator[VaultUser]:
    proxy = Proxy(VAULT, customer.lab.vault_address, None, fault)
    with Proxies(proxy).running(), VaultUser(VaultAccess(proxy.address, customer.token), timeout=10) as vault:
        yield vault


@pytest.mark.parametrize("status", [None, 500, 502, 504])
@pytest.mark.parametrize("version", [1, 2])
def test_an_import_whose_answer_is_lost_is_found_by_reading_the_key_and_never_sent_twice(
    customer: Customer, status: int | None, version: int
) -> None:
    if version == 2:
        brought(customer.vault, customer.target(), customer.wrapped(AES, new_material(AES)))
    fault = Fault(arrives=True, status=status)
    one = customer.wrapped(AES, new_material(AES))
    with through(customer, fault) as vault:
        done = brought(vault, customer.target(), one)
    assert (done.action, done.version, fault.imports) == (Action.IMPORTED, version, 1)
    assert customer.latest_version() == version


@pytest.mark.parametrize("status", [None, 502, 504])
def test_an_import_that_never_arrived_is_no_success_and_may_be_repeated(
    customer: Customer, status: int | None
) -> None:
    fault = Fault(arrives=False, status=status)
    one = customer.wrapped(AES, new_material(AES))
    with (
        through(customer, fault) as vault,
        pytest.raises(CliError, match=r"no clear answer, .* repeat the command with --version 1") as error,
    ):
        brought(vault, customer.target(), one)
    assert (error.value.code, fault.imports, customer.key()) == (UNANSWERED, 1, None)
    assert brought(customer.vault, customer.target(), one, version=1).action is Action.IMPORTED


@pytest.mark.parametrize("arrives", [True, False])
def test_if_the_key_cannot_be_read_after_a_doubt_nothing_is_claimed(
    customer: Customer, arrives: bool
) -> None:
    fault = Fault(arrives, status=None, reads_afterwards=False)
    one = customer.wrapped(AES, new_material(AES))
    with (
        through(customer, fault) as vault,
        pytest.raises(
            CliError, match=r"Vault does not say whether .* --version 1, which does nothing if it has"
        ),
    ):
        brought(vault, customer.target(), one)
    again = brought(customer.vault, customer.target(), one, version=1)
    assert again.action is (Action.THERE_ALREADY if arrives else Action.IMPORTED)
    assert customer.latest_version() == 1


@dataclass
class Rival(Fault):
    """Somebody else imports a version while ours is on its way."""

    customer: Customer | None = None

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        assert "/import" in seen.target
        assert self.customer is not None
        reply = await forward()
        await asyncio.to_thread(
            brought,
            self.customer.vault,
            self.customer.target(),
            self.customer.wrapped(AES, new_material(AES)),
        )
        return reply


def test_two_imports_at_the_same_time_are_told(customer: Customer) -> None:
    one = customer.wrapped(AES, new_material(AES))
    fault = Rival(arrives=True, status=None, customer=customer)
    with through(customer, fault) as vault, pytest.raises(CliError, match="is there, and so is 2") as error:
        brought(vault, customer.target(), one)
    assert error.value.code == NO
