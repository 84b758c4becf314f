"""The data keys of a pass: those that status does not record are taken from the Secret that outlived it, or made."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

from secureai_operator import errors, names
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.resources import SECRETS
from secureai_operator.api.workload import DataKey
from secureai_operator.api.workload_status import DATA_KEYS_MAX, DataKeyStatus
from secureai_operator.controllers.vault_side import VaultOutcome, VaultSide, vault_verdict
from secureai_operator.core.desired.keys import encoded_context, key_version, missing_data_keys
from secureai_operator.core.rotation.data_keys import recorded
from secureai_operator.core.verdict import Verdict, bad


async def wrap_missing_data_keys(side: VaultSide, outcome: VaultOutcome) -> None:
    """Every declared data key that status does not record: taken from the Secret if there is one, or made.

    A status that records none at all is of a new workload. It takes over all that the Secret holds, earlier ones and those that
    nobody declares any more too: what it does not record is written over.
    """
    missing = missing_data_keys(side.workload)
    if not missing or outcome.key is None or outcome.key.status != "True":
        return
    try:
        found = await _entries(side) if await side.has_record() else {}
        taken = recorded(found, side.workload.spec.keys.data_keys)
        if outcome.data_keys:
            taken = tuple(one for one in taken if one.name in {key.name for key in missing})
        if len(taken) > DATA_KEYS_MAX:
            outcome.failures[C.KEY_READY] = _too_many(side, len(taken))
            return
        adopted = await _adopted(side, taken)
        there = {one.name for one in adopted}
        made = [await _new(side, data_key) for data_key in missing if data_key.name not in there]
    except errors.VaultRefused:
        outcome.failures[C.KEY_READY] = bad(
            reasons.DATA_KEY_LOST,
            f"Secret {names.keys_secret(side.workload.name)} holds a data key that this key did not wrap, or not with the context "
            "that the spec declares; restore the Secret from a backup, or take the entry out",
        )
        return
    except errors.OperatorError as error:
        outcome.failures[C.KEY_READY] = vault_verdict(error)
        return
    everything = (*outcome.data_keys, *adopted, *made)
    outcome.data_keys = tuple(sorted(everything, key=lambda data_key: data_key.name))


def data_key_verdict(outcome: VaultOutcome) -> Verdict | None:
    """Why a recorded data key can no longer be unwrapped, or None."""
    latest = outcome.key_status.latest_version if outcome.key_status else 0
    for data_key in outcome.data_keys:
        version = key_version(data_key.wrapped)
        if version is None or version > latest:
            return bad(
                reasons.DATA_KEY_LOST,
                f"data key {data_key.name} is not wrapped by any version of the key; restore the Secret from a backup",
            )
    return None


async def _adopted(side: VaultSide, found: Sequence[DataKeyStatus]) -> list[DataKeyStatus]:
    """Data keys found in a Secret, if the key can unwrap them: who may write Secrets must not plant others.

    Rewrapping is the proof that needs no right to decrypt; its result counts only if it is of a newer version.
    """
    contexts = (
        [encoded_context(one.context) or "" for one in found] if any(one.context for one in found) else None
    )
    rewrapped = await side.vault.rewrap(side.desired.name, [one.wrapped for one in found], contexts)
    return [
        one
        if key_version(new) == one.key_version
        else one.model_copy(update={"wrapped": new, "key_version": key_version(new) or 0})
        for one, new in zip(found, rewrapped, strict=True)
    ]


async def _new(side: VaultSide, declared: DataKey) -> DataKeyStatus:
    context = encoded_context(declared.context)
    wrapped = await side.vault.new_data_key(side.desired.name, declared.bits, context)
    return DataKeyStatus(
        name=declared.name,
        key_version=key_version(wrapped) or 0,
        wrapped=wrapped,
        context=declared.context or "",
    )


async def _entries(side: VaultSide) -> Mapping[str, str]:
    """Wrapped data keys of a Secret that outlived its status: retained, restored, or written just before a crash."""
    secret = await side.kube.get(SECRETS, names.keys_secret(side.workload.name))
    labels = (secret or {}).get("metadata", {}).get("labels") or {}
    if secret is None or labels.get(names.WORKLOAD_LABEL) != side.workload.name:
        return {}
    found = {}
    for name, value in (secret.get("data") or {}).items():
        try:
            text = base64.b64decode(value, validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            continue
        if key_version(text) is not None:
            found[name] = text
    return found


def _too_many(side: VaultSide, count: int) -> Verdict:
    """So many nobody but a stranger wrote."""
    return bad(
        reasons.DATA_KEY_LOST,
        f"Secret {names.keys_secret(side.workload.name)} holds {count} data keys, and {DATA_KEYS_MAX} are the most that are ever "
        "kept; restore the Secret from a backup, or take out what is not yours",
    )
