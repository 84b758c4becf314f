"""Which objects run a workload's pods, and how each is restarted: by its pod template, by eviction, or not at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from secureai_operator import names
from secureai_operator.api.resources import DAEMON_SETS, DEPLOYMENTS, PODS, REPLICA_SETS, STATEFUL_SETS
from secureai_operator.core.facts import Manifest, Owner, PodFacts

_HASHED = "sha256-"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,62}")

_ROLLED = frozenset((resource.group, resource.kind) for resource in (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS))
_LEFT = frozenset({("", "Pod"), ("", "Node")})
"""A pod without a controller, and a static one, which is its kubelet's: to evict what is seen of it restarts nothing."""


class Way(Enum):
    """How a consumer is restarted."""

    ROLL = "roll"
    """An annotation of its pod template changes, and it replaces its pods by its own strategy."""
    EVICT = "evict"
    """Its pods are evicted one by one, and it makes new ones."""
    LEAVE = "leave"
    """Nobody would make new pods, or what they have done so far would be lost."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """What runs pods of the workload, with the pods; a pod without a controller runs itself."""

    owner: Owner
    pods: tuple[PodFacts, ...]

    def __str__(self) -> str:
        return str(self.owner)

    def older(self, moment: str) -> tuple[PodFacts, ...]:
        """The pods that may have been made before the moment: all of its second, which is all that is known."""
        return tuple(pod for pod in self.pods if pod.created <= moment)


def controller_of(metadata: Mapping[str, Any]) -> Owner | None:
    """The controller among the owner references, or None."""
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            group, _, _ = owner.get("apiVersion", "").rpartition("/")
            return Owner(group, owner.get("kind", ""), owner.get("name", ""), owner.get("uid", ""))
    return None


def request_value(request: str) -> str:
    """What the annotation says of a request: its id, or a short form of one that is long or odd; never of two the same."""
    if _PLAIN.fullmatch(request) and not request.startswith(_HASHED):
        return request
    return f"{_HASHED}{hashlib.sha256(request.encode()).hexdigest()[:32]}"


def second_of(moment: datetime) -> str:
    """The moment as the API server writes it, which knows no fractions."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def replica_sets(pods: Sequence[PodFacts]) -> tuple[Owner, ...]:
    """The ReplicaSets of the pods, which have to be asked what is above them."""
    return tuple(
        dict.fromkeys(pod.owner for pod in pods if pod.owner is not None and _is_replica_set(pod.owner))
    )


def consumers(pods: Sequence[PodFacts], above: Mapping[Owner, Owner]) -> tuple[Consumer, ...]:
    """The pods by what runs them, in the order of the names.

    `above` has for each ReplicaSet its own controller, or itself; pods of one that is missing there go with it.
    """
    found: dict[Owner, list[PodFacts]] = {}
    for pod in sorted(pods, key=lambda pod: pod.name):
        owner = pod.owner or Owner(PODS.group, PODS.kind, pod.name, pod.uid)
        top = above.get(owner) if _is_replica_set(owner) else owner
        if top is not None:
            found.setdefault(top, []).append(pod)
    return tuple(Consumer(owner, tuple(found[owner])) for owner in sorted(found, key=str))


def way(consumer: Consumer) -> Way:
    owner = consumer.owner
    kind = owner.group, owner.kind
    if kind in _ROLLED:
        return Way.ROLL
    if kind in _LEFT or any(pod.runs_to_end for pod in consumer.pods):
        return Way.LEAVE
    return Way.EVICT


def restart_patch(live: Manifest, value: str) -> dict[str, Any] | None:
    """The merge patch that restarts what is live once for the value; None if it was done."""
    metadata = live["spec"]["template"].get("metadata") or {}
    if (metadata.get("annotations") or {}).get(names.RESTARTED_FOR_ANNOTATION) == value:
        return None
    annotations = {names.RESTARTED_FOR_ANNOTATION: value}
    return {
        "metadata": {"resourceVersion": live["metadata"]["resourceVersion"]},
        "spec": {"template": {"metadata": {"annotations": annotations}}},
    }


def held_back(live: Manifest) -> str:
    """Why its pods are not replaced although the template changed, in a word for its owner; empty if they are."""
    spec = live["spec"]
    if spec.get("paused"):
        return "paused"
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return "OnDelete"
    return "partition" if (strategy.get("rollingUpdate") or {}).get("partition") else ""


def turned(pods: Sequence[PodFacts], now: datetime) -> tuple[PodFacts, ...]:
    """The pods beginning with another one each second: one that may never be evicted does not stand before the others."""
    start = int(now.timestamp()) % len(pods) if pods else 0
    return (*pods[start:], *pods[:start])


def _is_replica_set(owner: Owner) -> bool:
    return (owner.group, owner.kind) == (REPLICA_SETS.group, REPLICA_SETS.kind)
