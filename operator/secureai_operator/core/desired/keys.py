"""Keys: whether the key in Vault is the one this workload had, and the Secret of its wrapped data keys."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime

from secureai_operator import names
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType, rfc3339
from secureai_operator.api.resources import SECRETS
from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload import ENCRYPTING_KEY_TYPES, Custody, DataKey
from secureai_operator.api.workload_status import DataKeyStatus, KeyStatus
from secureai_operator.core.desired.objects import DesiredObject, desired_object
from secureai_operator.core.facts import Connection, Workload
from secureai_operator.core.verdict import Verdict, bad, good

_WRAPPED = re.compile(r"vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/=]{16,1000}")
"""Ciphertext as transit writes it: the version of the key is readable without any access to Vault."""


def key_version(wrapped: str) -> int | None:
    """The version of the key that wraps it, or None if this is no transit ciphertext."""
    match = _WRAPPED.fullmatch(wrapped)
    return int(match.group(1)) if match else None


def spec_verdict(workload: Workload, connection: Connection) -> Verdict | None:
    """What can be said about the declared keys without asking Vault."""
    keys = workload.spec.keys
    own = keys.custody is Custody.HOLD_YOUR_OWN_KEY
    if own != connection.customer_held:
        return bad(reasons.CUSTODY_MISMATCH, _mismatch(connection, own=own), terminal=True)
    if keys.data_keys and keys.type not in ENCRYPTING_KEY_TYPES:
        return bad(
            reasons.KEY_TYPE_CANNOT_WRAP,
            f"type {keys.type.value} only signs; remove spec.keys.dataKeys or use aes256-gcm96",
            terminal=True,
        )
    return None


def _mismatch(connection: Connection, *, own: bool) -> str:
    if own:
        return (
            f"custody hold-your-own-key needs a connection to the customer's own Vault, and {connection.name} is the "
            "platform's; name a customer-held connection in a new workload"
        )
    return f"connection {connection.name} is a customer's own Vault; make a new workload with custody hold-your-own-key"


def never_had_key(workload: Workload) -> bool:
    """Whether a missing key is one that never was: nothing we know of was ever made with it."""
    before = workload.status.key
    return (before is None or before.created_at is None) and not workload.status.data_keys


def may_create_key(workload: Workload) -> bool:
    """Whether the operator makes a missing key: never one that was, and never one that is the customer's to bring."""
    return never_had_key(workload) and workload.spec.keys.custody is not Custody.CUSTOMER_MANAGED


def key_awaited_verdict(workload: Workload, name: str) -> Verdict:
    """What is said while the customer has not yet imported a key that never was."""
    return bad(
        reasons.AWAITING_KEY_MATERIAL,
        f"import version 1 of key {name} of type {workload.spec.keys.type.value} (secureai key import)",
    )


def key_verdict(workload: Workload, key: KeyState | None) -> Verdict:
    """What the key that Vault holds says about this workload."""
    before = workload.status.key
    name = workload.status.vault.name if workload.status.vault else workload.name
    if key is None:
        return bad(
            reasons.KEY_LOST,
            f"key {name} existed and is gone from Vault; restore it from Vault's backup, it is never made anew",
            terminal=True,
        )
    if before and before.created_at and _is_replaced(before, key):
        return bad(
            reasons.KEY_REPLACED,
            f"key {name} in Vault is not the one this workload had; restore it from Vault's backup",
            terminal=True,
        )
    if key.exportable or key.allow_plaintext_backup:
        flag = "exportable" if key.exportable else "allow_plaintext_backup"
        return bad(reasons.KEY_EXPOSED, f"{flag} was turned on for key {name} and cannot be turned off")
    difference = _immutable_difference(workload, key)
    if difference:
        return bad(reasons.IMMUTABLE_FIELD_DRIFT, f"key {name} {difference}; make a new workload instead")
    return good(reasons.KEY_AVAILABLE, f"version {key.latest_version}")


def _immutable_difference(workload: Workload, key: KeyState) -> str:
    """How the key is otherwise than declared in what was settled as it was made, or ""."""
    keys = workload.spec.keys
    if key.type != keys.type.value:
        return f"is of type {key.type}, and the spec wants {keys.type.value}"
    if key.derived != keys.derived:
        return f"has derived {str(key.derived).lower()}, and the spec wants {str(keys.derived).lower()}"
    if key.convergent:
        return "encrypts convergently, which tells equal data from other"
    if keys.custody is Custody.CUSTOMER_MANAGED and not key.imported:
        return "was made by Vault, and custody customer-managed wants one that the customer imports"
    if keys.custody is Custody.SERVICE_MANAGED and key.imported:
        return "was imported, and custody service-managed wants one that Vault makes"
    return ""


def _is_replaced(before: KeyStatus, key: KeyState) -> bool:
    """A lower latest version, or no version of the recorded time where it should be listed, is another key.

    Vault lists versions from the oldest that still decrypts: a recorded version older than all of them has retired,
    and older ones than the recorded may come back.
    """
    if key.latest_version < before.latest_version:
        return True
    if before.created_at is None or not key.versions:
        return False
    recorded = _unix(before.created_at)
    should_be_listed = 1 in key.versions or recorded > min(key.versions.values())
    return should_be_listed and recorded not in key.versions.values()


def _unix(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp())


def key_status(workload: Workload, key: KeyState) -> KeyStatus:
    """What is recorded of the key; when it was made is recorded once."""
    before = workload.status.key
    created = before.created_at if before and before.created_at else None
    if created is None and key.versions:
        created = _made_at(key, min(key.versions))
    return KeyStatus(
        type=key.type,
        custody=workload.spec.keys.custody.value,
        latest_version=key.latest_version,
        min_decryption_version=key.min_decryption_version,
        min_available_version=key.min_available_version,
        imported=key.imported,
        latest_version_at=_made_at(key, key.latest_version),
        created_at=created,
    )


def _made_at(key: KeyState, version: int) -> str | None:
    made = key.versions.get(version)
    return None if made is None else rfc3339(datetime.fromtimestamp(made, UTC))


def missing_data_keys(workload: Workload) -> tuple[DataKey, ...]:
    """Declared data keys that were never made."""
    known = {data_key.name for data_key in workload.status.data_keys}
    return tuple(key for key in workload.spec.keys.data_keys if key.name not in known)


def encoded_context(context: str | None) -> str | None:
    """The context of a data key as transit takes it, or None for a key that derives nothing."""
    return base64.b64encode(context.encode()).decode() if context else None


def desired_keys_secret(workload: Workload, data_keys: tuple[DataKeyStatus, ...]) -> DesiredObject | None:
    """The Secret of the wrapped data keys, whole from what status records: nothing in it is secret in itself.

    A data key that the spec no longer names stays: what it encrypted may still be needed.
    """
    if not data_keys:
        return None
    data = {
        data_key.name: base64.b64encode(data_key.wrapped.encode()).decode()
        for data_key in sorted(data_keys, key=lambda data_key: data_key.name)
    }
    return desired_object(
        workload,
        SECRETS,
        names.keys_secret(workload.name),
        ConditionType.KEY_READY,
        {"type": "Opaque", "data": data},
    )
