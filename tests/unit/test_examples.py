"""The examples: complete, valid by the models, and each shows what its name says."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureai_operator import names
from secureai_operator.api.confidential import ConfidentialMode
from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.api.workload import Enforcement, SecureAIWorkloadSpec

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))
POD_OWNERS = ("Deployment", "StatefulSet", "Job")

Json = dict[str, Any]


@cache
def documents(file: str) -> tuple[Json, ...]:
    return tuple(yaml.safe_load_all((EXAMPLES / file).read_text()))


def of_kind(file: str, *kinds: str) -> list[Json]:
    return [document for document in documents(file) if document["kind"] in kinds]


def workloads(file: str) -> dict[str, SecureAIWorkloadSpec]:
    return {
        document["metadata"]["name"]: SecureAIWorkloadSpec.model_validate(document.get("spec", {}))
        for document in of_kind(file, "SecureAIWorkload")
    }


@pytest.mark.parametrize("file", FILES)
def test_every_example_brings_its_namespace_first_and_stays_in_it(file: str) -> None:
    first, *rest = documents(file)
    assert first["kind"] == "Namespace"
    assert rest
    assert {document["metadata"]["namespace"] for document in rest} == {first["metadata"]["name"]}


def test_no_two_examples_share_a_namespace() -> None:
    namespaces = [documents(file)[0]["metadata"]["name"] for file in FILES]
    assert len(set(namespaces)) == len(namespaces)


@pytest.mark.parametrize("file", FILES)
def test_every_workload_is_valid(file: str) -> None:
    assert workloads(file)
    for name in workloads(file):
        assert len(name) <= names.WORKLOAD_NAME_MAX


def test_the_rotation_policy_is_valid() -> None:
    (policy,) = of_kind("key-rotation-policy.yaml", "KeyRotationPolicy")
    spec = KeyRotationPolicySpec.model_validate(policy["spec"])
    (workload,) = of_kind("key-rotation-policy.yaml", "SecureAIWorkload")
    assert spec.selector.match_labels.items() <= workload["metadata"]["labels"].items()


@pytest.mark.parametrize("file", FILES)
def test_every_pod_belongs_to_a_workload_of_the_file(file: str) -> None:
    for owner in of_kind(file, *POD_OWNERS):
        labels = owner["spec"]["template"]["metadata"]["labels"]
        selected = [
            name
            for name, spec in workloads(file).items()
            if (spec.pod_selector.match_labels if spec.pod_selector else {names.WORKLOAD_LABEL: name}).items()
            <= labels.items()
        ]
        assert len(selected) == 1, owner["metadata"]["name"]


@pytest.mark.parametrize("file", FILES)
def test_pods_ask_for_nothing_that_the_operator_gives(file: str) -> None:
    given = {"serviceAccountName", "nodeSelector", "affinity", "runtimeClassName"}
    for owner in of_kind(file, *POD_OWNERS):
        assert not given & owner["spec"]["template"]["spec"].keys()


def test_the_minimal_example_is_at_most_eight_lines() -> None:
    assert len((EXAMPLES / "minimal.yaml").read_text().splitlines()) <= 8


def test_inference_insists_on_a_confidential_gpu() -> None:
    confidential = workloads("llm-inference-tdx-gpu.yaml")["llm"].confidential
    assert confidential.mode is ConfidentialMode.REQUIRED
    assert confidential.gpu.confidential


def test_the_job_and_the_stateful_set_have_several_data_keys() -> None:
    assert of_kind("training-job.yaml", "Job")
    assert of_kind("statefulset-data-keys.yaml", "StatefulSet")
    assert len(workloads("training-job.yaml")["finetune"].keys.data_keys) == 2
    assert len(workloads("statefulset-data-keys.yaml")["vectors"].keys.data_keys) == 3


def test_adoption_only_audits_and_changes_no_pod_template() -> None:
    (spec,) = workloads("audit-adoption.yaml").values()
    assert spec.enforcement is Enforcement.AUDIT
    (owner,) = of_kind("audit-adoption.yaml", *POD_OWNERS)
    assert names.WORKLOAD_LABEL not in owner["spec"]["template"]["metadata"]["labels"]


def test_two_workloads_name_each_other_on_both_sides() -> None:
    pair = workloads("two-workloads.yaml")
    assert pair["retriever"].network.egress[0].to[0].workload == "model"
    assert pair["model"].network.ingress[0].from_[0].workload == "retriever"
    assert pair["retriever"].network.egress[0].ports == pair["model"].network.ingress[0].ports
