"""How many versions of a key Vault can store: all of them are one entry of its storage. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ENTRY_BYTES = 1024 * 1024
"""Largest entry of Vault's integrated storage (`max_entry_size`). Source: Vault, configuration, Raft."""
SHARE = 0.8
"""Part of it that versions may fill: the rest is for the key's own settings, and for another operator's version of it."""

_VERSION_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "aes256-gcm96": 450,
        "chacha20-poly1305": 450,
        "ecdsa-p256": 900,
        "ecdsa-p384": 1100,
        "ed25519": 700,
        "rsa-3072": 6000,
        "rsa-4096": 8000,
    }
)
"""What one version takes in Vault's archive, rounded up. Measured on Vault 1.21.2: of rsa-3072 the 196th version was refused
(5.4 KB each); 2,572 of aes256-gcm96, 1,304 of ecdsa-p256 and 1,327 of ed25519 fitted. The others by the size of their keys."""

_UNKNOWN_BYTES = 8000


def versions_max(key_type: str) -> int:
    """How many versions of a key of this type fit, so that the next one is refused before it is half done."""
    return int(ENTRY_BYTES * SHARE) // _VERSION_BYTES.get(key_type, _UNKNOWN_BYTES)
