"""Nodes played by kwok, labelled the way node-feature-discovery and the GPU operator label real ones.

Pods that the real scheduler puts on them are reported Running; nothing is executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from lab.errors import RequestFailed
from lab.processes import Process, Processes
from lab.rest import Json, JsonClient
from lab.waiting import wait_for

READY_SECONDS = 60.0
STAGES = Path(__file__).with_name("stages.yaml")
FAKE = "kwok.x-k8s.io/node"
NODES = "/api/v1/nodes"
RUNTIME_CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
MERGE_PATCH = "application/merge-patch+json"

KATA = {"katacontainers.io/kata-runtime": "true"}
TDX_HOST = {
    "intel.feature.node.kubernetes.io/tdx": "true",
    "feature.node.kubernetes.io/cpu-security.tdx.enabled": "true",
    **KATA,
}
CONFIDENTIAL_GPU = {
    "nvidia.com/cc.ready.state": "true",
    "nvidia.com/cc.mode.state": "on",
    "nvidia.com/cc.mode": "on",
    "nvidia.com/gpu.workload.config": "vm-passthrough",
}


class Kind(Enum):
    """What hardware a node pretends to have."""

    PLAIN = "plain"
    TDX = "tdx"
    TDX_GPU = "tdx-gpu"


_LABELS: Mapping[Kind, Mapping[str, str]] = {
    Kind.PLAIN: {},
    Kind.TDX: TDX_HOST,
    Kind.TDX_GPU: {**TDX_HOST, **CONFIDENTIAL_GPU},
}
_RESOURCES: Mapping[Kind, Mapping[str, str]] = {
    Kind.PLAIN: {},
    Kind.TDX: {"tdx.intel.com/keys": "31"},
    Kind.TDX_GPU: {"tdx.intel.com/keys": "31", "nvidia.com/pgpu": "8"},
}


@dataclass(frozen=True)
class NodeSpec:
    """One fake node; labels and resources are added to those of its kind (a resource of "0" takes one away)."""

    name: str
    kind: Kind = Kind.PLAIN
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()


DEFAULT_NODES = (
    NodeSpec("plain-0"),
    NodeSpec("plain-1"),
    NodeSpec("tdx-0", Kind.TDX),
    NodeSpec("tdx-1", Kind.TDX),
    NodeSpec("tdx-gpu-0", Kind.TDX_GPU),
)


class Nodes:
    """The fake nodes of a lab and the runtime classes of the confidential ones."""

    def __init__(self, processes: Processes, kwok: Path, kubeconfig: Path, api: JsonClient) -> None:
        self._api = api
        self._labels = processes.labels
        self.process = self._kwok(processes, kwok, kubeconfig)

    def start(self) -> None:
        """Start kwok; the cluster must answer already."""
        self.process.start()

    def add(self, nodes: Iterable[NodeSpec], deadline: float = READY_SECONDS) -> None:
        """Create the nodes and wait until all of them are Ready."""
        specs = list(nodes)
        with ThreadPoolExecutor(8) as pool:
            list(
                pool.map(
                    lambda spec: self._api.request("POST", NODES, node_object(spec, self._labels)), specs
                )
            )
        wanted = {spec.name for spec in specs}
        self.process.wait_ready(
            lambda: wanted <= self._ready_names(), deadline, f"{len(wanted)} fake nodes to be Ready"
        )

    def remove(self, *names: str) -> None:
        """Delete nodes; their pods stay bound to a node that is gone, as in a real cluster."""
        for name in names:
            self._delete(f"{NODES}/{name}")

    def label(self, name: str, labels: Mapping[str, str | None]) -> None:
        """Set labels of a node (None takes one away), as a change of its hardware or BIOS would."""
        self._api.request("PATCH", f"{NODES}/{name}", {"metadata": {"labels": dict(labels)}}, MERGE_PATCH)

    def set_resources(self, name: str, resources: Mapping[str, str]) -> None:
        """Set extended resources of a node in capacity and allocatable."""
        status = {"capacity": dict(resources), "allocatable": dict(resources)}
        self._api.request("PATCH", f"{NODES}/{name}/status", {"status": status}, MERGE_PATCH)

    def create_runtime_classes(self) -> None:
        """Create the runtime classes of the confidential nodes, as kata-deploy installs them."""
        tdx = {**KATA, "intel.feature.node.kubernetes.io/tdx": "true"}
        for runtime_class in (
            runtime_class_object("kata-qemu-tdx", "2048Mi", tdx, self._labels),
            # As shipped: its node selector knows nothing of TDX or the GPU's mode.
            runtime_class_object("kata-qemu-nvidia-gpu-tdx", "10240Mi", KATA, self._labels),
        ):
            try:
                self._api.request("POST", RUNTIME_CLASSES, runtime_class)
            except RequestFailed as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise

    def delete_runtime_class(self, name: str) -> None:
        """Delete a runtime class; `create_runtime_classes` brings it back."""
        self._delete(f"{RUNTIME_CLASSES}/{name}")

    def wait_running(self, namespace: str, pod: str, deadline: float = 30.0) -> str:
        """Wait until a pod is Running; returns the name of its node."""

        def running() -> str:
            live = self._api.request("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}")
            return str(live["spec"]["nodeName"]) if live["status"].get("phase") == "Running" else ""

        return wait_for(running, deadline, f"pod {namespace}/{pod} to run")

    def _delete(self, path: str) -> None:
        try:
            self._api.request("DELETE", path)
        except RequestFailed as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def _ready_names(self) -> set[str]:
        selector = quote(",".join(f"{key}={value}" for key, value in self._labels.items()))
        items = self._api.request("GET", f"{NODES}?labelSelector={selector}&resourceVersion=0")["items"]
        return {node["metadata"]["name"] for node in items if is_ready(node)}

    def _kwok(self, processes: Processes, kwok: Path, kubeconfig: Path) -> Process:
        flags = [
            f"--kubeconfig={kubeconfig}",
            f"--manage-nodes-with-annotation-selector={FAKE}=fake",
            "--cidr=10.244.0.0/16",
            "--node-ip=10.0.0.1",
            f"--config={STAGES}",
            "--node-lease-duration-seconds=40",
        ]
        return processes.process("kwok", [kwok, *flags])


def node_object(spec: NodeSpec, ours: Mapping[str, str]) -> Json:
    """The Node that kwok is to play."""
    resources = {
        "cpu": "64",
        "memory": "512Gi",
        "ephemeral-storage": "1Ti",
        "pods": "1000",
        **_RESOURCES[spec.kind],
        **spec.resources,
    }
    labels = {
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        **ours,
        **_LABELS[spec.kind],
        **spec.labels,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": spec.name, "labels": labels, "annotations": {FAKE: "fake"}},
        "spec": {"taints": [dict(taint) for taint in spec.taints]},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [{"type": "Hostname", "address": spec.name}],
            "nodeInfo": dict.fromkeys(("bootID", "machineID", "systemUUID", "kubeProxyVersion"), "")
            | {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "osImage": "Linux",
                "kernelVersion": "6.12.0",
                "containerRuntimeVersion": "containerd://2.2.1",
                "kubeletVersion": "v1.36.3",
            },
        },
    }


def runtime_class_object(
    name: str, memory: str, node_selector: Mapping[str, str], labels: Mapping[str, str]
) -> Json:
    """A RuntimeClass whose overhead takes one TDX key, as kata-deploy writes it."""
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name, "labels": dict(labels)},
        "handler": name,
        "overhead": {"podFixed": {"memory": memory, "cpu": "1", "tdx.intel.com/keys": "1"}},
        "scheduling": {"nodeSelector": dict(node_selector)},
    }


def is_ready(node: Json) -> bool:
    """Whether a node is Ready and takes pods."""
    conditions = node.get("status", {}).get("conditions", [])
    taints = node.get("spec", {}).get("taints", [])
    # The API server gives every new node this taint, the node lifecycle controller takes it away.
    if any(taint["key"] == "node.kubernetes.io/not-ready" for taint in taints):
        return False
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
