"""Every example, applied as a user would: its workloads become Ready and its pods run under them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import Lab
from secureai_operator import names

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
READY_SECONDS = 60.0
PODS_SECONDS = 120.0
"""A pod that came before its workload was refused; its controller tries again with growing pauses."""

CONFIDENTIAL_NODES = {
    "llm-inference-tdx-gpu.yaml": {"tdx-gpu-0"},
    "training-job.yaml": {"tdx-0", "tdx-1", "tdx-gpu-0"},
}

Json = dict[str, Any]


@pytest.fixture(params=sorted(path.name for path in EXAMPLES.glob("*.yaml")))
def example(request: pytest.FixtureRequest, lab: Lab) -> Iterator[str]:
    """An example that was applied; its namespace goes when the test is over."""
    file = str(request.param)
    lab.kubectl("apply", "-f", str(EXAMPLES / file))
    yield file
    lab.delete_namespace(namespace_of(file))


def documents(file: str) -> list[Json]:
    return list(yaml.safe_load_all((EXAMPLES / file).read_text()))


def namespace_of(file: str) -> str:
    return str(documents(file)[0]["metadata"]["name"])


def items(lab: Lab, file: str, kind: str) -> list[Json]:
    answer = lab.kubectl("get", kind, "-n", namespace_of(file), "-o", "json").stdout
    found: list[Json] = json.loads(answer)["items"]
    return found


def wanted_pods(file: str) -> int:
    owners = {"Deployment", "StatefulSet", "Job"}
    return sum(
        document["spec"].get("replicas", 1) for document in documents(file) if document["kind"] in owners
    )


def is_ready(workload: Json) -> bool:
    status = workload.get("status", {})
    return status.get("observedGeneration") == workload["metadata"]["generation"] and any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status.get("conditions", ())
    )


def told(workloads: list[Json]) -> str:
    """What is not as it should be, for the message of a test that fails."""
    return "; ".join(
        f"{workload['metadata']['name']}: {condition['type']} {condition['reason']} {condition['message']}"
        for workload in workloads
        for condition in workload.get("status", {}).get("conditions", ())
        if condition["status"] != "True"
    )


def test_an_example_becomes_ready_and_its_pods_run_under_it(lab: Lab, example: str) -> None:
    wait_ready(lab, example)
    pods = wait_running(lab, example)
    assert len(pods) == wanted_pods(example)
    if example == "audit-adoption.yaml":
        assert {pod["spec"]["serviceAccountName"] for pod in pods} <= {"default"}
        return
    for pod in pods:
        workload = pod["metadata"]["labels"][names.WORKLOAD_LABEL]
        assert pod["spec"]["serviceAccountName"] == names.service_account(workload)
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert "secureai-identity" in {volume["name"] for volume in pod["spec"]["volumes"]}
    if example in CONFIDENTIAL_NODES:
        assert {pod["spec"]["nodeName"] for pod in pods} <= CONFIDENTIAL_NODES[example]


def wait_ready(lab: Lab, file: str) -> None:
    seen: list[Json] = []

    def all_ready() -> bool:
        seen[:] = items(lab, file, "saw")
        return bool(seen) and all(map(is_ready, seen))

    try:
        lab.wait_for(all_ready, deadline=READY_SECONDS, what=f"the workloads of {file} to be Ready")
    except Exception as error:
        error.add_note(told(seen))
        raise


def wait_running(lab: Lab, file: str) -> list[Json]:
    wanted = wanted_pods(file)

    def running() -> list[Json]:
        pods = [pod for pod in items(lab, file, "pods") if pod["status"].get("phase") == "Running"]
        return pods if len(pods) >= wanted else []

    if wanted == 0:
        return []
    return lab.wait_for(running, deadline=PODS_SECONDS, what=f"{wanted} pods of {file} to run")
