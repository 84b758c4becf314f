"""One pass over one SecureAIWorkload: load → facts → desired → plan → execute → one status patch if it changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from zlib import crc32

from secureai_operator import errors, names
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.reasons import Reason
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.clients.kube import KubeApi, ScopedKube
from secureai_operator.clients.vault_api import VaultApi
from secureai_operator.controllers import kubernetes_side, vault_side
from secureai_operator.controllers.assessment import Found, assess
from secureai_operator.controllers.children import Children
from secureai_operator.controllers.data_keys_side import wrap_missing_data_keys
from secureai_operator.controllers.finalization import Finalization
from secureai_operator.controllers.hooks import Hooks
from secureai_operator.controllers.key_life import KeyLife
from secureai_operator.controllers.memory import NOTHING, Memories, Memory
from secureai_operator.controllers.namespace_secrets import NamespaceSecrets
from secureai_operator.controllers.pods import Pods
from secureai_operator.controllers.rotation_turn import Save
from secureai_operator.controllers.secrets_side import CaChains, converge_secrets
from secureai_operator.controllers.status_writer import StatusWriter
from secureai_operator.controllers.vault_side import VaultOutcome, VaultSide
from secureai_operator.controllers.workload_status import failed_status, next_status
from secureai_operator.controllers.workloads import Key, StoredWorkload, Workloads, as_workload
from secureai_operator.controllers.world import World
from secureai_operator.core.desired import desired_objects
from secureai_operator.core.desired.access import access_verdict
from secureai_operator.core.desired.claims import claim_verdict
from secureai_operator.core.desired.keys import spec_verdict
from secureai_operator.core.desired.placement import placement
from secureai_operator.core.desired.vault import desired_vault
from secureai_operator.core.facts import Facts, Workload
from secureai_operator.core.plan import Delete, Step, plan
from secureai_operator.core.rotation.emergency import denies, is_under_way

log = logging.getLogger(__name__)

RETRY_CAP = 15.0
"""Longest pause in seconds between attempts at something that failed: not all that helps is watched, such as a stranger's
object that goes away."""
UNBOUND_SECONDS = 5.0
"""How often to look at pods that escaped the binding, and to evict one."""
UNTOLD_SECONDS = 30.0
"""How often to look again at what nobody tells of: roles, the ceiling, TDX keys in use, a rival that left."""


@dataclass(slots=True)
class WorkloadController:
    """The level-triggered reconcile of SecureAIWorkload. It never asks what happened, only what is."""

    kube: KubeApi
    vaults: Mapping[str, VaultApi]
    world: World
    workloads: Workloads
    children: Children
    pods: Pods
    secrets: NamespaceSecrets
    finalization: Finalization
    hooks: Hooks
    now: Callable[[], datetime]
    vault_probe_seconds: float
    statuses: StatusWriter
    leads: Callable[[], bool]
    """Whether this process is the one that may write."""
    memories: Memories
    key_life: KeyLife
    hurry: Callable[[Key, float], None]
    """Have the key looked at in so many seconds, before all others."""
    chains: CaChains = field(default_factory=CaChains)

    async def reconcile(self, key: Key) -> float | None:
        """One pass; returns the seconds until the next look, or None to wait for a change."""
        item = self.workloads.get(key)
        if item is None:
            await self._forget(key)
            return None
        kube = ScopedKube(self.kube, item.namespace, self.leads)
        try:
            workload = as_workload(item)
        except errors.Terminal as error:
            await self.statuses.write(
                *failed_status(item, reasons.INVALID_SPEC, error.message, self.now()), kube
            )
            return None
        memory = self.memories.of(key, item.uid)
        memory.wake(item.status, workload.status)
        try:
            # What we wrote last counts, not what somebody may have made of it since.
            return await self._pass(
                replace(workload, status=memory.status or workload.status), item, kube, memory
            )
        finally:
            memory.rest((self.workloads.get(key) or item).status)

    async def _pass(
        self, workload: Workload, item: StoredWorkload, kube: ScopedKube, memory: Memory
    ) -> float | None:
        if workload.deleting:
            return await self._finalize(workload, item, kube)
        if workload.spec.suspend:
            self.key_life.rotations.skip(workload)
            await self._write_status(workload, kube, Found(suspended=True), None)
            return None
        try:
            return await self._converge(workload, item, kube, memory)
        except errors.Terminal:
            # Nothing could be looked at, and nobody will look again: what the spec asks for cannot even be asked.
            message = "the API server refuses to look for what this spec names"
            await self._write_failed(item, reasons.KUBERNETES_REFUSED, message, kube)
            raise
        except errors.OperatorError:
            raise
        except Exception:
            # A defect of ours on this workload: say so where its owner looks; the trace is in the log.
            message = "the operator failed on this workload; its log has the trace"
            await self._write_failed(item, reasons.INTERNAL_ERROR, message, kube)
            raise

    async def _write_failed(
        self, item: StoredWorkload, reason: Reason, message: str, kube: ScopedKube
    ) -> None:
        with contextlib.suppress(errors.OperatorError):
            await self.statuses.write(*failed_status(item, reason, message, self.now()), kube)

    async def _finalize(self, workload: Workload, item: StoredWorkload, kube: ScopedKube) -> float | None:
        self.key_life.rotations.skip(workload)
        again = await self.finalization.finalize(workload, item, kube, self.vaults)
        if again is not None:
            await self._write_status(workload, kube, Found(terminating=True), None)
        elif workload.has_finalizer:
            self.memories.of(workload.key, workload.uid).let_go = True
        return again

    async def _converge(
        self, workload: Workload, item: StoredWorkload, kube: ScopedKube, memory: Memory
    ) -> float | None:
        now = self.now()
        await self.pods.refresh(workload, kube)
        facts = await self.world.facts(workload, self.pods.of(workload), now)
        found = Found(
            place=placement(workload, facts),
            access=access_verdict(workload, facts),
            claimed=claim_verdict(workload, facts),
            emergency=await self.key_life.begin(workload, memory, self._saver(workload, kube)),
        )
        side = kubernetes_side.Side(kube, self.children, workload, memory, now, self.hooks.drift)
        async with asyncio.TaskGroup() as group:
            # Vault first: the finalizer that it waits for goes out before the objects that nothing waits for.
            group.create_task(self._vault(side, item, found), name="vault")
            group.create_task(self._kubernetes(side, facts, found), name="kubernetes")
        if found.side is not None and found.vault is not None:
            await self.key_life.after_secrets(found.side, found, facts.pods, kube)
        found.vault_standing = vault_side.standing(memory)
        found.status_after = await self._write_status(workload, kube, found, facts)
        memory.keep_reported(lambda entry: entry[0].startswith("Vault") or entry in found.reported)
        more = await self.pods.replace_unbound(workload, facts.pods, kube)
        return self._next_look(workload.key, memory, found, facts, more_pods=more)

    # The two halves; neither waits for the other, and neither's failure stops the other.

    async def _kubernetes(self, side: kubernetes_side.Side, facts: Facts, found: Found) -> None:
        # Secrets have a plan of their own, once Vault has spoken.
        live = {
            place: child
            for place, child in self.children.owned(side.workload.namespace, side.workload.uid).items()
            if place[0] != "Secret"
        }
        steps = plan(desired_objects(side.workload, facts), live)
        found.kubernetes = await kubernetes_side.execute(
            side, [step for step in steps if _is_allowed(step, found)]
        )

    async def _vault(self, side: kubernetes_side.Side, item: StoredWorkload, found: Found) -> None:
        workload = side.workload
        name = workload.spec.vault.connection
        connection, vault = self.world.config.connections.get(name), self.vaults.get(name)
        if connection is None or vault is None:
            found.connections = tuple(sorted(self.world.config.connections))
            return
        found.connection = connection
        found.keys = spec_verdict(workload, connection)
        found.side = VaultSide(
            vault=vault,
            kube=side.kube,
            workload=workload,
            desired=desired_vault(workload, self.world.config, connection, denies=denies(found.emergency)),
            memory=side.memory,
            now=side.now,
            on_drift=self.hooks.drift,
            on_security=self._tell_security,
            is_held=self._hold(workload, item, side.kube),
            has_record=partial(self._has_record, workload, side.kube),
        )
        try:
            outcome, opened = await asyncio.gather(
                self._vault_objects(found.side, found.keys is not None),
                self.secrets.open(side.kube),
                return_exceptions=True,
            )
            # Both have ended, whatever came of them: what still wrote to Vault would do so beside the next pass.
            if isinstance(outcome, BaseException):
                raise outcome
            if opened is not None:
                raise opened
            await wrap_missing_data_keys(found.side, outcome)
            found.vault = outcome
            await self.key_life.after_vault(found.side, found, self._saver(workload, side.kube))
        except errors.OperatorError as error:
            found.vault_error = error
        found.health = vault.health
        if self.secrets.is_open(workload.namespace):
            await converge_secrets(side, found.side, found, self.chains, _spread(workload.uid))
            if any(
                verdict.reason is reasons.OPERATOR_FORBIDDEN for verdict in found.secrets.failures.values()
            ):
                self.secrets.lost(workload.namespace)

    async def _vault_objects(self, side: VaultSide, is_refused: bool) -> VaultOutcome:
        workload, memory = side.workload, side.memory
        kept = VaultOutcome(
            key=memory.vault_verdict,
            key_status=workload.status.key,
            data_keys=workload.status.data_keys,
            drift=memory.vault_drift,
        )
        if is_refused:
            return kept
        due = self._is_look_due(workload, memory)
        if not due and not self._has_vault_work(side):
            return kept
        outcome = await vault_side.converge(side, look=due)
        memory.vault_verdict = outcome.key
        if outcome.key is not None and outcome.key.status == "True":
            memory.told = NOTHING
        if not outcome.failures:
            memory.vault_generation = workload.generation
            memory.vault_seal = side.desired.seal
        if due and not outcome.failures:
            memory.vault_due = vault_side.next_look(self.vault_probe_seconds, _spread(workload.uid))
        return outcome

    def _is_look_due(self, workload: Workload, memory: Memory) -> bool:
        return (
            memory.vault is None
            or time.monotonic() >= memory.vault_due
            or workload.resync != workload.status.resync
            or memory.failures > 0
            or _is_forgotten(workload, memory)
        )

    def _has_vault_work(self, side: VaultSide) -> bool:
        memory = side.memory
        return (
            memory.vault_generation != side.workload.generation
            or memory.vault_seal != side.desired.seal
            or memory.vault_verdict is None
        )

    def _hold(
        self, workload: Workload, item: StoredWorkload, kube: ScopedKube
    ) -> Callable[[], Awaitable[None]]:
        """Put our finalizer on the CR while Vault is being read; the answer is awaited before the first write."""
        if workload.has_finalizer:
            return _is_held
        adding = asyncio.create_task(self._add_finalizer(item, kube), name="finalizer")
        # If the pass fails before it asks, nobody awaits the answer; the next pass looks again.
        adding.add_done_callback(lambda task: task.cancelled() or task.exception())

        async def held() -> None:
            await adding

        return held

    async def _has_record(self, workload: Workload, kube: ScopedKube) -> bool:
        await self.secrets.open(kube)
        return self.secrets.holds((workload.namespace, names.keys_secret(workload.name)))

    async def _add_finalizer(self, item: StoredWorkload, kube: ScopedKube) -> None:
        """Seen on the CR before anything is made outside the cluster: from then on deletion waits for the revocation."""
        answer = await kube.merge_patch(
            SECURE_AI_WORKLOADS,
            item.name,
            {
                "metadata": {
                    "finalizers": [*item.finalizers, names.FINALIZER],
                    "resourceVersion": item.resource_version,
                }
            },
        )
        self.workloads.put(answer)

    # Status

    def _saver(self, workload: Workload, kube: ScopedKube) -> Save:
        """Writes single fields of the status within a pass: what must be on the API server before something is done."""

        async def save(fields: Mapping[str, object]) -> None:
            last = self.memories.of(workload.key, workload.uid).status or workload.status
            await self.statuses.write(workload, last.model_copy(update=fields), kube)

        return save

    async def _write_status(
        self, workload: Workload, kube: ScopedKube, found: Found, facts: Facts | None
    ) -> float:
        """Write what was found; returns in how many seconds there is more of it to write, or 0."""
        memory = self.memories.of(workload.key, workload.uid)
        memory.failures = memory.failures + 1 if found.has_failed else 0
        assessment = assess(workload, found, facts)
        status = next_status(workload, found, facts, assessment, self.now())
        return await self.statuses.write(workload, status, kube)

    def _tell_security(self, workload: Workload, reason: Reason, message: str) -> None:
        """Once per reason while it stands; repeating it would bury it."""
        memory = self.memories.of(workload.key, workload.uid)
        if reason.name not in memory.told or reason is reasons.DELETION_ENABLED:
            memory.told |= {reason.name}
            self.hooks.security(workload, reason, message)

    # Afterwards

    def _next_look(
        self, key: Key, memory: Memory, found: Found, facts: Facts, *, more_pods: bool
    ) -> float | None:
        if found.has_failed:
            backoff = min(RETRY_CAP, 0.2 * 2.0 ** min(memory.failures, 10))
            return max(backoff * random.uniform(0.5, 1.0), found.retry_after)  # noqa: S311 - jitter
        waits: list[float] = [max(0.05, memory.vault_due - time.monotonic())]
        if found.renew_at:
            waits.append(max(0.05, found.renew_at - (found.clock or self.now()).timestamp()))
        waits += [wait for wait in (found.retry_after, found.status_after) if wait]
        if more_pods or any(pod.problem for pod in facts.pods):
            waits.append(UNBOUND_SECONDS)
        exhausted = found.place is not None and found.place.verdict.reason is reasons.KEYS_EXHAUSTED
        if found.access or found.claimed or exhausted:
            waits.append(UNTOLD_SECONDS)
        if found.rotation is not None and found.rotation.wait is not None:
            waits.append(found.rotation.wait)
        if found.again is not None:
            waits.append(found.again)
            if is_under_way(found.emergency):
                self.hurry(key, found.again)
        return min(waits)

    async def _forget(self, key: Key) -> None:
        """The CR is gone: drop what is known of it, and the right on the namespace's Secrets with the last one."""
        memory = self.memories.get(key)
        if memory is not None and not memory.let_go:
            kube = ScopedKube(self.kube, key[0], self.leads)
            await self.finalization.make_up(key, memory.last_status, kube, self.vaults)
        self.memories.forget(key)
        if memory is not None:
            self.children.forget(memory.uid)
        self.finalization.forget(key)
        self.key_life.rotations.forget(key)
        self.pods.forget(key)
        self.hooks.gone(key)
        if key[0] not in self.workloads.namespaces():
            await self.secrets.leave(ScopedKube(self.kube, key[0], self.leads))


async def _is_held() -> None:
    """The finalizer is there already."""


def _is_allowed(step: Step, found: Found) -> bool:
    """Access that cannot be granted, and isolation of pods that are another's, are left as they were."""
    if isinstance(step, Delete):
        return found.access is None or step.live.kind not in ("Role", "RoleBinding")
    concern = step.desired.concern
    return not (
        (concern is C.ACCESS_GRANTED and found.access is not None)
        or (concern is C.NETWORK_ISOLATED and found.claimed is not None)
    )


def _is_forgotten(workload: Workload, memory: Memory) -> bool:
    """Whether the key was seen and status does not say so: its write failed, and without it data keys look lost."""
    verdict = memory.vault_verdict
    return verdict is not None and verdict.status == "True" and workload.status.key is None


def _spread(uid: str) -> float:
    """The workload's own place between 0 and 1, the same after every restart."""
    return crc32(uid.encode()) / 2**32
