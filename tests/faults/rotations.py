"""The rotations that faults strike: each is asked for by an annotation, and over when status says so."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from secureai_operator import names
from secureai_operator.api.resources import DEPLOYMENTS
from tests.faults.proxy import VAULT, Seen
from tests.faults.stage import PATIENCE, Stage
from tests.faults.sweep import Sweep
from tests.faults.trap import Side

REQUEST = "asked-for-once"
KEYS = {"dataKeys": [{"name": "model"}, {"name": "prompts"}]}
BOTH = (Side.BEFORE, Side.AFTER)

_OVER = ("Observing", "Retired")

Json = dict[str, Any]


def is_rotate(seen: Seen) -> bool:
    """The one request that may never be sent twice."""
    return seen.server == VAULT and seen.target.endswith("/rotate")


def key_rotations(stage: Stage, prefix: str, **changes: Any) -> Sweep:
    """One rotation of the key, by hand and without a policy; it was run once, and that was right."""

    def ask(name: str) -> None:
        stage.annotate(name, names.ROTATE_ANNOTATION, REQUEST)

    sweep = Sweep(stage, prefix, {"keys": KEYS}, ask, is_rotated, **changes)
    sweep.run_clean()
    _assert_is_one_rotation(sweep.clean)
    return sweep


def is_rotated(workload: Json, request: str = REQUEST) -> bool:
    rotation = part(workload, "rotation")
    return rotation.get("requestId") == request and rotation["phase"] in _OVER


def part(workload: Json, name: str) -> Json:
    """A part of the status, or {} while it is not there."""
    found: Json = workload.get("status", {}).get(name) or {}
    return found


def versions(state: Json) -> dict[str, int]:
    """The version that wraps each data key, as status says."""
    return {one["name"]: one["keyVersion"] for one in state["status"]["dataKeys"]}


def run_pods(stage: Stage, wanted: Collection[str]) -> None:
    """For each workload a Deployment of one pod, which reads its data keys."""
    for name in wanted:
        stage.lab.api.request("POST", DEPLOYMENTS.path(stage.namespace), _deployment(name))

    def are_bound() -> bool:
        listed = stage.listed()
        return all(part(listed[name], "pods").get("bound") == 1 for name in wanted)

    stage.lab.wait_for(are_bound, PATIENCE, "a pod of each workload")


def _deployment(name: str) -> Json:
    labels = {names.WORKLOAD_LABEL: name}
    pod = {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "none"}]}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _assert_is_one_rotation(clean: Json) -> None:
    assert clean["latest_version"] == 2
    assert clean["status"]["key"]["latestVersion"] == 2
    assert versions(clean) == {"model": 2, "prompts": 2}
    assert clean["secret"] == {"model": "vault:v2:*", "prompts": "vault:v2:*"}
    (entry,) = clean["status"]["rotation"]["history"]
    assert (entry["fromVersion"], entry["toVersion"], entry["result"]) == (1, 2, "Done")
    assert (entry["trigger"], entry["itemsRewrapped"]) == ("Manual", 2)
    assert "lastDrift" not in clean["status"]
