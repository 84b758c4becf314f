"""Many keys due in the same second: from just before somebody asks until the watch shows every key rotated and rewrapped.

Meanwhile new workloads are made, one at a time: a storm of rotations must not keep anybody from starting.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.audit import Counts
from bench.creation import FULL
from bench.rig import Rig, is_ready
from bench.samples import summary
from bench.watching import Json, Watcher
from secureai_operator import names
from secureai_operator.api.resources import KEY_ROTATION_POLICIES, SECURE_AI_WORKLOADS

NAMESPACES = 10
READY_SECONDS = 600.0
ROTATED_SECONDS = 180.0
"""Whoever is not done by then counts as not rotated."""
SETTLED_SECONDS = 120.0
AHEAD = 32
"""Workloads that are being made at once, before the measurement."""
LABELS = {"tier": "bench"}
POLICY = "bench"
REQUEST = "bench-1"
NEWCOMERS = 3
NEWCOMERS_FROM = 0.3
"""The share of rotations that is over as the first new workload comes."""

ROTATED: Json = {"keys": {"dataKeys": [{"name": "model"}]}, "certificate": {"delivery": "None"}}
_OVER = ("Observing", "Retired")
_HELD_BACK = ("bucket", "slots", "breaker", "timeout", "broken", "unreachable")
"""What the operator counts instead of an answer of Vault's."""

Key = tuple[str, str]


async def measure_rotation(rig: Rig, *, rotations: int) -> dict[str, Any]:
    """One policy of the operator's namespace selects all of them, and one annotation on it asks for all at once."""
    keys = await _workloads(rig, rotations)
    await _policy(rig, keys)
    await rig.settled(deadline=SETTLED_SECONDS)
    rig.counted()
    held_back, before = await _held_back(rig), rig.cpu()
    async with Watcher(rig.kube, (SECURE_AI_WORKLOADS,)) as watcher:
        storm = Storm(rig, watcher, keys)
        latencies = await storm.run()
        cpu = rig.cpu().since(before, rotations)
    await rig.settled(deadline=SETTLED_SECONDS)
    counts = rig.counted()
    return {
        "rotations": rotations,
        "rotated": len(latencies),
        "seconds": round(max(latencies, default=0.0), 2),
        **summary(latencies),
        "newcomers": summary(storm.newcomers),
        "vaultVersions": await asyncio.to_thread(_versions, rig, keys),
        "heldBack": await _held_back(rig) - held_back,
        "cpuMillisecondsPerSample": cpu,
        **_per_rotation(counts, rotations),
        "counts": counts.as_json(),
        "milliseconds": [round(value * 1000, 2) for value in latencies],
    }


def _per_rotation(counts: Counts, rotations: int) -> dict[str, float]:
    """What was asked of the two servers; the new workloads' own part is in it."""
    return {
        "kubernetesWritesPerRotation": round(counts.kubernetes_writes / rotations, 3),
        "kubernetesReadsPerRotation": round(counts.reads.total() / rotations, 3),
        "vaultWritesPerRotation": round(counts.vault.total() / rotations, 3),
        "vaultComputationsPerRotation": round(counts.vault_computations.total() / rotations, 3),
        "vaultReadsPerRotation": round(counts.vault_reads.total() / rotations, 3),
    }


class Storm:
    """All rotations at once, and new workloads in the middle of them."""

    def __init__(self, rig: Rig, watcher: Watcher, keys: list[Key]) -> None:
        self._rig = rig
        self._watcher = watcher
        self._keys = keys
        self._left = len(keys)
        self._under_way = asyncio.Event()
        self.newcomers: list[float] = []
        """How long each took until it was Ready, in seconds."""

    async def run(self) -> list[float]:
        """How long each rotation took, in seconds since all were asked for; those that did not end are missing."""
        shown = [self._expect(key) for key in self._keys]
        newcomers = asyncio.create_task(self._come())
        started = time.perf_counter()
        annotations = {names.ROTATE_ANNOTATION: REQUEST}
        await self._rig.kube.merge_patch(
            KEY_ROTATION_POLICIES,
            names.OPERATOR_NAMESPACE,
            POLICY,
            {"metadata": {"annotations": annotations}},
        )
        done, _ = await asyncio.wait(shown, timeout=ROTATED_SECONDS)
        if self._under_way.is_set():
            await newcomers
        newcomers.cancel()
        return sorted(rotated.result() - started for rotated in done)

    def _expect(self, key: Key) -> asyncio.Future[float]:
        shown = self._watcher.expect((SECURE_AI_WORKLOADS.plural, *key), lambda _, item: is_rotated(item))
        shown.add_done_callback(self._one_less)
        return shown

    def _one_less(self, _: asyncio.Future[float]) -> None:
        self._left -= 1
        if self._left <= len(self._keys) * (1 - NEWCOMERS_FROM):
            self._under_way.set()

    async def _come(self) -> None:
        """New workloads for as long as keys rotate, in the namespaces where they do."""
        await self._under_way.wait()
        for number in range(NEWCOMERS):
            key = _namespace(number), f"new{number}"
            ready = self._watcher.expect((SECURE_AI_WORKLOADS.plural, *key), lambda _, item: is_ready(item))
            started = time.perf_counter()
            await self._rig.create_workload(*key, FULL)
            async with asyncio.timeout(ROTATED_SECONDS):
                self.newcomers.append(await ready - started)
            self._rig.workloads.append(key)
            if self._left == 0:
                return


def is_rotated(workload: Json) -> bool:
    """Rotated once and rewrapped, by what the workload's status says."""
    status = workload.get("status") or {}
    return (
        (status.get("rotation") or {}).get("phase") in _OVER
        and status["key"]["latestVersion"] == 2  # noqa: PLR2004 - one further than the first
        and all(key["keyVersion"] == 2 for key in status["dataKeys"])  # noqa: PLR2004
    )


def _namespace(number: int) -> str:
    return f"bench-rotation-{number % NAMESPACES}"


async def _workloads(rig: Rig, count: int) -> list[Key]:
    """So many workloads, all of them Ready."""
    for number in range(NAMESPACES):
        await asyncio.to_thread(rig.lab.create_namespace, _namespace(number), LABELS)
    keys = [(_namespace(number), f"r{number}") for number in range(count)]
    free = asyncio.Semaphore(AHEAD)
    async with Watcher(rig.kube, (SECURE_AI_WORKLOADS,)) as watcher, asyncio.timeout(READY_SECONDS):

        async def make(key: Key) -> None:
            async with free:
                shown = watcher.expect((SECURE_AI_WORKLOADS.plural, *key), lambda _, item: is_ready(item))
                await rig.create_workload(*key, ROTATED)
                await shown

        await asyncio.gather(*map(make, keys))
    rig.workloads += keys
    return keys


async def _policy(rig: Rig, keys: list[Key]) -> None:
    """The policy that rules all of them, once every one of them says so."""

    def is_ruled(_: str, item: Json) -> bool:
        rotation = (item.get("status") or {}).get("rotation") or {}
        return bool(rotation.get("policy") == f"{names.OPERATOR_NAMESPACE}/{POLICY}")

    count = min(len(keys), 1000)
    spec = {
        "selector": {},
        "namespaceSelector": {"matchLabels": LABELS},
        "schedule": {"interval": "8760h"},
        "limits": {"maxConcurrent": count, "perSecond": count},
    }
    async with Watcher(rig.kube, (SECURE_AI_WORKLOADS,)) as watcher, asyncio.timeout(READY_SECONDS):
        shown = [watcher.expect((SECURE_AI_WORKLOADS.plural, *key), is_ruled) for key in keys]
        await rig.kube.create(
            KEY_ROTATION_POLICIES,
            names.OPERATOR_NAMESPACE,
            {
                "apiVersion": KEY_ROTATION_POLICIES.api_version,
                "kind": KEY_ROTATION_POLICIES.kind,
                "metadata": {"name": POLICY, "namespace": names.OPERATOR_NAMESPACE},
                "spec": spec,
            },
        )
        await asyncio.gather(*shown)


async def _held_back(rig: Rig) -> int:
    """Requests to Vault that the operator's client held back or lost, so far."""
    found = [
        await asyncio.to_thread(rig.metric, "secureai_vault_requests_total", code=code) for code in _HELD_BACK
    ]
    return int(sum(found))


def _versions(rig: Rig, keys: list[Key]) -> dict[str, int]:
    """How many keys have which latest version, as Vault itself says."""
    connection = rig.product.vault_connection()

    def latest(key: Key) -> str:
        name = f"{connection.policy_prefix}{key[0]}.{key[1]}"
        answer = rig.lab.vault_request("GET", f"{connection.transit_mount}/keys/{name}")
        return str(answer["data"]["latest_version"])

    found: dict[str, int] = {}
    with ThreadPoolExecutor(4) as threads:
        for version in threads.map(latest, keys):
            found[version] = found.get(version, 0) + 1
    return found
