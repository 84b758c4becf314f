"""The agent's manifests give it what it needs and nothing more: each exception to restricted Pod Security, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[3] / "manifests" / "node-agent"
Json = dict[str, Any]


def objects() -> list[Json]:
    names = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    return [item for name in names for item in yaml.safe_load_all((FOLDER / name).read_text())]


def of(kind: str) -> Json:
    (found,) = (item for item in objects() if item["kind"] == kind)
    return found


def pod() -> Json:
    found: Json = of("DaemonSet")["spec"]["template"]["spec"]
    return found


def test_it_may_look_at_pods_and_at_nothing_else() -> None:
    assert of("ClusterRole")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    ]
    assert of("ClusterRoleBinding")["roleRef"]["name"] == "secureai-node-agent"
    assert {item["kind"] for item in objects()} == {
        "Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "DaemonSet",
    }  # fmt: skip


def test_of_the_host_it_has_the_network_and_one_capability() -> None:
    (container,) = pod()["containers"]
    security = container["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert (security["privileged"], security["allowPrivilegeEscalation"]) == (False, False)
    assert security["readOnlyRootFilesystem"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod()["hostNetwork"] is True
    assert not {"hostPID", "hostIPC"} & set(pod())
    assert all("hostPath" not in volume for volume in pod()["volumes"])
    assert "ports" not in container


def test_the_operators_own_namespace_stays_restricted() -> None:
    assert of("Namespace")["metadata"]["name"] == "secureai-node-agent"
    assert all(
        item["metadata"].get("namespace", "secureai-node-agent") == "secureai-node-agent"
        for item in objects()
    )


def test_it_runs_wherever_a_quarantined_pod_may_be() -> None:
    assert pod()["tolerations"] == [{"operator": "Exists"}]
    assert "nodeSelector" not in pod()
