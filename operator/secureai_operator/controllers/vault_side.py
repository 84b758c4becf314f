"""The Vault half of a pass: look, make the key if it never was, write what differs, wrap data keys, sign."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from secureai_operator import errors
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.conditions import condition, rfc3339
from secureai_operator.api.reasons import REASONS, Reason
from secureai_operator.api.vault_types import KeyState, SignedCertificate
from secureai_operator.api.workload import DriftPolicy
from secureai_operator.api.workload_status import DataKeyStatus, DriftStatus, KeyStatus
from secureai_operator.clients.kube import ScopedKube
from secureai_operator.clients.vault_api import VaultApi
from secureai_operator.clients.x509 import new_certificate_request
from secureai_operator.controllers.memory import Memory
from secureai_operator.core.desired.keys import (
    key_awaited_verdict,
    key_status,
    key_verdict,
    may_create_key,
    never_had_key,
)
from secureai_operator.core.desired.vault import (
    DesiredVault,
    VaultDifference,
    dns_names,
    vault_differences,
)
from secureai_operator.core.facts import VaultObserved, Workload
from secureai_operator.core.verdict import Verdict, bad

log = logging.getLogger(__name__)

DriftHook = Callable[[Workload, DriftStatus], None]
SecurityHook = Callable[[Workload, Reason, str], None]


@dataclass(frozen=True, slots=True)
class VaultSide:
    """What the Vault half works with for one workload."""

    vault: VaultApi
    kube: ScopedKube
    workload: Workload
    desired: DesiredVault
    memory: Memory
    now: datetime
    on_drift: DriftHook
    on_security: SecurityHook
    is_held: Callable[[], Awaitable[None]]
    """Returns when our finalizer is on the CR: until then nothing may be made that only it would clean up."""
    has_record: Callable[[], Awaitable[bool]]
    """Whether a Secret of wrapped data keys is there: the proof that there was a key, whatever status says."""


@dataclass(slots=True)
class VaultOutcome:
    """How the Vault half went; `failures` holds a verdict for each concern that could not be made true."""

    key: Verdict | None = None
    key_status: KeyStatus | None = None
    data_keys: tuple[DataKeyStatus, ...] = ()
    failures: dict[C, Verdict] = field(default_factory=dict)
    drift: DriftStatus | None = None
    reported: set[tuple[str, str, str]] = field(default_factory=set)
    """Kind, name and field of the drift that stands."""
    wrote: int = 0

    def turned(self, workload: Workload, key: KeyState) -> None:
        """The key was rotated, or its minimum raised, after it was looked at."""
        if self.key_status is not None and self.key is not None:
            self.key_status = key_status(workload, key)
            self.key = key_verdict(workload, key)

    @property
    def awaits_key(self) -> bool:
        """Whether the key is the customer's to bring, and not there yet."""
        return self.key is not None and self.key.reason is reasons.AWAITING_KEY_MATERIAL


async def converge(side: VaultSide, *, look: bool) -> VaultOutcome:
    """Make Vault as desired. `look`: read first what is there; without it the last look counts.

    Raises the Vault errors of the first read; errors of writes are kept by concern.
    """
    outcome = VaultOutcome(key_status=side.workload.status.key, data_keys=side.workload.status.data_keys)
    observed = side.memory.vault
    if look or observed is None:
        observed = await _observe(side)
    await side.is_held()
    # Neither needs the other: a policy may name a key that is only just being made.
    key, written = await asyncio.gather(
        _settled_key(side, observed.key, outcome), _write_differences(side, observed, outcome)
    )
    if key is not None and written.key is not None:
        key = replace(key, deletion_allowed=written.key.deletion_allowed)
    # The customer's import tells nobody: until it is there, every pass looks.
    side.memory.vault = None if outcome.awaits_key else replace(written, key=key)
    side.memory.vault_drift = outcome.drift if outcome.reported else None
    side.memory.keep_reported(lambda entry: not entry[0].startswith("Vault") or entry in outcome.reported)
    return outcome


async def _observe(side: VaultSide) -> VaultObserved:
    """Read all that is there. Of a workload that was never here before only the key: the rest is simply written."""
    name = side.desired.name
    if side.workload.status.vault is None and side.memory.vault is None:
        return VaultObserved(await side.vault.read_key(name), None, None, None)
    key, policy, auth_role, pki_role = await asyncio.gather(
        side.vault.read_key(name),
        side.vault.read_policy(name),
        side.vault.read_auth_role(name),
        side.vault.read_pki_role(name),
    )
    return VaultObserved(key, policy, auth_role, pki_role)


async def _settled_key(side: VaultSide, key: KeyState | None, outcome: VaultOutcome) -> KeyState | None:
    """The key with its verdict, after making it if it never was and is ours to make."""
    desired = side.desired
    is_new = key is None and never_had_key(side.workload) and not await side.has_record()
    if is_new and may_create_key(side.workload):
        try:
            key = await side.vault.create_key(
                desired.name, key_type=desired.key_type, derived=desired.derived
            )
        except errors.OperatorError as error:
            outcome.failures[C.KEY_READY] = vault_verdict(error)
            return None
        outcome.wrote += 1
    if is_new and key is None:
        outcome.key = key_awaited_verdict(side.workload, desired.name)
    else:
        outcome.key = key_verdict(side.workload, key)
    if key is not None and outcome.key.reason is not reasons.KEY_REPLACED:
        outcome.key_status = key_status(side.workload, key)
    if outcome.key.status != "True":
        side.on_security(side.workload, outcome.key.reason, outcome.key.message)
    return key


async def _write_differences(
    side: VaultSide, observed: VaultObserved, outcome: VaultOutcome
) -> VaultObserved:
    differences = list(vault_differences(side.desired, observed))
    if not differences:
        return observed
    writes = []
    for difference in differences:
        drift = _drift(side, difference) if _is_foreign(side, difference) else None
        if drift is not None and side.workload.spec.drift_policy is DriftPolicy.WARN:
            _report(side, drift, outcome)
            continue
        writes.append(_write(side, difference, drift, outcome))
    done = await asyncio.gather(*writes)
    for kind in filter(None, done):
        observed = _as_written(side.desired, observed, kind)
    return observed


async def _write(
    side: VaultSide, difference: VaultDifference, drift: DriftStatus | None, outcome: VaultOutcome
) -> str:
    """Write one thing; returns its kind, or "" if that failed."""
    name = side.desired.name
    writers: dict[str, Callable[[], Awaitable[None]]] = {
        "VaultKey": lambda: side.vault.configure_key(name, deletion_allowed=False),
        "VaultPolicy": lambda: side.vault.write_policy(name, side.desired.policy),
        "VaultAuthRole": lambda: side.vault.write_auth_role(name, side.desired.auth_role),
    }
    pki_role = side.desired.pki_role
    if pki_role is None:
        writers["VaultPkiRole"] = lambda: side.vault.delete_pki_role(name)
    else:
        writers["VaultPkiRole"] = lambda: side.vault.write_pki_role(name, pki_role)
    concern = _concern(difference.kind)
    try:
        await writers[difference.kind]()
    except errors.OperatorError as error:
        outcome.failures[concern] = vault_verdict(error)
        return ""
    outcome.wrote += 1
    if difference.kind == "VaultKey":
        side.on_security(
            side.workload, reasons.DELETION_ENABLED, f"deletion_allowed of key {name} was turned off again"
        )
    if drift is not None:
        outcome.drift = drift
        side.on_drift(side.workload, drift)
    return difference.kind


def _as_written(desired: DesiredVault, observed: VaultObserved, kind: str) -> VaultObserved:
    if kind == "VaultPolicy":
        return replace(observed, policy=desired.policy)
    if kind == "VaultAuthRole":
        return replace(observed, auth_role=desired.auth_role)
    if kind == "VaultPkiRole":
        return replace(observed, pki_role=desired.pki_role)
    key = observed.key
    return replace(observed, key=None if key is None else replace(key, deletion_allowed=False))


def _concern(kind: str) -> C:
    """The condition that speaks of one kind of thing in Vault."""
    return {"VaultKey": C.KEY_READY, "VaultPkiRole": C.CERTIFICATE_READY}.get(kind, C.IDENTITY_READY)


def _is_foreign(side: VaultSide, difference: VaultDifference) -> bool:
    """Whether somebody else made the difference: only what was once whole for this spec can have been changed.

    A spec that changed makes its own differences, and so does a write that failed before.
    """
    whole_for, workload = side.memory.vault_generation, side.workload
    if difference.kind == "VaultKey":
        # No spec asks for what is wrong with it.
        return whole_for != -1 or workload.status.vault is not None
    if whole_for != -1:
        # Access that is withdrawn in an emergency is no spec's, and nobody else's, doing.
        return whole_for == workload.generation and side.memory.vault_seal == side.desired.seal
    # The first look of this process: status tells how the last one left it, and what that one wanted.
    if workload.status.vault is not None and workload.status.vault.applied not in ("", side.desired.seal):
        return False
    made = condition(workload.status.conditions, _concern(difference.kind))
    if made is None or made.observed_generation != workload.generation:
        return False
    return made.status == "True" or made.reason == reasons.DRIFT_REPORTED.name


def _drift(side: VaultSide, difference: VaultDifference) -> DriftStatus:
    return DriftStatus(
        time=rfc3339(side.now),
        kind=difference.kind,
        name=difference.name,
        field=difference.field,
        action="Healed",
    )


def _report(side: VaultSide, drift: DriftStatus, outcome: VaultOutcome) -> None:
    reported = drift.model_copy(update={"action": "Reported"})
    outcome.drift = reported
    place = (drift.kind, drift.name, drift.field)
    outcome.reported.add(place)
    if place not in side.memory.reported:
        side.memory.reported |= {place}
        side.on_drift(side.workload, reported)


def standing(memory: Memory) -> dict[C, str]:
    """What Vault holds otherwise than desired and was left so, by the concern that is not true because of it."""
    return {
        _concern(kind): f"{kind} {name}: {part or 'deleted'}"
        for kind, name, part in sorted(memory.reported)
        if kind.startswith("Vault")
    }


@dataclass(frozen=True, slots=True, repr=False)
class NewCertificate:
    """A signed certificate with its private key. Never printed."""

    signed: SignedCertificate
    private_key_pem: str


async def sign_certificate(side: VaultSide) -> NewCertificate:
    """A new key pair, signed by Vault's PKI. Raises the Vault errors."""
    wanted = dns_names(side.workload)
    request = new_certificate_request(wanted)
    role = side.desired.pki_role
    if role is None:
        raise errors.Terminal(reasons.CERTIFICATE_NOT_REQUESTED.name, "no certificate is asked for")
    signed = await side.vault.sign_csr(side.desired.name, request.csr_pem, "", wanted, role.ttl)
    return NewCertificate(signed, request.private_key_pem)


def vault_verdict(error: errors.OperatorError) -> Verdict:
    """What a failed call says, in the registry's words."""
    reason = REASONS.get(error.reason, reasons.VAULT_UNREACHABLE)
    return bad(reason, reason.meaning)


def next_look(seconds: float, spread: float) -> float:
    """When to look at Vault again, in monotonic seconds; jittered by a fifth either way."""
    return time.monotonic() + seconds * (0.8 + 0.4 * spread)
