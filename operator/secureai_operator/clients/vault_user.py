"""Vault as the person at the terminal sees it: short, blocking requests with that person's own token."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Self

from secureai_operator.api.vault_types import AuthRole, KeyState, PkiRole
from secureai_operator.clients import _vault_codec as codec
from secureai_operator.clients._vault_errors import REJECTED, Effect, error_of
from secureai_operator.clients._vault_http import Answer, PoolAdapter, TransportError
from secureai_operator.errors import VaultRefused

_HEALTH = "/v1/sys/health?standbyok=true&perfstandbyok=true"


@dataclass(frozen=True)
class VaultAccess:
    """Where a Vault is and by which token; None for what needs none."""

    address: str
    token: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    namespace: str | None = None

    @classmethod
    def from_environment(cls) -> Self | None:
        """VAULT_ADDR, VAULT_TOKEN, VAULT_CACERT and VAULT_NAMESPACE as the vault command reads them."""
        address, token = os.environ.get("VAULT_ADDR", "").rstrip("/"), os.environ.get("VAULT_TOKEN")
        if not address or not token:
            return None
        return cls(address, token, os.environ.get("VAULT_CACERT"), os.environ.get("VAULT_NAMESPACE"))


class Health(StrEnum):
    """What an unauthenticated look at a Vault finds."""

    USABLE = "usable"
    SEALED = "sealed"
    NOT_INITIALIZED = "not initialised"
    UNREACHABLE = "unreachable"
    UNWELL = "not healthy"


_HEALTHS = {200: Health.USABLE, 501: Health.NOT_INITIALIZED, 503: Health.SEALED}


class VaultUser:
    """Reads of one Vault, and imports into it; None for what is not there. Raises the `errors.Vault*` types."""

    def __init__(self, access: VaultAccess, *, timeout: float = 5.0) -> None:
        self._token = access.token
        self._adapter = PoolAdapter(
            access.address,
            timeout=timeout,
            ca_file=access.ca_file,
            namespace=access.namespace,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._adapter.close()

    def health(self) -> Health:
        try:
            status = self._adapter.send("GET", _HEALTH).status_code
        except TransportError:
            return Health.UNREACHABLE
        return _HEALTHS.get(status, Health.UNWELL)

    def key(self, mount: str, name: str) -> KeyState | None:
        data = self.read(f"{mount}/keys/{name}")
        return None if data is None else codec.key_state(data)

    def policy(self, name: str) -> str | None:
        data = self.read(f"sys/policies/acl/{name}")
        return None if data is None else str(data["policy"])

    def auth_role(self, mount: str, name: str) -> AuthRole | None:
        data = self.read(f"auth/{mount}/role/{name}")
        return None if data is None else codec.auth_role(data)

    def pki_role(self, mount: str, name: str) -> PkiRole | None:
        data = self.read(f"{mount}/roles/{name}")
        return None if data is None else codec.pki_role(data)

    def wrapping_key(self, mount: str) -> str | None:
        """The public key (PEM) to wrap key material for this mount with; Vault makes it when it is first asked for."""
        data = self.read(f"{mount}/wrapping_key")
        return None if data is None else str(data["public_key"])

    def import_key(
        self, mount: str, name: str, *, key_type: str, derived: bool, ciphertext: str, hash_function: str
    ) -> None:
        """Wrapped material as version 1 of a new key that cannot be rotated in Vault or leave it; see `_import`."""
        body = {
            "type": key_type,
            "derived": derived,
            "hash_function": hash_function,
            "ciphertext": ciphertext,
            "allow_rotation": False,
            "exportable": False,
            "allow_plaintext_backup": False,
        }
        self._import(f"{mount}/keys/{name}/import", body)

    def import_version(self, mount: str, name: str, *, ciphertext: str, hash_function: str) -> None:
        """Wrapped material as the next version of an imported key; see `_import`."""
        body = {"hash_function": hash_function, "ciphertext": ciphertext}
        self._import(f"{mount}/keys/{name}/import_version", body)

    def _import(self, path: str, body: Mapping[str, Any]) -> None:
        """Sent once. VaultRefused if Vault says no, after which the key is to be read all the same.

        Vault 1.21 answers 500, not 400, when it cannot unwrap the material or its size or type is wrong (measured).
        """
        answer = self._send("POST", path, body, Effect.ONCE)
        if answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise VaultRefused(REJECTED, f"Vault refuses `{path}` as it was asked")
        if not answer.ok:
            raise error_of(answer, path, Effect.ONCE)

    def audit_hash(self, device: str, text: str) -> str:
        """What the audit device writes instead of the text."""
        path = f"sys/audit-hash/{device}"
        answer = self._send("POST", path, {"input": text}, Effect.READ)
        if not answer.ok:
            raise error_of(answer, path, Effect.READ)
        return str(answer.json()["hash"])

    def read(self, path: str) -> Mapping[str, Any] | None:
        answer = self._send("GET", path, None, Effect.READ)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if not answer.ok:
            raise error_of(answer, f"read {path}", Effect.READ)
        data: Mapping[str, Any] = answer.json()["data"]
        return data

    def login(self, auth_mount: str, role: str, jwt: str) -> tuple[str, ...] | None:
        """The policies that a ServiceAccount's token gets, or None if Vault refuses; the Vault token is given back at once."""
        answer = self._send("POST", f"auth/{auth_mount}/login", {"role": role, "jwt": jwt}, Effect.WRITE)
        if not answer.ok:
            return None
        auth = answer.json()["auth"]
        revoked = self._adapter.send("POST", "/v1/auth/token/revoke-self", {}, token=auth["client_token"])
        if not revoked.ok:
            raise error_of(revoked, "revoke the token", Effect.WRITE)
        return tuple(sorted(auth.get("token_policies") or ()))

    def _send(self, method: str, path: str, body: Any, effect: Effect) -> Answer:
        try:
            return self._adapter.send(method, f"/v1/{path}", body, token=self._token)
        except TransportError as error:
            raise error_of(error, path, effect) from None
