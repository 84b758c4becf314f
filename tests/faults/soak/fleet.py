"""The workloads of a soak: what was asked of each, and what must never be lost of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import DEPLOYMENTS, SECURE_AI_WORKLOADS
from secureai_operator.cli.owned import expected_names
from secureai_operator.cli.workloads import WorkloadView

NAMESPACES = ("soak-a", "soak-b", "soak-c")
DATA_KEYS = ("model", "prompts", "cache", "logs")
SHORT_TTL, LONG_TTL = "5m", "24h"
"""The short one is renewed every three minutes."""
TIERS = ("often", "hourly")
"""By the label `tier` one of two policies rules."""

Json = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name."""


@dataclass(slots=True)
class Wanted:
    """A workload as it was asked for."""

    namespace: str
    name: str
    spec: Json
    tier: str
    pods: bool = False
    asked: dict[str, str] = field(default_factory=dict)
    """Annotation → the last request's id."""
    asked_count: Counter[str] = field(default_factory=Counter)
    plain: dict[str, set[bytes]] = field(default_factory=dict, repr=False)
    """Digests of every data key that it ever had, by name. Never printed."""
    latest_version: int = 0
    triggers: dict[int, str] = field(default_factory=dict)
    """What made each version of its key, as its history said."""
    touched_at: float = 0.0
    """When somebody last changed what it has in Vault, in seconds of the run."""

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    @property
    def body(self) -> Json:
        return {
            "apiVersion": names.API_VERSION,
            "kind": "SecureAIWorkload",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": {"tier": self.tier}},
            "spec": self.spec,
        }

    def objects(self) -> list[tuple[str, str]]:
        """Kind and name of everything that it must own."""
        found = expected_names(WorkloadView(self.body, ()))
        return [(kind, name) for kind, several in found.items() for name in several]


@dataclass(slots=True)
class Fleet:
    """All workloads that there should be, and the writes that make it so."""

    lab: Lab
    random: random.Random
    with_pods: int
    wanted: dict[Key, Wanted] = field(default_factory=dict)
    made: int = 0

    def create(self) -> None:
        number = self.made
        self.made += 1
        namespace = NAMESPACES[number % len(NAMESPACES)]
        pods = sum(one.pods for one in self.wanted.values()) < self.with_pods
        spec = new_spec(self.random, audited=not pods and self.random.random() < 0.1)
        one = Wanted(namespace, f"w{number}", spec, self.random.choice(TIERS), pods)
        self.lab.api.request("POST", SECURE_AI_WORKLOADS.path(namespace), one.body)
        self.wanted[one.key] = one
        if pods:
            self.lab.api.request("POST", DEPLOYMENTS.path(namespace), deployment(one.name))

    def delete(self, one: Wanted) -> None:
        self.lab.api.request("DELETE", SECURE_AI_WORKLOADS.path(one.namespace, one.name))
        del self.wanted[one.key]
        if one.pods:
            self.lab.api.request("DELETE", DEPLOYMENTS.path(one.namespace, one.name))

    def update(self, one: Wanted, change: Json) -> None:
        """Change parts of the spec: a merge patch of one level."""
        self.patch(one, {"spec": change})
        one.spec = {**one.spec, **change}

    def annotate(self, one: Wanted, annotation: str, value: str) -> None:
        self.patch(one, {"metadata": {"annotations": {annotation: value}}})
        one.asked[annotation] = value
        one.asked_count[annotation] += 1

    def patch(self, one: Wanted, change: Json) -> None:
        path = SECURE_AI_WORKLOADS.path(one.namespace, one.name)
        self.lab.api.request("PATCH", path, change, "application/merge-patch+json")

    def listed(self) -> dict[Key, Json]:
        """The workloads of all the soak's namespaces as they are."""
        return {
            (item["metadata"]["namespace"], item["metadata"]["name"]): item
            for namespace in NAMESPACES
            for item in self.lab.api.request("GET", SECURE_AI_WORKLOADS.path(namespace))["items"]
        }


def new_spec(rng: random.Random, *, audited: bool) -> Json:
    """Any valid spec that can become Ready on the lab."""
    spec: Json = {"keys": _keys(rng), **some_changes(rng)}
    if audited:
        spec["enforcement"] = "Audit"
    return spec


def some_changes(rng: random.Random) -> Json:
    """Parts of a spec that may change at any time, each with some chance."""
    parts: Json = {
        "network": {"ingress": _rules(rng, "from"), "egress": _rules(rng, "to"), "dns": rng.random() < 0.8},
        "access": {"tokenTTL": rng.choice(["10m", "1h"]), "rules": _access(rng)},
        "certificate": {
            "ttl": SHORT_TTL if rng.random() < 0.15 else LONG_TTL,
            "delivery": "None" if rng.random() < 0.1 else "Secret",
        },
    }
    chosen = rng.sample(sorted(parts), rng.randint(1, len(parts)))
    return {part: parts[part] for part in chosen}


def one_more_data_key(one: Wanted) -> Json | None:
    """The change that adds a data key, or None if it has all of them."""
    keys: Json = one.spec["keys"]
    had = {item["name"] for item in keys["dataKeys"]}
    left = [name for name in DATA_KEYS if name not in had]
    if not left or keys["type"] == "ed25519":
        return None
    return {"keys": {**keys, "dataKeys": [*keys["dataKeys"], _data_key(left[0], derived=keys["derived"])]}}


def _keys(rng: random.Random) -> Json:
    kind = rng.choices(["aes256-gcm96", "chacha20-poly1305", "ed25519"], [8, 1, 1])[0]
    derived = kind != "ed25519" and rng.random() < 0.15
    count = 0 if kind == "ed25519" else rng.randint(0, 3)
    return {
        "type": kind,
        "derived": derived,
        "dataKeys": [_data_key(name, derived=derived) for name in DATA_KEYS[:count]],
    }


def _data_key(name: str, *, derived: bool) -> Json:
    return {"name": name, **({"context": f"tenant-{name}"} if derived else {})}


def _rules(rng: random.Random, side: str) -> list[Json]:
    peers: list[Json] = [
        {"namespace": "gateway"},
        {"cidr": f"10.{rng.randint(1, 250)}.0.0/16"},
        {"podLabels": {"app": "peer"}},
    ]
    return [
        {side: rng.sample(peers, rng.randint(1, 2)), "ports": [rng.choice([443, 8000])]}
        for _ in range(rng.randint(0, 2))
    ]


def _access(rng: random.Random) -> list[Json]:
    names_of = [f"settings-{rng.randint(1, 9)}"]
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": names_of, "verbs": ["get"]}
    return [rule] * rng.randint(0, 1)


def deployment(name: str) -> Json:
    labels = {names.WORKLOAD_LABEL: name}
    pod = {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "none"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }


def versions_made(fleet: Iterable[Wanted]) -> Counter[str]:
    """How many versions of keys there are by what made them."""
    return Counter(trigger for one in fleet for trigger in one.triggers.values())
