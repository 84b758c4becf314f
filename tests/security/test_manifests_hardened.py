"""The manifests under restricted Pod Security by a real API server, and under kube-linter's checks with a reason for each exception."""

from __future__ import annotations

import copy
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from lab import Lab
from tests.security.catalogue import ROOT
from tests.security.manifest_checks import CHECKS, ELSEWHERE
from tests.security.manifests import Finding, Json, Manifests, findings

FOLDERS = ("base", "overlays/webhook", "monitoring")
LINTED = (*FOLDERS, "node-agent")
"""The node agent cannot be restricted: what it needs beyond that is waived by name, and tested in tests/unit/node_agent."""
WAIVERS = ROOT / "manifests" / "kube-linter.yaml"
RESTRICTED = {
    f"pod-security.kubernetes.io/{mode}": level
    for mode, level in (("enforce", "restricted"), ("enforce-version", "latest"))
}


@pytest.fixture(scope="module")
def rendered(lab: Lab) -> dict[str, Manifests]:
    """Each folder as a user applies it."""
    found = {}
    for folder in LINTED:
        text = lab.kubectl("kustomize", ROOT / "manifests" / folder).stdout
        found[folder] = Manifests([item for item in yaml.safe_load_all(text) if item])
    return found


def waivers() -> list[Json]:
    found: list[Json] = yaml.safe_load(WAIVERS.read_text())["waivers"]
    return found


@pytest.mark.integration
@pytest.mark.parametrize("folder", LINTED)
def test_nothing_is_found_that_is_not_waived_in_writing(rendered: dict[str, Manifests], folder: str) -> None:
    waived = {(one["check"], one["object"]) for one in waivers()}
    found = findings(rendered[folder], CHECKS)
    assert [str(one) for one in found if (one.check, one.object) not in waived] == []


@pytest.mark.integration
def test_every_waiver_is_needed_once_and_says_why(rendered: dict[str, Manifests]) -> None:
    found = {(one.check, one.object) for folder in LINTED for one in findings(rendered[folder], CHECKS)}
    written = Counter((one["check"], one["object"]) for one in waivers())
    assert set(written) - found == set()
    assert set(written.values()) == {1}
    assert all(len(one["reason"]) > 20 for one in waivers())


def test_every_check_has_a_name_once_and_what_is_not_made_here_says_where() -> None:
    assert len(CHECKS) >= 70
    assert not set(CHECKS) & set(ELSEWHERE)


def _deployment(objects: list[Json]) -> Json:
    return next(item for item in objects if item["kind"] == "Deployment")


def _container(objects: list[Json]) -> Json:
    found: Json = _deployment(objects)["spec"]["template"]["spec"]["containers"][0]
    return found


def _role(objects: list[Json]) -> Json:
    return next(
        item
        for item in objects
        if item["metadata"]["name"] == "secureai-operator" and item["kind"] == "ClusterRole"
    )


def _put(part: Callable[[list[Json]], Json], key: str, value: Any) -> Callable[[list[Json]], None]:
    def change(objects: list[Json]) -> None:
        part(objects)[key] = value

    return change


def _pod(objects: list[Json]) -> Json:
    found: Json = _deployment(objects)["spec"]["template"]["spec"]
    return found


def _drop(kind: str) -> Callable[[list[Json]], None]:
    def change(objects: list[Json]) -> None:
        objects[:] = [item for item in objects if item["kind"] != kind]

    return change


def _grant(**rule: Any) -> Callable[[list[Json]], None]:
    def change(objects: list[Json]) -> None:
        _role(objects)["rules"].append({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], **rule})

    return change


WEAKENED: dict[str, Callable[[list[Json]], None]] = {
    "container-runtime-sock": _put(_pod, "volumes", [{"name": "a", "hostPath": {"path": "/run/docker.sock"}}]),
    "default-service-account": _put(_pod, "serviceAccountName", "default"),
    "deprecated-service-account-field": _put(_pod, "serviceAccount", "secureai-operator"),
    "drop-net-raw-capability": _put(_container, "securityContext", {"capabilities": {"drop": []}}),
    "duplicate-env-var": _put(_container, "env", [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
    "env-var-secret": _put(_container, "env", [{"name": "MY_SECRET", "value": "1"}]),
    "host-ipc": _put(_pod, "hostIPC", True),
    "host-network": _put(_pod, "hostNetwork", True),
    "host-pid": _put(_pod, "hostPID", True),
    "init-container-security-gap": _put(_pod, "initContainers", [{"name": "i", "image": "a:1"}]),
    "latest-tag": _put(_container, "image", "secureai-operator:latest"),
    "liveness-port": _put(_container, "livenessProbe", {"httpGet": {"port": 1}}),
    "mismatching-selector": lambda objects: _deployment(objects)["spec"]["selector"].update(matchLabels={"a": "b"}),
    "no-liveness-probe": _put(_container, "livenessProbe", None),
    "no-read-only-root-fs": _put(_container, "securityContext", {"readOnlyRootFilesystem": False}),
    "no-readiness-probe": _put(_container, "readinessProbe", None),
    "no-rolling-update-strategy": lambda objects: _deployment(objects)["spec"].update(strategy={"type": "Recreate"}),
    "no-startup-probe": _put(_container, "startupProbe", None),
    "non-existent-service-account": _drop("ServiceAccount"),
    "non-isolated-pod": _drop("NetworkPolicy"),
    "priority-class-name": _put(_pod, "priorityClassName", None),
    "privilege-escalation-container": _put(_container, "securityContext", {"allowPrivilegeEscalation": True}),
    "privileged-container": _put(_container, "securityContext", {"privileged": True}),
    "privileged-ports": _put(_container, "ports", [{"containerPort": 80}]),
    "read-secret-from-env-var": _put(_container, "envFrom", [{"secretRef": {"name": "a"}}]),
    "run-as-non-root": _put(_pod, "securityContext", {}),
    "sensitive-host-mounts": _put(_pod, "volumes", [{"name": "a", "hostPath": {"path": "/etc"}}]),
    "unset-memory-requirements": _put(_container, "resources", {"limits": {"cpu": 1}}),
    "access-to-create-pods": _grant(verbs=["create"]),
    "bind-verb-in-role": _grant(verbs=["bind"]),
    "cluster-wide-secrets-access": _grant(resources=["secrets"]),
    "deletecollection-verb-in-role": _grant(verbs=["deletecollection"]),
    "escalate-verb-in-role": _grant(verbs=["escalate"]),
    "impersonate-without-resource-names": _grant(verbs=["impersonate"]),
    "approve-signers-without-resource-names": _grant(verbs=["approve"]),
    "wildcard-in-rules": _grant(verbs=["*"]),
    "dangling-service": _drop("Deployment"),
    "dangling-networkpolicy": _drop("Deployment"),
}  # fmt: skip
"""A change for the worse, by the check that has to see it."""


@pytest.mark.integration
@pytest.mark.parametrize("check", WEAKENED)
def test_a_change_for_the_worse_is_found(rendered: dict[str, Manifests], check: str) -> None:
    """A check that finds nothing proves nothing, until it has found something."""
    objects = [copy.deepcopy(item) for item in rendered["base"].objects]
    before = _count(findings(rendered["base"], CHECKS), check)
    WEAKENED[check](objects)
    assert _count(findings(Manifests(objects), CHECKS), check) > before


def _count(found: list[Finding], check: str) -> int:
    return sum(1 for one in found if one.check == check)


# Pod Security, by the API server itself


@pytest.fixture(scope="module")
def restricted(lab: Lab) -> Iterator[str]:
    name = f"restricted-{secrets.token_hex(3)}"
    lab.create_namespace(name, RESTRICTED)
    lab.api.request(
        "POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "secureai-operator"}}
    )
    yield name
    lab.delete_namespace(name)


@pytest.mark.integration
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_pod_of_the_manifests_is_admitted_under_restricted_pod_security(
    lab: Lab, rendered: dict[str, Manifests], restricted: str, folder: str
) -> None:
    for item, template in rendered[folder].pods():
        code, text = _admitted(lab, restricted, template)
        assert code == 201, (item["metadata"]["name"], text)


LOOSENED: dict[str, Callable[[Json], None]] = {
    "root": lambda spec: spec.pop("securityContext"),
    "the host's network": lambda spec: spec.update(hostNetwork=True),
    "capabilities": lambda spec: spec["containers"][0]["securityContext"].pop("capabilities"),
    "escalation": lambda spec: spec["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "seccomp": lambda spec: spec["securityContext"].pop("seccompProfile"),
    "a folder of the host": lambda spec: spec["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
}


@pytest.mark.integration
@pytest.mark.parametrize("what", LOOSENED)
def test_the_same_pod_with_less_is_not_admitted(
    lab: Lab, rendered: dict[str, Manifests], restricted: str, what: str
) -> None:
    ((_, template),) = rendered["base"].pods()
    loosened = copy.deepcopy(template)
    for container in loosened["spec"]["containers"]:
        container["securityContext"].pop("runAsNonRoot", None)
    LOOSENED[what](loosened["spec"])
    code, text = _admitted(lab, restricted, loosened)
    assert code == 403, text
    assert "violates PodSecurity" in text


def _admitted(lab: Lab, namespace: str, template: Json) -> tuple[int, str]:
    """What the API server says to a dry run of the template as a pod."""
    pod = {
        "metadata": {"name": "probe", "labels": template["metadata"].get("labels", {})},
        "spec": {**template["spec"], "serviceAccountName": "secureai-operator"},
    }
    return lab.api.raw("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
