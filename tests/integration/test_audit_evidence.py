"""Vault's own audit log as evidence: a decrypt that Vault refused is told to its workload by somebody who can do no more."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import Lab, Process, RequestFailed
from lab.json_lines import entries
from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.cli.exits import NO, OK
from secureai_operator.cli.main import main
from secureai_operator.core.rotation.audit import TEXTS, Refusal
from tests.fixtures_operator import SharedOperator, Workloads
from tests.integration.installation import User
from tests.integration.vault_identity import TRANSIT, Identity, vault_name

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
REPORTER = "secureai-audit-reporter"
TOLD_SECONDS = 60.0
IN_FORCE_SECONDS = 30.0
(TOO_OLD,) = (text for text, refusal in TEXTS.items() if refusal is Refusal.TOO_OLD)

Json = dict[str, Any]


@pytest.fixture(scope="module")
def reporter(lab: Lab) -> User:
    """The identity of `secureai audit follow`, with what manifests/monitoring gives and takes from it."""
    rendered = lab.kubectl("kustomize", ROOT / "manifests" / "monitoring" / "audit").stdout
    lab.kubectl("apply", "--server-side", "-f", "-", input=rendered)
    return User(lab, names.OPERATOR_NAMESPACE, REPORTER)


@pytest.fixture
def old_ciphertext(
    lab: Lab, workloads: Workloads, operator: SharedOperator, namespace: str
) -> tuple[Identity, str]:
    """Something that a workload encrypted with a version that has retired since, and the workload's own identity.

    Nobody else acts on it: the operator is gone before the version is.
    """
    workloads.ready(namespace)
    identity = Identity.of(lab, namespace)
    ciphertext = identity.encrypt(vault_name(namespace), b"old")
    operator.stop()
    lab.vault_request("POST", f"{TRANSIT}/keys/{vault_name(namespace)}/rotate", {})
    lab.vault_request("POST", f"{TRANSIT}/keys/{vault_name(namespace)}/config", {"min_decryption_version": 2})
    return identity, ciphertext


@dataclass(frozen=True, slots=True)
class Following:
    """`secureai audit follow` as a process of its own."""

    process: Process
    position: Path


@pytest.fixture
def hash_token(lab: Lab) -> str:
    """A Vault token that may have texts hashed, and nothing else."""
    rule = 'path "sys/audit-hash/file" { capabilities = ["update"] }'
    lab.vault_request("PUT", "sys/policies/acl/audit-hash", {"policy": rule})
    body = {"policies": ["audit-hash"], "no_default_policy": True}
    return str(lab.vault_request("POST", "auth/token/create", body)["auth"]["client_token"])


@pytest.fixture
def following(
    lab: Lab, product: object, reporter: User, hash_token: str, tmp_path: Path
) -> Iterator[Following]:
    """Running, with the reporter's rights in Kubernetes and a token for hashes in Vault."""
    del product, reporter
    position = tmp_path / "position"
    kubeconfig = lab.kubeconfig_for(names.OPERATOR_NAMESPACE, REPORTER)
    flags = ("--position", position, "--kubeconfig", kubeconfig)
    command = (sys.executable, "-m", "secureai_operator.cli.main", "audit", "follow")
    process = lab.process(
        f"audit-follow-{tmp_path.name}",
        [*command, str(lab.vault_audit_log), *map(str, flags)],
        env={
            "PYTHONPATH": str(ROOT / "operator"),
            "VAULT_ADDR": lab.vault_address,
            "VAULT_TOKEN": hash_token,
        },
    )
    process.start()
    lab.wait_for(position.exists, 30, f"follow to have a place\n{process.tail()}")
    yield Following(process, position)
    process.stop()


def told(workloads: Workloads, namespace: str) -> str | None:
    annotations = workloads.get(namespace)["metadata"].get("annotations") or {}
    value: str | None = annotations.get(names.DECRYPT_FAILED_ANNOTATION)
    return value


def refused(identity: Identity, namespace: str, ciphertext: str) -> None:
    with pytest.raises(RequestFailed, match="too old") as refusal:
        identity.decrypt(vault_name(namespace), ciphertext)
    assert refusal.value.status == 400


def logged(lab: Lab, namespace: str) -> list[str]:
    """The ids of the refused decrypts of the namespace's workload, as Vault's log has them."""
    assert lab.vault_audit_log is not None
    path = f"{TRANSIT}/decrypt/{vault_name(namespace)}"
    return [
        entry["request"]["id"]
        for entry, _ in entries(lab.vault_audit_log)
        if entry["type"] == "response" and entry["request"]["path"] == path and entry.get("error")
    ]


def test_a_decrypt_that_vault_refused_is_told_to_its_workload_at_once(
    lab: Lab,
    workloads: Workloads,
    old_ciphertext: tuple[Identity, str],
    following: Following,
    namespace: str,
) -> None:
    identity, ciphertext = old_ciphertext
    assert told(workloads, namespace) is None
    for _ in range(3):
        refused(identity, namespace, ciphertext)
    value = lab.wait_for(lambda: told(workloads, namespace), TOLD_SECONDS, "the workload to be told")
    first, *_ = logged(lab, namespace)
    assert value is not None
    assert value.endswith(f"Z/{first}")

    # Once a minute: what came after the first is told later, whatever else happens.
    refused(identity, namespace, ciphertext)
    size = lab.vault_audit_log.stat().st_size if lab.vault_audit_log else 0
    assert following.process.stop() == OK
    assert told(workloads, namespace) == value
    assert json.loads(following.position.read_text())["offset"] <= size
    log = following.process.log.read_text()
    assert f"{namespace}/llm: " in log
    assert ciphertext not in log
    assert "hmac-" not in log


def test_what_was_not_told_when_it_ended_is_told_after_its_restart(
    lab: Lab,
    workloads: Workloads,
    old_ciphertext: tuple[Identity, str],
    following: Following,
    namespace: str,
) -> None:
    identity, ciphertext = old_ciphertext
    assert following.process.stop() == OK
    refused(identity, namespace, ciphertext)
    following.process.start()
    value = lab.wait_for(lambda: told(workloads, namespace), 30, "the workload to be told")
    assert value is not None
    assert value.endswith(logged(lab, namespace)[0])


def test_the_report_shows_versions_in_use_and_what_was_missed(
    lab: Lab,
    old_ciphertext: tuple[Identity, str],
    namespace: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    hash_token: str,
) -> None:
    identity, ciphertext = old_ciphertext
    identity.encrypt(vault_name(namespace), b"new")
    monkeypatch.setenv("VAULT_ADDR", lab.vault_address)
    monkeypatch.setenv("VAULT_TOKEN", hash_token)

    def report() -> tuple[int, list[Json]]:
        capsys.readouterr()
        code = main(["audit", "report", str(lab.vault_audit_log), "llm", "-n", namespace, "-o", "json"])
        return code, json.loads(capsys.readouterr().out)["found"]

    code, found = report()
    assert code == OK
    assert {row["version"] for row in found if row["operation"] == "encrypt"} == {1, 2}
    refused(identity, namespace, ciphertext)
    code, found = report()
    assert code == NO
    assert [row["count"] for row in found if row["refusal"] == "TooOld"] == [1]


def test_the_text_that_vault_refuses_with_is_the_one_that_is_looked_for(
    old_ciphertext: tuple[Identity, str], namespace: str
) -> None:
    """Another version of Vault may say it otherwise: then nothing would ever be told."""
    identity, ciphertext = old_ciphertext
    with pytest.raises(RequestFailed) as refusal:
        identity.decrypt(vault_name(namespace), ciphertext)
    assert TOO_OLD in str(refusal.value)


CHANGES: list[Json] = [
    {"spec": {"enforcement": "Audit"}},
    {"metadata": {"labels": {"a": "b"}}},
    {"metadata": {"annotations": {names.FORCE_DELETE_ANNOTATION: "true"}}},
    {"metadata": {"annotations": {names.EMERGENCY_ANNOTATION: "1", names.DECRYPT_FAILED_ANNOTATION: "1"}}},
    {"metadata": {"annotations": {"kept": None}}},
    {"metadata": {"annotations": {"kept": "otherwise"}}},
    {"metadata": {"finalizers": []}},
]


def test_the_reporter_can_set_its_annotation_and_nothing_else(
    lab: Lab, product: object, workloads: Workloads, reporter: User, namespace: str
) -> None:
    del product
    workloads.create(namespace)
    workloads.patch(
        namespace, "llm", {"metadata": {"annotations": {"kept": "so"}, "finalizers": ["test.dev/x"]}}
    )
    where = SECURE_AI_WORKLOADS.path(namespace, "llm")
    merge = "application/merge-patch+json"
    ours = {"metadata": {"annotations": {names.DECRYPT_FAILED_ANNOTATION: "1"}}}

    def is_bounded() -> bool:
        return not reporter("PATCH", f"{where}?dryRun=All", CHANGES[0], merge).accepted

    try:
        lab.wait_for(is_bounded, IN_FORCE_SECONDS, "the policy to be in force")
        lab.wait_for(lambda: reporter("PATCH", where, ours, merge).accepted, IN_FORCE_SECONDS, "its right")
        assert told(workloads, namespace) == "1"
        for change in CHANGES:
            refusal = reporter("PATCH", where, change, merge)
            assert refusal.code in {403, 422}, change
            assert "may set the annotation" in refusal.causes[0].message
        assert reporter("GET", where).code == 403
        assert reporter("PATCH", f"{where}/status", {"status": {"resync": "x"}}, merge).code == 403
        assert reporter("DELETE", where).code == 403
    finally:
        workloads.patch(namespace, "llm", {"metadata": {"finalizers": []}})


def test_the_manifests_are_what_kustomize_makes_of_them(lab: Lab) -> None:
    rendered = lab.kubectl("kustomize", ROOT / "manifests" / "monitoring").stdout
    objects = [item for item in yaml.safe_load_all(rendered) if item]
    kinds = sorted({item["kind"] for item in objects})
    assert {"PrometheusRule", "ServiceMonitor", "ConfigMap", "ClusterRole"} <= set(kinds)
    (dashboard,) = (item for item in objects if item["kind"] == "ConfigMap")
    assert json.loads(dashboard["data"]["secureai.json"])["uid"] == "secureai-rotation"
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
