"""Everything the operator does in Vault, over HTTP with hvac's adapter. One instance per connection."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from secureai_operator.api.vault_types import (
    AuthRole,
    KeyState,
    PkiRole,
    SignedCertificate,
    VaultConnection,
    VaultHealth,
)
from secureai_operator.clients import _vault_codec as codec
from secureai_operator.clients._vault_errors import (
    FORBIDDEN,
    REJECTED,
    UNREACHABLE,
    Effect,
    error_of,
    unavailable,
)
from secureai_operator.clients._vault_health import HealthCallback, HealthMonitor
from secureai_operator.clients._vault_http import Answer
from secureai_operator.clients._vault_line import Observe, Request, VaultLine
from secureai_operator.clients._vault_session import VaultSession
from secureai_operator.clients.vault_api import VaultApi
from secureai_operator.errors import Retry, VaultDenied, VaultRefused

__all__ = ["HvacVault", "VaultApi"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")


def _ignore(op: str, code: str, seconds: float) -> None:
    """Observe nothing."""


class HvacVault:
    """`VaultApi` over HTTP.

    `needed` maps the paths the operator's work needs to the capability it needs there; losing one makes health
    `Denied`. `observe` gets operation, status code (or what came instead of one) and seconds of every request. Calls made while
    `is_urgent()` do not wait for the token bucket: a revocation overtakes a thousand creations.
    While not `may_write()` no write is sent: a process that was frozen must not go on where it stood.
    Names that do not begin with the connection's prefix are refused before anything is sent.
    """

    def __init__(
        self,
        connection: VaultConnection,
        needed: Mapping[str, str],
        *,
        observe: Observe = _ignore,
        is_urgent: Callable[[], bool] = bool,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self.connection = connection
        self._may_write = may_write
        self._line = VaultLine(connection, observe, is_urgent)
        self._session = VaultSession(self._line, connection, connection.role)
        self._destroyer = (
            VaultSession(self._line, connection, connection.destroy_role) if connection.destroy_role else None
        )
        self._retirer = (
            VaultSession(self._line, connection, connection.retire_role) if connection.retire_role else None
        )
        self._monitor = HealthMonitor(self._line, self._session, needed)
        self._accessor: str | None = None

    @property
    def health(self) -> VaultHealth:
        return self._monitor.health

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._monitor.time(), UTC)

    @property
    def token_seconds(self) -> float:
        """How long the operator's own token is still good."""
        return self._session.remaining

    def subscribe(self, callback: HealthCallback) -> Callable[[], None]:
        return self._monitor.subscribe(callback)

    async def check(self) -> VaultHealth:
        """Look at Vault now, for a preflight; `run` does it all the time."""
        return await self._monitor.check()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._monitor.run(), name=f"vault-health-{self.connection.name}")
            tasks.create_task(self._session.run(), name=f"vault-token-{self.connection.name}")

    async def close(self) -> None:
        for session in filter(None, (self._session, self._destroyer, self._retirer)):
            await session.close()
        self._line.close()

    # Keys

    async def read_key(self, name: str) -> KeyState | None:
        answer = await self._read("key/read", self._key(name))
        return None if answer is None else _decoded(codec.key_state, answer)

    async def create_key(
        self, name: str, *, key_type: str, derived: bool = False, convergent: bool = False
    ) -> KeyState:
        body = {"type": key_type, "derived": derived, "convergent_encryption": convergent}
        answer = await self._write("key/create", "POST", self._key(name), body)
        return _decoded(codec.key_state, answer)

    async def configure_key(
        self,
        name: str,
        *,
        min_decryption_version: int | None = None,
        min_encryption_version: int | None = None,
        deletion_allowed: bool | None = None,
        auto_rotate_period: int | None = None,
    ) -> None:
        fields = {
            "min_decryption_version": min_decryption_version,
            "min_encryption_version": min_encryption_version,
            "deletion_allowed": deletion_allowed,
            "auto_rotate_period": None if auto_rotate_period is None else f"{auto_rotate_period}s",
        }
        body = {field: value for field, value in fields.items() if value is not None}
        await self._write("key/configure", "POST", f"{self._key(name)}/config", body)

    async def rotate_key(self, name: str) -> KeyState:
        answer = await self._write("key/rotate", "POST", f"{self._key(name)}/rotate", {}, effect=Effect.ONCE)
        return _decoded(codec.key_state, answer)

    async def trim_key(self, name: str, min_available_version: int) -> None:
        if self._retirer is None:
            raise VaultDenied(
                FORBIDDEN, "no role that may destroy versions is configured for this connection"
            )
        self._check_leads()
        body = {"min_available_version": min_available_version}
        request = Request("key/trim", "POST", f"{self._key(name)}/trim", body, Effect.WRITE)
        _accepted(await self._send(request, self._retirer), request)

    async def delete_key(self, name: str) -> None:
        if await self.read_key(name) is None:
            return
        if self._destroyer is None:
            raise VaultDenied(FORBIDDEN, "no role that may destroy keys is configured for this connection")
        self._check_leads()
        allow = Request(
            "key/allow-delete", "POST", f"{self._key(name)}/config", {"deletion_allowed": True}, Effect.WRITE
        )
        delete = Request("key/delete", "DELETE", self._key(name), effect=Effect.WRITE)
        for request in (allow, delete):
            _accepted(await self._send(request, self._destroyer), request)

    async def rewrap(
        self, name: str, ciphertexts: Sequence[str], contexts: Sequence[str] | None = None
    ) -> list[str]:
        if not ciphertexts:
            return []
        items = [{"ciphertext": ciphertext} for ciphertext in ciphertexts]
        for item, context in zip(items, contexts or (), strict=contexts is not None):
            item["context"] = context
        answer = await self._ask("key/rewrap", "POST", self._transit("rewrap", name), {"batch_input": items})
        return _decoded(_rewrapped(len(items)), answer)

    async def new_data_key(self, name: str, bits: int = 256, context: str | None = None) -> str:
        body: dict[str, Any] = {"bits": bits} if context is None else {"bits": bits, "context": context}
        answer = await self._ask("key/datakey", "POST", self._transit("datakey/wrapped", name), body)
        return _decoded(lambda data: str(data["ciphertext"]), answer)

    # Policies and roles

    async def read_policy(self, name: str) -> str | None:
        answer = await self._read("policy/read", self._policy(name))
        return None if answer is None else _decoded(lambda data: str(data["policy"]), answer)

    async def write_policy(self, name: str, hcl: str) -> None:
        await self._write("policy/write", "POST", self._policy(name), {"policy": hcl})

    async def delete_policy(self, name: str) -> None:
        await self._write("policy/delete", "DELETE", self._policy(name))

    async def read_auth_role(self, name: str) -> AuthRole | None:
        answer = await self._read("authrole/read", self._auth_role(name))
        return None if answer is None else _decoded(codec.auth_role, answer)

    async def write_auth_role(self, name: str, role: AuthRole) -> None:
        await self._write("authrole/write", "POST", self._auth_role(name), codec.auth_role_body(role))

    async def delete_auth_role(self, name: str) -> None:
        await self._write("authrole/delete", "DELETE", self._auth_role(name))

    async def read_pki_role(self, name: str) -> PkiRole | None:
        answer = await self._read("pkirole/read", self._pki("roles", name))
        return None if answer is None else _decoded(codec.pki_role, answer)

    async def write_pki_role(self, name: str, role: PkiRole) -> None:
        await self._write("pkirole/write", "POST", self._pki("roles", name), codec.pki_role_body(role))

    async def delete_pki_role(self, name: str) -> None:
        await self._write("pkirole/delete", "DELETE", self._pki("roles", name))

    # Certificates

    async def sign_csr(
        self, role: str, csr_pem: str, common_name: str, alt_names: Sequence[str], ttl_seconds: int
    ) -> SignedCertificate:
        body = {
            "csr": csr_pem,
            "common_name": common_name,
            "alt_names": ",".join(alt_names),
            "exclude_cn_from_sans": False,
            "ttl": f"{ttl_seconds}s",
        }
        answer = await self._write("cert/sign", "POST", self._pki("sign", role), body, effect=Effect.ONCE)
        return _decoded(codec.signed_certificate, answer)

    async def ca_chain(self) -> str:
        path = f"/v1/{self.connection.pki_mount}/cert/ca_chain"
        answer = await self._read("ca/read", path)
        if answer is None:
            raise VaultRefused(REJECTED, "the PKI mount has no issuer")
        return _decoded(codec.ca_chain, answer)

    async def revoke_certificate(self, certificate_pem: str) -> None:
        path = f"/v1/{self.connection.pki_mount}/revoke"
        await self._write("cert/revoke", "POST", path, {"certificate": certificate_pem})

    # Identities

    async def set_entity_disabled(self, service_account_uid: str, disabled: bool) -> bool:
        answer = await self._entity(service_account_uid, await self._mount_accessor())
        if answer.status_code == HTTPStatus.NO_CONTENT:
            # A mount made anew has another accessor: never call access revoked for looking in the old one.
            stale, self._accessor = self._accessor, None
            if await self._mount_accessor() == stale:
                return False
            answer = await self._entity(service_account_uid, await self._mount_accessor())
            if answer.status_code == HTTPStatus.NO_CONTENT:
                return False
        entity, is_disabled = _decoded(lambda data: (str(data["id"]), bool(data["disabled"])), answer)
        if is_disabled != disabled:
            path = f"/v1/identity/entity/id/{entity}"
            await self._write("entity/disable", "POST", path, {"disabled": disabled})
        return True

    async def _entity(self, alias: str, accessor: str) -> Answer:
        body = {"alias_name": alias, "alias_mount_accessor": accessor}
        return await self._ask("entity/lookup", "POST", "/v1/identity/lookup/entity", body)

    async def _mount_accessor(self) -> str:
        if self._accessor is None:
            path = f"/v1/sys/internal/ui/mounts/auth/{self.connection.auth_mount}"
            answer = await self._ask("mount/read", "GET", path)
            self._accessor = _decoded(lambda data: str(data["accessor"]), answer)
        return self._accessor

    # How a request is made

    async def _read(self, op: str, path: str) -> Answer | None:
        """None for a thing that does not exist, in a mount that does."""
        request = Request(op, "GET", path)
        answer = await self._send(request)
        if answer.status_code == HTTPStatus.NOT_FOUND and not codec.has_errors(answer.body):
            return None
        return _accepted(answer, request)

    async def _ask(self, op: str, method: str, path: str, body: Any = None) -> Answer:
        """A request that changes nothing, so that it may be repeated, though it is a POST."""
        return await self._accept(Request(op, method, path, body))

    async def _write(
        self, op: str, method: str, path: str, body: Any = None, *, effect: Effect = Effect.WRITE
    ) -> Answer:
        self._check_leads()
        return await self._accept(Request(op, method, path, body, effect))

    def _check_leads(self) -> None:
        if not self._may_write():
            raise Retry("Retrying", "this process does not lead any more")

    async def _accept(self, request: Request) -> Answer:
        return _accepted(await self._send(request), request)

    async def _send(self, request: Request, session: VaultSession | None = None) -> Answer:
        """With the operator's token, and once more with another one after a 403."""
        session = session or self._session
        token = await session.token()
        answer = await self._line.send(request, token.value)
        if answer.status_code not in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED):
            return answer
        other = await session.replaced(token)
        return answer if other is None else await self._line.send(request, other.value)

    # Where things are: every path goes through `_own`, so no name can step out of its place.

    def _own(self, name: str) -> str:
        if not name.startswith(self.connection.policy_prefix) or not _NAME.fullmatch(name):
            raise VaultRefused(REJECTED, "this name is not one of the operator's own in Vault")
        return name

    def _transit(self, verb: str, name: str) -> str:
        return f"/v1/{self.connection.transit_mount}/{verb}/{self._own(name)}"

    def _key(self, name: str) -> str:
        return self._transit("keys", name)

    def _policy(self, name: str) -> str:
        return f"/v1/sys/policies/acl/{self._own(name)}"

    def _auth_role(self, name: str) -> str:
        return f"/v1/auth/{self.connection.auth_mount}/role/{self._own(name)}"

    def _pki(self, kind: str, name: str) -> str:
        return f"/v1/{self.connection.pki_mount}/{kind}/{self._own(name)}"


def _accepted(answer: Answer, request: Request) -> Answer:
    if answer.status_code < HTTPStatus.MULTIPLE_CHOICES:
        return answer
    raise error_of(answer, request.op, request.effect)


def _decoded(decode: Callable[[Mapping[str, Any]], T], answer: Answer) -> T:
    """What the answer says; one that makes no sense is a Vault that is not well, not a missing thing."""
    try:
        return decode(answer.json()["data"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise unavailable(UNREACHABLE) from None


def _rewrapped(expected: int) -> Callable[[Mapping[str, Any]], list[str]]:
    def decode(data: Mapping[str, Any]) -> list[str]:
        results = data["batch_results"]
        if len(results) != expected:
            raise ValueError("another number of results than of items")
        if any(item.get("error") for item in results):
            # Vault says 200 and hides in the list that an item was not rewrapped.
            raise VaultRefused(REJECTED, "Vault refuses `key/rewrap` of at least one ciphertext")
        return [str(item["ciphertext"]) for item in results]

    return decode
