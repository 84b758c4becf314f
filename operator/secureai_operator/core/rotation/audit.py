"""Vault's audit log, read as evidence of what keys are used for. Pure; a line is input from outside, and is never quoted.

Measured on Vault 1.21.2, file device, JSON. A refused request has a `response` entry whose `error` is plain text but only
says `invalid request`; why it was refused stands in `response.data.error`, as the device's HMAC of the text unless the
mount has `audit_non_hmac_response_keys=error`. A batch of which anything fails is answered by a raw body: then even the HMAC
is of the whole answer, and only `http_status_code` says that something was refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from secureai_operator import names


class Operation(StrEnum):
    """What was asked of the key."""

    ENCRYPT = "encrypt"
    DATA_KEY = "datakey"
    REWRAP = "rewrap"
    DECRYPT = "decrypt"
    SIGN = "sign"
    VERIFY = "verify"
    HMAC = "hmac"


NEEDS_OLD: Final = frozenset({Operation.DECRYPT, Operation.REWRAP, Operation.VERIFY})
"""What `min_decryption_version` decides about."""


class Refusal(StrEnum):
    """Why it was not done."""

    TOO_OLD = "TooOld"
    """Made with a version below `min_decryption_version`."""
    TOO_NEW = "TooNew"
    """Made with a version that the key does not have: Vault may be restored from an old backup."""
    UNREADABLE = "Unreadable"
    """No ciphertext of this key."""
    NO_KEY = "NoKey"
    DENIED = "Denied"
    """The token may not do it."""
    IN_BATCH = "InBatch"
    """Something in a batch; the log hides what, and why."""
    HIDDEN = "Hidden"
    """The log hides why."""
    OTHER = "Other"


TEXTS: Final[Mapping[str, Refusal]] = MappingProxyType({
    "ciphertext or signature version is disallowed by policy (too old)": Refusal.TOO_OLD,
    "invalid ciphertext: version is too new": Refusal.TOO_NEW,
    "cipher: message authentication failed": Refusal.UNREADABLE,
    "chacha20poly1305: message authentication failed": Refusal.UNREADABLE,
    "invalid ciphertext: no prefix": Refusal.UNREADABLE,
    "encryption key not found": Refusal.NO_KEY,
})  # fmt: skip
"""What transit says; by `sys/audit-hash` a device tells what it writes instead."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Whose lines are looked at, and which HMACs are known."""

    cluster: str = "main"
    mount: str = "saw-transit"
    namespace: str = ""
    """Vault's own (Enterprise), without slashes around it; empty for the root."""
    hashes: Mapping[str, Refusal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Use:
    """One answered request for a workload's key. It holds no value of the log but what was checked word by word."""

    workload: tuple[str, str]
    operation: Operation
    at: str
    """RFC 3339, whole seconds."""
    request_id: str
    versions: tuple[int, ...] = ()
    """Of the key, for each thing that was made with it; how old what was decrypted is, the log does not say."""
    refusal: Refusal | None = None


class NotAnEntry(ValueError):
    """The line is no entry of an audit log in JSON."""


def use_of(line: bytes, reading: Reading) -> Use | None:
    """What the line tells of a workload of this cluster, or None. Raises NotAnEntry."""
    # Of a busy Vault's log next to nothing is ours; looking for bytes is a hundred times quicker than parsing.
    if f"/{names.vault_prefix(reading.cluster)}".encode() not in line or b'"response"' not in line:
        return None
    entry = _parsed(line)
    request, response = _part(entry, "request"), _part(entry, "response")
    asked = _asked(request.get("path"), reading)
    if entry.get("type") != "response" or asked is None or _namespace(request) != reading.namespace:
        return None
    operation, workload = asked
    at, request_id = _moment(entry.get("time")), request.get("id")
    if at is None or not isinstance(request_id, str) or not _ID.fullmatch(request_id):
        raise NotAnEntry("an entry without a time or an id")
    data = _part(response, "data")
    refusal = _refusal(entry.get("error"), data, reading.hashes)
    versions = () if refusal else tuple(_versions(data))
    return Use(workload, operation, at, request_id, versions, refusal)


_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VERSION_MAX: Final = 10**9


def _parsed(line: bytes) -> Mapping[str, Any]:
    # The device's `prefix` option may have put something in front.
    start = line.find(b"{")
    try:
        entry = json.loads(line[max(start, 0) :])
    except (ValueError, RecursionError):
        raise NotAnEntry("not JSON") from None
    if not isinstance(entry, dict):
        raise NotAnEntry("not a JSON object")
    return entry


def _part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = whole.get(name)
    return part if isinstance(part, dict) else {}


def _asked(path: Any, reading: Reading) -> tuple[Operation, tuple[str, str]] | None:
    """What was asked of whose key: MOUNT/OPERATION/NAME, with a kind before the name or an algorithm after it."""
    if not isinstance(path, str) or not path.startswith(f"{reading.mount}/"):
        return None
    match path.removeprefix(f"{reading.mount}/").split("/"):
        case ["datakey", "plaintext" | "wrapped", name]:
            operation = "datakey"
        case [("encrypt" | "decrypt" | "rewrap") as operation, name]:
            pass
        case [("sign" | "verify" | "hmac") as operation, name, *algorithm] if len(algorithm) <= 1:
            pass
        case _:
            return None
    workload = workload_of(name, reading.cluster)
    return None if workload is None else (Operation(operation), workload)


def workload_of(vault_name: str, cluster: str) -> tuple[str, str] | None:
    """Namespace and name of the workload that has this name in Vault, or None if no workload of the cluster can."""
    parts = vault_name.split(".")
    if len(parts) != 4 or len(parts[3]) > names.WORKLOAD_NAME_MAX:  # noqa: PLR2004 - saw, cluster, namespace, name
        return None
    _, _, namespace, name = parts
    try:
        is_ours = names.vault_name(cluster, namespace, name) == vault_name
    except ValueError:
        return None
    return (namespace, name) if is_ours else None


def _namespace(request: Mapping[str, Any]) -> str:
    """Vault's own namespace, as Enterprise has them; the root has no path."""
    return str(_part(request, "namespace").get("path") or "").strip("/")


def _moment(text: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        at = None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return None if at is None else at.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _refusal(error: Any, data: Mapping[str, Any], hashes: Mapping[str, Refusal]) -> Refusal | None:
    if "http_raw_body" in data:
        return _in_batch(data.get("http_status_code"))
    if not error:
        return None
    if "permission denied" in str(error):
        return Refusal.DENIED
    detail = data.get("error")
    if not isinstance(detail, str):
        return Refusal.OTHER
    if detail.startswith("hmac-"):
        return hashes.get(detail, Refusal.HIDDEN)
    return TEXTS.get(detail, Refusal.OTHER)


_SERVER_FAILED: Final = 500


def _in_batch(code: Any) -> Refusal:
    """A batch has a raw body only if something in it failed; whoever asked may even choose the code of its answer."""
    failed = isinstance(code, int) and code >= _SERVER_FAILED
    return Refusal.OTHER if failed else Refusal.IN_BATCH


def _versions(data: Mapping[str, Any]) -> Iterator[int]:
    batch = data.get("batch_results")
    for one in batch if isinstance(batch, list) else (data,):
        version = one.get("key_version") if isinstance(one, dict) else None
        # A bool is an int, and nothing that Vault counts.
        if type(version) is int and 0 < version < _VERSION_MAX:
            yield version
