"""The verbs on a real cluster and a real Vault, with the operator at work."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import (
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from secureai_operator.cli.exits import NO, OK, UNANSWERED, USAGE
from tests.fixtures_operator import SharedOperator, Workloads
from tests.integration.installation import author
from tests.integration.verbs import Secureai, as_administrator
from tests.product import Product

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

ROOT = Path(__file__).parents[2]
RULE = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["llm-config"], "verbs": ["get"]}
Json = dict[str, Any]


@pytest.fixture
def secureai(lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Secureai:
    """Run a verb as the lab's administrator, without access to Vault."""
    return as_administrator(lab, capsys, monkeypatch)


@pytest.fixture
def vault_access(lab: Lab, secureai: Secureai, monkeypatch: pytest.MonkeyPatch) -> str:
    """VAULT_ADDR and VAULT_TOKEN of an administrator; the token itself, which nothing may print."""
    del secureai  # it takes them away
    monkeypatch.setenv("VAULT_ADDR", lab.vault_address)
    monkeypatch.setenv("VAULT_TOKEN", lab.vault_root_token)
    return lab.vault_root_token


@pytest.fixture
def config(operator: SharedOperator) -> str:
    """The configuration of the running operator."""
    return str(operator.ensure_running().config)


def written(tmp_path: Path, namespace: str, name: str = "llm", **spec: Any) -> str:
    manifest = {
        "apiVersion": names.API_VERSION,
        "kind": "SecureAIWorkload",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    file = tmp_path / f"{name}.yaml"
    file.write_text(json.dumps(manifest))
    return str(file)


def test_a_ready_workload_is_shown_as_such(secureai: Secureai, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    status = secureai("status", "llm", "-n", namespace)
    assert status.code == OK
    assert "Ready" in status.out
    assert "model (v1)" in status.out
    assert "vault:v" not in status.out
    assert secureai("why", "llm", "-n", namespace).code == OK
    found = secureai("status", "llm", "-n", namespace, "-o", "json").json
    assert found["ready"] is True
    assert found["status"]["key"]["latestVersion"] == 1


def test_why_names_the_cause_and_the_next_step(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    workloads.create(namespace, vault={"connection": "elsewhere"})
    workloads.wait_condition(namespace, "llm", "Ready", "False")
    why = secureai("why", "llm", "-n", namespace)
    assert why.code == NO
    assert "ConnectionNotConfigured" in why.out
    assert "elsewhere" in why.out
    assert "next" in why.out
    assert secureai("why", "llm", "-n", namespace, "-o", "json").json["reason"] == "ConnectionNotConfigured"
    assert secureai("status", "llm", "-n", namespace).code == NO


def test_why_says_that_no_operator_runs(
    secureai: Secureai, workloads: Workloads, operator: SharedOperator, namespace: str
) -> None:
    operator.stop()
    workloads.create(namespace)
    why = secureai("why", "llm", "-n", namespace, "-o", "json")
    assert why.code == NO
    assert why.json["reason"] == "OperatorNotRunning"


def test_a_misspelt_name_is_answered_with_the_right_one(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    workloads.create(namespace)
    for verb in ("status", "why", "tree"):
        said = secureai(verb, "lm", "-n", namespace)
        assert said.code == UNANSWERED
        assert (
            said.err
            == f"secureai: no SecureAIWorkload 'lm' in namespace '{namespace}'; did you mean 'llm'?\n"
        )
        assert secureai(verb, "../secrets/x", "-n", namespace).code == USAGE


def test_the_tree_holds_everything_in_both_systems(
    secureai: Secureai, workloads: Workloads, namespace: str, monkeypatch: pytest.MonkeyPatch, lab: Lab
) -> None:
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]}, access={"rules": [RULE]})
    expected = {
        "ServiceAccount/saw-llm",
        "Role/saw-llm",
        "RoleBinding/saw-llm-rules",
        "Secret/saw-llm-keys",
        "Secret/saw-llm-tls",
        "NetworkPolicy/saw-llm-allow",
        "NetworkPolicy/saw-llm-quarantine",
    }
    by_status = secureai("tree", "llm", "-n", namespace, "-o", "json")
    assert by_status.code == OK
    assert {f"{one['kind']}/{one['name']}" for one in by_status.json["kubernetes"]} == expected
    assert by_status.json["vaultSource"] == "as the operator last saw it"
    monkeypatch.setenv("VAULT_ADDR", lab.vault_address)
    monkeypatch.setenv("VAULT_TOKEN", lab.vault_root_token)
    by_vault = secureai("tree", "llm", "-n", namespace, "-o", "json").json
    assert by_vault["vaultSource"] == "as Vault has it now"
    for found in (by_status.json, by_vault):
        assert [(one["kind"], one["state"]) for one in found["vault"]] == [
            ("Key", "ok"),
            ("Policy", "ok"),
            ("AuthRole", "ok"),
            ("PkiRole", "ok"),
        ]
    assert lab.vault_root_token not in secureai("tree", "llm", "-n", namespace).out


def test_the_tree_shows_what_is_missing(secureai: Secureai, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, driftPolicy="Warn")
    workloads.delete(namespace, "saw-llm-allow", NETWORK_POLICIES)
    tree = secureai("tree", "llm", "-n", namespace)
    assert tree.code == NO
    assert any("saw-llm-allow" in line and "MISSING" in line for line in tree.out.splitlines())


def test_a_watched_tree_follows_changes_until_it_is_interrupted(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace)
    words = [
        "tree",
        "llm",
        "-n",
        namespace,
        "--watch",
        "-o",
        "json",
        "--kubeconfig",
        str(lab.admin_kubeconfig),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    environment.pop("VAULT_ADDR", None)
    with subprocess.Popen(
        [sys.executable, "-m", "secureai_operator.cli.main", *words],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert next_line(process)["ready"] is True
            workloads.respec(namespace, "llm", access={"rules": [RULE]})
            end = time.monotonic() + 30
            while not any(one["kind"] == "Role" for one in next_line(process)["kubernetes"]):
                assert time.monotonic() < end
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == OK
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str]) -> Json:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 30)
    assert readable, "nothing was printed"
    found: Json = json.loads(process.stdout.readline())
    return found


def test_a_plan_says_what_an_apply_then_does(
    secureai: Secureai, workloads: Workloads, namespace: str, config: str, tmp_path: Path
) -> None:
    spec: Json = {"keys": {"dataKeys": [{"name": "model"}]}, "access": {"rules": [RULE]}}
    file = written(tmp_path, namespace, **spec)
    planned = secureai("plan", "-f", file, "--config", config, "-o", "json")
    assert planned.code == NO
    (one,) = planned.json
    assert one["outcome"] == "created"
    assert workloads.find(SERVICE_ACCOUNTS, namespace, "saw-llm") is None
    foretold = {change["name"] for change in one["changes"] if change["system"] == "Kubernetes"}
    workloads.ready(namespace, **spec)
    assert foretold == children(workloads, namespace)
    again = secureai("plan", "-f", file, "--config", config)
    assert (again.code, again.err) == (OK, "")
    assert "would be unchanged" in again.out


def children(workloads: Workloads, namespace: str) -> set[str]:
    """The objects that the workload owns, as KIND/NAME."""
    kinds = (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, SECRETS, NETWORK_POLICIES)
    return {
        f"{kind.kind}/{item['metadata']['name']}"
        for kind in kinds
        for item in workloads.lab.api.request("GET", kind.path(namespace))["items"]
        if item["metadata"].get("labels", {}).get(names.WORKLOAD_LABEL) == "llm"
    }


def test_a_planned_change_shows_field_and_difference(
    secureai: Secureai, workloads: Workloads, namespace: str, config: str, tmp_path: Path
) -> None:
    workloads.ready(namespace)
    before = workloads.get(namespace)["metadata"]["resourceVersion"]
    egress = [{"to": [{"cidr": "10.20.0.0/16"}], "ports": [443]}]
    file = written(tmp_path, namespace, network={"egress": egress}, certificate={"ttl": "12h"})
    planned = secureai("plan", "-f", file, "--config", config)
    assert planned.code == NO
    assert "spec.network.egress" in planned.out
    lines = planned.out.splitlines()
    assert any(
        "change" in line and "NetworkPolicy/saw-llm-allow" in line and "spec.egress" in line for line in lines
    )
    assert any("change" in line and "PkiRole/saw.main" in line and "ttl" in line for line in lines)
    assert any(line.strip() == "+      cidr: 10.20.0.0/16" for line in lines)
    assert workloads.get(namespace)["metadata"]["resourceVersion"] == before


def test_a_plan_foretells_what_an_apply_would_not_tell(
    secureai: Secureai, namespace: str, config: str, tmp_path: Path
) -> None:
    beyond = {**RULE, "verbs": ["delete"]}
    file = written(tmp_path, namespace, vault={"connection": "elsewhere"}, access={"rules": [beyond]})
    planned = secureai("plan", "-f", file, "--config", config)
    assert "AccessGranted would be False, BeyondCeiling" in planned.out
    assert "VaultReachable would be False, ConnectionNotConfigured: elsewhere" in planned.out


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"certificate": {"ttl": "1m"}}, "from 5m to 2160h"),
        ({"keyz": {}}, "spec.keyz: field not declared in schema"),
        ({"access": {"rules": [{**RULE, "verbs": ["*"]}]}}, "verbs"),
    ],
)
def test_a_file_that_would_be_refused_is_refused_with_the_api_servers_words(
    secureai: Secureai, namespace: str, config: str, tmp_path: Path, spec: Json, said: str
) -> None:
    planned = secureai("plan", "-f", written(tmp_path, namespace, **spec), "--config", config)
    assert planned.code == USAGE
    assert "would be refused" in planned.out
    assert said in planned.out
    assert planned.err == ""


def test_a_sound_installation_passes_every_check(secureai: Secureai, vault_access: str, config: str) -> None:
    check = secureai("check", "--config", config)
    assert [line for line in check.out.splitlines() if "FAIL" in line] == []
    assert check.code == OK
    assert vault_access not in check.out
    items = secureai("check", "--config", config, "-o", "json").json
    assert {item["verdict"] for item in items} == {"ok"}
    assert {"vault default"} <= {item["area"] for item in items}


def test_without_access_to_vault_its_inside_is_not_looked_at(secureai: Secureai, config: str) -> None:
    items = {item["name"]: item for item in secureai("check", "--config", config, "-o", "json").json}
    assert items["login"]["verdict"] == "ok"
    assert items["contents"]["verdict"] == "skip"


def test_a_policy_that_refuses_nothing_fails_the_check(
    secureai: Secureai, workloads: Workloads, product: Product, config: str
) -> None:
    name = "secureai-workload-bounds"
    binding = workloads.find(VALIDATING_ADMISSION_POLICY_BINDINGS, None, name)
    assert binding is not None
    where = VALIDATING_ADMISSION_POLICY_BINDINGS.path(None)
    product.lab.api.request("DELETE", f"{where}/{name}")
    try:
        check = secureai("check", "--config", config, "-o", "json")
    finally:
        metadata = {"name": name, "labels": binding["metadata"].get("labels", {})}
        product.lab.api.request("POST", where, {**binding, "metadata": metadata})
    assert check.code == NO
    failed = [item["name"] for item in check.json if item["verdict"] == "FAIL"]
    assert failed == [name]


def test_rights_that_are_missing_or_too_many_are_named(secureai: Secureai, config: str) -> None:
    poor = secureai("check", "--config", config, "--as", "system:serviceaccount:default:default")
    assert poor.code == NO
    assert "may not get secureaiworkloads" in poor.out
    rich = secureai("check", "--config", config, "--as", "self", "-o", "json").json
    dangerous = next(item for item in rich if item["name"] == "nothing dangerous")
    assert dangerous["verdict"] == "WARN"
    assert "list secrets" in dangerous["message"]


def test_somebody_without_rights_gets_skipped_items_and_no_traceback(
    secureai: Secureai, lab: Lab, namespace: str, config: str
) -> None:
    author(lab, namespace, "dev")
    kubeconfig = str(lab.kubeconfig_for(namespace, "dev"))
    check = secureai("check", "--config", config, "--kubeconfig", kubeconfig)
    assert "skip" in check.out
    assert check.err == ""
    denied = secureai("tree", "llm", "-n", "default", "--kubeconfig", kubeconfig)
    assert (denied.code, len(denied.err.splitlines())) == (UNANSWERED, 1)


def test_an_operator_that_is_gone_fails_the_check(
    secureai: Secureai, operator: SharedOperator, config: str
) -> None:
    operator.stop()
    items = secureai("check", "--config", config, "-o", "json").json
    assert [item["name"] for item in items if item["verdict"] == "FAIL"] == ["Lease"]


def test_a_sealed_vault_is_called_sealed(secureai: Secureai, lab: Lab, config: str) -> None:
    lab.seal_vault()
    try:
        check = secureai("check", "--config", config)
    finally:
        lab.unseal_vault()
    assert check.code == NO
    assert "is sealed" in check.out


def test_a_second_bootstrap_changes_nothing(secureai: Secureai, vault_access: str, config: str) -> None:
    done = secureai("vault", "bootstrap", "--config", config, "--apply", "-o", "json")
    assert done.code == OK
    assert {item["outcome"] for item in done.json} == {"Unchanged"}
    assert vault_access not in done.out


def test_a_mount_of_another_type_is_a_conflict_and_left_alone(
    secureai: Secureai, vault_access: str, lab: Lab, tmp_path: Path
) -> None:
    del vault_access
    lab.vault_request("POST", "sys/mounts/taken", {"type": "kv"})
    file = tmp_path / "config.yaml"
    connection = {"address": lab.vault_address, "allowInsecureHttp": True, "transitMount": "taken"}
    file.write_text(json.dumps({"connections": {"default": connection}}))
    try:
        done = secureai("vault", "bootstrap", "--config", str(file), "--dry-run", "-o", "json")
    finally:
        lab.vault_request("DELETE", "sys/mounts/taken")
    assert done.code == NO
    outcomes = {item["name"]: item["outcome"] for item in done.json}
    assert outcomes["mount taken"] == "Conflict"


def test_an_api_server_that_does_not_answer_is_one_line(secureai: Secureai, lab: Lab, tmp_path: Path) -> None:
    text = lab.admin_kubeconfig.read_text().replace(lab.api_url, "https://127.0.0.1:9")
    broken = tmp_path / "kubeconfig"
    broken.write_text(text)
    for words in (["status", "llm"], ["check"], ["plan", "-f", str(ROOT / "examples" / "minimal.yaml")]):
        said = secureai(*words, "--kubeconfig", str(broken))
        assert (said.code, said.out) == (UNANSWERED, ""), words
        assert "no answer" in said.err
        assert len(said.err.splitlines()) == 1
