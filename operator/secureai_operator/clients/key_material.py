"""Key material that a customer brings: made, read, and checked before it is wrapped. Local computation, no I/O.

No message holds anything of the material. Buffers that are handed out are bytearrays, so that their owner can `wipe`
them; what the cryptography library and Python copy meanwhile is freed, but not overwritten.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import string
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from secureai_operator.api.workload import KeyType

SYMMETRIC_KEY_BYTES = 32
"""Of both symmetric types. Source: Vault, sdk/helper/keysutil/policy.go, ImportPublicOrPrivate."""
RSA_EXPONENT = 65537
MAX_MATERIAL_BYTES = 16 * 1024
"""Four times a PEM of an RSA-4096 key; reading a longer key tests its factors for being prime, which takes minutes."""

SYMMETRIC_TYPES = frozenset({KeyType.AES256_GCM96, KeyType.CHACHA20_POLY1305})
_CURVES: Mapping[KeyType, ec.EllipticCurve] = MappingProxyType(
    {KeyType.ECDSA_P256: ec.SECP256R1(), KeyType.ECDSA_P384: ec.SECP384R1()}
)
_RSA_BITS: Mapping[KeyType, int] = MappingProxyType({KeyType.RSA_3072: 3072, KeyType.RSA_4096: 4096})

_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_TEXT = frozenset(string.printable.encode())
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)


class MaterialEncoding(StrEnum):
    """How symmetric key material is written down."""

    RAW = "raw"
    BASE64 = "base64"
    HEX = "hex"


class MaterialRefused(Exception):
    """Vault could not use the key material, or nobody should; the message says why and what to change."""


class WrongSize(MaterialRefused):
    """Not as long as its type asks for."""


class WrongForm(MaterialRefused):
    """Not what it should be: text, a public key, another algorithm, or nothing that can be read."""


class EncryptedKey(MaterialRefused):
    """A private key that a passphrase protects."""


def wipe(buffer: bytearray) -> None:
    """Overwrite it, for its length."""
    buffer[:] = bytes(len(buffer))


def decoded(text: bytearray, encoding: MaterialEncoding) -> bytearray:
    """Symmetric key material out of how it is written down."""
    if encoding is MaterialEncoding.RAW:
        return bytearray(text)
    compact = b"".join(text.split())
    try:
        if encoding is MaterialEncoding.HEX:
            return bytearray(binascii.unhexlify(compact))
        return bytearray(base64.b64decode(compact, validate=True))
    except ValueError:  # `from None`: the decoder's own words may quote what it read
        raise WrongForm(f"the key material is not {encoding.value}: check --encoding") from None


def encoded(material: bytearray, encoding: MaterialEncoding) -> bytearray:
    """Symmetric key material as `decoded` reads it, text with a newline at its end."""
    match encoding:
        case MaterialEncoding.RAW:
            return bytearray(material)
        case MaterialEncoding.BASE64:
            return bytearray(base64.b64encode(material) + b"\n")
        case MaterialEncoding.HEX:
            return bytearray(binascii.hexlify(material) + b"\n")


def new_material(key_type: KeyType) -> bytearray:
    """New key material of the type: raw bytes, or a private key as PKCS#8 PEM."""
    if key_type in SYMMETRIC_TYPES:
        return bytearray(os.urandom(SYMMETRIC_KEY_BYTES))
    return _pkcs8(_new_private_key(key_type), Encoding.PEM)


def importable(key_type: KeyType, material: bytearray) -> bytearray:
    """What Vault's import expects for this type: raw bytes, or PKCS#8 DER; raises MaterialRefused."""
    if len(material) > MAX_MATERIAL_BYTES:
        raise WrongSize(f"the key material is longer than {MAX_MATERIAL_BYTES} bytes: no key of this type is")
    if key_type in SYMMETRIC_TYPES:
        _check_symmetric(key_type, material)
        return bytearray(material)
    key = _private_key(material)
    _check_private_key(key_type, key)
    return _pkcs8(key, Encoding.DER)


def _check_symmetric(key_type: KeyType, material: bytearray) -> None:
    if _BEGIN.search(material):
        raise WrongForm(f"{key_type.value} needs {SYMMETRIC_KEY_BYTES} bytes, and this is PEM: check --type")
    if len(material) != SYMMETRIC_KEY_BYTES:
        raise WrongSize(
            f"{key_type.value} needs exactly {SYMMETRIC_KEY_BYTES} bytes, and these are {len(material)}{_hint(material)}"
        )
    if _is_text(material):
        # Thirty-two hexadecimal digits are half a key: sixteen bytes of it are known to everybody.
        raise WrongForm("the key material is text, not random bytes: say how it is written with --encoding")
    if len(set(material)) == 1:
        raise WrongForm("every byte of the key material is the same: this is no key")


def _hint(material: bytearray) -> str:
    if len(material) == SYMMETRIC_KEY_BYTES + 1 and material.endswith(b"\n"):
        return ": leave the newline at the end out"
    return ": it is text, say how it is written with --encoding" if material and _is_text(material) else ""


def _is_text(material: bytearray) -> bool:
    return _TEXT.issuperset(material)


def _private_key(material: bytearray) -> PrivateKeyTypes:
    labels = [label.decode() for label in _BEGIN.findall(material)]
    if sum(label.endswith("PRIVATE KEY") for label in labels) > 1:
        raise WrongForm("there is more than one private key in the file: leave only the one to import")
    if "OPENSSH PRIVATE KEY" in labels:
        raise WrongForm("this is a key in OpenSSH's own form: convert it to PKCS#8")
    load: Callable[..., PrivateKeyTypes] = load_pem_private_key if labels else load_der_private_key
    try:
        return load(bytes(material), password=None)
    except TypeError:
        raise _encrypted() from None
    except _UNREADABLE:
        if "ENCRYPTED PRIVATE KEY" in labels:
            raise _encrypted() from None
    if _is_public(material, pem=bool(labels)):
        raise WrongForm("this is a public key: Vault needs the private one")
    raise WrongForm("there is no private key that can be read: give it as PKCS#8, PEM or DER")


def _encrypted() -> EncryptedKey:
    return EncryptedKey(
        "the private key is encrypted: decrypt it first, "
        "for example with `openssl pkey -in FILE | secureai key wrap --material -`"
    )


def _is_public(material: bytearray, *, pem: bool) -> bool:
    load = load_pem_public_key if pem else load_der_public_key
    try:
        load(bytes(material))
    except _UNREADABLE:
        return False
    return True


def _check_private_key(key_type: KeyType, key: PrivateKeyTypes) -> None:
    found = _described(key)
    if key_type in _CURVES and isinstance(key, ec.EllipticCurvePrivateKey):
        wanted = _CURVES[key_type].name
        if key.curve.name != wanted:
            raise WrongSize(f"{key_type.value} needs a key on the curve {wanted}, and this is {found}")
    elif key_type in _RSA_BITS and isinstance(key, rsa.RSAPrivateKey):
        if key.key_size != _RSA_BITS[key_type]:
            raise WrongSize(
                f"{key_type.value} needs a key of {_RSA_BITS[key_type]} bits, and this is {found}"
            )
    elif not (key_type is KeyType.ED25519 and isinstance(key, ed25519.Ed25519PrivateKey)):
        raise WrongForm(f"the private key is {found}, which is none of type {key_type.value}: check --type")


def _described(key: PrivateKeyTypes) -> str:
    match key:
        case ec.EllipticCurvePrivateKey():
            return f"an EC key on the curve {key.curve.name}"
        case rsa.RSAPrivateKey():
            return f"an RSA key of {key.key_size} bits"
        case ed25519.Ed25519PrivateKey():
            return "an Ed25519 key"
        case _:
            return "of another algorithm"


def _new_private_key(key_type: KeyType) -> Any:
    if key_type in _CURVES:
        return ec.generate_private_key(_CURVES[key_type])
    if key_type in _RSA_BITS:
        return rsa.generate_private_key(RSA_EXPONENT, _RSA_BITS[key_type])
    return ed25519.Ed25519PrivateKey.generate()


def _pkcs8(key: PrivateKeyTypes, encoding: Encoding) -> bytearray:
    return bytearray(key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption()))
