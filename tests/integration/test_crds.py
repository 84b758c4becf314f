"""The CRDs on a real API server: accepted, complete, and what kubectl shows of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from lab import Lab
from secureai_operator.api import crd
from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.api.workload import SecureAIWorkloadSpec
from secureai_operator.api.workload_status import SecureAIWorkloadStatus
from tests.integration.crd_objects import (
    CRDS,
    apply_status,
    create,
    install_crds,
    merge,
    path,
    policy,
    workload,
)

pytestmark = pytest.mark.integration

NOW = "2026-01-31T12:00:00Z"


@pytest.fixture(scope="module", autouse=True)
def _crds(lab: Lab) -> None:
    install_crds(lab)


@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda kind: kind.kind)
def test_the_schema_is_accepted_as_structural_and_the_names_are_free(lab: Lab, kind: crd.Kind) -> None:
    found = lab.api.request("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind.name}")
    conditions = {item["type"]: item["status"] for item in found["status"]["conditions"]}
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


def test_applying_the_files_again_changes_nothing(lab: Lab) -> None:
    def versions() -> list[str]:
        names = [kind.name for kind in crd.KINDS]
        found = json.loads(lab.kubectl("get", "crd", *names, "-o", "json").stdout)["items"]
        return [item["metadata"]["resourceVersion"] for item in found]

    before = versions()
    lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", CRDS)
    assert versions() == before


@pytest.mark.parametrize("spec", [None, {}], ids=["no spec", "empty spec"])
def test_the_smallest_workload_is_stored_with_all_its_defaults(
    lab: Lab, namespace: str, spec: dict[str, Any] | None
) -> None:
    stored = create(lab, namespace, workload(spec)).body
    assert SecureAIWorkloadSpec.model_validate(stored["spec"]) == SecureAIWorkloadSpec()
    complete = SecureAIWorkloadSpec().model_dump(mode="json", by_alias=True, exclude_none=True)
    assert stored["spec"] == complete


def test_a_rotation_policy_is_stored_with_all_its_defaults(lab: Lab, namespace: str) -> None:
    spec = {"selector": {}, "schedule": {"interval": "720h"}}
    stored = create(lab, namespace, policy(spec)).body["spec"]
    complete = KeyRotationPolicySpec.model_validate(spec)
    assert KeyRotationPolicySpec.model_validate(stored) == complete
    assert stored == complete.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_what_is_declared_in_a_list_is_stored_as_declared(lab: Lab, namespace: str) -> None:
    # Argo CD and kubectl compare lists as a whole: an item with a default more would differ for ever.
    spec: dict[str, dict[str, Any]] = {
        "keys": {"dataKeys": [{"name": "model"}]},
        "access": {
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
            "roleRefs": [{"name": "llm-reader"}],
        },
        "network": {"ingress": [{"from": [{"workload": "gateway"}], "ports": [8000]}]},
        "confidential": {"tolerations": [{"key": "nvidia.com/gpu"}]},
    }
    stored = create(lab, namespace, workload(spec)).body["spec"]
    for concern, declared in spec.items():
        for field, value in declared.items():
            assert stored[concern][field] == value


def test_a_new_object_is_not_current_for_kstatus(lab: Lab, namespace: str) -> None:
    assert create(lab, namespace, workload()).body["status"] == {"observedGeneration": -1}


def test_status_is_a_subresource_and_moves_no_generation(lab: Lab, namespace: str) -> None:
    made = create(lab, namespace, workload()).body
    merge(lab, namespace, workload(), {"status": {"observedGeneration": 7}})
    after = lab.api.request("GET", path(namespace, workload(), named=True))
    assert after["status"] == {"observedGeneration": -1}

    written = merge(lab, namespace, workload(), {"status": {"observedGeneration": 1}}, status=True).body
    assert written["status"]["observedGeneration"] == 1
    assert written["metadata"]["generation"] == made["metadata"]["generation"]


def condition(kind: str) -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": "AllReady", "message": "", "lastTransitionTime": NOW}


def test_two_managers_own_conditions_of_different_types(lab: Lab, namespace: str) -> None:
    create(lab, namespace, workload())
    apply_status(lab, namespace, workload(), {"conditions": [condition("Ready")]}, "one")
    both = apply_status(lab, namespace, workload(), {"conditions": [condition("Attested")]}, "two")
    assert {item["type"] for item in both.body["status"]["conditions"]} == {"Ready", "Attested"}


STATUS = {
    "observedGeneration": 1,
    "conditions": [condition("Ready") | {"observedGeneration": 1}],
    "vault": {"connection": "default", "name": "saw.main.team-a.llm", "applied": "6f1ed002ab559585", "transitMount": "saw-transit",
              "pkiMount": "saw-pki", "authMount": "kubernetes"},
    "key": {"type": "aes256-gcm96", "custody": "service-managed", "latestVersion": 7, "minDecryptionVersion": 1,
            "minAvailableVersion": 1, "imported": False, "latestVersionAt": NOW, "createdAt": NOW},
    "dataKeys": [{"name": "model", "keyVersion": 1, "wrapped": "vault:v1:bm90IGEgcmVhbCBrZXk=", "generation": 2,
                  "context": "tenant-42"}],
    "certificate": {"serial": "5b:1c", "notAfter": NOW, "renewalTime": NOW},
    "binding": {"ready": True, "enforce": True, "podLabels": {"secureai.dev/workload": "llm"},
                "serviceAccountName": "saw-llm", "audience": "vault://main/team-a/llm",
                "tokenExpirationSeconds": 600, "apiToken": False, "keysSecretName": "saw-llm-keys",
                "tlsSecretName": "saw-llm-tls", "runtimeClassName": "", "nodeSelector": {"a": "b"},
                "tolerations": [{"key": "a", "operator": "Exists", "value": "", "effect": ""}]},
    "pods": {"bound": 3, "unbound": 1, "unboundNames": ["llm-0"], "quarantined": 2},
    "lastDrift": {"time": NOW, "kind": "Role", "name": "saw-llm", "field": "rules", "action": "Healed"},
    "rotation": {
        "phase": "Observing", "version": 7, "target": 7, "fromVersion": 6, "trigger": "Scheduled", "requestId": "a",
        "emergencyRequestId": "b", "decryptFailure": "c", "retirementRequest": "d",
        "policy": "team-a/weekly", "schedule": "6f1ed002ab559585", "ruledSince": NOW, "scheduledFor": NOW, "plannedAt": NOW, "doubtUntil": NOW,
        "rotatedAt": NOW, "rewrappedAt": NOW, "itemsRewrapped": 1, "retireAt": NOW,
        "retirements": [{"below": 7, "at": NOW, "emergency": False}], "raising": 5, "minimumBefore": 4,
        "canaryUntil": NOW, "retirementHeld": False, "retiredBelow": 4, "trimming": 0, "oldestVersionInUse": 7,
        "blockedReason": "", "nextTime": "2099-01-31T12:00:00Z",
        "history": [{"fromVersion": 6, "toVersion": 7, "trigger": "Scheduled", "startedAt": NOW, "finishedAt": NOW,
                     "itemsRewrapped": 1, "result": "Done"}],
    },
    "emergency": {"requestId": "b", "startedAt": NOW, "certificate": "5b:1c", "serviceAccount": "uid-1", "finishedAt": NOW,
                  "steps": [{"step": "AccessWithdrawn", "at": NOW, "milliseconds": 12, "skipped": "because"}]},
    "dataKeyRotation": {"requestId": "e", "madeAt": NOW, "shownAt": NOW, "restartedAt": NOW, "restarted": ["Deployment/llm"],
                        "left": ["Job/train"]},
    "resync": "1",
}  # fmt: skip


def test_the_whole_status_is_stored_and_read_as_it_was_written(lab: Lab, namespace: str) -> None:
    create(lab, namespace, workload())
    stored = merge(lab, namespace, workload(), {"status": STATUS}, status=True).body["status"]
    assert stored == STATUS
    model = SecureAIWorkloadStatus.model_validate(stored)
    assert model.model_dump(mode="json", by_alias=True, exclude_none=True) == STATUS


def test_kubectl_shows_the_columns_by_the_short_name(lab: Lab, namespace: str) -> None:
    create(lab, namespace, workload())
    merge(lab, namespace, workload(), {"status": STATUS}, status=True)

    heads, values = lab.kubectl("-n", namespace, "get", "saw").stdout.splitlines()
    assert heads.split() == ["NAME", "READY", "REASON", "KEY", "ROTATES", "QUARANTINED", "AGE"]
    assert values.split()[:6] == ["llm", "True", "AllReady", "7", "2099-01-31T12:00:00Z", "2"]

    heads, values = lab.kubectl("-n", namespace, "get", "saw", "-o", "wide").stdout.splitlines()
    for head in ("VAULT NAME", "CERT EXPIRY", "CUSTODY", "ENFORCEMENT", "PODS"):
        assert head in heads
    assert values.split()[7:] == ["saw.main.team-a.llm", NOW, "service-managed", "Enforce", "3"]


def test_the_category_lists_both_kinds(lab: Lab, namespace: str) -> None:
    create(lab, namespace, workload())
    create(lab, namespace, policy({"selector": {}, "schedule": {"interval": "720h"}}))
    listed = lab.kubectl("-n", namespace, "get", "secureai", "-o", "name").stdout.split()
    assert sorted(listed) == ["keyrotationpolicy.secureai.dev/weekly", "secureaiworkload.secureai.dev/llm"]


def described(schemas: dict[str, Any], schema: dict[str, Any], where: str) -> dict[str, str]:
    """The description of every field as the API server publishes it, which is what `kubectl explain` prints."""
    found: dict[str, str] = {}
    for name, child in schema.get("properties", {}).items():
        here = f"{where}.{name}"
        if here not in {".metadata", ".apiVersion", ".kind"}:
            found[here] = child.get("description", "")
            found |= described(schemas, child, here)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found |= described(schemas, schema[key], f"{where}[]")
    return found


@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda kind: kind.kind)
def test_the_published_schema_explains_every_field(lab: Lab, kind: crd.Kind) -> None:
    def published() -> dict[str, Any] | None:
        schemas = lab.api.request("GET", "/openapi/v3/apis/secureai.dev/v1alpha1")["components"]["schemas"]
        return next((value for name, value in schemas.items() if name.endswith(f".{kind.kind}")), None)

    schema = lab.wait_for(published, deadline=30, what=f"the published schema of {kind.kind}")
    assert schema is not None
    texts = described({}, schema, "")
    assert len(texts) > 25
    assert [field for field, text in texts.items() if "Example:" not in text] == []


def test_kubectl_explain_tells_unit_default_and_example(lab: Lab) -> None:
    # The short name is known when the API server's discovery has seen the kind.
    explained = lab.wait_for(
        lambda: lab.kubectl("explain", "saw.spec.certificate.ttl").stdout, 30, "the kind to be explained"
    )
    text = " ".join(explained.split())
    assert "hours, minutes and seconds" in text
    assert "Default: 24h. Example: 24h." in text


def _example(info: FieldInfo) -> Any:
    assert info.examples
    return info.examples[0]


def examples() -> list[Any]:
    """Each field of both specs with its own example."""
    found = []
    for kind, base in ((workload, {}), (policy, {"selector": {}, "schedule": {"interval": "720h"}})):
        model = SecureAIWorkloadSpec if kind is workload else KeyRotationPolicySpec
        for name, info in model.model_fields.items():
            field = info.alias or name
            found.append(pytest.param(kind, base | {field: _example(info)}, id=f"{kind.__name__}.{field}"))
    return found


@pytest.mark.parametrize(("kind", "spec"), examples())
def test_every_example_is_accepted(lab: Lab, namespace: str, kind: Any, spec: dict[str, Any]) -> None:
    answer = create(lab, namespace, kind(spec), dry_run=True)
    assert answer.accepted, answer.causes


def largest(namespace: str) -> dict[str, Any]:
    """As much of everything as the schema allows."""
    inside = f"{namespace}.svc"

    def label(n: int) -> str:
        return f"{n:02}".ljust(63, "x")

    labels = {f"{'d' * 185}.{n:03}/{'k' * 60}{n:03}": label(n) for n in range(8)}
    peers = [{"namespace": label(n), "podLabels": labels} for n in range(16)]
    ports = [f"{65520 + n}/SCTP" for n in range(16)]
    rule = {
        "apiGroups": ["a" * 253],
        "resources": ["b" * 63],
        "resourceNames": ["c" * 253],
        "verbs": ["d" * 63] * 3,
    }
    return {
        "podSelector": {"matchLabels": labels},
        "vault": {"connection": label(0)},
        "keys": {"dataKeys": [{"name": label(n), "bits": 512} for n in range(16)]},
        "certificate": {"dnsNames": [f"{n:03}." + "a." * ((249 - len(inside)) // 2) + inside for n in range(16)]},
        "access": {"rules": [rule] * 8, "roleRefs": [{"kind": "ClusterRole", "name": f"{'r' * 252}{n}"} for n in range(4)]},
        "network": {"ingress": [{"from": peers, "ports": ports}] * 16, "egress": [{"to": peers, "ports": ports}] * 16},
        "confidential": {"tolerations": [
            {"key": f"{'d' * 189}/{'k' * 63}", "operator": "Equal", "value": label(n)} for n in range(8)
        ]},
    }  # fmt: skip


def test_the_largest_workload_stays_within_the_cost_that_rules_may_have(lab: Lab, namespace: str) -> None:
    answer = create(lab, namespace, workload(largest(namespace), name="x" * 52), dry_run=True)
    assert answer.accepted, answer.causes[:3]
