"""Wraps key material so that one mount of one Vault can unwrap it, and nobody else. Local computation, no I/O.

The ciphertext is base64 of RSA-OAEP(an ephemeral AES-256 key) followed by AES-KWP(the material), RFC 5649.
Source: Vault, Transit, "Bring your own key" and builtin/logical/transit/path_import.go.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from secureai_operator.api.workload import KeyType
from secureai_operator.clients.key_material import (
    MAX_MATERIAL_BYTES,
    SYMMETRIC_KEY_BYTES,
    SYMMETRIC_TYPES,
    importable,
    wipe,
)

HASH_FUNCTION = "SHA256"
"""Of OAEP and of its MGF1, as Vault spells it: "SHA-256" of older documents is refused (measured on 1.21.2)."""
WRAPPING_KEY_BITS = 4096
"""Source: Vault, builtin/logical/transit/path_wrapping_key.go."""
EPHEMERAL_KEY_BYTES = 32
"""Vault refuses any other. Source: path_import.go, decryptImportedKey."""
MAX_DOCUMENT_BYTES = 64 * 1024

_FORMAT = "secureai.dev/wrapped-key/v1"
_FIELDS = frozenset({"format", "type", "hashFunction", "wrappingKeySHA256", "ciphertext"})
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_RSA_BYTES = WRAPPING_KEY_BITS // 8
_KWP_BLOCK = 8
_MAX_PEM_BYTES = 16 * 1024


class WrappingKeyRefused(Exception):
    """It cannot be the wrapping key of a Vault; the message says why and what to change."""


class WrappedKeyRefused(Exception):
    """It is no wrapped key as `WrappedKey.document` writes it, or a damaged one."""


@dataclass(frozen=True)
class WrappingKey:
    """The public key of a transit mount that key material for it is wrapped with."""

    public: rsa.RSAPublicKey

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        if b"PRIVATE KEY-----" in pem:
            raise WrappingKeyRefused("the wrapping key is a private key: Vault's is public, fetch that")
        try:
            key = load_pem_public_key(pem) if len(pem) <= _MAX_PEM_BYTES else None
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if key is None:
            raise WrappingKeyRefused(f"the wrapping key is no public key in PEM{_FETCH}")
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size != WRAPPING_KEY_BITS:
            raise WrappingKeyRefused(f"the wrapping key is not RSA with {WRAPPING_KEY_BITS} bits{_FETCH}")
        return cls(key)

    @property
    def pem(self) -> str:
        return self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of its DER form, as `openssl pkey -pubin -outform DER | sha256sum` prints it."""
        der = self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()


_FETCH = ": fetch it again with `secureai key wrapping-key`"


@dataclass(frozen=True)
class WrappedKey:
    """Key material that only the Vault of its wrapping key can unwrap; no secret."""

    type: KeyType
    wrapping_key_sha256: str
    ciphertext: str
    hash_function: str = HASH_FUNCTION

    @property
    def document(self) -> str:
        """As a JSON document, which `from_document` reads."""
        fields = {
            "format": _FORMAT,
            "type": self.type.value,
            "hashFunction": self.hash_function,
            "wrappingKeySHA256": self.wrapping_key_sha256,
            "ciphertext": self.ciphertext,
        }
        return json.dumps(fields, indent=2) + "\n"

    @classmethod
    def from_document(cls, text: bytes) -> Self:
        """Raises WrappedKeyRefused; what is found in the document is never quoted."""
        fields = _fields(text)
        if fields["format"] != _FORMAT or fields["hashFunction"] != HASH_FUNCTION:
            raise WrappedKeyRefused(f"the wrapped key is of another format than {_FORMAT}, {HASH_FUNCTION}")
        if fields["type"] not in set(KeyType):
            raise WrappedKeyRefused("the wrapped key is of an unknown type")
        found = cls(KeyType(fields["type"]), fields["wrappingKeySHA256"], fields["ciphertext"])
        if not _FINGERPRINT.fullmatch(found.wrapping_key_sha256) or not _is_whole(found):
            raise WrappedKeyRefused("the wrapped key is damaged: copy it again, or wrap the material again")
        return found


def wrapped(key_type: KeyType, material: bytearray, wrapping_key: WrappingKey) -> WrappedKey:
    """The material, checked for its type first; raises MaterialRefused."""
    target = importable(key_type, material)
    ephemeral = bytearray(os.urandom(EPHEMERAL_KEY_BYTES))
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    try:
        wrapped_ephemeral = wrapping_key.public.encrypt(bytes(ephemeral), oaep)
        wrapped_target = aes_key_wrap_with_padding(bytes(ephemeral), bytes(target))
    finally:
        wipe(target)
        wipe(ephemeral)
    ciphertext = base64.b64encode(wrapped_ephemeral + wrapped_target).decode()
    return WrappedKey(key_type, wrapping_key.fingerprint, ciphertext)


def _fields(text: bytes) -> dict[str, str]:
    try:
        found: Any = json.loads(text) if len(text) <= MAX_DOCUMENT_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.keys() != _FIELDS:
        raise WrappedKeyRefused("this is no wrapped key: make one with `secureai key wrap`")
    if not all(isinstance(value, str) for value in found.values()):
        raise WrappedKeyRefused("the wrapped key is damaged: every field is a string")
    return found


def _is_whole(key: WrappedKey) -> bool:
    """Whether the ciphertext is as long as one of its type can be."""
    try:
        size = len(base64.b64decode(key.ciphertext, validate=True)) - _RSA_BYTES
    except ValueError:
        return False
    if key.type in SYMMETRIC_TYPES:
        return size == SYMMETRIC_KEY_BYTES + _KWP_BLOCK
    return _KWP_BLOCK * 2 <= size <= MAX_MATERIAL_BYTES and size % _KWP_BLOCK == 0
