"""Makes a Vault ready for the operator, with an administrator's token that is used and forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from secureai_operator.api.vault_setup import (
    AclPolicy,
    ItemReport,
    Mount,
    Outcome,
    RootAuthority,
    Setting,
    SetupItem,
)
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.clients._vault_codec import seconds
from secureai_operator.clients._vault_errors import Effect, error_of
from secureai_operator.clients._vault_http import Answer, PoolAdapter, TransportError
from secureai_operator.errors import VaultRefused

_BASE = "/v1"


class VaultAdministrator:
    """Applies setup items in order; each is compared first, so that a second time nothing is written.

    It never replaces what is not of the wanted kind: a mount of another type is reported as a conflict.
    """

    def __init__(self, connection: VaultConnection, token: str) -> None:
        self._adapter = PoolAdapter(
            connection.address,
            timeout=30.0,
            ca_file=connection.ca_file,
            namespace=connection.namespace,
        )
        self._token = token

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._adapter.close()

    async def apply(self, items: Iterable[SetupItem], *, dry_run: bool = False) -> tuple[ItemReport, ...]:
        """What became of each item, or with `dry_run` what would."""
        return tuple([await self._applied(item, dry_run) for item in items])

    async def _applied(self, item: SetupItem, dry_run: bool) -> ItemReport:
        match item:
            case Mount():
                return await self._mount(item, dry_run)
            case Setting():
                return await self._setting(item, dry_run)
            case AclPolicy():
                return await self._policy(item, dry_run)
            case RootAuthority():
                return await self._authority(item, dry_run)

    async def _mount(self, item: Mount, dry_run: bool) -> ItemReport:
        table, _, path = item.path.rpartition("/")
        table = "sys/auth" if table == "auth" else "sys/mounts"
        present = (await self._read(table) or {}).get(f"{path}/")
        wanted = {"max_lease_ttl": f"{item.max_lease_seconds}s"} if item.max_lease_seconds else {}
        if present is None:
            body = {"type": item.type, "description": item.description, "config": wanted}
            return await self._written(item.name, Outcome.CREATED, f"{table}/{path}", body, dry_run)
        if present["type"] != item.type:
            detail = f"a mount of type {present['type']} is there: choose another path"
            return ItemReport(item.name, Outcome.CONFLICT, detail)
        if item.max_lease_seconds in (0, seconds(present["config"]["max_lease_ttl"])):
            return ItemReport(item.name, Outcome.UNCHANGED)
        return await self._written(item.name, Outcome.UPDATED, f"{table}/{path}/tune", wanted, dry_run)

    async def _setting(self, item: Setting, dry_run: bool) -> ItemReport:
        try:
            present = await self._read(item.path)
        except VaultRefused:
            # How Vault answers for the tuning of a mount that a dry run did not make.
            if not dry_run:
                raise
            present = None
        # A secret that is given is written: it cannot be compared, and the one that is there may have expired.
        if present is not None and not item.secret and _holds(present, item.fields):
            return ItemReport(item.name, Outcome.UNCHANGED)
        outcome = Outcome.CREATED if present is None else Outcome.UPDATED
        return await self._written(item.name, outcome, item.path, {**item.fields, **item.secret}, dry_run)

    async def _policy(self, item: AclPolicy, dry_run: bool) -> ItemReport:
        path = f"sys/policies/acl/{item.policy}"
        present = await self._read(path)
        if present is not None and str(present["policy"]).strip() == item.hcl.strip():
            return ItemReport(item.name, Outcome.UNCHANGED)
        outcome = Outcome.CREATED if present is None else Outcome.UPDATED
        return await self._written(item.name, outcome, path, {"policy": item.hcl}, dry_run)

    async def _authority(self, item: RootAuthority, dry_run: bool) -> ItemReport:
        if await self._read(f"{item.mount}/issuers", method="LIST") is not None:
            return ItemReport(item.name, Outcome.UNCHANGED)
        body = {
            "common_name": item.common_name,
            "ttl": f"{item.ttl_seconds}s",
            "key_type": "ec",
            "key_bits": 256,
            "max_path_length": 0,
        }
        path = f"{item.mount}/root/generate/internal"
        return await self._written(item.name, Outcome.CREATED, path, body, dry_run)

    async def _written(
        self, name: str, outcome: Outcome, path: str, body: Mapping[str, Any], dry_run: bool
    ) -> ItemReport:
        if not dry_run:
            answer = await self._answer("POST", path, dict(body))
            if not answer.ok:
                raise error_of(answer, name, Effect.WRITE)
        return ItemReport(name, outcome)

    async def _read(self, path: str, method: str = "GET") -> dict[str, Any] | None:
        """None if it is not there; so is everything in a mount that a dry run did not make."""
        answer = await self._answer(method, path)
        if answer.status_code == HTTPStatus.NO_CONTENT:
            return None
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if not answer.ok:
            raise error_of(answer, path, Effect.READ)
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def _answer(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        try:
            return await asyncio.to_thread(
                self._adapter.send, method, f"{_BASE}/{path}", body, token=self._token
            )
        except TransportError as error:
            raise error_of(error, path, Effect.READ if body is None else Effect.WRITE) from None


def _holds(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(_normal(present.get(name)) == _normal(value) for name, value in wanted.items())


def _normal(value: Any) -> Any:
    """Lists have no order here, and Vault answers an empty one as nothing."""
    if isinstance(value, list):
        return sorted(value)
    return value.strip() if isinstance(value, str) else value
