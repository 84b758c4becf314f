"""Wrapped key material into a workload's key in Vault: checked first, sent once, and read back before anything is said."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.api.vault_types import KeyState
from secureai_operator.cli import key_files, key_target, operator_config
from secureai_operator.cli.client import Cluster
from secureai_operator.cli.exits import NO, UNANSWERED, USAGE, CliError
from secureai_operator.cli.key_target import Target
from secureai_operator.cli.output import Mark, Word, print_json, print_line
from secureai_operator.clients.key_wrapping import (
    MAX_DOCUMENT_BYTES,
    WrappedKey,
    WrappedKeyRefused,
    WrappingKey,
    WrappingKeyRefused,
)
from secureai_operator.clients.kube_user import Json, KubeUser
from secureai_operator.clients.vault_user import VaultAccess, VaultUser
from secureai_operator.errors import OperatorError, VaultDenied, VaultRefused, VaultUncertain
from secureai_operator.settings import Settings

_SECONDS = 60.0
"""For one request: Vault makes the wrapping key when it is first asked for, RSA with 4096 bits."""


class Action(StrEnum):
    """What became of the material."""

    IMPORTED = "imported"
    THERE_ALREADY = "there already"
    PLANNED = "would be imported"


@dataclass(frozen=True)
class Brought:
    """The outcome, and the version that it speaks of."""

    action: Action
    mount: str
    key: str
    version: int


@contextlib.contextmanager
def connected_vault() -> Iterator[VaultUser]:
    """The Vault of VAULT_ADDR, with the rights of VAULT_TOKEN; a refusal says which policy it takes."""
    access = VaultAccess.from_environment()
    if access is None:
        raise CliError("set VAULT_ADDR and VAULT_TOKEN", USAGE)
    with VaultUser(access, timeout=_SECONDS) as vault:
        try:
            yield vault
        except VaultDenied:
            raise CliError(
                "Vault does not allow you to do that with VAULT_TOKEN: docs/key-custody.md has the policy that it takes"
            ) from None


def read_document(name: str) -> WrappedKey:
    try:
        return WrappedKey.from_document(bytes(key_files.read(name, MAX_DOCUMENT_BYTES)))
    except WrappedKeyRefused as error:
        raise CliError(f"{name}: {error}", USAGE) from None


def configured(kube: KubeUser, path: Path | None) -> Settings | None:
    return operator_config.from_file(path) if path is not None else operator_config.from_cluster(kube)


def wrapping_key(vault: VaultUser, mount: str) -> WrappingKey:
    pem = vault.wrapping_key(mount)
    if pem is None:
        raise CliError(f"Vault has no transit engine at {mount}: name the mount of the workload's key")
    try:
        return WrappingKey.from_pem(pem.encode())
    except WrappingKeyRefused:
        raise CliError(f"what Vault answers at {mount}/wrapping_key is no wrapping key") from None


def brought(
    vault: VaultUser,
    target: Target,
    wrapped: WrappedKey,
    *,
    version: int | None = None,
    dry_run: bool = False,
) -> Brought:
    """Import the material as the next version of the key; with `version` nothing is done if the key has it already."""
    key_target.check_material(target, wrapped)
    before = vault.key(target.mount, target.name)
    key_target.check_key(target, before)
    latest = _latest(before)
    if version is not None and latest >= version:
        return Brought(Action.THERE_ALREADY, target.mount, target.name, version)
    following = latest + 1
    key_target.check_version(target, version or following, latest)
    key_target.check_wrapping_key(wrapped, wrapping_key(vault, target.mount).fingerprint)
    if not dry_run:
        _import(vault, target, wrapped, following)
    action = Action.PLANNED if dry_run else Action.IMPORTED
    return Brought(action, target.mount, target.name, following)


def _import(vault: VaultUser, target: Target, wrapped: WrappedKey, version: int) -> None:
    """Send it once; whatever Vault answers, the key itself says whether the version is there."""
    refused = False
    try:
        _send(vault, target, wrapped, version)
    except VaultRefused:
        refused = True
    except VaultUncertain:
        pass
    found = _found(vault, target, version)
    if found > version:
        raise CliError(
            f"version {version} of key {target.name} is there, and so is {found}: somebody else imports at the same "
            "time; find out which version holds which material",
            NO,
        )
    if found < version and refused:
        raise CliError(_refusal(target), UNANSWERED)
    if found < version:
        raise CliError(
            f"Vault gave no clear answer, and version {version} of key {target.name} is not there yet: "
            f"repeat the command with --version {version}, which does nothing if it has come meanwhile",
            UNANSWERED,
        )


def _send(vault: VaultUser, target: Target, wrapped: WrappedKey, version: int) -> None:
    if version == 1:
        vault.import_key(
            target.mount,
            target.name,
            key_type=target.type.value,
            derived=target.derived,
            ciphertext=wrapped.ciphertext,
            hash_function=wrapped.hash_function,
        )
    else:
        vault.import_version(
            target.mount,
            target.name,
            ciphertext=wrapped.ciphertext,
            hash_function=wrapped.hash_function,
        )


def _refusal(target: Target) -> str:
    return (
        f"Vault does not take the material, and key {target.name} is as it was: fetch the wrapping key again "
        f"(`secureai key wrapping-key --mount {target.mount}`), wrap the material as {target.type}, and import that; "
        "if it is refused again, look at Vault's own log"
    )


def _found(vault: VaultUser, target: Target, version: int) -> int:
    """The latest version now; not to know it is said with what to do."""
    try:
        return _latest(vault.key(target.mount, target.name))
    except OperatorError:
        raise CliError(
            f"the material was sent, and Vault does not say whether key {target.name} has version {version} now: "
            f"repeat the command with --version {version}, which does nothing if it has",
            UNANSWERED,
        ) from None


def _latest(key: KeyState | None) -> int:
    return key.latest_version if key else 0


def operator_asked(cluster: Cluster, workload: Json, done: Brought) -> bool | None:
    """Ask the operator to look at once; False if that was not to be had, None if there is nothing new to see."""
    if done.action is not Action.IMPORTED:
        return None
    value = f"key-import-v{done.version}-{secrets.token_hex(4)}"
    try:
        cluster.kube.annotate(
            SECURE_AI_WORKLOADS,
            cluster.namespace,
            workload["metadata"]["name"],
            {names.RESYNC_ANNOTATION: value},
        )
    except OperatorError:
        return False
    return True


def show(done: Brought, asked: bool | None, output: str) -> None:
    if output == "json":
        print_json({**asdict(done), "operatorAsked": bool(asked)})
        return
    good = done.action is not Action.PLANNED
    mark = Mark.GOOD if good else Mark.PROGRESS
    print_line(f"version {done.version} of key {done.key} ({done.mount}): ", Word(done.action, mark))
    if asked is False:
        print_line("the operator could not be asked to look at once; it looks by itself within minutes")
