"""Placement: where TDX workloads may run, by platform preset, and whether the cluster has such a place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from secureai_operator.api import reasons
from secureai_operator.api.confidential import ConfidentialMode, Platform
from secureai_operator.core.facts import ClusterFacts, Facts, NodeFacts, Workload
from secureai_operator.core.verdict import Verdict, bad, good, unknown

TDX_KEYS = "tdx.intel.com/keys"
"""Extended resource: one for each TD that the host can still start. RuntimeClass overhead asks for it, never a container."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One platform's way to a TD. `any_of`: label sets of which the first that a node carries is required."""

    any_of: tuple[Mapping[str, str], ...]
    runtime_class: str = ""
    gpu_labels: Mapping[str, str] = field(default_factory=dict)
    gpu_runtime_class: str | None = None
    """None: the platform has no confidential GPU that this operator knows."""
    needs_tdx_keys: bool = False


# Labels: node-feature-discovery (source/cpu, NodeFeatureRule intel.tdx), Kata Containers' kata-deploy chart, NVIDIA GPU
# operator (cc-manager), Google's cc-device-plugin, AKS's confidential VM documentation, CoCo's cloud-api-adaptor.
PRESETS: Mapping[Platform, Preset] = {
    Platform.BARE_METAL: Preset(
        any_of=(
            {"intel.feature.node.kubernetes.io/tdx": "true"},
            {"feature.node.kubernetes.io/cpu-security.tdx.enabled": "true"},
        ),
        runtime_class="kata-qemu-tdx",
        # cc.mode.state tells which mode the GPU is in, cc.ready.state that it finished getting there.
        gpu_labels={"nvidia.com/cc.ready.state": "true"},
        gpu_runtime_class="kata-qemu-nvidia-gpu-tdx",
        needs_tdx_keys=True,
    ),
    Platform.GKE: Preset(
        any_of=({"cloud.google.com/gke-confidential-nodes-instance-type": "TDX"},),
        gpu_labels={"nvidia.com/cc.ready.state": "true"},
        gpu_runtime_class="",
    ),
    Platform.AKS: Preset(
        any_of=(
            {
                "kubernetes.azure.com/security-type": "ConfidentialVM",
                "feature.node.kubernetes.io/cpu-security.tdx.protected": "true",
            },
        ),
    ),
    Platform.PEER_PODS: Preset(any_of=({},), runtime_class="kata-remote"),
}


@dataclass(frozen=True, slots=True)
class Placement:
    """What the pods get, and what the condition says. `usable` is false if a Required placement has no node."""

    node_selector: Mapping[str, str]
    runtime_class: str
    verdict: Verdict

    @property
    def usable(self) -> bool:
        return self.verdict.status == "True"


_ANYWHERE: Mapping[str, str] = {}


def placement(workload: Workload, facts: Facts) -> Placement:
    """Where the workload goes, by its spec and what the cluster has now.

    Preferred becomes Required as soon as the cluster can do it: a runtime class cannot be preferred.
    Required stays required without a node: then its pods wait, and the condition says for what.
    """
    confidential, cluster = workload.spec.confidential, facts.cluster
    if confidential.mode is ConfidentialMode.OFF:
        return Placement(_ANYWHERE, "", bad(reasons.PLACEMENT_OFF, "spec.confidential.mode is Off"))
    if not cluster.known:
        return Placement(_ANYWHERE, "", unknown(reasons.PROGRESSING, "the cluster's nodes are not known yet"))
    wanted = _wanted(workload, cluster, placed=bool(facts.pods) and _is_placed(workload))
    if not wanted.usable and confidential.mode is ConfidentialMode.PREFERRED:
        return Placement(_ANYWHERE, "", wanted.verdict)
    return wanted


def _is_placed(workload: Workload) -> bool:
    """Whether its pods were already sent to TDX nodes: then the keys in use are its own too."""
    binding = workload.status.binding
    return binding is not None and bool(binding.node_selector)


def _wanted(workload: Workload, cluster: ClusterFacts, *, placed: bool) -> Placement:
    confidential = workload.spec.confidential
    platform = confidential.platform
    if platform is Platform.AUTO:
        platform = _detected(cluster)
    preset = PRESETS[platform]
    gpu = confidential.gpu.confidential
    if gpu and preset.gpu_runtime_class is None:
        verdict = bad(
            reasons.PLATFORM_UNSUPPORTED,
            f"platform {platform.value} has no confidential GPU; choose another or set spec.confidential.gpu.confidential to false",
            terminal=True,
        )
        return Placement(dict(preset.any_of[0]), "", verdict)
    tdx_labels = next((labels for labels in preset.any_of if _has_node(cluster, labels)), preset.any_of[0])
    runtime_class = confidential.runtime_class_name or (
        (preset.gpu_runtime_class or "") if gpu else preset.runtime_class
    )
    labels = {**tdx_labels, **(preset.gpu_labels if gpu else {})}
    found = _node_verdict(cluster, tdx_labels, labels) or _runtime_verdict(cluster, runtime_class)
    if found is None and preset.needs_tdx_keys and not placed:
        found = _keys_verdict(cluster, tdx_labels)
    nodes = len(_nodes_with(cluster, labels))
    return Placement(labels, runtime_class, found or good(reasons.SCHEDULABLE, f"{nodes} of the nodes fit"))


def _detected(cluster: ClusterFacts) -> Platform:
    """The first platform whose labels a node carries; bare metal if there is none, whose reasons then fit."""
    for platform in (Platform.BARE_METAL, Platform.GKE, Platform.AKS):
        if any(_has_node(cluster, labels) for labels in PRESETS[platform].any_of):
            return platform
    return Platform.BARE_METAL


def _node_verdict(
    cluster: ClusterFacts, tdx_labels: Mapping[str, str], labels: Mapping[str, str]
) -> Verdict | None:
    if not _nodes_with(cluster, tdx_labels):
        return bad(reasons.NO_TDX_NODES, f"no schedulable node has the labels {_text(tdx_labels)}")
    if not _nodes_with(cluster, labels):
        return bad(reasons.GPU_NOT_CC_READY, f"no TDX node has the labels {_text(labels)}")
    return None


def _runtime_verdict(cluster: ClusterFacts, runtime_class: str) -> Verdict | None:
    if runtime_class and runtime_class not in cluster.runtime_classes:
        return bad(reasons.RUNTIME_CLASS_MISSING, f"RuntimeClass {runtime_class} does not exist")
    return None


def _keys_verdict(cluster: ClusterFacts, tdx_labels: Mapping[str, str]) -> Verdict | None:
    """Only nodes that advertise keys can run out of them."""
    advertised = [node.tdx_keys for node in _nodes_with(cluster, tdx_labels) if node.tdx_keys is not None]
    if advertised and sum(advertised) <= cluster.tdx_keys_in_use:
        return bad(
            reasons.KEYS_EXHAUSTED, f"{cluster.tdx_keys_in_use} of {sum(advertised)} {TDX_KEYS} are in use"
        )
    return None


def _has_node(cluster: ClusterFacts, labels: Mapping[str, str]) -> bool:
    """Whether any node is of this kind. A cordoned one counts: its pods must not be taken for misplaced."""
    return any(_carries(node, labels) for node in cluster.nodes)


def _nodes_with(cluster: ClusterFacts, labels: Mapping[str, str]) -> list[NodeFacts]:
    return [node for node in cluster.nodes if node.schedulable and _carries(node, labels)]


def _carries(node: NodeFacts, labels: Mapping[str, str]) -> bool:
    return all(node.labels.get(key) == value for key, value in labels.items())


def _text(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
