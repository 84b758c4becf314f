"""What is kept of nodes and pods: what decides, and nothing that changes with every heartbeat."""

from __future__ import annotations

from typing import Any

import pytest

from secureai_operator import names
from secureai_operator.controllers.world import _takes_tdx_key, live_pod, node_facts
from secureai_operator.core.facts import Owner
from tests.unit.samples import TDX, Json


def node(**changed: Any) -> Json:
    return {"metadata": {"name": "n1", "labels": {**TDX, "kubernetes.io/hostname": "n1"}}, **changed}


def test_of_a_node_only_what_placement_asks_is_kept() -> None:
    found = node_facts(node(status={"allocatable": {"tdx.intel.com/keys": "31", "cpu": "4"}}))
    assert (found.name, found.labels, found.schedulable, found.tdx_keys) == ("n1", TDX, True, 31)


def test_a_heartbeat_changes_nothing() -> None:
    beat = {"conditions": [{"type": "Ready", "lastHeartbeatTime": "2026-01-31T12:00:00Z"}]}
    assert node_facts(node(status=beat)) == node_facts(node())


@pytest.mark.parametrize("keys", ["", "1k", None, "-1", "1.5"])
def test_a_count_of_keys_that_is_no_number_is_not_known(keys: str | None) -> None:
    assert node_facts(node(status={"allocatable": {"tdx.intel.com/keys": keys}})).tdx_keys is None


def test_a_cordoned_node_is_known_as_one() -> None:
    assert not node_facts(node(spec={"unschedulable": True})).schedulable


def pod(spec: Json | None = None, status: Json | None = None, **metadata: Any) -> Json:
    labels = {names.WORKLOAD_LABEL: "llm"}
    return {
        "metadata": {"name": "p", "namespace": "team-a", "uid": "u", "labels": labels, **metadata},
        "spec": {
            "containers": [{"name": "a", "image": "i", "env": [{"name": "T", "value": "s3cret"}]}],
            **(spec or {}),
        },
        "status": status or {},
    }


def test_of_a_pod_neither_images_nor_environment_are_kept() -> None:
    found = live_pod(pod({"volumes": [{"name": "data"}, {"name": "secureai-keys"}]}))
    assert "s3cret" not in repr(found)
    assert found.raw_binding["spec"]["volumes"] == [{"name": "secureai-keys"}]
    assert found.workload == "llm"


@pytest.mark.parametrize(
    ("raw", "finished"),
    [
        (pod(), False),
        (pod(status={"phase": "Running"}), False),
        (pod(status={"phase": "Succeeded"}), True),
        (pod(status={"phase": "Failed"}), True),
        (pod(deletionTimestamp="2026-01-31T12:00:00Z"), True),
    ],
)
def test_a_pod_that_ends_counts_no_more(raw: Json, finished: bool) -> None:
    found = live_pod({**raw, "spec": {**raw["spec"], "runtimeClassName": "kata-qemu-tdx"}})
    assert found.finished is finished
    assert _takes_tdx_key(found) is not finished


def test_only_a_tdx_runtime_class_takes_a_key() -> None:
    assert not _takes_tdx_key(live_pod(pod()))
    assert not _takes_tdx_key(live_pod(pod({"runtimeClassName": "gvisor"})))


def test_a_pod_says_whether_it_is_quarantined_and_would_come_back() -> None:
    found = live_pod(pod(labels={names.QUARANTINE_LABEL: ""}, ownerReferences=[{"controller": True}]))
    assert found.quarantined
    assert found.controlled
    assert found.workload == ""
    assert not live_pod(pod(ownerReferences=[{"controller": False}])).controlled


def test_a_pod_says_what_runs_it_since_when_and_whether_it_is_to_end() -> None:
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "llm-1",
        "uid": "u1",
        "controller": True,
    }
    found = live_pod(pod(creationTimestamp="2026-01-31T12:00:00Z", ownerReferences=[{"kind": "Node"}, owner]))
    assert found.owner == Owner("apps", "ReplicaSet", "llm-1", "u1")
    assert found.created == "2026-01-31T12:00:00Z"
    assert not found.runs_to_end
    assert not live_pod(pod({"restartPolicy": "Always"})).runs_to_end
    assert live_pod(pod({"restartPolicy": "OnFailure"})).runs_to_end
