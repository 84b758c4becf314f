"""The one door to Vault, as the controllers see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from secureai_operator.api.vault_types import AuthRole, KeyState, PkiRole, SignedCertificate, VaultHealth

HealthCallback = Callable[[VaultHealth], None]


class VaultApi(Protocol):
    """One configured Vault.

    Reads answer None for what does not exist; a delete of what does not exist succeeds. Writes are
    idempotent except `rotate_key` and `sign_csr`. Every method raises `VaultUnavailable`, `VaultDenied`
    or `VaultRefused`, and a write also `VaultUncertain`: it was sent, and nobody knows what came of it.
    """

    @property
    def health(self) -> VaultHealth: ...

    def now(self) -> datetime:
        """The time by Vault's clock, which what it signs lives by: the operator's may be wrong, or be set."""
        ...

    def subscribe(self, callback: HealthCallback) -> Callable[[], None]:
        """Call back, on the event loop, whenever status or reason change; returns how to stop that."""
        ...

    async def read_key(self, name: str) -> KeyState | None: ...

    async def create_key(
        self, name: str, *, key_type: str, derived: bool = False, convergent: bool = False
    ) -> KeyState:
        """Create the key, or return the one that exists, unchanged: read first to know which."""
        ...

    async def configure_key(
        self,
        name: str,
        *,
        min_decryption_version: int | None = None,
        min_encryption_version: int | None = None,
        deletion_allowed: bool | None = None,
        auto_rotate_period: int | None = None,
    ) -> None:
        """Change only the fields that are given."""
        ...

    async def rotate_key(self, name: str) -> KeyState:
        """Add a version. Never repeated by the client: record the target, and read after a doubt."""
        ...

    async def rewrap(
        self, name: str, ciphertexts: Sequence[str], contexts: Sequence[str] | None = None
    ) -> list[str]:
        """Move ciphertexts to the latest version, in their order; contexts are base64, for derived keys."""
        ...

    async def new_data_key(self, name: str, bits: int = 256, context: str | None = None) -> str:
        """A new data key, wrapped: its plaintext never leaves Vault."""
        ...

    async def read_policy(self, name: str) -> str | None: ...

    async def write_policy(self, name: str, hcl: str) -> None: ...

    async def delete_policy(self, name: str) -> None: ...

    async def read_auth_role(self, name: str) -> AuthRole | None: ...

    async def write_auth_role(self, name: str, role: AuthRole) -> None: ...

    async def delete_auth_role(self, name: str) -> None: ...

    async def read_pki_role(self, name: str) -> PkiRole | None: ...

    async def write_pki_role(self, name: str, role: PkiRole) -> None: ...

    async def delete_pki_role(self, name: str) -> None: ...

    async def sign_csr(
        self, role: str, csr_pem: str, common_name: str, alt_names: Sequence[str], ttl_seconds: int
    ) -> SignedCertificate: ...

    async def ca_chain(self) -> str:
        """The PEM bundle that certificates of this connection verify against."""
        ...

    async def revoke_certificate(self, certificate_pem: str) -> None:
        """Revoke by the certificate itself: Vault keeps none of those it signs (`no_store`)."""
        ...

    async def set_entity_disabled(self, service_account_uid: str, disabled: bool) -> bool:
        """Whether there is such an entity: one that never logged in has none, and needs none."""
        ...

    async def trim_key(self, name: str, min_available_version: int) -> None:
        """Destroy the versions below it for good; `VaultDenied` unless a retiring role is configured.

        Vault wants both of the key's minimums at that version or above.
        """
        ...

    async def delete_key(self, name: str) -> None:
        """Destroy the key for good; `VaultDenied` unless a destroying role is configured."""
        ...

    async def run(self) -> None:
        """Log in, renew, and watch Vault's health until cancelled."""
        ...

    async def close(self) -> None: ...
