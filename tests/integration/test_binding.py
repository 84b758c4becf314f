"""Binding pods on a real API server: by the mutating policy, as bind_pod says it, and refused where it is not."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import jsonpatch
import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.confidential import Toleration
from secureai_operator.api.workload_status import BindingStatus
from secureai_operator.core.desired.binding import (
    ENFORCEMENT_ANNOTATION,
    bind_pod,
    unbound_reason,
)
from tests.integration.bindings import binding, declare, set_binding
from tests.integration.crd_objects import Json, create, workload
from tests.integration.installation import User, author, install, pod, post, refusal

pytestmark = pytest.mark.integration

MINE = {names.WORKLOAD_LABEL: "llm"}
TDX = {"intel.feature.node.kubernetes.io/tdx": "true"}
FULL = {
    "token_expiration_seconds": 900,
    "api_token": True,
    "keys_secret_name": "saw-llm-keys",
    "tls_secret_name": "saw-llm-tls",
    "node_selector": TDX,
    "tolerations": (
        Toleration(key="nvidia.com/gpu", effect="NoSchedule"),
        Toleration(key="team", operator="Equal", value="a"),
    ),
}
BINDINGS: dict[str, Json] = {
    "least": {},
    "full": FULL,
    "selected": {**FULL, "pod_labels": {"app": "llm"}},
    "audit": {**FULL, "enforce": False},
}

_DATA = {"name": "data", "emptyDir": {}}
_PODS: dict[str, Json] = {
    "plain": pod(MINE),
    "three-containers": pod(
        MINE,
        containers=[
            {"name": "a", "image": "a", "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
            {"name": "b", "image": "b"},
        ],
        initContainers=[{"name": "i", "image": "i", "restartPolicy": "Always"}],
        volumes=[_DATA],
        securityContext={"fsGroup": 2000},
    ),
    "placed": pod(
        MINE,
        nodeSelector={"disk": "ssd", "intel.feature.node.kubernetes.io/tdx": "false"},
        tolerations=[
            {"key": "team", "operator": "Equal", "value": "a"},
            {"key": "nvidia.com/gpu", "operator": "Exists"},
        ],
    ),
    "no-automount": pod(MINE, automountServiceAccountToken=False),
    "own-account": pod(MINE, serviceAccountName="default"),
    "our-volume-by-hand": pod(
        MINE,
        containers=[
            {
                "name": "a",
                "image": "a",
                "volumeMounts": [
                    {"name": "secureai-identity", "mountPath": "/mine"},
                    {"name": "data", "mountPath": "/var/run/secrets/secureai.dev/keys"},
                    {"name": "data", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
                ],
            }
        ],
        volumes=[{"name": "secureai-identity", "emptyDir": {}}, _DATA],
    ),
    "marked-by-hand": {
        **pod(MINE),
        "metadata": {"name": "p", "labels": MINE, "annotations": {ENFORCEMENT_ANNOTATION: "Audit", "x": "y"}},
    },
    "selected": pod({"app": "llm"}),
    "selected-and-named": pod({"app": "llm", **MINE}),
    "foreign": pod({"app": "other"}),
}


@pytest.fixture(scope="module", autouse=True)
def _installed(lab: Lab) -> None:
    install(lab)


@dataclass(frozen=True)
class Bound:
    """A namespace with workload llm for each binding, made by the first test that asks for it."""

    lab: Lab
    _made: dict[str, tuple[str, BindingStatus]] = field(default_factory=dict)

    def by(self, how: str) -> tuple[str, BindingStatus]:
        if how not in self._made:
            space = f"binding-{how}"
            fields = BINDINGS[how]
            selector = fields.get("pod_labels")
            self.lab.create_namespace(space)
            declare(self.lab, space, {"podSelector": {"matchLabels": selector}} if selector else None)
            status = binding(namespace=space, **fields)
            set_binding(self.lab, space, status)
            self._made[how] = space, status
        return self._made[how]


@pytest.fixture(scope="module")
def bound(lab: Lab) -> Bound:
    return Bound(lab)


def unbound(lab: Lab, manifest: Json) -> Json:
    """The pod as binding finds it: after the API server's defaults and the ServiceAccount plugin.

    Asked for in a namespace of the system, where no policy looks; there its labels and annotations mean nothing.
    """
    found = post(lab, "kube-public", manifest, dry_run=True)
    assert found.accepted, found.causes
    return found.body


def comparable(found: Json) -> Json:
    """What a pod is, without what differs each time it is asked for."""
    metadata = {key: found["metadata"].get(key) or {} for key in ("labels", "annotations")}
    return {"metadata": metadata, "spec": _renamed(found["spec"])}


def _renamed(value: Any) -> Any:
    """The random suffix of the automounted volume taken off."""
    if isinstance(value, dict):
        return {key: _renamed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    return "kube-api-access" if isinstance(value, str) and value.startswith("kube-api-access-") else value


@pytest.mark.parametrize("how", BINDINGS)
@pytest.mark.parametrize("which", _PODS)
def test_the_policy_and_the_python_bind_alike(lab: Lab, bound: Bound, which: str, how: str) -> None:
    namespace, status = bound.by(how)
    manifest = copy.deepcopy(_PODS[which])
    before = unbound(lab, manifest)
    operations = bind_pod(before, status)
    expected = jsonpatch.apply_patch(before, operations)
    found = post(lab, namespace, manifest, dry_run=True)
    if not found.accepted:
        # Only a pod that the Python leaves alone as well is refused: it names a workload that it is not of.
        assert operations == []
        assert names.WORKLOAD_LABEL in manifest["metadata"]["labels"]
        return
    assert comparable(found.body) == comparable(expected)
    if operations and status.enforce:
        assert unbound_reason(found.body, status) is None
        assert bind_pod(found.body, status) == []


def test_a_bound_pod_runs_as_its_workload_and_is_scheduled_to_a_tdx_node(lab: Lab, namespace: str) -> None:
    declare(lab, namespace)
    set_binding(lab, namespace, binding(namespace=namespace, node_selector=TDX))
    assert post(lab, namespace, pod(MINE)).accepted
    assert lab.nodes.wait_running(namespace, "p").startswith("tdx")


def test_a_runtime_class_brings_its_overhead(lab: Lab, namespace: str) -> None:
    """The API server's own plugins run once more after the policy, or they would refuse the pod."""
    declare(lab, namespace)
    set_binding(lab, namespace, binding(namespace=namespace, runtime_class_name="kata-qemu-tdx"))
    found = post(lab, namespace, pod(MINE))
    assert found.accepted, found.causes
    assert found.body["spec"]["runtimeClassName"] == "kata-qemu-tdx"
    assert found.body["spec"]["overhead"]["tdx.intel.com/keys"] == "1"
    assert not any(volume["name"].startswith("kube-api-access-") for volume in found.body["spec"]["volumes"])


def test_a_deployment_that_came_before_its_workload_starts_once_that_is_ready(
    lab: Lab, namespace: str
) -> None:
    template = {**pod(MINE), "metadata": {"labels": MINE}}
    deployment = {
        "metadata": {"name": "llm"},
        "spec": {
            "selector": {"matchLabels": MINE},
            "template": {key: template[key] for key in ("metadata", "spec")},
        },
    }
    lab.api.request("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", deployment)
    events = f"/api/v1/namespaces/{namespace}/events?fieldSelector=reason%3DFailedCreate"

    def refused() -> bool:
        items = lab.api.request("GET", events)["items"]
        return any("SecureAIWorkload" in event["message"] for event in items)

    lab.wait_for(refused, 30, "the pod to be refused")
    declare(lab, namespace)
    set_binding(lab, namespace, binding(namespace=namespace))

    def accounts() -> list[str]:
        items = lab.api.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        return [item["spec"]["serviceAccountName"] for item in items]

    assert lab.wait_for(accounts, 60, "the pod") == ["saw-llm"]


# What is refused, and what the user reads.


def test_a_pod_of_a_workload_that_does_not_exist_is_refused(lab: Lab, namespace: str) -> None:
    said = refusal(post(lab, namespace, pod(MINE)))
    assert f"SecureAIWorkload {namespace}/llm does not exist or is not ready" in said
    assert f"kubectl get secureaiworkload llm -n {namespace}" in said


def test_a_mark_by_hand_does_not_open_a_namespace_that_has_the_workload(lab: Lab, namespace: str) -> None:
    declare(lab, namespace)
    set_binding(lab, namespace, binding(namespace=namespace, ready=False))
    marked = pod(MINE)
    marked["metadata"]["annotations"] = {ENFORCEMENT_ANNOTATION: "Audit"}
    assert "is not ready to bind its pods" in refusal(post(lab, namespace, marked))


def test_a_pod_of_a_workload_without_an_answer_yet_is_refused_by_its_spec(lab: Lab, namespace: str) -> None:
    declare(lab, namespace, {"podSelector": {"matchLabels": {"app": "llm"}}})
    lab.wait_for(
        lambda: not post(lab, namespace, pod({"app": "llm"}), dry_run=True).accepted,
        30,
        "admission to know it",
    )
    said = refusal(post(lab, namespace, pod({"app": "llm"})))
    assert "is not ready to bind its pods" in said
    assert f"secureai why llm -n {namespace}" in said
    assert post(lab, namespace, pod({"app": "other"})).accepted


def test_the_identity_of_a_workload_is_its_own_pods_alone(lab: Lab, namespace: str) -> None:
    declare(lab, namespace)
    set_binding(lab, namespace, binding(namespace=namespace))
    thief = pod({"app": "thief"}, serviceAccountName="saw-llm")
    assert "ServiceAccount saw-llm is the identity of SecureAIWorkload llm" in refusal(
        post(lab, namespace, thief)
    )
    set_binding(lab, namespace, binding(namespace=namespace, enforce=False))
    assert not post(lab, namespace, thief).accepted, "under Audit as well"


def test_a_pod_is_of_one_workload(lab: Lab, namespace: str) -> None:
    for name in ("llm", "other"):
        declare(lab, namespace, name=name)
    set_binding(lab, namespace, binding(namespace=namespace, pod_labels={"app": "llm"}))
    set_binding(lab, namespace, binding("other", namespace), "other")
    said = refusal(post(lab, namespace, pod({"app": "llm", names.WORKLOAD_LABEL: "other"})))
    assert "a pod is of one workload" in said


def test_a_pod_that_names_a_workload_has_its_labels(lab: Lab, namespace: str) -> None:
    declare(lab, namespace)
    set_binding(lab, namespace, binding(namespace=namespace, pod_labels={"app": "llm"}))
    assert not post(lab, namespace, pod(MINE)).accepted


def test_under_audit_nothing_is_changed_or_refused(lab: Lab, namespace: str) -> None:
    declare(lab, namespace)
    set_binding(lab, namespace, binding(namespace=namespace, enforce=False, ready=False))
    found = post(lab, namespace, pod(MINE))
    assert found.accepted, found.causes
    assert found.body["spec"]["serviceAccountName"] == "default"
    assert found.body["metadata"]["annotations"] == {ENFORCEMENT_ANNOTATION: "Audit"}


def test_the_system_is_left_alone(lab: Lab) -> None:
    assert post(lab, "kube-system", pod(MINE), dry_run=True).accepted
    said = refusal(create(lab, "kube-system", workload({})))
    assert "pods in namespace kube-system are never bound" in said


# Labels of running pods.

LABELS = {"verbs": ["patch", "get"], "apiGroups": [""], "resources": ["pods", "pods/status"]}
RELEASE = {"verbs": ["release"], "apiGroups": [names.GROUP], "resources": ["secureaiworkloads"]}


def label(user: User, namespace: str, change: Json, subresource: str = "") -> Any:
    where = f"/api/v1/namespaces/{namespace}/pods/p{subresource}"
    return user("PATCH", where, {"metadata": {"labels": change}}, "application/merge-patch+json")


@pytest.mark.parametrize("subresource", ["", "/status"])
@pytest.mark.parametrize("value", [None, "other"])
def test_a_bound_pod_keeps_its_workload(
    lab: Lab, namespace: str, subresource: str, value: str | None
) -> None:
    declare(lab, namespace)
    set_binding(lab, namespace, binding(namespace=namespace))
    assert post(lab, namespace, pod(MINE)).accepted
    user = author(lab, namespace, "user", LABELS)
    said = refusal(label(user, namespace, {names.WORKLOAD_LABEL: value}, subresource))
    assert "change the pod template" in said
    assert label(user, namespace, {"other": "label"}, subresource).accepted


def test_a_running_pod_cannot_join_a_workload(lab: Lab, namespace: str) -> None:
    declare(lab, namespace)
    set_binding(lab, namespace, binding(namespace=namespace, pod_labels={"app": "llm"}))
    assert post(lab, namespace, pod({"app": "other"})).accepted
    user = author(lab, namespace, "user", LABELS)
    assert not label(user, namespace, MINE).accepted
    assert "do not change on a running pod" in refusal(label(user, namespace, {"app": "llm"}))


def test_a_selected_pod_cannot_leave_its_network_policy(lab: Lab, namespace: str) -> None:
    declare(lab, namespace)
    set_binding(lab, namespace, binding(namespace=namespace, pod_labels={"app": "llm"}))
    assert post(lab, namespace, pod({"app": "llm"})).accepted
    user = author(lab, namespace, "user", LABELS)
    for subresource in ("", "/status"):
        assert "do not change on a running pod" in refusal(label(user, namespace, {"app": None}, subresource))


def test_a_quarantine_is_lifted_only_by_those_who_may(lab: Lab, namespace: str) -> None:
    assert post(lab, namespace, pod()).accepted
    user, officer = author(lab, namespace, "user", LABELS), author(lab, namespace, "officer", LABELS, RELEASE)
    assert label(user, namespace, {names.QUARANTINE_LABEL: "suspected"}).accepted
    for change in (None, "harmless"):
        for subresource in ("", "/status"):
            found = label(user, namespace, {names.QUARANTINE_LABEL: change}, subresource)
            assert 'may "release" secureaiworkloads' in refusal(found)
    assert label(officer, namespace, {names.QUARANTINE_LABEL: None}).accepted
