"""Foreign changes while many creations are queued: how long a heal takes then."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

from bench.healing import KINDS, PAUSE_SECONDS, Attack, attacked, attacks
from bench.lean import Lean
from bench.rig import Rig, is_ready
from bench.samples import summary
from bench.storm import (
    CONNECTIONS,
    NAMESPACES,
    PER_WORKLOAD_SECONDS,
    SETTLED_SECONDS,
    create_all,
    creation,
    prepare_namespaces,
)
from bench.watching import Watcher
from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS

ATTACKERS = 4
"""Each waits for its heal before its next attack."""
MOST = 4000
"""Attacks that are chosen beforehand; a storm is over long before."""


async def measure_amid_storm(rig: Rig, *, workloads: int, seed: int) -> dict[str, Any]:
    """POST so many CRs at once into new namespaces, and attack what the lab's former CRs own until the last is Ready."""
    keys = await prepare_namespaces(rig, "amid", workloads, NAMESPACES)
    bodies = [creation(rig, key) for key in keys]
    await rig.settled()
    rig.counted()
    async with (
        Watcher(rig.kube, (SECURE_AI_WORKLOADS,)) as made,
        Watcher(rig.kube, KINDS, names.MANAGED_SELECTOR) as owned,
        Lean(rig.lab.api_url, rig.lab.api.tls, CONNECTIONS) as lean,
    ):
        chosen = attacks(owned, min(MOST, len(owned.latest)), random.Random(seed))  # noqa: S311 - an order
        shown = [
            made.expect((SECURE_AI_WORKLOADS.plural, *key), lambda _, item: is_ready(item)) for key in keys
        ]
        amid = _Amid(rig, owned, shown, iter(chosen))
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(ATTACKERS):
                group.create_task(amid.attack())
            await create_all(lean, bodies)
            created = time.perf_counter() - started
            deadline = 60 + PER_WORKLOAD_SECONDS * workloads
            ready = [at - started for at in await rig.all_of(shown, deadline, "all CRs to be Ready")]
    rig.workloads += keys
    await rig.settled(deadline=SETTLED_SECONDS)
    return {
        "workloads": workloads,
        "attackers": ATTACKERS,
        "createdSeconds": round(created, 3),
        "seconds": round(max(ready), 3),
        **summary(amid.healed),
        "foreignWriteOnly": summary(amid.written),
        "queued": {"most": max(amid.queued, default=0), "least": min(amid.queued, default=0)},
        "counts": rig.counted().as_json(),
        "milliseconds": [round(value * 1000, 2) for value in amid.healed],
    }


class _Amid:
    """Attacks for as long as a CR of the storm is not Ready."""

    def __init__(
        self, rig: Rig, watcher: Watcher, shown: Sequence[asyncio.Future[float]], chosen: Iterator[Attack]
    ) -> None:
        self._rig, self._watcher, self._shown, self._chosen = rig, watcher, shown, chosen
        self.healed: list[float] = []
        self.written: list[float] = []
        self.queued: list[int] = []
        """How many CRs were not Ready yet as each attack began."""

    async def attack(self) -> None:
        """One attack after the other."""
        while queued := sum(not future.done() for future in self._shown):
            written, healed = await attacked(self._rig, self._watcher, next(self._chosen))
            self.queued.append(queued)
            self.written.append(written)
            self.healed.append(healed)
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - no secret
