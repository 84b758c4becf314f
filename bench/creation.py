"""One CR at a time on an idle lab: from just before its POST until the watch shows Ready for its generation."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from bench.rig import Rig, is_ready
from bench.samples import summary
from bench.watching import Watcher
from secureai_operator.api.resources import SECURE_AI_WORKLOADS

READY_SECONDS = 30.0
PAUSE_SECONDS = (0.1, 0.2)
"""Between two samples, at random: what the last one left behind is not the next one's."""

FULL: dict[str, Any] = {
    "keys": {"dataKeys": [{"name": "model"}]},
    "access": {
        "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["settings"], "verbs": ["get"]}
        ]
    },
    "network": {"ingress": [{"from": [{"namespace": "gateway"}], "ports": [8000]}]},
}
FULL_OBJECTS = 7
"""ServiceAccount, Role, RoleBinding, two NetworkPolicies, the Secrets of data keys and of the certificate."""
MINIMAL: dict[str, Any] = {}
MINIMAL_OBJECTS = 4


async def measure_creation(
    rig: Rig, kind: str, spec: dict[str, Any], objects: int, *, samples: int, namespaces: int
) -> dict[str, Any]:
    """Create `samples` CRs over so many new namespaces; the first of a namespace counts like any other."""
    places = [f"bench-{kind}-{number}" for number in range(namespaces)]
    for namespace in places:
        await rig.create_namespace(namespace)
    await rig.settled()
    rig.counted()
    before = rig.cpu()
    posts: list[float] = []
    latencies: list[float] = []
    async with Watcher(rig.kube, (SECURE_AI_WORKLOADS,)) as watcher:
        for number in range(samples):
            namespace, name = places[number % namespaces], f"w{number}"
            posted, ready = await _one(rig, watcher, namespace, name, spec)
            posts.append(posted)
            latencies.append(ready)
            rig.workloads.append((namespace, name))
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - no secret
    cpu = rig.cpu().since(before, samples)
    await asyncio.sleep(1)
    counts = rig.counted()
    return {
        **summary(latencies),
        "postOnly": summary(posts),
        "firstOfNamespace": summary(latencies[:namespaces]),
        "others": summary(latencies[namespaces:]),
        "cpuMillisecondsPerSample": cpu,
        "ownedObjects": objects,
        "kubernetesWritesPerCR": round(counts.kubernetes_writes / samples, 3),
        "vaultWritesPerCR": round(counts.vault.total() / samples, 3),
        "counts": counts.as_json(),
        "milliseconds": [round(value * 1000, 2) for value in latencies],
    }


async def _one(
    rig: Rig, watcher: Watcher, namespace: str, name: str, spec: dict[str, Any]
) -> tuple[float, float]:
    shown = watcher.expect((SECURE_AI_WORKLOADS.plural, namespace, name), lambda _, item: is_ready(item))
    started = time.perf_counter()
    await rig.create_workload(namespace, name, spec)
    posted = time.perf_counter()
    async with asyncio.timeout(READY_SECONDS):
        ready = await shown
    return posted - started, ready - started
