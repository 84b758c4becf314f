"""A standby takes over: from the signal to the leader until the standby heals what was deleted in between."""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from dataclasses import replace
from typing import Any

from bench.audit import Counts
from bench.healing import shows_healed
from bench.rig import Rig
from bench.watching import Json, Watcher
from lab import LabError, wait_until
from secureai_operator import names
from secureai_operator.api.resources import LEASES, NETWORK_POLICIES

START_SECONDS = 120.0
SETTLED_SECONDS = 120.0
TAKEN_SECONDS = 60.0
LEASE = (LEASES.plural, names.OPERATOR_NAMESPACE, "secureai-operator")


class Handover:
    """What a watch of the Lease shows of it, told event by event."""

    def __init__(self, before: str) -> None:
        self._before = before
        self.vacated = asyncio.Event()
        """The leader gave it back: it does not act any more."""

    def is_taken(self, _: str, lease: Json) -> bool:
        """Whether somebody else holds it."""
        holder = holder_of(lease)
        if not holder:
            self.vacated.set()
        return holder not in ("", self._before)


def holder_of(lease: Json) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


async def measure_takeover(rig: Rig) -> dict[str, Any]:
    """First the leader is told to end, then the new one is killed. One of them leads at the end."""
    await rig.settled(deadline=SETTLED_SECONDS)
    graceful = await _taken_over(rig, signal.SIGTERM)
    crash = await _taken_over(rig, signal.SIGKILL)
    return {"workloads": len(rig.workloads), "graceful": graceful, "crash": crash}


async def _taken_over(rig: Rig, number: signal.Signals) -> dict[str, Any]:
    standby = await _standby(rig)
    try:
        found = await _measured(rig, number)
        await standby.settled(deadline=SETTLED_SECONDS)
    finally:
        # The lab ends it if it did not take over; until then nobody else may count on the former one.
        await asyncio.to_thread(_end, rig)
        rig.operator, rig.pod = standby.operator, standby.pod
    return {**found, **_written(rig.counted())}


async def _measured(rig: Rig, number: signal.Signals) -> dict[str, float]:
    """Seconds since the signal."""
    if rig.operator is None:
        raise LabError("no operator is running")
    process = rig.operator.process
    namespace, name = rig.workloads[0]
    async with Watcher(rig.kube, (LEASES, NETWORK_POLICIES)) as watcher:
        policy = (NETWORK_POLICIES.plural, namespace, names.allow_policy(name))
        handover = Handover(holder_of(watcher.latest[LEASE]))
        taken = watcher.expect(LEASE, handover.is_taken)
        healed = watcher.expect(policy, shows_healed(watcher.latest[policy], certificate=False))
        rig.counted()
        started = time.perf_counter()
        async with asyncio.timeout(TAKEN_SECONDS):
            await asyncio.to_thread(process.signal, number)
            # Not before: the former leader would heal it.
            if number is signal.SIGTERM:
                await handover.vacated.wait()
            else:
                await asyncio.to_thread(process.wait, TAKEN_SECONDS)
            await rig.kube.delete(NETWORK_POLICIES, namespace, policy[2])
            deleted = time.perf_counter()
            return {
                "deletedSeconds": round(deleted - started, 3),
                "takenSeconds": round(await taken - started, 3),
                "healedSeconds": round(await healed - started, 3),
            }


async def _standby(rig: Rig) -> Rig:
    """A second operator that knows everything and waits."""
    standby = replace(rig, operator=None, pod=str(uuid.uuid4()))
    await asyncio.to_thread(standby.launch)

    async def is_warm() -> bool:
        return await asyncio.to_thread(standby.answer, "/readyz") == (200, "standby")

    await wait_until(is_warm, START_SECONDS, "a standby to be warm", 0.25)
    # It logs in to Vault meanwhile, which nobody's first heal waits for.
    await wait_until(lambda: _is_usable(standby), START_SECONDS, "the standby to be logged in to Vault", 0.25)
    return standby


async def _is_usable(rig: Rig) -> bool:
    return await asyncio.to_thread(rig.metric, "secureai_vault_up") == 1


def _end(rig: Rig) -> None:
    if rig.operator is not None and rig.operator.process.running:
        rig.operator.stop()


def _written(counts: Counts) -> dict[str, Any]:
    return {"ownedWrites": counts.owned.total(), "counts": counts.as_json()}
