"""The facts about the cluster that passes work with, as the informers and the settings give them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from secureai_operator import names
from secureai_operator.api.access import RoleKind
from secureai_operator.controllers.role_rules import RoleRules, Rules, counts_for
from secureai_operator.controllers.workloads import Workloads
from secureai_operator.core.desired.placement import TDX_KEYS
from secureai_operator.core.facts import (
    ClusterFacts,
    Facts,
    NodeFacts,
    Owner,
    PlatformConfig,
    PodFacts,
    Rival,
    Workload,
)
from secureai_operator.core.restarts import controller_of
from secureai_operator.runtime.informer import Informer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LivePod:
    """What is kept of a pod that carries the workload label."""

    namespace: str
    name: str
    uid: str
    workload: str
    raw_binding: Mapping[str, Any]
    """The parts that binding decides about, as in the pod."""
    quarantined: bool
    owner: Owner | None
    """Its controller, which makes a new pod for it."""
    created: str
    runs_to_end: bool
    finished: bool

    @property
    def controlled(self) -> bool:
        return self.owner is not None


@dataclass(slots=True)
class World:
    """Everything outside the one workload that decides what is desired for it."""

    config: PlatformConfig
    workloads: Workloads
    nodes: Informer[NodeFacts]
    runtime_classes: Informer[str]
    pods: Informer[LivePod]
    roles: RoleRules
    _cluster: ClusterFacts | None = None

    def forget_cluster(self) -> None:
        """A node, a runtime class or a pod changed: the next pass looks anew."""
        self._cluster = None

    def cluster(self) -> ClusterFacts:
        """What the cluster offers; put together once for all passes until something changes."""
        if self._cluster is None:
            self._cluster = self._look_at_cluster()
        return self._cluster

    def _look_at_cluster(self) -> ClusterFacts:
        known = self.nodes.synced.is_set() and self.runtime_classes.synced.is_set()
        nodes = tuple(self.nodes.store.values())
        return ClusterFacts(
            nodes=nodes,
            runtime_classes=frozenset(self.runtime_classes.store.values()),
            tdx_keys_in_use=sum(1 for pod in self.pods.store.values() if _takes_tdx_key(pod)),
            known=known,
        )

    async def facts(self, workload: Workload, pods: tuple[PodFacts, ...], now: datetime) -> Facts:
        """The facts for one workload. Reads RBAC only for workloads that declare access."""
        access = workload.spec.access
        ceiling: Rules = ()
        roles: dict[tuple[str, str], Rules | None] = {}
        if access.rules or access.role_refs:
            age = counts_for(workload)
            ceiling = await self.roles.of(RoleKind.CLUSTER_ROLE, "", names.GRANT_CEILING, age) or ()
            for reference in access.role_refs:
                roles[reference.kind.value, reference.name] = await self.roles.of(
                    reference.kind, workload.namespace, reference.name, age
                )
        return Facts(
            config=self.config,
            cluster=self.cluster(),
            ceiling=ceiling,
            referenced_roles=roles,
            rivals=self._rivals(workload),
            pods=pods,
            now=now,
        )

    def _rivals(self, workload: Workload) -> tuple[Rival, ...]:
        return tuple(
            Rival(other.name, other.created, other.pod_labels)
            for other in self.workloads.selecting(workload.namespace)
            if other.name != workload.name and not other.deleting
        )


def node_facts(raw: dict[str, Any]) -> NodeFacts:
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    keys = (status.get("allocatable") or {}).get(TDX_KEYS)
    labels = metadata.get("labels") or {}
    return NodeFacts(
        name=metadata["name"],
        # Only the labels that placement looks at: heartbeats and others' labels must not cause passes.
        labels={key: value for key, value in labels.items() if _is_placement_label(key)},
        schedulable=not spec.get("unschedulable", False),
        tdx_keys=int(keys) if keys is not None and str(keys).isdigit() else None,
    )


def live_pod(raw: dict[str, Any]) -> LivePod:
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    labels = metadata.get("labels") or {}
    return LivePod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        workload=labels.get(names.WORKLOAD_LABEL, ""),
        raw_binding=_binding_parts(metadata, spec),
        quarantined=names.QUARANTINE_LABEL in labels,
        owner=controller_of(metadata),
        created=metadata.get("creationTimestamp", ""),
        runs_to_end=spec.get("restartPolicy", "Always") != "Always",
        finished=status.get("phase") in ("Succeeded", "Failed") or bool(metadata.get("deletionTimestamp")),
    )


def _binding_parts(metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a pod that binding decides about, and no others: images and environment are not ours to keep."""

    def mounts(container: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": container.get("name"), "volumeMounts": container.get("volumeMounts") or []}

    volumes = [
        volume
        for volume in spec.get("volumes") or ()
        if str(volume.get("name", "")).startswith(("secureai-", "kube-api-access-"))
    ]
    kept = (
        "serviceAccountName",
        "automountServiceAccountToken",
        "runtimeClassName",
        "nodeSelector",
        "tolerations",
    )
    return {
        "metadata": {"labels": metadata.get("labels") or {}},
        "spec": {
            **{part: spec[part] for part in kept if part in spec},
            "volumes": volumes,
            "containers": [mounts(container) for container in spec.get("containers") or ()],
            "initContainers": [mounts(container) for container in spec.get("initContainers") or ()],
        },
    }


def _is_placement_label(key: str) -> bool:
    return "tdx" in key or key.startswith(
        ("nvidia.com/cc.", "cloud.google.com/gke-confidential", "kubernetes.azure.com/security-type")
    )


def _takes_tdx_key(pod: LivePod) -> bool:
    return not pod.finished and str(pod.raw_binding["spec"].get("runtimeClassName", "")).endswith("tdx")
