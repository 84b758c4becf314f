"""Many CRs at once: from just before the first POST until the watch shows the last of them Ready for its generation."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import Any

from bench.audit import Counts
from bench.creation import FULL
from bench.lean import Lean, request, send_all
from bench.load import Busy
from bench.rig import Rig, is_ready
from bench.samples import summary
from bench.watching import Watcher
from secureai_operator.api.resources import ROLES, SECURE_AI_WORKLOADS

NAMESPACES = 20
CONNECTIONS = 16
"""Of the client that creates them; it waits for a free one."""
PER_WORKLOAD_SECONDS = 2.0
"""Whoever is not Ready after so long for each of them, and a minute, never will be."""
SETTLED_SECONDS = 120.0
READER = "reader"
WORKLOAD: dict[str, Any] = {
    **FULL,
    "access": {**FULL["access"], "roleRefs": [{"name": READER}]},
}
OBJECTS = 8
"""ServiceAccount, Role, two RoleBindings, two NetworkPolicies, the Secrets of data keys and of the certificate."""

Key = tuple[str, str]


async def measure_storm(
    rig: Rig,
    *,
    workloads: int,
    namespaces: int = NAMESPACES,
    connections: int = CONNECTIONS,
    against: str = "",
) -> dict[str, Any]:
    """POST all of them at once over so many connections and new namespaces, and wait for all.

    `against` names a smaller storm of the same trial, with whose time per CR this one's is compared.
    """
    keys = await prepare_namespaces(rig, "storm", workloads, namespaces)
    bodies = [creation(rig, key) for key in keys]
    await rig.settled()
    rig.counted()
    async with (
        Watcher(rig.kube, (SECURE_AI_WORKLOADS,)) as watcher,
        Lean(rig.lab.api_url, rig.lab.api.tls, connections) as lean,
    ):
        shown = [
            watcher.expect((SECURE_AI_WORKLOADS.plural, *key), lambda _, item: is_ready(item)) for key in keys
        ]
        busy, before = Busy.now(), rig.cpu()
        started = time.perf_counter()
        await create_all(lean, bodies)
        created = time.perf_counter() - started
        deadline = 60 + PER_WORKLOAD_SECONDS * workloads
        ready = [at - started for at in await rig.all_of(shown, deadline, "all CRs to be Ready")]
        after = rig.cpu()
        machine = busy.until_now(after.total_since(before))
    rig.workloads += keys
    await rig.settled(deadline=SETTLED_SECONDS)
    counts = rig.counted()
    return {
        "workloads": workloads,
        "seconds": round(max(ready), 3),
        "createdSeconds": round(created, 3),
        "millisecondsPerWorkload": round(max(ready) / workloads * 1000, 3),
        **_compared(max(ready) / workloads * 1000, rig.found.get(against)),
        "ownedObjects": OBJECTS,
        "ready": summary(ready),
        "cpuMillisecondsPerSample": after.since(before, workloads),
        "machine": machine,
        **writes_per_workload(counts, workloads),
        "counts": counts.as_json(),
    }


def _compared(milliseconds: float, other: dict[str, Any] | None) -> dict[str, Any]:
    if other is None:
        return {}
    return {
        "against": {
            "workloads": other["workloads"],
            "times": round(milliseconds / other["millisecondsPerWorkload"], 3),
        }
    }


async def prepare_namespaces(rig: Rig, prefix: str, workloads: int, namespaces: int) -> list[Key]:
    """New namespaces, each with the Role that workloads refer to; returns where the workloads come, in turn."""
    places = [f"bench-{prefix}-{number}" for number in range(namespaces)]
    for namespace in places:
        await rig.create_namespace(namespace)
        rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
        role = {
            "apiVersion": ROLES.api_version,
            "kind": ROLES.kind,
            "metadata": {"name": READER},
            "rules": rules,
        }
        await rig.kube.create(ROLES, namespace, role)
    return [(places[number % namespaces], f"w{number}") for number in range(workloads)]


def creation(rig: Rig, key: Key) -> bytes:
    """The whole request that creates the CR."""
    namespace, name = key
    workload = {
        "apiVersion": SECURE_AI_WORKLOADS.api_version,
        "kind": SECURE_AI_WORKLOADS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": WORKLOAD,
    }
    headers = {
        "Host": rig.lab.api_url.partition("//")[2],
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    return request("POST", SECURE_AI_WORKLOADS.path(namespace), headers, json.dumps(workload).encode())


async def create_all(lean: Lean, bodies: list[bytes]) -> None:
    """All at once; RuntimeError if the server refuses one."""
    await send_all(lean, bodies, HTTPStatus.CREATED)


def writes_per_workload(counts: Counts, workloads: int) -> dict[str, Any]:
    """Counted by the servers, each divided by the number of CRs."""

    def each(number: float) -> float:
        return round(number / workloads, 3)

    return {
        "kubernetesWritesPerCR": each(counts.kubernetes_writes),
        "kubernetesReadsPerCR": each(counts.reads.total()),
        "vaultWritesPerCR": each(counts.vault.total()),
        "vaultComputationsPerCR": each(counts.vault_computations.total()),
        "vaultReadsPerCR": each(counts.vault_reads.total()),
        "perCR": {
            **{what: each(number) for what, number in sorted(counts.owned.items())},
            "patch finalizer": each(counts.finalizer),
            "patch status": each(counts.status),
            "create events": each(counts.events),
            **{f"vault {what}": each(number) for what, number in sorted(counts.vault.items())},
            **{f"vault {what}": each(number) for what, number in sorted(counts.vault_computations.items())},
            **{f"read vault {what}": each(number) for what, number in sorted(counts.vault_reads.items())},
            **{f"read {what}": each(number) for what, number in sorted(counts.reads.items())},
        },
    }
