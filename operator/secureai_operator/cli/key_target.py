"""Which key in Vault a workload's own material belongs to, and whether it may be imported there. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from secureai_operator import names
from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload import Custody, KeyType
from secureai_operator.cli.exits import UNANSWERED, USAGE, CliError
from secureai_operator.cli.operator_config import vault_connection
from secureai_operator.cli.output import string
from secureai_operator.clients.key_wrapping import WrappedKey
from secureai_operator.settings import Settings

MOUNT = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")


@dataclass(frozen=True)
class Target:
    """The key of one workload with custody customer-managed."""

    mount: str
    name: str
    type: KeyType
    derived: bool = False
    known_version: int = 0
    """The latest version that the operator has seen: Vault may have more, and never fewer."""

    @property
    def path(self) -> str:
        return f"{self.mount}/keys/{self.name}"


def target_of(workload: Mapping[str, Any], settings: Callable[[], Settings | None]) -> Target:
    """The workload's key; the operator's settings are only asked for what its status does not say."""
    name = string(workload, "metadata", "name")
    if string(workload, "metadata", "deletionTimestamp"):
        raise CliError(f"{name} is being deleted: nothing is imported for it")
    keys = (workload.get("spec") or {}).get("keys") or {}
    custody = string(keys, "custody") or Custody.SERVICE_MANAGED
    if custody != Custody.CUSTOMER_MANAGED:
        raise CliError(
            f"spec.keys.custody of {name} is {custody}: only a customer-managed key is imported; custody cannot be "
            "changed later, so make a new workload",
            USAGE,
        )
    mount, key = _place(workload, settings)
    status = workload.get("status") or {}
    return Target(
        mount,
        key,
        KeyType(string(keys, "type") or KeyType.AES256_GCM96),
        derived=bool(keys.get("derived")),
        known_version=int((status.get("key") or {}).get("latestVersion") or 0),
    )


def _place(workload: Mapping[str, Any], settings: Callable[[], Settings | None]) -> tuple[str, str]:
    """Mount and name of the key, from the status or, before the operator's first look, from its settings."""
    namespace, name = string(workload, "metadata", "namespace"), string(workload, "metadata", "name")
    mount, key = (string(workload, "status", "vault", field) for field in ("transitMount", "name"))
    if not mount or not key:
        configured = settings()
        if configured is None:
            raise CliError(
                f"the operator has not looked at {name} yet, and its configuration is not visible: wait until the "
                "status says where the key is, or use --config"
            )
        connection = vault_connection(
            configured, string(workload, "spec", "vault", "connection") or "default"
        )
        return connection.transit_mount, names.vault_name(configured.cluster, namespace, name)
    if not MOUNT.fullmatch(mount) or not _is_of(key, namespace, name):
        raise CliError(f"the status of {name} names a key that is not the workload's: nothing is imported")
    return mount, key


def _is_of(key: str, namespace: str, name: str) -> bool:
    """Whether some cluster's operator calls the key of this workload so."""
    prefix, dot, rest = key.partition(".")
    cluster = rest.removesuffix(f".{namespace}.{name}")
    try:
        return bool(dot) and prefix == "saw" and key == names.vault_name(cluster, namespace, name)
    except ValueError:
        return False


def check_material(target: Target, wrapped: WrappedKey) -> None:
    if wrapped.type is not target.type:
        raise CliError(
            f"the material was wrapped as {wrapped.type}, and spec.keys.type of the workload is {target.type}: "
            "wrap a key of that type",
            USAGE,
        )


def check_key(target: Target, key: KeyState | None) -> None:
    """Whether Vault would take material into the key as it is now, and the operator then still know it."""
    if (key.latest_version if key else 0) < target.known_version:
        found = f"is at version {key.latest_version} in Vault" if key else "is gone from Vault"
        raise CliError(
            f"key {target.name} had version {target.known_version} and {found}: restore it from Vault's backup; "
            "an import would make another key of it",
            UNANSWERED,
        )
    if key is None:
        return
    if not key.imported:
        raise CliError(
            f"Vault made (or rotated) key {target.name} itself, and never takes imports into such a key: "
            "make a new workload with custody customer-managed and move the data to it",
            UNANSWERED,
        )
    if key.type != target.type or key.derived != target.derived:
        derived = ", derived" if key.derived else ""
        raise CliError(
            f"key {target.name} in Vault is of type {key.type}{derived}, and the workload's spec says otherwise: "
            "nothing is imported",
            UNANSWERED,
        )


def check_version(target: Target, wanted: int, latest: int) -> None:
    if wanted != latest + 1:
        raise CliError(
            f"version {wanted} of key {target.name} is not the next one: Vault has {latest or 'none'}, "
            f"so the next import becomes version {latest + 1}",
            USAGE,
        )


def check_wrapping_key(wrapped: WrappedKey, current: str) -> None:
    """By its fingerprint: Vault itself would only say that it cannot decrypt."""
    if wrapped.wrapping_key_sha256 != current:
        raise CliError(
            "the material was wrapped for another Vault or another mount: fetch the wrapping key again "
            "(`secureai key wrapping-key`) and wrap the material with it",
            USAGE,
        )
