"""The command line's light client against a real API server."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml

from lab import Lab
from secureai_operator.api.resources import CONFIG_MAPS, NODES, SECRETS, Resource
from secureai_operator.clients.kube_user import KubeUser
from secureai_operator.clients.kubeconfig import KubeAccess
from secureai_operator.errors import KubeForbidden, KubeNotFound, KubeUnavailable, OperatorError

pytestmark = pytest.mark.integration

UNKNOWN = Resource("nowhere.example.org", "v1", "things", "Thing")


@pytest.fixture
def kube(lab: Lab) -> KubeUser:
    return KubeUser.connect(str(lab.admin_kubeconfig))


def test_objects_are_read_and_missing_ones_are_none(kube: KubeUser, lab: Lab, namespace: str) -> None:
    lab.api.request("POST", CONFIG_MAPS.path(namespace), {"metadata": {"name": "a"}, "data": {"x": "1"}})
    found = kube.get(CONFIG_MAPS, namespace, "a")
    assert found is not None
    assert found["data"] == {"x": "1"}
    assert kube.get(CONFIG_MAPS, namespace, "b") is None
    assert kube.version().startswith("v1.")


def test_a_long_list_is_read_to_its_end(
    kube: KubeUser, lab: Lab, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureai_operator.clients.kube_user._PAGE", 2)
    for index in range(5):
        metadata = {"name": f"a{index}", "labels": {"of": "test"}}
        lab.api.request("POST", CONFIG_MAPS.path(namespace), {"metadata": metadata})
    found = kube.list(CONFIG_MAPS, namespace, labels="of=test")
    assert [item["metadata"]["name"] for item in found] == ["a0", "a1", "a2", "a3", "a4"]


def test_a_list_of_metadata_brings_no_secret_along(kube: KubeUser, lab: Lab, namespace: str) -> None:
    hidden = base64.b64encode(b"very secret").decode()
    lab.api.request("POST", SECRETS.path(namespace), {"metadata": {"name": "s"}, "data": {"x": hidden}})
    found = kube.list(SECRETS, namespace, metadata_only=True)
    assert [item["metadata"]["name"] for item in found] == ["s"]
    assert hidden not in json.dumps(found)
    assert "data" not in found[0]


def test_what_is_served_is_told_from_what_is_not(kube: KubeUser) -> None:
    assert kube.serves(NODES)
    assert not kube.serves(UNKNOWN)
    with pytest.raises(KubeNotFound):
        kube.list(UNKNOWN, "default")


def test_a_dry_run_stores_nothing_and_a_refusal_says_why(kube: KubeUser, namespace: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    trial = kube.dry_run(CONFIG_MAPS, namespace, "a", manifest)
    assert trial.accepted is not None
    assert trial.accepted["data"] == {"x": "1"}
    assert kube.get(CONFIG_MAPS, namespace, "a") is None
    refused = kube.dry_run(CONFIG_MAPS, namespace, "a", {**manifest, "data": {"no spaces allowed": "1"}})
    assert refused.accepted is None
    assert "no spaces allowed" in refused.refusal


def test_errors_are_typed_and_quote_nothing(kube: KubeUser, lab: Lab, namespace: str) -> None:
    with KubeUser.connect(str(lab.kubeconfig_for(namespace, "default"))) as stranger:
        with pytest.raises(KubeForbidden) as denied:
            stranger.list(SECRETS, namespace)
        assert denied.value.message == "list secrets: 403 Forbidden"
    access = KubeAccess(server=lab.api_url, namespace="default", ca=lab.ca_file.read_bytes(), token="wrong")
    with KubeUser(access) as nobody, pytest.raises(KubeForbidden, match="401"):
        nobody.get(NODES, None, "plain-0")
    del kube


def test_a_server_of_another_authority_is_not_trusted(lab: Lab) -> None:
    access = KubeAccess(server=lab.api_url, namespace="default", token="must not be sent")
    with KubeUser(access) as kube, pytest.raises(KubeUnavailable, match="SSLCertVerificationError"):
        kube.get(NODES, None, "plain-0")


def test_nobody_there_is_one_typed_error() -> None:
    access = KubeAccess(server="https://127.0.0.1:9", namespace="default")
    with KubeUser(access, timeout=2) as kube, pytest.raises(KubeUnavailable, match="no answer"):
        kube.version()


def test_a_connection_that_the_server_closed_is_opened_again(kube: KubeUser) -> None:
    assert kube.get(NODES, None, "plain-0")
    kube._connection.sock.close()
    with pytest.raises(OperatorError):
        # Closed under the client's feet on its own side, which is no server's doing, is an error once ...
        kube.get(NODES, None, "plain-0")
    assert kube.get(NODES, None, "plain-0")


def test_an_exec_plugin_is_asked_for_its_token(lab: Lab, namespace: str, tmp_path: Path) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": lab.token(namespace, "default")},
    }
    (tmp_path / "credential").write_text(json.dumps(credential))
    document = yaml.safe_load(lab.admin_kubeconfig.read_text())
    document["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "cat",
            "args": [str(tmp_path / "credential")],
            "interactiveMode": "Never",
        }
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    with KubeUser.connect(str(path)) as kube, pytest.raises(KubeForbidden, match="403"):
        kube.list(NODES)
