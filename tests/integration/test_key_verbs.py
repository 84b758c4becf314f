"""`secureai key` as it is typed, with the rights of the document: its worked example, and what it says when it cannot."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.cli.exits import OK, UNANSWERED, USAGE
from secureai_operator.cli.main import main
from secureai_operator.clients.key_wrapping import WrappingKey
from tests.fixtures_operator import Workloads
from tests.integration.customers import a_token, b64, key_in_vault
from tests.product import Product

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Said:
    """What a verb printed and how it ended."""

    code: int
    out: str
    err: str


Secureai = Callable[..., Said]


@pytest.fixture
def secureai(
    product: Product, namespace: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Secureai:
    """As somebody who may do everything in the cluster, and in Vault what the document says for `llm` of the namespace."""
    lab = product.lab
    monkeypatch.setenv("KUBECONFIG", str(lab.admin_kubeconfig))
    monkeypatch.setenv("VAULT_ADDR", lab.vault_address)
    monkeypatch.setenv("VAULT_TOKEN", a_token(lab, "saw-transit", names.vault_name("main", namespace, "llm")))

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = main(["key", *words])
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return run


@pytest.fixture
def document(secureai: Secureai, tmp_path: Path) -> str:
    """The first steps of the document: fetch the wrapping key, wrap new material."""
    fetched = secureai("wrapping-key")
    assert fetched.code == OK
    pem, kept, out = (tmp_path / name for name in ("wrapping-key.pem", "llm-v1.key", "llm-v1.json"))
    pem.write_text(fetched.out)
    assert WrappingKey.from_pem(fetched.out.encode()).fingerprint in fetched.err
    done = secureai(
        "wrap",
        "--type",
        "aes256-gcm96",
        "--wrapping-key",
        str(pem),
        "--generate",
        str(kept),
        "--out",
        str(out),
    )
    assert done.code == OK
    return str(out)


def customer_managed(workloads: Workloads, namespace: str, **keys: Any) -> None:
    workloads.create(namespace, keys={"custody": "customer-managed", "type": "aes256-gcm96", **keys})


def versions(lab: Lab, namespace: str) -> int:
    """How many the key of `llm` has; 0 while there is no key."""
    found = key_in_vault(lab, "saw-transit", names.vault_name("main", namespace, "llm"))
    return 0 if found is None else int(found["latest_version"])


def test_the_worked_example_of_the_document_works(
    secureai: Secureai, workloads: Workloads, namespace: str, document: str, lab: Lab
) -> None:
    customer_managed(workloads, namespace)
    words = ("import", "llm", "-n", namespace, "--from", document, "--version", "1")
    tried = secureai(*words, "--dry-run")
    assert (tried.code, tried.err, versions(lab, namespace)) == (OK, "", 0)
    assert "would be imported" in tried.out
    assert names.RESYNC_ANNOTATION not in workloads.get(namespace)["metadata"].get("annotations", {})

    done = secureai(*words)
    assert (done.code, done.err, versions(lab, namespace)) == (OK, "", 1)
    assert "version 1 of key saw.main." in done.out
    asked = workloads.get(namespace)["metadata"]["annotations"][names.RESYNC_ANNOTATION]
    assert asked.startswith("key-import-v1-")

    again = secureai(*words, "-o", "json")
    assert (again.code, versions(lab, namespace)) == (OK, 1)
    assert json.loads(again.out) == {
        "action": "there already",
        "mount": "saw-transit",
        "key": names.vault_name("main", namespace, "llm"),
        "version": 1,
        "operatorAsked": False,
    }
    assert workloads.get(namespace)["metadata"]["annotations"][names.RESYNC_ANNOTATION] == asked
    following = secureai("import", "llm", "-n", namespace, "--from", document)
    assert (following.code, versions(lab, namespace)) == (OK, 2)


def test_whoever_may_only_read_the_workload_imports_all_the_same_and_is_told(
    secureai: Secureai, workloads: Workloads, namespace: str, document: str, lab: Lab, tmp_path: Path
) -> None:
    customer_managed(workloads, namespace)
    reader = str(lab.kubeconfig_for(namespace, "default"))
    words = ("import", "llm", "-n", namespace, "--from", document, "--kubeconfig", reader)
    stranger = secureai(*words)
    assert (stranger.code, versions(lab, namespace)) == (UNANSWERED, 0)

    lab.kubectl("create", "role", "reader", "-n", namespace, "--verb=get", "--resource=secureaiworkloads")
    lab.kubectl(
        "create",
        "rolebinding",
        "reader",
        "-n",
        namespace,
        "--role=reader",
        f"--serviceaccount={namespace}:default",
    )
    blind = secureai(*words)
    assert (blind.code, versions(lab, namespace)) == (UNANSWERED, 0)
    assert "its configuration is not visible" in blind.err

    config = tmp_path / "config.yaml"
    config.write_text("connections: {default: {address: https://vault.example.org}}")
    done = secureai(*words, "--config", str(config))
    assert (done.code, versions(lab, namespace)) == (OK, 1)
    assert "could not be asked to look at once" in done.out
    assert names.RESYNC_ANNOTATION not in workloads.get(namespace)["metadata"].get("annotations", {})


def test_the_status_says_where_the_key_is(
    secureai: Secureai, workloads: Workloads, namespace: str, document: str, lab: Lab
) -> None:
    customer_managed(workloads, namespace)
    name = names.vault_name("main", namespace, "llm")
    path = f"{SECURE_AI_WORKLOADS.path(namespace, 'llm')}/status"

    def say(**status: Any) -> None:
        lab.api.request("PATCH", path, {"status": status}, "application/merge-patch+json")

    say(observedGeneration=1, vault={"name": "saw.main.elsewhere.llm", "transitMount": "saw-transit"})
    refused = secureai("import", "llm", "-n", namespace, "--from", document)
    assert (refused.code, versions(lab, namespace)) == (UNANSWERED, 0)
    say(observedGeneration=1, vault={"name": name, "transitMount": "saw-transit"})
    assert secureai("import", "llm", "-n", namespace, "--from", document).code == OK
    assert versions(lab, namespace) == 1


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"custody": "service-managed"}, "only a customer-managed key is imported"),
        ({"type": "ed25519"}, "spec.keys.type of the workload is ed25519"),
    ],
)
def test_a_workload_that_wants_something_else_is_refused_in_one_line(
    secureai: Secureai,
    workloads: Workloads,
    namespace: str,
    document: str,
    lab: Lab,
    keys: dict[str, str],
    says: str,
) -> None:
    customer_managed(workloads, namespace, **keys)
    done = secureai("import", "llm", "-n", namespace, "--from", document)
    assert (done.code, done.out, versions(lab, namespace)) == (USAGE, "", 0)
    assert says in done.err
    assert len(done.err.splitlines()) == 1


def test_who_may_not_read_the_wrapping_key_is_told_which_policy_it_takes(
    secureai: Secureai, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = secureai("wrapping-key", "--mount", "elsewhere")
    assert (denied.code, denied.out) == (UNANSWERED, "")
    assert "docs/key-custody.md has the policy" in denied.err
    monkeypatch.setenv("VAULT_TOKEN", lab.vault_root_token)
    missing = secureai("wrapping-key", "--mount", "elsewhere")
    assert (missing.code, missing.out) == (UNANSWERED, "")
    assert "Vault has no transit engine at elsewhere" in missing.err


def test_no_key_material_and_no_token_is_in_anything_that_is_printed_or_logged(
    secureai: Secureai, workloads: Workloads, namespace: str, document: str, lab: Lab, tmp_path: Path
) -> None:
    customer_managed(workloads, namespace)
    done = secureai("import", "llm", "-n", namespace, "--from", document)
    material = (tmp_path / "llm-v1.key").read_bytes()
    assert len(material) == 32
    assert lab.audit_log is not None
    assert lab.vault_audit_log is not None
    texts = [done.out, done.err, json.dumps(workloads.get(namespace)), Path(document).read_text()]
    texts += [log.read_text() for log in (lab.audit_log, lab.vault_audit_log)]
    for secret in (b64(material), material.hex(), os.environ["VAULT_TOKEN"]):
        assert not any(secret in text for text in texts)
