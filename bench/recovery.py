"""The only operator killed and started again at once: until the first heal, and until every CR was verified."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.audit import AuditLog
from bench.drift_storm import chosen
from bench.healing import CERTIFICATE, KINDS, shows_healed
from bench.rig import Rig
from bench.watching import Place, Watcher
from lab import LabError, wait_until
from secureai_operator import names

VERIFIED_SECONDS = 300.0
SETTLED_SECONDS = 120.0
POLL_SECONDS = 0.1
"""Of Vault's audit log; when something happened is what the log itself says."""

_RESOURCES = {resource.plural: resource for resource in KINDS}


@dataclass(slots=True)
class Looks:
    """When the operator first read each of these paths, by Vault's own audit log."""

    wanted: frozenset[str]
    seen: dict[str, float] = field(default_factory=dict)
    """Seconds since the epoch."""

    def take(self, entries: Iterable[Mapping[str, Any]]) -> bool:
        """Whether all were read by then."""
        for entry in entries:
            path = entry["request"]["path"]
            if entry["type"] == "response" and path in self.wanted and path not in self.seen:
                self.seen[path] = datetime.fromisoformat(entry["time"]).timestamp()
        return len(self.seen) == len(self.wanted)


@dataclass(frozen=True, slots=True)
class Killed:
    """A crash, by both clocks: that of the watches and that of the logs."""

    monotonic: float
    epoch: float

    @staticmethod
    def now() -> Killed:
        return Killed(time.perf_counter(), time.time())


async def measure_recovery(rig: Rig, *, deleted: int, seed: int) -> dict[str, Any]:
    """Twice: nothing changes while it is dead; and then so many owned objects are deleted meanwhile."""
    await rig.settled(deadline=SETTLED_SECONDS)
    unchanged = await _unchanged(rig)
    changed = await _changed(rig, deleted, seed)
    return {"workloads": len(rig.workloads), "unchanged": unchanged, "changed": changed}


async def _unchanged(rig: Rig) -> dict[str, Any]:
    rig.counted()
    looks, vault = _looks(rig)
    killed = await _kill(rig)
    await rig.start_operator()
    return {**await _verified(rig, killed, looks, vault), **await _written(rig)}


async def _changed(rig: Rig, deleted: int, seed: int) -> dict[str, Any]:
    rig.counted()
    looks, vault = _looks(rig)
    async with Watcher(rig.kube, KINDS, names.MANAGED_SELECTOR) as watcher:
        places = chosen(watcher.latest, deleted, random.Random(seed))  # noqa: S311 - an order, no secret
        killed = await _kill(rig)
        shown = [_expect(watcher, place) for place in places]
        # Deletions are over long before the new process can list anything.
        await asyncio.gather(_delete(rig, places), rig.start_operator())
        healed = [
            at - killed.monotonic
            for at in await rig.all_of(shown, VERIFIED_SECONDS, "all objects to be back")
        ]
    return {
        "deleted": len(places),
        "firstHealSeconds": round(min(healed), 3),
        "lastHealSeconds": round(max(healed), 3),
        **await _verified(rig, killed, looks, vault),
        **await _written(rig),
    }


def _expect(watcher: Watcher, place: Place) -> asyncio.Future[float]:
    item = watcher.latest[place]
    return watcher.expect(place, shows_healed(item, certificate=item.get("type") == CERTIFICATE))


async def _delete(rig: Rig, places: Collection[Place]) -> None:
    for plural, namespace, name in places:
        await rig.kube.delete(_RESOURCES[plural], namespace, name)


async def _kill(rig: Rig) -> Killed:
    if rig.operator is None:
        raise LabError("no operator is running")
    killed = Killed.now()
    await asyncio.to_thread(rig.operator.process.kill)
    return killed


def _looks(rig: Rig) -> tuple[Looks, AuditLog]:
    connection = rig.product.vault_connection()
    keys = f"{connection.transit_mount}/keys/{connection.policy_prefix}"
    wanted = frozenset(f"{keys}{namespace}.{name}" for namespace, name in rig.workloads)
    return Looks(wanted), AuditLog(rig.vault_audit.path)


async def _verified(rig: Rig, killed: Killed, looks: Looks, vault: AuditLog) -> dict[str, float]:
    """Seconds since the crash until the new process led, and until it had looked at the last CR's key."""

    async def all_seen() -> bool:
        return looks.take(vault.new_entries())

    await wait_until(all_seen, VERIFIED_SECONDS, "every CR to be verified", POLL_SECONDS)
    led = rig.led_at() - killed.epoch
    verified = max(looks.seen.values()) - killed.epoch
    return {
        "ledSeconds": round(led, 3),
        "verifiedSeconds": round(verified, 3),
        "verifiedSinceLedSeconds": round(verified - led, 3),
    }


async def _written(rig: Rig) -> dict[str, Any]:
    """What the new process wrote until it came to rest, and how many passes it had."""
    await rig.settled(deadline=SETTLED_SECONDS)
    passes = await asyncio.to_thread(rig.metric, "secureai_reconcile_total")
    counts = rig.counted()
    return {"passes": int(passes), "ownedWrites": counts.owned.total(), "counts": counts.as_json()}
