"""The job that every peer is measured at: many CRs at once, single objects harmed, rest."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.audit import AuditLog
from bench.lean import Lean, request, send_all
from bench.load import Busy
from bench.peers.requests import Requests, requests_of
from bench.rig import Rig
from bench.samples import Cpu, resident_mib, summary
from bench.storm import CONNECTIONS, NAMESPACES, PER_WORKLOAD_SECONDS, Key, prepare_namespaces
from bench.watching import Watcher
from lab import LabTimeout, Process
from secureai_operator.api.resources import Resource

Json = dict[str, Any]

CREATED = 201
REST_SECONDS = 10.0
"""Before memory is looked at, and before anybody counts what a peer asks for at rest."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One that runs, under an identity of its own."""

    process: Process
    user: str
    """As the API server calls it."""

    @property
    def pid(self) -> int:
        if self.process.pid is None or not self.process.running:
            raise RuntimeError(f"{self.process.name} ended\n{self.process.tail()}")
        return self.process.pid


@dataclass(frozen=True, slots=True)
class Job:
    """What it is asked for; `harmed` is the kind of the one owned object of each CR that is deleted or changed."""

    crs: Resource
    spec: Callable[[Key], Json]
    is_done: Callable[[Json], bool]
    objects: int
    """That each CR owns."""
    harmed: Resource
    harmed_name: Callable[[str], str]
    content: str
    """The part of that object that has to be as it was."""
    change: Json | None
    """What somebody changes it to; None if the peer does not look at it."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many, as scenarios.yaml says."""

    workloads: int
    samples: int
    spread: float
    """Seconds over which the harm is spread at random; it must be no less than what a peer's timer takes."""
    idle: float
    seed: int = 1


async def measure_job(rig: Rig, peer: Peer, job: Job, sizes: Sizes) -> Json:
    """All of it, on a lab without CRs, where the peer runs."""
    keys = await prepare_namespaces(rig, "peers", sizes.workloads, NAMESPACES)
    await asyncio.sleep(REST_SECONDS)
    empty = resident_mib(peer.pid)
    made = await _many(rig, peer, job, keys)
    await asyncio.sleep(REST_SECONDS)
    full = resident_mib(peer.pid)
    rest = await _rest(rig, peer, sizes.idle)
    healed = await _harm(rig, peer, job, keys, sizes)
    return {
        "workloads": len(keys),
        "ownedObjects": job.objects,
        **made,
        "emptyMiB": empty,
        "fullMiB": full,
        "kibPerWorkload": round((full - empty) * 1024 / len(keys), 1),
        "kibPerObject": round((full - empty) * 1024 / len(keys) / job.objects, 1),
        "idle": rest,
        "healing": healed,
    }


async def _many(rig: Rig, peer: Peer, job: Job, keys: Sequence[Key]) -> Json:
    bodies = [_creation(rig, job, key) for key in keys]
    logs = _logs(rig)
    async with (
        Watcher(rig.kube, (job.crs,)) as watcher,
        Lean(rig.lab.api_url, rig.lab.api.tls, CONNECTIONS) as lean,
    ):
        shown = [watcher.expect((job.crs.plural, *key), lambda _, item: job.is_done(item)) for key in keys]
        busy, before = Busy.now(), _cpu(rig, peer)
        started = time.perf_counter()
        await send_all(lean, bodies, CREATED)
        created = time.perf_counter() - started
        done = [at - started for at in await _all_of(peer, shown, 60 + PER_WORKLOAD_SECONDS * len(keys))]
        after = _cpu(rig, peer)
        machine = busy.until_now(after.total_since(before))
    found = _asked(peer, logs)
    return {
        "seconds": round(max(done), 3),
        "createdSeconds": round(created, 3),
        "millisecondsPerWorkload": round(max(done) / len(keys) * 1000, 3),
        "done": summary(done),
        "cpuMillisecondsPerSample": after.since(before, len(keys)),
        "machine": machine,
        "perCR": found.per(len(keys)),
        "requests": found.as_json(),
    }


async def _rest(rig: Rig, peer: Peer, seconds: float) -> Json:
    logs, before, began = _logs(rig), _cpu(rig, peer), time.monotonic()
    await asyncio.sleep(seconds)
    used, lasted = _cpu(rig, peer).since(before, 1)[_name(rig)], time.monotonic() - began
    found = _asked(peer, logs)
    return {
        "seconds": round(lasted, 1),
        "cpuPercent": round(used / lasted / 10, 2),
        "perSecond": found.per(lasted),
        **found.as_json(),
    }


async def _harm(rig: Rig, peer: Peer, job: Job, keys: Sequence[Key], sizes: Sizes) -> Json:
    """Half of the samples deleted, half changed, each object once, each at a time of its own."""
    rng = random.Random(sizes.seed)  # noqa: S311 - no secret
    chosen = rng.sample(list(keys), min(sizes.samples, len(keys)))
    half = len(chosen) // 2 if job.change is not None else len(chosen)
    async with Watcher(rig.kube, (job.harmed,)) as watcher:

        async def one(key: Key, *, deletes: bool, at: float) -> float:
            await asyncio.sleep(at)
            return await _healed(rig, watcher, job, key, deletes=deletes)

        waiting = [
            asyncio.ensure_future(one(key, deletes=number < half, at=rng.uniform(0, sizes.spread)))
            for number, key in enumerate(chosen)
        ]
        took = await _all_of(peer, waiting, 60 + 3 * sizes.spread)
    return {
        "deleted": summary(took[:half]),
        "changed": summary(took[half:]),
        "spreadSeconds": sizes.spread,
    }


async def _healed(rig: Rig, watcher: Watcher, job: Job, key: Key, *, deletes: bool) -> float:
    """Seconds from just before the foreign request until the watch shows the object as it was."""
    namespace, name = key[0], job.harmed_name(key[1])
    place = (job.harmed.plural, namespace, name)
    right = watcher.latest[place]
    version = right["metadata"]["resourceVersion"]

    def is_back(kind: str, item: Json) -> bool:
        if kind == "DELETED" or item["metadata"]["resourceVersion"] == version:
            return False
        return deletes or item.get(job.content) == right[job.content]

    back = watcher.expect(place, is_back)
    started = time.perf_counter()
    if deletes:
        await rig.kube.delete(job.harmed, namespace, name)
    else:
        await rig.kube.merge_patch(job.harmed, namespace, name, job.change or {})
    return await back - started


def _creation(rig: Rig, job: Job, key: Key) -> bytes:
    namespace, name = key
    item = {
        "apiVersion": job.crs.api_version,
        "kind": job.crs.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": job.spec(key),
    }
    headers = {
        "Host": rig.lab.api_url.partition("//")[2],
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    return request("POST", job.crs.path(namespace), headers, json.dumps(item).encode())


def _cpu(rig: Rig, peer: Peer) -> Cpu:
    """Our own operator is on the rig's list already; twice it would count as two."""
    return rig.cpu() if _name(rig) == "operator" else rig.cpu(peer=peer.pid)


def _name(rig: Rig) -> str:
    return "peer" if rig.operator is None else "operator"


def _logs(rig: Rig) -> tuple[AuditLog, AuditLog]:
    return AuditLog(rig.kubernetes_audit.path), AuditLog(rig.vault_audit.path)


def _asked(peer: Peer, logs: tuple[AuditLog, AuditLog]) -> Requests:
    return requests_of(peer.user, logs[0].new_entries(), logs[1].new_entries())


async def _all_of(peer: Peer, shown: Sequence[asyncio.Future[float]], deadline: float) -> list[float]:
    """All results; an error as soon as the peer ends, which would be waited for in vain."""
    together = asyncio.gather(*shown)
    end = time.monotonic() + deadline
    try:
        while not (await asyncio.wait([together], timeout=1.0))[0]:
            if not await asyncio.to_thread(lambda: peer.process.running):
                raise RuntimeError(f"{peer.process.name} ended\n{peer.process.tail()}")
            if time.monotonic() > end:
                missing = sum(not future.done() for future in shown)
                raise LabTimeout(
                    f"waited {deadline:g} s: {missing} of {len(shown)} are missing\n{peer.process.tail()}"
                )
        return together.result()
    finally:
        together.cancel()
        await asyncio.gather(together, return_exceptions=True)
