"""Wrapping: what goes in comes out at the owner of the wrapping key, and what Vault could not use never gets that far."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from secureai_operator.api.workload import KeyType
from secureai_operator.clients import key_wrapping
from secureai_operator.clients.key_material import (
    MAX_MATERIAL_BYTES,
    SYMMETRIC_TYPES,
    EncryptedKey,
    MaterialEncoding,
    MaterialRefused,
    WrongForm,
    WrongSize,
    decoded,
    encoded,
    importable,
    new_material,
    wipe,
)
from secureai_operator.clients.key_wrapping import (
    HASH_FUNCTION,
    WrappedKey,
    WrappedKeyRefused,
    WrappingKey,
    WrappingKeyRefused,
    wrapped,
)

PKCS8_PEM = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
TRADITIONAL_PEM = (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
PKCS8_DER = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
TRADITIONAL_DER = (Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
PUBLIC = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PUBLIC_DER = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
SYMMETRIC = sorted(SYMMETRIC_TYPES)
ASYMMETRIC = sorted(set(KeyType) - SYMMETRIC_TYPES)
KEY = bytes(range(100, 132))


@cache
def vault() -> rsa.RSAPrivateKey:
    """The half of a wrapping key that stays in Vault."""
    return rsa.generate_private_key(65537, 4096)


@cache
def wrapping_key() -> WrappingKey:
    return WrappingKey.from_pem(vault().public_key().public_bytes(*PUBLIC))


@cache
def private_key(key_type: KeyType) -> Any:
    match key_type:
        case KeyType.ECDSA_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.ECDSA_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case KeyType.RSA_3072:
            return rsa.generate_private_key(65537, 3072)
        case _:
            return vault()


def unwrapped(key: WrappedKey) -> bytes:
    """As Vault does it: path_import.go, decryptImportedKey."""
    blob = base64.b64decode(key.ciphertext, validate=True)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    ephemeral = vault().decrypt(blob[:512], oaep)
    assert len(ephemeral) == 32
    return aes_key_unwrap_with_padding(ephemeral, blob[512:])


def refusal(key_type: KeyType, material: bytes, kind: type[MaterialRefused]) -> str:
    """What is said, which holds nothing of the material: neither a line of it nor a piece of its bytes."""
    with pytest.raises(MaterialRefused) as refused:
        wrapped(key_type, bytearray(material), wrapping_key())
    assert type(refused.value) is kind
    said = str(refused.value)
    lines = [line for line in material.splitlines() if len(line) > 8 and not line.startswith(b"-----")]
    assert not any(line.decode(errors="replace") in said for line in lines)
    assert material.hex()[:16] not in said or len(material) < 8
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return said


# Round trips


@given(material=st.binary(min_size=32, max_size=32))
@settings(max_examples=30, deadline=None)
def test_a_symmetric_key_comes_out_as_it_went_in(material: bytes) -> None:
    assume(len(set(material)) > 1 and not material.isascii())
    for key_type in SYMMETRIC:
        assert unwrapped(wrapped(key_type, bytearray(material), wrapping_key())) == material


@pytest.mark.parametrize("key_type", ASYMMETRIC)
@pytest.mark.parametrize("form", [PKCS8_PEM, PKCS8_DER, TRADITIONAL_PEM, TRADITIONAL_DER])
def test_a_private_key_of_any_form_comes_out_as_pkcs8_der(key_type: KeyType, form: Any) -> None:
    key = private_key(key_type)
    if key_type is KeyType.ED25519 and form in (TRADITIONAL_PEM, TRADITIONAL_DER):
        form = PKCS8_PEM  # there is no other form of it
    found = unwrapped(wrapped(key_type, bytearray(key.private_bytes(*form)), wrapping_key()))
    assert found == key.private_bytes(*PKCS8_DER)


@pytest.mark.parametrize("key_type", list(KeyType))
def test_what_is_made_anew_can_be_imported(key_type: KeyType) -> None:
    material = new_material(key_type)
    assert material != new_material(key_type)
    found = unwrapped(wrapped(key_type, material, wrapping_key()))
    if key_type in SYMMETRIC_TYPES:
        assert found == material
        return
    assert material.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert load_der_private_key(found, None).private_bytes(*PKCS8_PEM) == material


def test_the_same_material_is_never_wrapped_alike() -> None:
    one, other = (wrapped(KeyType.AES256_GCM96, bytearray(KEY), wrapping_key()) for _ in range(2))
    assert one.ciphertext != other.ciphertext
    assert one.wrapping_key_sha256 == other.wrapping_key_sha256 == wrapping_key().fingerprint


def test_an_elliptic_curve_key_with_its_parameters_in_front_is_read() -> None:
    key = private_key(KeyType.ECDSA_P256)
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    text = bytearray(parameters + key.private_bytes(*TRADITIONAL_PEM))
    assert importable(KeyType.ECDSA_P256, text) == key.private_bytes(*PKCS8_DER)


def test_the_buffer_with_the_target_is_wiped_after_wrapping(monkeypatch: pytest.MonkeyPatch) -> None:
    buffers: list[bytearray] = []

    def observed(key_type: KeyType, material: bytearray) -> bytearray:
        buffers.append(importable(key_type, material))
        return buffers[-1]

    monkeypatch.setattr(key_wrapping, "importable", observed)
    material = bytearray(KEY)
    wrapped(KeyType.AES256_GCM96, material, wrapping_key())
    assert buffers == [bytearray(32)]
    assert material == KEY, "the caller's own buffer is the caller's to wipe"
    wipe(material)
    assert material == bytearray(32)


# Material that is refused


@pytest.mark.parametrize("key_type", SYMMETRIC)
@given(material=st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_no_other_length_than_32_bytes_is_a_symmetric_key(key_type: KeyType, material: bytes) -> None:
    assume(len(material) != 32)
    assert f"exactly 32 bytes, and these are {len(material)}" in refusal(key_type, material, WrongSize)


@pytest.mark.parametrize(
    ("material", "kind", "says"),
    [
        (KEY + b"\n", WrongSize, "leave the newline at the end out"),
        (KEY.hex().encode(), WrongSize, "it is text, say how it is written with --encoding"),
        (base64.b64encode(KEY), WrongSize, "it is text, say how it is written with --encoding"),
        (KEY[:16].hex().encode(), WrongForm, "text, not random bytes"),
        (b"\x80" * 32, WrongForm, "every byte of the key material is the same"),
        (b"", WrongSize, "these are 0"),
        (b"\x80" * (MAX_MATERIAL_BYTES + 1), WrongSize, "longer than"),
    ],
)
def test_a_symmetric_key_that_is_none_says_what_to_change(
    material: bytes, kind: type[MaterialRefused], says: str
) -> None:
    assert says in refusal(KeyType.AES256_GCM96, material, kind)


@pytest.mark.parametrize("key_type", SYMMETRIC)
def test_a_private_key_is_no_symmetric_key(key_type: KeyType) -> None:
    pem = private_key(KeyType.ED25519).private_bytes(*PKCS8_PEM)
    assert "this is PEM: check --type" in refusal(key_type, pem, WrongForm)


@pytest.mark.parametrize("key_type", ASYMMETRIC)
@pytest.mark.parametrize("other", ASYMMETRIC)
def test_a_private_key_of_another_type_is_refused_by_name(key_type: KeyType, other: KeyType) -> None:
    if other is key_type:
        return
    same_algorithm = {key_type.value[:3], other.value[:3]} in ({"rsa"}, {"ecd"})
    kind = WrongSize if same_algorithm else WrongForm
    said = refusal(key_type, private_key(other).private_bytes(*PKCS8_PEM), kind)
    assert key_type.value in said
    assert {"rsa": "RSA key of", "ecd": "EC key on the curve", "ed2": "Ed25519"}[other.value[:3]] in said


@pytest.mark.parametrize(
    ("key_type", "key", "says"),
    [
        (KeyType.ECDSA_P256, ec.generate_private_key(ec.SECP521R1()), "secp521r1"),
        (KeyType.RSA_3072, rsa.generate_private_key(65537, 2048), "2048 bits"),
        (KeyType.ED25519, x25519.X25519PrivateKey.generate(), "of another algorithm"),
    ],
)
def test_a_curve_size_or_algorithm_that_no_type_has_is_refused(
    key_type: KeyType, key: Any, says: str
) -> None:
    kind = WrongForm if key_type is KeyType.ED25519 else WrongSize
    assert says in refusal(key_type, key.private_bytes(*PKCS8_PEM), kind)


@pytest.mark.parametrize("key_type", ASYMMETRIC)
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_an_encrypted_private_key_is_refused_with_the_way_to_decrypt_it(
    key_type: KeyType, encoding: Encoding
) -> None:
    locked = private_key(key_type).private_bytes(
        encoding, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    )
    said = refusal(key_type, locked, EncryptedKey)
    assert "is encrypted: decrypt it first" in said
    assert "openssl pkey" in said


@pytest.mark.parametrize("key_type", ASYMMETRIC)
@pytest.mark.parametrize("form", [PUBLIC, PUBLIC_DER])
def test_a_public_key_is_refused_as_such(key_type: KeyType, form: Any) -> None:
    public = private_key(key_type).public_key().public_bytes(*form)
    assert "public key: Vault needs the private one" in refusal(key_type, public, WrongForm)


def test_two_private_keys_in_a_file_are_one_too_many() -> None:
    both = private_key(KeyType.ED25519).private_bytes(*PKCS8_PEM) * 2
    assert "more than one private key" in refusal(KeyType.ED25519, both, WrongForm)


def test_a_key_of_openssh_is_refused_as_such() -> None:
    key = private_key(KeyType.ED25519).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    assert "convert it to PKCS#8" in refusal(KeyType.ED25519, key, WrongForm)


@pytest.mark.parametrize("key_type", ASYMMETRIC)
@given(material=st.binary(max_size=400), as_pem=st.booleans())
@settings(max_examples=50, deadline=None)
def test_nothing_that_is_no_key_raises_anything_but_a_refusal(
    key_type: KeyType, material: bytes, as_pem: bool
) -> None:
    text = base64.encodebytes(material)
    pem = b"-----BEGIN PRIVATE KEY-----\n" + text + b"-----END PRIVATE KEY-----\n"
    refusal(key_type, pem if as_pem else material, WrongForm)


@given(cut=st.integers(min_value=1, max_value=100))
@settings(max_examples=20, deadline=None)
def test_half_a_private_key_is_refused(cut: int) -> None:
    der = private_key(KeyType.ECDSA_P256).private_bytes(*PKCS8_DER)
    refusal(KeyType.ECDSA_P256, der[:-cut], WrongForm)


# How symmetric keys are written


@given(material=st.binary(max_size=64), encoding=st.sampled_from(MaterialEncoding))
def test_what_is_written_down_is_read_back(material: bytes, encoding: MaterialEncoding) -> None:
    assert decoded(encoded(bytearray(material), encoding), encoding) == material


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (b"not base64!", MaterialEncoding.BASE64),
        (b"YQ", MaterialEncoding.BASE64),
        (KEY, MaterialEncoding.BASE64),
        (b"abc", MaterialEncoding.HEX),
        (b"zz", MaterialEncoding.HEX),
        (KEY, MaterialEncoding.HEX),
    ],
)
def test_what_is_not_written_so_is_refused_without_a_word_of_it(
    text: bytes, encoding: MaterialEncoding
) -> None:
    with pytest.raises(WrongForm) as refused:
        decoded(bytearray(text), encoding)
    assert str(refused.value) == f"the key material is not {encoding.value}: check --encoding"
    assert refused.value.__suppress_context__


# The wrapping key


def test_the_fingerprint_is_that_of_the_der_form() -> None:
    again = WrappingKey.from_pem(wrapping_key().pem.encode())
    assert again.fingerprint == wrapping_key().fingerprint
    digest = hashes.Hash(hashes.SHA256())
    digest.update(vault().public_key().public_bytes(*PUBLIC_DER))
    assert again.fingerprint == digest.finalize().hex()


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        (b"", "no public key in PEM"),
        (b"\x00" * 20_000, "no public key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key in PEM"),
        (private_key(KeyType.RSA_3072).public_key().public_bytes(*PUBLIC), "not RSA with 4096 bits"),
        (private_key(KeyType.ECDSA_P256).public_key().public_bytes(*PUBLIC), "not RSA with 4096 bits"),
        (private_key(KeyType.ECDSA_P256).private_bytes(*PKCS8_PEM), "is a private key"),
    ],
)
def test_what_cannot_be_vaults_wrapping_key_is_refused(pem: bytes, says: str) -> None:
    with pytest.raises(WrappingKeyRefused, match=says):
        WrappingKey.from_pem(pem)


# The document


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_document_is_read_back_as_it_was_written(key_type: KeyType) -> None:
    key = wrapped(key_type, new_material(key_type), wrapping_key())
    fields = json.loads(key.document)
    assert set(fields) == {"format", "type", "hashFunction", "wrappingKeySHA256", "ciphertext"}
    assert fields["hashFunction"] == HASH_FUNCTION == "SHA256"
    assert WrappedKey.from_document(key.document.encode()) == key


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "secureai.dev/wrapped-key/v2"},
        {"type": "aes128-gcm96"},
        {"type": "ed25519", "ciphertext": "AAAA"},
        {"type": None},
        {"hashFunction": "SHA-256"},
        {"wrappingKeySHA256": "AB"},
        {"ciphertext": "%%%"},
        {"ciphertext": base64.b64encode(bytes(512)).decode()},
        {"ciphertext": base64.b64encode(bytes(512 + 48)).decode()},
        {"ciphertext": base64.b64encode(bytes(30_000)).decode()},
        {"more": "fields"},
    ],
)
def test_a_document_that_is_damaged_or_of_another_kind_is_refused(changed: dict[str, Any]) -> None:
    good = json.loads(wrapped(KeyType.AES256_GCM96, bytearray(KEY), wrapping_key()).document)
    with pytest.raises(WrappedKeyRefused):
        WrappedKey.from_document(json.dumps({**good, **changed}).encode())


@given(text=st.binary(max_size=200))
@example(text=b"[" * 50_000)
@example(text=b"{}")
@example(text=b"1" * 100_000)
def test_no_file_makes_the_reader_of_documents_fail(text: bytes) -> None:
    with pytest.raises(WrappedKeyRefused):
        WrappedKey.from_document(text)
