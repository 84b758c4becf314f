"""Restarting what runs a workload's pods, once for each request: what they read at their start is read anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from secureai_operator import errors
from secureai_operator.api.resources import DEPLOYMENTS, REPLICA_SETS, Resource, by_kind
from secureai_operator.clients.kube import Json, ScopedKube
from secureai_operator.core.facts import Owner, PodFacts
from secureai_operator.core.restarts import (
    Consumer,
    Way,
    consumers,
    controller_of,
    held_back,
    replica_sets,
    request_value,
    restart_patch,
    second_of,
    turned,
    way,
)

SETTLE = timedelta(seconds=2)
"""No eviction sooner after a request: a pod's time is in seconds and of another clock, and the pod that is made instead of
an evicted one has to be younger than the request, or it would be evicted as well."""
EVICTIONS_TRIED = 4
"""Of one consumer in one call, if PodDisruptionBudgets refuse them."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """What a call found or made; each entry once, sorted.

    What has no pod at the moment, because its last one is just being replaced, is in none of them: whoever keeps
    a record adds up what the calls for a request said.
    """

    restarted: tuple[str, ...]
    """Kind/name of what runs pods that are younger than the request, or replaces those that are not."""
    left: tuple[str, ...]
    """Kind/name of what still runs older pods and was not restarted, with the reason in parentheses if there is one:
    `Job/train`, `Pod/lonely`, `StatefulSet/db (OnDelete)`, `Deployment/llm (KubernetesRefused)`."""
    pending: bool
    """There is more to do: call again soon."""


async def restart_consumers(
    kube: ScopedKube, pods: Sequence[PodFacts], request: str, *, since: datetime, now: datetime
) -> Restarted:
    """Restart what runs the pods, never twice for one request however often it is called.

    `since` is when what the pods have to read anew was in its place; it must be the same in each call for the
    request. Only what runs older pods is touched. `request` must be another for each request of whatever sort: it is
    the mark on what was restarted. At most one pod is evicted in a call. Raises errors.Retry if Kubernetes cannot say.
    """
    tally, begun = _Tally(), second_of(since)
    evicting: list[Consumer] = []
    for consumer in consumers(pods, await _above(kube, pods, tally)):
        chosen = way(consumer)
        if not consumer.older(begun):
            if chosen is not Way.LEAVE:
                tally.restarted.add(str(consumer))
        elif chosen is Way.LEAVE:
            tally.left.add(str(consumer))
        elif chosen is Way.EVICT or not await _roll(kube, consumer, request_value(request), tally):
            evicting.append(consumer)
    if evicting and now < since + SETTLE:
        tally.pending = True
    else:
        await _evict_one(kube, evicting, begun, now, tally)
    return tally.result()


@dataclass(slots=True)
class _Tally:
    """What becomes of the consumers in one call."""

    restarted: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    pending: bool = False

    @contextmanager
    def of(self, what: object) -> Iterator[None]:
        """A refusal is told of the one that it is about, and harms no other."""
        try:
            yield
        except errors.KubeConflict:
            self.pending = True
        except errors.KubeNotFound:
            pass  # It went, and its pods go with it.
        except (errors.KubeForbidden, errors.KubeInvalid) as error:
            self.left.add(f"{what} ({error.reason})")

    def rolled(self, consumer: Consumer, why_not: str) -> None:
        if why_not:
            self.left.add(f"{consumer} ({why_not})")
        else:
            self.restarted.add(str(consumer))

    def result(self) -> Restarted:
        return Restarted(tuple(sorted(self.restarted)), tuple(sorted(self.left)), self.pending)


async def _above(kube: ScopedKube, pods: Sequence[PodFacts], tally: _Tally) -> dict[Owner, Owner]:
    """Each ReplicaSet's own controller, or itself if it has none."""
    found: dict[Owner, Owner] = {}
    for owner in replica_sets(pods):
        with tally.of(owner):
            live = await _live(kube, REPLICA_SETS, owner)
            if live is not None:
                found[owner] = controller_of(live["metadata"]) or owner
    return found


async def _live(kube: ScopedKube, resource: Resource, owner: Owner) -> Json | None:
    """The owner itself, or None if it is gone, whatever has its name by now."""
    live = await kube.get(resource, owner.name)
    return live if live is not None and live["metadata"]["uid"] == owner.uid else None


async def _roll(kube: ScopedKube, consumer: Consumer, value: str, tally: _Tally) -> bool:
    """Change the template if that was not done; False if that is not for us, and the pods have to be evicted."""
    resource = by_kind(DEPLOYMENTS.api_version, consumer.owner.kind)
    with tally.of(consumer):
        live = await _live(kube, resource, consumer.owner)
        if live is None:
            return True
        if controller_of(live["metadata"]) is not None:
            # Whoever made it writes its template, and would take the annotation back.
            return False
        patch = restart_patch(live, value)
        if patch is not None:
            await kube.merge_patch(resource, consumer.owner.name, patch)
        tally.rolled(consumer, held_back(live))
    return True


async def _evict_one(
    kube: ScopedKube, evicting: Sequence[Consumer], begun: str, now: datetime, tally: _Tally
) -> None:
    """Evict a pod of the first consumer that lets go of one; the others wait for the next call."""
    evicted = False
    for consumer in evicting:
        with tally.of(consumer):
            if not evicted:
                older = turned(consumer.older(begun), now)
                evicted = await _evict(kube, older[:EVICTIONS_TRIED])
                if evicted and len(older) == 1:
                    tally.restarted.add(str(consumer))
            tally.pending = True


async def _evict(kube: ScopedKube, pods: Sequence[PodFacts]) -> bool:
    """Whether one of the pods was evicted; False if budgets keep all of them for now, or they went."""
    for pod in pods:
        try:
            if await kube.evict(pod.name, pod.uid):
                return True
        except (errors.KubeThrottled, errors.KubeConflict):
            # A budget keeps it, or another pod has its name by now.
            continue
    return False
