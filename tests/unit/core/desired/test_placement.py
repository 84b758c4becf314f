"""Placement: where TDX workloads go, and that neither a cordon nor an empty host moves what runs."""

from __future__ import annotations

from typing import Any

import pytest

from secureai_operator.api import reasons
from secureai_operator.api.confidential import Platform
from secureai_operator.api.reasons import Reason
from secureai_operator.api.rules import PLATFORMS_WITHOUT_GPU
from secureai_operator.api.workload_status import BindingStatus, SecureAIWorkloadStatus
from secureai_operator.core.desired.placement import PRESETS, Placement, placement
from secureai_operator.core.facts import ClusterFacts
from tests.unit.samples import TDX, TDX_CLUSTER, cluster, facts, node, pod, workload

GKE = {"cloud.google.com/gke-confidential-nodes-instance-type": "TDX"}
NFD = {"feature.node.kubernetes.io/cpu-security.tdx.enabled": "true"}
GPU = {"nvidia.com/cc.ready.state": "true"}
ON_TDX = SecureAIWorkloadStatus(binding=BindingStatus(node_selector=TDX, runtime_class_name="kata-qemu-tdx"))
ANYWHERE = SecureAIWorkloadStatus(binding=BindingStatus())


def placed(
    known: ClusterFacts, status: SecureAIWorkloadStatus | None = None, *, pods: int = 0, **confidential: Any
) -> Placement:
    item = workload({"confidential": {"mode": "Required", **confidential}}, status=status)
    return placement(item, facts(cluster=known, pods=tuple(pod(f"p{number}") for number in range(pods))))


def test_a_tdx_node_is_required_with_its_runtime_class() -> None:
    found = placed(TDX_CLUSTER)
    assert found.usable
    assert (found.node_selector, found.runtime_class) == (TDX, "kata-qemu-tdx")
    assert found.verdict.reason is reasons.SCHEDULABLE


@pytest.mark.parametrize(
    ("known", "confidential", "reason"),
    [
        (cluster(node(labels={})), {}, reasons.NO_TDX_NODES),
        (cluster(node(schedulable=False)), {}, reasons.NO_TDX_NODES),
        (cluster(), {}, reasons.NO_TDX_NODES),
        (cluster(node()), {}, reasons.RUNTIME_CLASS_MISSING),
        (TDX_CLUSTER, {"runtimeClassName": "mine"}, reasons.RUNTIME_CLASS_MISSING),
        (TDX_CLUSTER, {"gpu": {"confidential": True}}, reasons.GPU_NOT_CC_READY),
        (cluster(node(keys=2), classes=("kata-qemu-tdx",), in_use=2), {}, reasons.KEYS_EXHAUSTED),
        (TDX_CLUSTER, {"platform": "aks", "gpu": {"confidential": True}}, reasons.PLATFORM_UNSUPPORTED),
    ],
)
def test_what_cannot_be_placed_says_why_and_stays_required(
    known: ClusterFacts, confidential: dict[str, Any], reason: Reason
) -> None:
    found = placed(known, **confidential)
    assert found.verdict.reason is reason
    assert not found.usable
    assert found.node_selector, "a Required placement must never become none"
    assert found.verdict.terminal is (reason is reasons.PLATFORM_UNSUPPORTED)


def test_preferred_goes_anywhere_until_the_cluster_can_do_it() -> None:
    without = placed(cluster(node(labels={})), mode="Preferred")
    assert (without.node_selector, without.runtime_class) == ({}, "")
    assert without.verdict.reason is reasons.NO_TDX_NODES
    assert placed(TDX_CLUSTER, mode="Preferred") == placed(TDX_CLUSTER)


def test_off_goes_anywhere_and_says_so() -> None:
    found = placed(TDX_CLUSTER, mode="Off")
    assert (found.node_selector, found.runtime_class) == ({}, "")
    assert found.verdict.reason is reasons.PLACEMENT_OFF


@pytest.mark.parametrize("mode", ["Required", "Preferred"])
def test_a_cluster_that_is_not_known_is_not_called_good(mode: str) -> None:
    assert placed(ClusterFacts(), mode=mode).verdict.status == "Unknown"


@pytest.mark.parametrize(
    ("labels", "selector", "classes"),
    [(GKE, GKE, ()), (NFD, NFD, ("kata-qemu-tdx",)), (TDX, TDX, ("kata-qemu-tdx",))],
)
def test_a_cordon_changes_no_pod_s_place(
    labels: dict[str, str], selector: dict[str, str], classes: tuple[str, ...]
) -> None:
    before = placed(cluster(node(labels=labels), classes=classes))
    assert before.usable
    assert before.node_selector == selector
    after = placed(cluster(node(labels=labels, schedulable=False), classes=classes))
    assert not after.usable
    assert (after.node_selector, after.runtime_class) == (before.node_selector, before.runtime_class)


def test_keys_in_use_by_its_own_pods_do_not_count_against_it() -> None:
    full = cluster(node(keys=1), classes=("kata-qemu-tdx",), in_use=1)
    assert not placed(full, ON_TDX).usable
    assert placed(full, ON_TDX, pods=1).usable


def test_pods_that_had_to_go_elsewhere_are_not_called_back_to_a_full_host() -> None:
    """Or they would be evicted, find it full, go elsewhere, and be called back again."""
    full = cluster(node(keys=1), classes=("kata-qemu-tdx",), in_use=1)
    first = placed(full, ANYWHERE, mode="Preferred")
    assert first.node_selector == {}
    assert placed(full, ANYWHERE, mode="Preferred", pods=1) == first
    free = cluster(node(keys=2), classes=("kata-qemu-tdx",), in_use=1)
    assert placed(free, ANYWHERE, mode="Preferred", pods=1).usable


def test_nodes_that_do_not_count_keys_have_enough() -> None:
    assert placed(cluster(node(), classes=("kata-qemu-tdx",), in_use=9)).usable
    mixed = cluster(node("a", keys=1), node("b"), classes=("kata-qemu-tdx",), in_use=1)
    assert placed(mixed).verdict.reason is reasons.KEYS_EXHAUSTED


def test_a_confidential_gpu_has_its_labels_and_class() -> None:
    known = cluster(node(labels={**TDX, **GPU}), classes=("kata-qemu-nvidia-gpu-tdx",))
    found = placed(known, gpu={"confidential": True})
    assert found.usable
    assert (found.node_selector, found.runtime_class) == ({**TDX, **GPU}, "kata-qemu-nvidia-gpu-tdx")


def test_what_the_schema_says_of_gpus_is_what_the_presets_hold() -> None:
    without = {platform for platform, preset in PRESETS.items() if preset.gpu_runtime_class is None}
    assert without == set(PLATFORMS_WITHOUT_GPU)
    assert {*PRESETS, Platform.AUTO} == set(Platform)


def test_peer_pods_need_no_node_of_their_own() -> None:
    found = placed(cluster(node(labels={}), classes=("kata-remote",)), platform="peer-pods")
    assert found.usable
    assert (found.node_selector, found.runtime_class) == ({}, "kata-remote")
