"""Many owned objects deleted at once: from just before the first DELETE until the watch shows the last of them back."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from bench.healing import CERTIFICATE, KINDS, shows_healed
from bench.lean import Lean, request, send_all
from bench.load import Busy
from bench.rig import Rig
from bench.samples import summary
from bench.watching import Json, Place, Watcher
from secureai_operator import names

CONNECTIONS = 16
BACK_SECONDS = 300.0
SETTLED_SECONDS = 120.0

_RESOURCES = {resource.plural: resource for resource in KINDS}


async def measure_drift_storm(rig: Rig, *, objects: int, seed: int) -> dict[str, Any]:
    """Delete so many of all owned objects of this lab, as fast as the API server lets us, and wait for all."""
    rig.counted()
    async with (
        Watcher(rig.kube, KINDS, names.MANAGED_SELECTOR) as watcher,
        Lean(rig.lab.api_url, rig.lab.api.tls, CONNECTIONS) as lean,
    ):
        places = chosen(watcher.latest, objects, random.Random(seed))  # noqa: S311 - an order, no secret
        shown = [
            watcher.expect(place, shows_healed(item, certificate=item.get("type") == CERTIFICATE))
            for place in places
            for item in [watcher.latest[place]]
        ]
        busy, before = Busy.now(), rig.cpu()
        started = time.perf_counter()
        await send_all(lean, [_deletion(lean, place) for place in places], HTTPStatus.OK)
        deleted = time.perf_counter() - started
        back = [at - started for at in await rig.all_of(shown, BACK_SECONDS, "all objects to be back")]
        after = rig.cpu()
        machine = busy.until_now(after.total_since(before))
    await rig.settled(deadline=SETTLED_SECONDS)
    counts = rig.counted()
    return {
        "objects": len(places),
        "workloads": len(rig.workloads),
        "kinds": dict(sorted(Counter(place[0] for place in places).items())),
        "deletedSeconds": round(deleted, 3),
        "seconds": round(max(back), 3),
        "back": summary(back),
        "ownedWritesPerHeal": round(counts.owned.total() / len(places), 3),
        "cpuMillisecondsPerSample": after.since(before, len(places)),
        "machine": machine,
        "counts": counts.as_json(),
    }


def chosen(latest: Mapping[Place, Json], objects: int, rng: random.Random) -> list[Place]:
    """As many as asked for, over all kinds as often as there are objects; never a namespace's own binding."""
    places = [place for place in sorted(latest) if place[2] != names.NAMESPACE_SECRETS_ROLE]
    if len(places) < objects:
        raise ValueError(f"{objects} objects are to be deleted, and there are {len(places)}")
    return rng.sample(places, objects)


def _deletion(lean: Lean, place: Place) -> bytes:
    plural, namespace, name = place
    headers = {"Host": lean.host, "Accept": "application/json"}
    return request("DELETE", _RESOURCES[plural].path(namespace, name), headers)
