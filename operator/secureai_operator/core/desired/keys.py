"""Keys: whether the key in Vault is the one this workload had, and the Secret of its wrapped data keys."""

from __future__ import annotations

import base64
import re
from datetime import datetime

from secureai_operator import names
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType
from secureai_operator.api.resources import SECRETS
from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload import ENCRYPTING_KEY_TYPES, Custody
from secureai_operator.api.workload_status import DataKeyStatus, KeyStatus
from secureai_operator.core.desired.objects import DesiredObject, desired_object
from secureai_operator.core.facts import Workload
from secureai_operator.core.verdict import Verdict, bad, good

_WRAPPED = re.compile(r"vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/=]{16,1000}")
"""Ciphertext as transit writes it: the version of the key is readable without any access to Vault."""


def key_version(wrapped: str) -> int | None:
    """The version of the key that wraps it, or None if this is no transit ciphertext."""
    match = _WRAPPED.fullmatch(wrapped)
    return int(match.group(1)) if match else None


def spec_verdict(workload: Workload) -> Verdict | None:
    """What can be said about the declared keys without asking Vault."""
    keys = workload.spec.keys
    if keys.custody is not Custody.SERVICE_MANAGED:
        return bad(
            reasons.CUSTODY_NOT_SUPPORTED,
            f"custody {keys.custody.value} is not supported yet; use service-managed",
            terminal=True,
        )
    if keys.data_keys and keys.type not in ENCRYPTING_KEY_TYPES:
        return bad(
            reasons.KEY_TYPE_CANNOT_WRAP,
            f"type {keys.type.value} only signs; remove spec.keys.dataKeys or use aes256-gcm96",
            terminal=True,
        )
    return None


def may_create_key(workload: Workload) -> bool:
    """Whether a missing key is one that never was: nothing we know of was ever made with it."""
    before = workload.status.key
    return (before is None or before.created_at is None) and not workload.status.data_keys


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
    if key.type != workload.spec.keys.type.value or key.derived or key.convergent:
        return bad(
            reasons.KEY_CONFIGURATION_DRIFT,
            f"key {name} is of type {key.type}"
            f"{', derived' if key.derived else ''}, the spec wants {workload.spec.keys.type.value}",
        )
    return good(reasons.KEY_AVAILABLE, f"version {key.latest_version}")


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


def missing_data_keys(workload: Workload) -> tuple[tuple[str, int], ...]:
    """Declared data keys that were never made, as (name, bits)."""
    known = {data_key.name for data_key in workload.status.data_keys}
    return tuple((key.name, key.bits) for key in workload.spec.keys.data_keys if key.name not in known)


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
