"""Every reason of the registry is made to happen by a test; here are those that no other file makes."""

from __future__ import annotations

import ast
import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Kind, Lab, NodeSpec
from secureai_operator import names
from secureai_operator.api.reasons import REASONS
from secureai_operator.api.resources import CLUSTER_ROLES, NETWORK_POLICIES, ROLES
from tests.fixtures_operator import Workloads
from tests.integration.audits import EXPECTED_DENIALS
from tests.integration.tdx_nodes import NO_TDX, Labels, relabelled

TESTS = Path(__file__).parents[1]
operated = pytest.mark.usefixtures("operator")

BEYOND = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}
ANYWHERE = {"mode": "Off"}

Json = dict[str, Any]

_HERE = "integration/test_reasons.py"
_LIFE, _DRIFT = "integration/test_lifecycle.py", "integration/test_drift.py"
_DELETION, _OUTAGE = "integration/test_deletion.py", "integration/test_vault_outage.py"
_ROTATION, _EMERGENCY = "integration/test_rotation.py", "integration/test_emergency.py"
_TRIM = "integration/test_trim.py"
_CUSTODY = "integration/test_custody.py"
_READY = f"{_LIFE}::test_an_empty_spec_becomes_ready_and_secure"
_NAMED = f"{_OUTAGE}::test_an_outage_is_named_borne_and_over_in_time"

MADE_BY: dict[str, str] = {
    **dict.fromkeys(
        (
            "AllReady",
            "Settled",
            "IdentityEstablished",
            "KeyAvailable",
            "CertificateIssued",
            "NoAccessRequested",
            "PoliciesApplied",
            "Schedulable",
            "NoPods",
            "VaultHealthy",
            "NoDrift",
        ),
        _READY,
    ),
    **dict.fromkeys(
        (
            "VaultUnreachable",
            "VaultSealed",
            "VaultTimeout",
            "VaultForbidden",
            "VaultLoginFailed",
            "VaultRateLimited",
            "VaultMountMissing",
        ),
        _NAMED,
    ),
    "CertificateNotRequested": f"{_LIFE}::test_no_certificate_where_none_is_asked_for",
    "VaultRejected": f"{_OUTAGE}::test_what_vault_will_never_accept_is_no_outage",
    "KeyLost": f"{_OUTAGE}::test_a_lost_key_is_named_and_never_made_anew",
    "KeyReplaced": f"{_OUTAGE}::test_a_replaced_key_is_not_taken_for_the_old_one",
    "ImmutableFieldDrift": f"{_OUTAGE}::test_a_key_of_another_type_is_not_used",
    "DataKeyLost": f"{_OUTAGE}::test_a_data_key_that_no_version_wraps_is_lost",
    "KeyExposed": f"{_DRIFT}::test_an_exposed_key_is_told_and_stays_in_use",
    "KeyDeletionEnabled": f"{_DRIFT}::test_deletion_of_the_key_is_forbidden_again",
    "DriftHealed": f"{_DRIFT}::test_drift_behind_a_stopped_operator_is_healed_as_it_starts",
    "DriftReported": f"{_DRIFT}::test_warn_tells_and_leaves_alone",
    "DriftContended": f"{_DRIFT}::test_a_fight_is_named_and_slowed_down",
    "NameConflict": f"{_DRIFT}::test_a_strangers_object_is_not_taken_over",
    "Terminating": f"{_DELETION}::test_deletion_waits_for_vault_and_finishes_after",
    "AccessRevoked": f"{_DELETION}::test_deletion_revokes_everything_and_keeps_the_key",
    "KeyRetained": f"{_DELETION}::test_deletion_revokes_everything_and_keeps_the_key",
    "KeyDestroyed": f"{_DELETION}::test_destroy_with_the_platforms_permission_destroys",
    "Orphaned": f"{_DELETION}::test_force_delete_lets_go_at_once_and_says_so",
    "PodReplaced": "integration/test_least_privilege.py::life",
    "BeyondCeiling": f"{_HERE}::test_a_rule_beyond_the_ceiling",
    "RulesGranted": f"{_HERE}::test_granted_rules",
    "RoleNotFound": f"{_HERE}::test_a_role_that_does_not_exist",
    "ConnectionNotConfigured": f"{_HERE}::test_an_unknown_connection",
    "CustodyMismatch": f"{_HERE}::test_a_custody_that_the_connection_is_not_for",
    "Waiting": f"{_HERE}::test_a_custody_that_the_connection_is_not_for",
    "CustomerLocked": f"{_CUSTODY}::test_a_customer_locks_and_unlocks_their_key",
    "AwaitingKeyMaterial": f"{_CUSTODY}::test_a_key_that_the_customer_is_to_bring_is_awaited_and_used",
    "NoRotationPolicy": f"{_ROTATION}::test_a_workload_that_no_policy_selects_says_so",
    "RotationScheduled": f"{_ROTATION}::test_a_schedule_rotates_a_key_at_its_time_and_once",
    "RotationRests": f"{_ROTATION}::test_a_dry_run_says_what_would_happen_and_does_nothing",
    "PolicyRests": f"{_ROTATION}::test_a_dry_run_says_what_would_happen_and_does_nothing",
    "PolicyActive": f"{_ROTATION}::test_a_policy_says_whether_it_rules_anything",
    "PolicySelectsNothing": f"{_ROTATION}::test_a_policy_says_whether_it_rules_anything",
    "KeyRotated": f"{_ROTATION}::test_a_request_rotates_the_key_and_rewraps_its_data_keys",
    "VersionsRetired": f"{_ROTATION}::test_an_old_version_retires_when_nothing_is_wrapped_by_it",
    "RetirementUnproven": f"{_ROTATION}::test_a_version_that_nothing_proves_to_be_out_of_use_stays_and_says_why",
    "RetirementRolledBack": f"{_ROTATION}::test_a_failed_decrypt_brings_the_old_versions_back_until_somebody_asks_again",
    "RetireRoleMissing": f"{_ROTATION}::test_nothing_is_destroyed_without_an_identity_that_may",
    "VersionsDestroyed": f"{_TRIM}::test_retired_versions_are_destroyed_where_policy_and_platform_say_so",
    "KeyVersionDestroyed": f"{_ROTATION}::test_a_version_trimmed_behind_our_back_is_told_and_nothing_goes_on",
    "DataKeysRotated": f"{_ROTATION}::test_new_data_keys_stand_beside_the_earlier_ones",
    "RolloutRestarted": f"{_ROTATION}::test_what_reads_data_keys_is_restarted_once",
    "EmergencyStarted": f"{_EMERGENCY}::test_everything_is_made_anew_and_what_was_stolen_is_worth_nothing",
    "EmergencyFinished": f"{_EMERGENCY}::test_everything_is_made_anew_and_what_was_stolen_is_worth_nothing",
    "AccessWithdrawn": f"{_EMERGENCY}::test_access_is_gone_while_it_is_under_way_and_stays_gone_until_it_can_go_on",
    "Suspended": f"{_HERE}::test_suspended",
    "AuditOnly": f"{_HERE}::test_audit_only",
    "PlacementOff": f"{_HERE}::test_placement_off",
    "NoTDXNodes": f"{_HERE}::test_no_tdx_nodes",
    "RuntimeClassMissing": f"{_HERE}::test_a_missing_runtime_class",
    "KeysExhausted": f"{_HERE}::test_exhausted_keys",
    "GpuNotCcReady": f"{_HERE}::test_a_gpu_that_is_not_in_cc_mode",
    "PodsUnbound": f"{_HERE}::test_pods_that_escaped",
    "AllPodsBound": f"{_HERE}::test_bound_pods",
    "PodsClaimedTwice": f"{_HERE}::test_pods_that_two_workloads_claim",
    "OperatorForbidden": f"{_HERE}::test_the_operator_lacks_a_right",
    "Retrying": f"{_HERE}::test_the_operator_lacks_a_right",
    "KubernetesRefused": f"{_HERE}::test_an_object_that_the_cluster_refuses",
}

UNIT_ONLY: dict[str, str] = {
    "InvalidSpec": "the admission policies and the CRD refuse it before it gets here",
    "KeyTypeCannotWrap": "the CRD refuses it before it gets here",
    "PlatformUnsupported": "the CRD refuses it before it gets here",
    "Progressing": "it lasts milliseconds",
    "InternalError": "a defect would be needed",
    "RotationRefused": "Vault refuses nothing of it that was not refused before",
    "RotationMissed": "the shortest starting deadline is a minute, and has to pass with Vault or the operator away",
    "KeyArchiveFull": "it takes hundreds of versions",
    "DataKeysFull": "it takes ninety-six data keys",
    "RotationUnderWay": "it lasts milliseconds",
    "RotationPending": "it lasts milliseconds",
    "RotationsFailing": "of a policy: the status of its workloads says the same, and is tested",
    "KubernetesUnavailable": "nothing can be said of it while the API server is away",
    "VaultNotInitialized": "the lab's Vault is initialised once",
    "CertificateExpired": "the shortest certificate lives five minutes",
}
"""Reasons that only unit tests make happen, and why."""


@functools.cache
def _functions(file: str) -> dict[str, str]:
    text = (TESTS / file).read_text()
    return {
        node.name: ast.get_source_segment(text, node) or ""
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _unit_tests() -> Iterator[str]:
    for file in sorted((TESTS / "unit").rglob("test_*.py")):
        if file.name not in ("test_reasons.py", "test_docs.py"):
            yield file.read_text()


def _constant(reason: str) -> str:
    from secureai_operator.api import reasons  # noqa: PLC0415 - to look for the constant's name

    return next(name for name, value in vars(reasons).items() if value is REASONS[reason])


def test_every_reason_has_a_test_that_makes_it_happen() -> None:
    assert set(MADE_BY) | set(UNIT_ONLY) == set(REASONS)
    assert not set(MADE_BY) & set(UNIT_ONLY)


@pytest.mark.parametrize("reason", sorted(MADE_BY))
def test_the_named_test_exists_and_speaks_of_the_reason(reason: str) -> None:
    file, name = MADE_BY[reason].split("::")
    assert name in _functions(file)
    # A table of cases may stand beside the function; no more than a word in a comment is not enough.
    literals = {
        node.value
        for node in ast.walk(ast.parse((TESTS / file).read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert reason in literals


@pytest.mark.parametrize("reason", sorted(UNIT_ONLY))
def test_what_cannot_happen_on_the_lab_has_a_unit_test(reason: str) -> None:
    words = (f'"{reason}"', f"reasons.{_constant(reason)}", f"'{reason}'")
    assert any(word in text for text in _unit_tests() for word in words)


# Spec


@operated
def test_an_unknown_connection(workloads: Workloads, namespace: str) -> None:
    workloads.create(namespace, vault={"connection": "defualt"})
    found = workloads.wait_condition(namespace, "llm", "VaultReachable", "False", "ConnectionNotConfigured")
    assert "default" in found["message"]
    workloads.wait_condition(namespace, "llm", "Stalled", "True", "ConnectionNotConfigured")
    workloads.wait_condition(namespace, "llm", "NetworkIsolated", "True")
    workloads.delete(namespace)
    workloads.wait_gone(namespace)


@operated
def test_a_custody_that_the_connection_is_not_for(workloads: Workloads, namespace: str) -> None:
    workloads.create(namespace, keys={"custody": "hold-your-own-key"})
    found = workloads.wait_condition(namespace, "llm", "KeyReady", "False", "CustodyMismatch")
    assert "customer-held" in found["message"]
    workloads.wait_condition(namespace, "llm", "Stalled", "True", "CustodyMismatch")
    workloads.wait_condition(namespace, "llm", "IdentityReady", "False", "Waiting")


@operated
def test_suspended(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    workloads.respec(namespace, suspend=True)
    workloads.wait_condition(namespace, "llm", "Ready", "Unknown", "Suspended")
    workloads.delete(namespace, names.allow_policy("llm"), NETWORK_POLICIES)
    workloads.respec(namespace, suspend=False)
    workloads.wait_object(NETWORK_POLICIES, namespace, names.allow_policy("llm"))
    workloads.wait_ready(namespace)


# Access


@operated
def test_granted_rules(workloads: Workloads, namespace: str) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    workloads.create(namespace, access={"rules": [rule]})
    workloads.wait_condition(namespace, "llm", "AccessGranted", "True", "RulesGranted")


@operated
def test_a_rule_beyond_the_ceiling(workloads: Workloads, namespace: str) -> None:
    workloads.create(namespace, access={"rules": [BEYOND]})
    found = workloads.wait_condition(namespace, "llm", "AccessGranted", "False", "BeyondCeiling")
    assert "get deployments.apps" in found["message"]
    workloads.wait_condition(namespace, "llm", "Ready", "False", "BeyondCeiling")
    assert workloads.find(ROLES, namespace, names.role("llm")) is None


@operated
def test_a_role_that_does_not_exist(workloads: Workloads, namespace: str) -> None:
    workloads.create(namespace, access={"roleRefs": [{"name": "missing"}]})
    found = workloads.wait_condition(namespace, "llm", "AccessGranted", "False", "RoleNotFound")
    assert "missing" in found["message"]


# Placement: of the lab's nodes two are TDX nodes and one has a confidential GPU


@pytest.fixture
def tdx_nodes(lab: Lab) -> Iterator[Callable[[Labels], None]]:
    """Change the labels of all TDX nodes; as before afterwards."""
    with contextlib.ExitStack() as changes:
        yield lambda labels: changes.enter_context(relabelled(lab, labels))


@operated
def test_no_tdx_nodes(workloads: Workloads, namespace: str, tdx_nodes: Any) -> None:
    tdx_nodes(NO_TDX)
    workloads.create(namespace, confidential={"mode": "Required"})
    workloads.wait_condition(namespace, "llm", "ConfidentialSchedulable", "False", "NoTDXNodes")
    workloads.wait_condition(namespace, "llm", "Ready", "False", "NoTDXNodes")


@operated
def test_a_gpu_that_is_not_in_cc_mode(workloads: Workloads, namespace: str, tdx_nodes: Any) -> None:
    tdx_nodes({"nvidia.com/cc.ready.state": "false"})
    workloads.create(namespace, confidential={"mode": "Required", "gpu": {"confidential": True}})
    workloads.wait_condition(namespace, "llm", "ConfidentialSchedulable", "False", "GpuNotCcReady")


@operated
def test_a_missing_runtime_class(workloads: Workloads, namespace: str) -> None:
    workloads.create(namespace, confidential={"mode": "Required", "runtimeClassName": "kata-of-tomorrow"})
    found = workloads.wait_condition(
        namespace, "llm", "ConfidentialSchedulable", "False", "RuntimeClassMissing"
    )
    assert "kata-of-tomorrow" in found["message"]


@operated
def test_exhausted_keys(lab: Lab, workloads: Workloads, namespace: str) -> None:
    nodes = ("tdx-0", "tdx-1", "tdx-gpu-0")
    key = "tdx.intel.com/keys"
    allocatable = {
        node: lab.api.request("GET", f"/api/v1/nodes/{node}")["status"]["allocatable"].get(key, "0")
        for node in nodes
    }
    try:
        for node in nodes:
            lab.nodes.set_resources(node, {key: "0"})
        workloads.create(namespace, confidential={"mode": "Required"})
        workloads.wait_condition(namespace, "llm", "ConfidentialSchedulable", "False", "KeysExhausted")
    finally:
        for node, count in allocatable.items():
            lab.nodes.set_resources(node, {key: count})
    workloads.wait_condition(namespace, "llm", "ConfidentialSchedulable", "True")


@operated
def test_a_new_node_ends_the_wait(lab: Lab, workloads: Workloads, namespace: str, tdx_nodes: Any) -> None:
    tdx_nodes(NO_TDX)
    workloads.create(namespace, confidential={"mode": "Required"})
    workloads.wait_condition(namespace, "llm", "Ready", "False", "NoTDXNodes")
    lab.add_nodes([NodeSpec("tdx-late", Kind.TDX)])
    try:
        workloads.wait_ready(namespace)
    finally:
        lab.nodes.remove("tdx-late")


@operated
def test_placement_off(workloads: Workloads, namespace: str) -> None:
    workloads.create(namespace, confidential=ANYWHERE)
    workloads.wait_condition(namespace, "llm", "ConfidentialSchedulable", "False", "PlacementOff")
    workloads.wait_ready(namespace)


# Pods


def new_pod(lab: Lab, namespace: str, labels: dict[str, str], name: str = "p") -> None:
    body = {
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    }
    lab.api.request("POST", f"/api/v1/namespaces/{namespace}/pods", body)


@operated
def test_pods_that_escaped(lab: Lab, workloads: Workloads, namespace: str) -> None:
    """Nobody would make this one anew: it is named, and left."""
    new_pod(lab, namespace, {"app": "llm"})
    workloads.create(namespace, podSelector={"matchLabels": {"app": "llm"}}, confidential=ANYWHERE)
    found = workloads.wait_condition(namespace, "llm", "PodsBound", "False", "PodsUnbound")
    assert "p:" in found["message"]
    workloads.wait_condition(namespace, "llm", "Ready", "False", "PodsUnbound")
    status = workloads.get(namespace)["status"]["pods"]
    assert (status["unbound"], status["unboundNames"]) == (1, ["p"])


@operated
def test_bound_pods(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, confidential=ANYWHERE)
    new_pod(lab, namespace, {names.WORKLOAD_LABEL: "llm"})
    workloads.wait_condition(namespace, "llm", "PodsBound", "True", "AllPodsBound")
    pod = lab.api.request("GET", f"/api/v1/namespaces/{namespace}/pods/p")
    assert pod["spec"]["serviceAccountName"] == "saw-llm"


@operated
def test_audit_only(lab: Lab, workloads: Workloads, namespace: str) -> None:
    new_pod(lab, namespace, {"app": "llm"})
    workloads.create(
        namespace,
        podSelector={"matchLabels": {"app": "llm"}},
        enforcement="Audit",
        confidential=ANYWHERE,
    )
    workloads.wait_condition(namespace, "llm", "NetworkIsolated", "False", "AuditOnly")
    workloads.wait_condition(namespace, "llm", "PodsBound", "False", "AuditOnly")
    workloads.wait_ready(namespace)
    assert workloads.find(NETWORK_POLICIES, namespace, names.allow_policy("llm")) is None
    assert lab.api.request("GET", f"/api/v1/namespaces/{namespace}/pods/p")["metadata"]["name"] == "p"


@operated
def test_pods_that_two_workloads_claim(lab: Lab, workloads: Workloads, namespace: str) -> None:
    selector = {"matchLabels": {"app": "llm"}}
    first = workloads.ready(namespace, "first", podSelector=selector)["metadata"]["creationTimestamp"]

    def later() -> bool:
        found = lab.api.request(
            "POST", f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All", {"metadata": {"name": "clock"}}
        )
        return bool(found["metadata"]["creationTimestamp"] > first)

    lab.wait_for(later, 30, "another second of the API server's clock")
    workloads.create(namespace, "a-second", podSelector=selector)
    found = workloads.wait_condition(namespace, "a-second", "PodsBound", "False", "PodsClaimedTwice")
    assert "first" in found["message"]
    workloads.wait_condition(namespace, "a-second", "Stalled", "True", "PodsClaimedTwice")
    assert workloads.find(NETWORK_POLICIES, namespace, names.allow_policy("a-second")) is None
    workloads.wait_ready(namespace, "first")


# Kubernetes


@operated
def test_the_operator_lacks_a_right(lab: Lab, workloads: Workloads, namespace: str) -> None:
    """Somebody edited its ClusterRole; it says so, and goes on as soon as that is mended."""
    EXPECTED_DENIALS.add(namespace)
    role = workloads.find(CLUSTER_ROLES, None, names.OPERATOR_SERVICE_ACCOUNT)
    assert role is not None
    rules = [
        {**rule, "verbs": ["list", "watch"]} if "networkpolicies" in rule["resources"] else rule
        for rule in role["rules"]
    ]
    path = CLUSTER_ROLES.path(None, names.OPERATOR_SERVICE_ACCOUNT)
    try:
        lab.api.request("PATCH", path, {"rules": rules}, "application/merge-patch+json")
        workloads.create(namespace)
        found = workloads.wait_condition(namespace, "llm", "NetworkIsolated", "False", "OperatorForbidden")
        assert "NetworkPolicy" in found["message"]
        workloads.wait_condition(namespace, "llm", "Reconciling", "True", "Retrying")
        workloads.wait_condition(namespace, "llm", "KeyReady", "True")
    finally:
        lab.api.request("PATCH", path, {"rules": role["rules"]}, "application/merge-patch+json")
    workloads.wait_ready(namespace, deadline=40)


@operated
def test_an_object_that_the_cluster_refuses(lab: Lab, workloads: Workloads, namespace: str) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/networkpolicies.networking.k8s.io": "0"}}}
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    lab.api.request("POST", quotas, quota)
    lab.wait_for(
        lambda: lab.api.request("GET", f"{quotas}/none").get("status", {}).get("hard"),
        15,
        "the quota to count",
    )
    workloads.create(namespace)
    workloads.wait_condition(namespace, "llm", "NetworkIsolated", "False", "KubernetesRefused")
    lab.api.request("DELETE", f"{quotas}/none")
    workloads.wait_ready(namespace, deadline=40)
