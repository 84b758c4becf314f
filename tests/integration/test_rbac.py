"""The manifests: what they grant, what they configure, and that a real API server takes all of them without a warning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from lab import Lab
from secureai_operator import names, settings
from tests.integration.crd_objects import Json
from tests.integration.installation import BASE, base_manifests, install

pytestmark = pytest.mark.integration

OVERLAY = BASE.parent / "overlays" / "webhook"
GRANTED = {
    # Read once more before what cannot be undone: a watch may be late.
    ("secureai.dev", "secureaiworkloads", ""): "get list patch watch",
    ("secureai.dev", "secureaiworkloads/status", ""): "patch",
    ("secureai.dev", "keyrotationpolicies", ""): "list watch",
    ("secureai.dev", "keyrotationpolicies/status", ""): "patch",
    # Deleted only in an emergency, to make the old one's tokens worthless.
    ("", "serviceaccounts", ""): "create delete get list patch watch",
    ("rbac.authorization.k8s.io", "roles", ""): "create delete get list patch watch",
    ("rbac.authorization.k8s.io", "rolebindings", ""): "create delete get list patch watch",
    ("networking.k8s.io", "networkpolicies", ""): "create delete get list patch watch",
    ("rbac.authorization.k8s.io", "clusterroles", "secureai-operator-secrets"): "bind",
    ("rbac.authorization.k8s.io", "clusterroles", ""): "get",
    ("", "pods", ""): "list watch",
    ("", "pods/eviction", ""): "create",
    ("", "nodes", ""): "list watch",
    ("node.k8s.io", "runtimeclasses", ""): "list watch",
    ("", "namespaces", ""): "get list watch",
    ("", "events", ""): "create",
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies", "secureai-bind-pods"): "get",
}
"""All that the operator may do cluster-wide, besides the ceiling. A change here is a change of its trust: argue for it."""

GRANTED_WHERE_A_WORKLOAD_IS = {
    ("", "secrets", ""): "create delete get list patch watch",
    ("apps", "deployments", ""): "get patch",
    ("apps", "statefulsets", ""): "get patch",
    ("apps", "daemonsets", ""): "get patch",
    ("apps", "replicasets", ""): "get",
}
"""All that it may do besides in a namespace that holds a workload."""


@pytest.fixture(scope="module")
def manifests(lab: Lab) -> list[Json]:
    return base_manifests(lab)


def one(manifests: list[Json], kind: str, name: str) -> Json:
    (found,) = (item for item in manifests if item["kind"] == kind and item["metadata"]["name"] == name)
    return found


def grants(role: Json) -> Iterator[tuple[tuple[str, str, str], str]]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames") or [""]:
                    yield (group, resource, name), " ".join(sorted(rule["verbs"]))


def test_the_operator_holds_exactly_this(manifests: list[Json]) -> None:
    assert dict(grants(one(manifests, "ClusterRole", "secureai-operator"))) == GRANTED


def test_the_operator_holds_exactly_this_where_a_workload_is(manifests: list[Json]) -> None:
    role = one(manifests, "ClusterRole", names.NAMESPACE_SECRETS_ROLE)
    assert dict(grants(role)) == GRANTED_WHERE_A_WORKLOAD_IS


def test_no_role_has_a_wildcard_or_a_verb_that_makes_more_rights(manifests: list[Json]) -> None:
    for role in (item for item in manifests if item["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            assert not {"*"} & {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert not {"escalate", "impersonate"} & set(rule["verbs"])
            assert "bind" not in rule["verbs"] or rule.get("resourceNames")
            assert not {"serviceaccounts/token", "pods/exec", "pods/attach", "nodes/proxy"} & set(
                rule["resources"]
            )


def test_nothing_gives_rights_on_secrets_everywhere(manifests: list[Json]) -> None:
    """The one role that has them is bound by none of the manifests."""
    holding = {
        item["metadata"]["name"]
        for item in manifests
        if item["kind"] in ("Role", "ClusterRole")
        and any("secrets" in rule["resources"] for rule in item["rules"])
    }
    assert holding == {names.NAMESPACE_SECRETS_ROLE}
    bound = {item["roleRef"]["name"] for item in manifests if item["kind"].endswith("RoleBinding")}
    assert not holding & bound


def test_every_binding_is_to_the_operator_and_nobody_else(manifests: list[Json]) -> None:
    for item in manifests:
        if item["kind"].endswith("RoleBinding"):
            (subject,) = item["subjects"]
            assert (subject["namespace"], subject["name"]) == (
                names.OPERATOR_NAMESPACE,
                names.OPERATOR_SERVICE_ACCOUNT,
            )


def test_users_may_not_write_the_status_that_pods_are_bound_by(manifests: list[Json]) -> None:
    for item in manifests:
        labels = item["metadata"].get("labels", {})
        if any(key.startswith("rbac.authorization.k8s.io/aggregate-to-") for key in labels):
            for (_, resource, _), _verbs in grants(item):
                assert "/" not in resource


def test_no_manifest_carries_the_label_of_what_the_operator_manages(manifests: list[Json]) -> None:
    """It would take it for an object of a workload."""
    assert not any(names.MANAGED_BY_LABEL in item["metadata"].get("labels", {}) for item in manifests)


def test_the_api_server_types_every_policy_without_a_warning(lab: Lab) -> None:
    install(lab)
    where = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"

    def checked() -> list[Json]:
        items = [
            item
            for item in lab.api.request("GET", where)["items"]
            if item["metadata"]["name"].startswith("secureai-")
        ]
        current = [
            item
            for item in items
            if item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"]
        ]
        return current if len(current) == len(items) else []

    for policy in lab.wait_for(checked, 30, "the policies to be type-checked"):
        assert not policy["status"].get("typeChecking"), policy["metadata"]["name"]


@pytest.mark.parametrize("folder", [BASE, OVERLAY], ids=["base", "webhook"])
def test_a_real_api_server_takes_all_of_it(lab: Lab, folder: Any) -> None:
    install(lab)
    lab.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", folder)


def test_the_webhook_looks_where_the_policy_looks(lab: Lab, manifests: list[Json]) -> None:
    overlay = [item for item in yaml.safe_load_all(lab.kubectl("kustomize", OVERLAY).stdout) if item]
    (webhook,) = one(overlay, "MutatingWebhookConfiguration", "secureai-bind-pods")["webhooks"]
    policy = one(manifests, "MutatingAdmissionPolicy", "secureai-bind-pods")["spec"]
    assert webhook["namespaceSelector"] == policy["matchConstraints"]["namespaceSelector"]
    assert webhook["failurePolicy"] == policy["failurePolicy"] == "Fail"
    assert webhook["reinvocationPolicy"] == policy["reinvocationPolicy"]
    assert not any(item["kind"].startswith("MutatingAdmissionPolicy") for item in overlay)


# The operator's process.


def test_the_operators_pods_are_hardened(manifests: list[Json]) -> None:
    spec = one(manifests, "Deployment", "secureai-operator")["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert container["livenessProbe"]
        assert container["readinessProbe"]


def test_the_operators_namespace_takes_only_restricted_pods(lab: Lab, manifests: list[Json]) -> None:
    install(lab)
    template = one(manifests, "Deployment", "secureai-operator")["spec"]["template"]
    pod = {"metadata": {"name": "probe", "labels": template["metadata"]["labels"]}, "spec": template["spec"]}
    where = f"/api/v1/namespaces/{names.OPERATOR_NAMESPACE}/pods?dryRun=All"
    assert lab.api.raw("POST", where, pod)[0] == 201
    privileged = {**pod, "spec": {**template["spec"], "hostNetwork": True}}
    assert lab.api.raw("POST", where, privileged)[0] == 403


@pytest.mark.parametrize("folder", [BASE / "operator", OVERLAY], ids=["base", "webhook"])
def test_the_shipped_configuration_is_valid(folder: Any) -> None:
    found = settings.load(folder / "config.yaml")
    assert set(found.connections) == {"default"}


def test_every_setting_is_documented_with_its_default() -> None:
    text = (BASE / "operator" / "config.yaml").read_text(encoding="utf-8")
    for model, default in (
        (settings.Settings, settings.Settings()),
        (
            settings.VaultConnectionSettings,
            settings.VaultConnectionSettings(address="https://vault.vault.svc:8200"),
        ),
        (settings.WebhookSettings, settings.WebhookSettings()),
    ):
        for name, field in model.model_fields.items():
            alias = field.alias or name
            assert f"{alias}:" in text, f"{alias} is not in config.yaml"
            value = getattr(default, name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert f"{alias}: {value:g}" in text, f"the default of {alias} is {value:g}"
