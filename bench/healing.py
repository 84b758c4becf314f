"""Foreign changes and deletions: from just before the foreign request until the watch shows the object healed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from bench.rig import Rig
from bench.samples import summary
from bench.watching import Json, Place, Watcher
from secureai_operator import names
from secureai_operator.api.resources import (
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)

HEALED_SECONDS = 20.0
PAUSE_SECONDS = (0.1, 0.2)
"""Between two samples, at random: the status and the event of the last heal are written by then, and samples do not fall
into step with the API server's own clock."""

KINDS = (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, NETWORK_POLICIES, SECRETS)
CERTIFICATE = "kubernetes.io/tls"

_CHANGES: dict[str, Json] = {
    "serviceaccounts": {"automountServiceAccountToken": True},
    "roles": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "rolebindings": {"subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]},
    "networkpolicies": {"spec": {"egress": [{}]}},
    "secrets": {"data": {"foreign": "Zm9yZWlnbg=="}},
}
"""What somebody would do: widen it."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One foreign write; `what` groups samples."""

    resource: Resource
    place: Place
    deletes: bool
    certificate: bool

    @property
    def what(self) -> str:
        kind = "certificate Secret" if self.certificate else self.resource.kind
        return f"{kind} {'deleted' if self.deletes else 'changed'}"


def attacks(watcher: Watcher, samples: int, rng: random.Random) -> list[Attack]:
    """As many as asked for, over all kinds, both ways and all workloads; any object is hit a few times at most."""
    resources = {resource.plural: resource for resource in KINDS}
    groups: dict[str, list[Place]] = defaultdict(list)
    for place, item in sorted(watcher.latest.items()):
        if item["metadata"]["name"] != names.NAMESPACE_SECRETS_ROLE:
            groups["certificates" if item.get("type") == CERTIFICATE else place[0]].append(place)
    for places in groups.values():
        rng.shuffle(places)
    turns = sorted(groups)
    chosen = []
    for number in range(samples):
        group = turns[number % len(turns)]
        places = groups[group]
        place = places[(number // len(turns)) % len(places)]
        deletes = number // len(turns) % 2 == 1
        chosen.append(Attack(resources[place[0]], place, deletes, group == "certificates"))
    return chosen


async def measure_healing(rig: Rig, *, samples: int, seed: int, healer: dict[str, int]) -> dict[str, Any]:
    """Attack and wait, one at a time. `healer` names the process that heals, for its CPU time."""
    rig.counted()
    latencies: list[float] = []
    foreign: list[float] = []
    groups: dict[str, list[float]] = defaultdict(list)
    hit: set[str] = set()
    async with Watcher(rig.kube, KINDS, names.MANAGED_SELECTOR) as watcher:
        before = rig.cpu(**healer)
        rng = random.Random(seed)  # noqa: S311 - an order, no secret
        for attack in attacks(watcher, samples, rng):
            written, healed = await attacked(rig, watcher, attack)
            foreign.append(written)
            latencies.append(healed)
            groups[attack.what].append(healed)
            hit.add(_workload_of(watcher, attack.place))
            await asyncio.sleep(rng.uniform(*PAUSE_SECONDS))
        cpu = rig.cpu(**healer).since(before, samples)
    await asyncio.sleep(1)
    counts = rig.counted()
    return {
        **summary(latencies),
        "foreignWriteOnly": summary(foreign),
        "byKind": {what: summary(values) for what, values in sorted(groups.items())},
        "workloads": len(hit),
        "cpuMillisecondsPerSample": cpu,
        "ownedWritesPerHeal": round(counts.owned.total() / samples, 3),
        "counts": counts.as_json(),
        "milliseconds": [round(value * 1000, 2) for value in latencies],
    }


async def attacked(rig: Rig, watcher: Watcher, attack: Attack) -> tuple[float, float]:
    """Seconds until the foreign write was answered, and until the watch shows it healed."""
    plural, namespace, name = attack.place
    right = watcher.latest[attack.place]
    healed = watcher.expect(attack.place, shows_healed(right, certificate=attack.certificate))
    started = time.perf_counter()
    if attack.deletes:
        await rig.kube.delete(attack.resource, namespace, name)
    else:
        await rig.kube.merge_patch(attack.resource, namespace, name, _CHANGES[plural])
    written = time.perf_counter()
    async with asyncio.timeout(HEALED_SECONDS):
        at = await healed
    return written - started, at - started


def shows_healed(right: Json, *, certificate: bool) -> Any:
    """Told when an event shows a later object that says what the right one said; a new certificate may differ."""
    wanted, version = _content(right, certificate=certificate), right["metadata"]["resourceVersion"]

    def shows(kind: str, item: Json) -> bool:
        return (
            kind != "DELETED"
            and item["metadata"]["resourceVersion"] != version
            and _content(item, certificate=certificate) == wanted
        )

    return shows


def _content(item: Json, *, certificate: bool) -> Json:
    kept = {part: value for part, value in item.items() if part not in ("metadata", "kind", "apiVersion")}
    if certificate:
        kept["data"] = sorted(item.get("data") or {})
    metadata = item["metadata"]
    return {
        **kept,
        "labels": metadata.get("labels"),
        "owners": [owner["uid"] for owner in metadata.get("ownerReferences") or ()],
    }


def _workload_of(watcher: Watcher, place: Place) -> str:
    labels = watcher.latest.get(place, {}).get("metadata", {}).get("labels") or {}
    return f"{place[1]}/{labels.get(names.WORKLOAD_LABEL)}"
