"""Nothing the operator asks of the API server is forbidden, and nothing that it may ask goes unasked."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml

from lab import Lab
from lab.json_lines import entries
from secureai_operator import names
from secureai_operator.api.resources import (
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SECURE_AI_WORKLOADS,
    SERVICE_ACCOUNTS,
)
from tests.fixtures_operator import SharedOperator, Workloads
from tests.integration.audits import EXPECTED_DENIALS, OPERATOR, KubeRequest, kube_requests
from tests.integration.restarting import mark
from tests.integration.rotations import policy, wait_policy
from tests.integration.running import ROLLED, live_pods, running
from tests.product import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

Json = dict[str, Any]
Right = tuple[str, str, str]
"""Verb, API group, resource with its subresource."""

READ_CONFIG = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}
UNSEEN: frozenset[Right] = frozenset({("bind", "rbac.authorization.k8s.io", "clusterroles")})
"""Asked by the API server itself as a RoleBinding is written, without a request of its own."""


def rules(lab: Lab) -> Iterator[Json]:
    """All rules of manifests/base that are bound to the operator, or that it binds to itself."""
    rendered = lab.kubectl("kustomize", str(ROOT / "manifests/base")).stdout
    ours = {names.OPERATOR_SERVICE_ACCOUNT, names.NAMESPACE_SECRETS_ROLE}
    for item in yaml.safe_load_all(rendered):
        if item and item["kind"] in ("Role", "ClusterRole") and item["metadata"]["name"] in ours:
            yield from item["rules"]


def granted(lab: Lab) -> set[Right]:
    return {
        (verb, group, resource)
        for rule in rules(lab)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def right(request: KubeRequest) -> Right:
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    return request.verb, request.group, resource


def sabotaged(lab: Lab) -> set[str]:
    """Namespaces whose RoleBinding to the operator somebody else took away; what followed was no fault of its own."""
    assert lab.audit_log is not None
    found = set(EXPECTED_DENIALS)
    for entry, _ in entries(lab.audit_log):
        target = entry.get("objectRef") or {}
        if (
            entry["verb"] in ("delete", "deletecollection")
            and target.get("resource") in ("rolebindings", "namespaces")
            and entry["user"]["username"] != OPERATOR
        ):
            found.add(target.get("namespace") or target.get("name", ""))
    return found


def is_as_before(before: Json, change: Json, live: Json) -> bool:
    return all(live.get(part) == before.get(part) for part in change)


@pytest.fixture
def life(lab: Lab, workloads: Workloads, namespace: str, operator: SharedOperator) -> None:
    """Everything that the operator has a right for happens once, as its users make it happen."""
    operator.restart()
    escaped = {
        "metadata": {"name": "escaped"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "llm"}},
            "template": {
                "metadata": {"labels": {"app": "llm"}},
                "spec": {"containers": [{"name": "a", "image": "a"}]},
            },
        },
    }
    lab.api.request("POST", f"/apis/apps/v1/namespaces/{namespace}/replicasets", escaped)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    lab.wait_for(lambda: lab.api.request("GET", pods)["items"], 60, "a pod that nobody binds")
    lab.api.request("POST", ROLES.path(namespace), {"metadata": {"name": "reader"}, "rules": [READ_CONFIG]})
    workloads.create(
        namespace,
        keys={"dataKeys": [{"name": "model"}]},
        access={
            "rules": [READ_CONFIG],
            "roleRefs": [{"name": "reader"}, {"kind": "ClusterRole", "name": "view"}],
        },
        podSelector={"matchLabels": {"app": "llm"}},
    )
    # A ClusterRole that is beyond the ceiling is read, and not bound.
    workloads.wait_condition(namespace, "llm", "AccessGranted", "False", "BeyondCeiling")
    workloads.respec(namespace, access={"roleRefs": [{"name": "reader"}]})
    workloads.wait_condition(namespace, "llm", "AccessGranted", "True")
    workloads.wait_event(namespace, "llm", "PodReplaced", deadline=60)
    _rotate_data_keys(lab, workloads, namespace)
    policy(lab, namespace)
    wait_policy(workloads, namespace, selected=1)
    _replace_identity(workloads, namespace)

    for resource, name, change in (
        (SERVICE_ACCOUNTS, "saw-llm", {"automountServiceAccountToken": True}),
        (ROLES, "saw-llm", {"rules": []}),
        (ROLE_BINDINGS, "saw-llm-rules", {"subjects": []}),
        (NETWORK_POLICIES, "saw-llm-allow", {"spec": {"egress": [{}]}}),
        (SECRETS, "saw-llm-keys", {"data": {"x": "eA=="}}),
    ):
        before = workloads.find(resource, namespace, name)
        assert before is not None
        workloads.patch(namespace, name, change, resource)
        workloads.wait_object(resource, namespace, name, partial(is_as_before, before, change))
        workloads.patch(namespace, name, {"metadata": {"labels": {names.MANAGED_BY_LABEL: None}}}, resource)
        workloads.wait_object(
            resource, namespace, name, lambda live: names.MANAGED_BY_LABEL in live["metadata"]["labels"]
        )
    workloads.respec(
        namespace, access={"rules": [], "roleRefs": []}, enforcement="Audit", certificate={"delivery": "None"}
    )
    workloads.wait_absent(NETWORK_POLICIES, namespace, "saw-llm-allow")
    workloads.wait_absent(SECRETS, namespace, "saw-llm-tls")
    workloads.wait_absent(ROLES, namespace, "saw-llm")
    _leave_orphans(lab, workloads, namespace)


def _rotate_data_keys(lab: Lab, workloads: Workloads, namespace: str) -> None:
    """What runs the workload's pods is restarted for them, one of each kind."""
    for resource in ROLLED:
        manifest = running(resource, "restarted")
        manifest["spec"]["selector"] = {"matchLabels": {"run": resource.plural}}
        manifest["spec"]["template"]["metadata"]["labels"] = {"app": "llm", "run": resource.plural}
        lab.api.request("POST", resource.path(namespace), manifest)
    kinds = {"ReplicaSet", "StatefulSet", "DaemonSet"}

    def all_run() -> bool:
        pods = live_pods(lab, namespace, "llm").values()
        return kinds <= {
            pod["metadata"]["ownerReferences"][0]["kind"]
            for pod in pods
            if "run" in pod["metadata"]["labels"]
        }

    lab.wait_for(all_run, 60, "pods of each kind")
    asked = {"metadata": {"annotations": {names.ROTATE_DATA_KEYS_ANNOTATION: "1"}}}
    workloads.patch(namespace, "llm", asked)
    for resource in ROLLED:
        workloads.wait_object(resource, namespace, "restarted", lambda live: bool(mark(live)), deadline=60)


def _replace_identity(workloads: Workloads, namespace: str) -> None:
    """An emergency is the only one that deletes a ServiceAccount."""
    asked = {"metadata": {"annotations": {names.EMERGENCY_ANNOTATION: "1"}}}
    workloads.patch(namespace, "llm", asked)

    def is_over(live: Json) -> bool:
        return bool((live["status"].get("emergency") or {}).get("finishedAt"))

    workloads.wait_object(SECURE_AI_WORKLOADS, namespace, "llm", is_over, deadline=60)


def _leave_orphans(lab: Lab, workloads: Workloads, namespace: str) -> None:
    """Two, so that the report is made and added to."""
    workloads.ready(namespace, "other", podSelector={"matchLabels": {"app": "other"}})
    lab.stop_vault()
    try:
        for name in ("llm", "other"):
            workloads.delete(namespace, name)
            workloads.wait_condition(namespace, name, "Ready", "False", "Terminating")
            force = {"metadata": {"annotations": {names.FORCE_DELETE_ANNOTATION: "true"}}}
            workloads.patch(namespace, name, force)
            workloads.wait_gone(namespace, name)
    finally:
        lab.start_vault()


@pytest.mark.usefixtures("life")
def test_every_right_is_used_and_no_other_is_asked_for(lab: Lab) -> None:
    assert lab.audit_log is not None
    requests = kube_requests(lab.audit_log)
    excused = sabotaged(lab)

    denied = [request for request in requests if request.denied and request.namespace not in excused]
    assert denied == []

    held = granted(lab)
    used = {right(request) for request in requests if not request.denied}
    unused = held - used - UNSEEN
    assert not unused, f"granted, and never used: {sorted(unused)}"


def test_no_rule_is_wider_than_words(lab: Lab) -> None:
    """No wildcard, nothing by which rights are made of nothing."""
    for rule in rules(lab):
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
        assert not {"escalate", "impersonate"} & set(rule["verbs"])
        if "bind" in rule["verbs"]:
            assert rule["resourceNames"] == [names.NAMESPACE_SECRETS_ROLE]
