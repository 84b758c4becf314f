"""`secureai report` on a real cluster: what is in it, what is not, and what it says of that."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import SECRETS
from secureai_operator.cli.exits import OK, UNANSWERED, USAGE
from tests.fixtures_operator import Workloads
from tests.integration.verbs import Secureai, as_administrator

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

KEYS = {"dataKeys": [{"name": "model"}]}


@pytest.fixture
def secureai(lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Secureai:
    return as_administrator(lab, capsys, monkeypatch)


def contents(path: Path) -> dict[str, Any]:
    """The files by their path within the report."""
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist()}


def test_a_report_explains_a_workload_and_holds_no_secret(
    lab: Lab, workloads: Workloads, namespace: str, secureai: Secureai, tmp_path: Path
) -> None:
    workloads.ready(namespace, keys=KEYS)
    workloads.create(namespace, "stuck", access={"roleRefs": [{"name": "missing"}]})
    workloads.wait_condition(namespace, "stuck", "Ready", "False", "RoleNotFound")
    path = tmp_path / "report.zip"
    said = secureai("report", "-n", namespace, "--file", str(path), "-o", "json")
    assert said.code == OK

    found = contents(path)
    why = json.loads(found[f"workloads/{namespace}/stuck/why.json"])
    assert why["reason"] == "RoleNotFound"
    tree = json.loads(found[f"workloads/{namespace}/llm/tree.json"])
    assert (tree["ready"], tree["complete"]) == (True, True)
    assert json.loads(found[f"workloads/{namespace}/llm/workload.json"])["status"]["conditions"]
    assert json.loads(found["cluster.json"])["version"].startswith("v1.")
    assert json.loads(found["operator/lease.json"])["holderIdentity"]
    # The lab runs the operator outside of the cluster.
    assert json.loads(found["report.json"])["missing"]["operator/deployment.json"] == "there is none"
    assert said.json["missing"] == json.loads(found["report.json"])["missing"]

    secret = lab.api.request("GET", SECRETS.path(namespace, names.tls_secret("llm")))["data"]
    wrapped = workloads.get(namespace)["status"]["dataKeys"][0]
    everything = "\n".join(found.values())
    for text in (secret["tls.key"], "PRIVATE KEY", "vault:v1:", json.dumps(wrapped)[-40:]):
        assert text not in everything


def test_it_tells_what_its_reader_may_not_read(
    lab: Lab, workloads: Workloads, namespace: str, secureai: Secureai, tmp_path: Path
) -> None:
    """Somebody who may look at workloads and at nothing else."""
    workloads.ready(namespace)
    lab.api.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts",
        {"metadata": {"name": "reader"}},
    )
    role = {
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [names.GROUP], "resources": ["secureaiworkloads"], "verbs": ["get", "list"]}],
    }
    binding = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
    }
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    lab.api.request("POST", f"{rbac}/roles", role)
    lab.api.request("POST", f"{rbac}/rolebindings", binding)
    kubeconfig = lab.kubeconfig_for(namespace, "reader")
    path = tmp_path / "report.zip"
    said = secureai(
        "report", "llm", "-n", namespace, "--kubeconfig", str(kubeconfig), "--file", str(path), "-o", "json"
    )
    assert said.code == OK
    assert f"workloads/{namespace}/llm/workload.json" in contents(path)
    missing = said.json["missing"]
    for name in (f"namespaces/{namespace}/events.json", "operator/pods.json", "operator/config.yaml"):
        assert "403 Forbidden" in missing[name]


def test_a_file_that_is_there_and_a_workload_that_is_not(
    namespace: str, secureai: Secureai, tmp_path: Path
) -> None:
    path = tmp_path / "report.zip"
    path.write_text("mine")
    assert secureai("report", "-n", namespace, "--file", str(path)).code == USAGE
    assert path.read_text() == "mine"
    assert (
        secureai("report", "none", "-n", namespace, "--file", str(tmp_path / "other.zip")).code == UNANSWERED
    )
    assert secureai("report", "none", "-A").code == USAGE
