"""What checks of manifests work on: all objects of one rendered folder, and findings about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

POD_MAKERS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"})


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A check that an object fails."""

    check: str
    object: str
    """`Kind/name`."""
    what: str

    def __str__(self) -> str:
        return f"{self.check}: {self.object}: {self.what}"


@dataclass(frozen=True, slots=True)
class Manifests:
    """All objects of a folder, rendered."""

    objects: Sequence[Json]

    def of(self, *kinds: str) -> Iterator[Json]:
        return (item for item in self.objects if item["kind"] in kinds)

    def pods(self) -> Iterator[tuple[Json, Json]]:
        """Each object that makes pods, with the template of its pods."""
        for item in self.of(*POD_MAKERS):
            spec = item["spec"]
            if item["kind"] == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            yield item, item if item["kind"] == "Pod" else spec["template"]

    def containers(self) -> Iterator[tuple[Json, Json, Json]]:
        """Each container with its object and its pod's spec."""
        for item, template in self.pods():
            for kind in ("initContainers", "containers"):
                for container in template["spec"].get(kind, ()):
                    yield item, template["spec"], container

    def rules(self) -> Iterator[tuple[Json, Json]]:
        """Each rule of RBAC with its role."""
        for role in self.of("Role", "ClusterRole"):
            for rule in role.get("rules") or ():
                yield role, rule

    def bound_rules(self, *kinds: str) -> Iterator[tuple[Json, Json]]:
        """Each rule that a binding of the kinds gives, with the binding."""
        for binding in self.of(*kinds):
            for role, rule in self.rules():
                if (role["kind"], role["metadata"]["name"]) == (
                    binding["roleRef"]["kind"],
                    binding["roleRef"]["name"],
                ):
                    yield binding, rule


Found = Iterator[tuple[Json, str]]
Check = Callable[[Manifests], Found]


def named(item: Json) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


def findings(manifests: Manifests, checks: Mapping[str, Check]) -> list[Finding]:
    """Everything that any check finds, in order."""
    return sorted(
        Finding(name, named(item), what) for name, check in checks.items() for item, what in check(manifests)
    )


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; only the words that the manifests use."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels", {})
    unknown = set(selector) - {"matchLabels"}
    assert not unknown, f"teach this selector {unknown}"
    return all(labels.get(key) == value for key, value in wanted.items())


def pod_check(fails: Callable[[Json], str]) -> Check:
    """A check of each pod's spec; `fails` says how it fails, or nothing."""

    def check(manifests: Manifests) -> Found:
        for item, template in manifests.pods():
            if what := fails(template["spec"]):
                yield item, what

    return check


def container_check(fails: Callable[[Json, Json], str]) -> Check:
    """A check of each container and its pod's spec."""

    def check(manifests: Manifests) -> Found:
        for item, pod, container in manifests.containers():
            if what := fails(container, pod):
                yield item, f"container {container['name']}: {what}"

    return check


def rule_check(fails: Callable[[Json], str], *kinds: str) -> Check:
    """A check of each rule of the roles of these kinds (all, if none is named)."""

    def check(manifests: Manifests) -> Found:
        for role, rule in manifests.rules():
            if (not kinds or role["kind"] in kinds) and (what := fails(rule)):
                yield role, what

    return check


def absent(*kinds: str) -> Check:
    """There is no object of the kinds: a check of them has to be written with the first."""

    def check(manifests: Manifests) -> Found:
        for item in manifests.of(*kinds):
            yield item, f"no check of {item['kind']} was written yet"

    return check
