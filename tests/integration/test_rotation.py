"""Rotation on a real Vault: asked for, scheduled, rewrapped, retired, and never twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lab import Lab, RequestFailed
from secureai_operator import names
from secureai_operator.api.resources import KEY_ROTATION_POLICIES
from tests.fixtures_operator import SharedOperator, Workloads, eventually
from tests.integration.audits import Audit
from tests.integration.rotations import (
    MODEL,
    ROTATED_SECONDS,
    Json,
    Keys,
    policy,
    policy_status,
    wait_policy,
)
from tests.integration.vault_identity import TRANSIT, Identity, vault_name
from tests.integration.vault_reads import raft

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]


@pytest.fixture
def keys(lab: Lab, workloads: Workloads, namespace: str) -> Keys:
    workloads.ready(namespace, keys=MODEL)
    return Keys(lab, workloads, namespace)


# Asked for


def test_a_request_rotates_the_key_and_rewraps_its_data_keys(keys: Keys) -> None:
    before = keys.plaintexts(keys.secret())
    keys.annotate(rotate="first")
    rotation = keys.wait_version(2)
    assert rotation["requestId"] == "first"
    assert rotation["history"][-1] | {"startedAt": "", "finishedAt": ""} == {
        "fromVersion": 1,
        "toVersion": 2,
        "trigger": "Manual",
        "startedAt": "",
        "finishedAt": "",
        "itemsRewrapped": 2,
        "result": "Done",
    }
    assert keys.plaintexts(keys.secret()) == before
    assert keys.key["latest_version"] == 2
    keys.workloads.wait_event(keys.namespace, keys.name, "KeyRotated", contains="version 1 to 2 (Manual)")


def test_a_request_counts_once_whatever_else_happens(keys: Keys, operator: SharedOperator) -> None:
    keys.annotate(rotate="first")
    keys.wait_version(2)
    operator.restart()
    keys.annotate(resync="look again")
    eventually(keys.lab, lambda: keys.status.get("resync") == "look again" or None, 10, "another look")
    assert keys.key["latest_version"] == 2
    keys.annotate(rotate="second")
    assert keys.wait_version(3)["requestId"] == "second"


def test_a_rotation_writes_its_intent_before_it_turns_the_key(keys: Keys) -> None:
    audit = Audit(keys.lab)
    keys.annotate(rotate="first")
    keys.wait_version(2)
    writes = sorted(
        [
            *(
                (one.time[:26], "status")
                for one in audit.kube_writes(keys.namespace)
                if one.subresource == "status"
            ),
            *((one.time[:26], one.path) for one in audit.vault_writes(vault_name(keys.namespace))),
        ]
    )
    turned = [place for place, (_, what) in enumerate(writes) if what.endswith("/rotate")]
    assert len(turned) == 1
    assert writes[turned[0] - 1][1] == "status"


def test_a_rotation_made_by_others_is_adopted(keys: Keys) -> None:
    before = keys.plaintexts(keys.secret())
    keys.lab.vault_request("POST", f"{TRANSIT}/keys/{vault_name(keys.namespace)}/rotate", {})
    rotation = keys.wait_version(2)
    assert rotation["history"][-1]["trigger"] == "External"
    assert rotation["history"][-1]["result"] == "Adopted"
    assert keys.plaintexts(keys.secret()) == before


def test_the_workload_decrypts_old_data_before_and_after(keys: Keys) -> None:
    name = vault_name(keys.namespace)
    old = Identity.of(keys.lab, keys.namespace).encrypt(name, b"of long ago")
    keys.annotate(rotate="first")
    keys.wait_version(2)
    assert Identity.of(keys.lab, keys.namespace).decrypt(name, old) == b"of long ago"


# Scheduled


def test_a_schedule_rotates_a_key_at_its_time_and_once(keys: Keys) -> None:
    now = datetime.now(UTC)
    due = now + timedelta(minutes=1 if now.second < 50 else 2)
    policy(keys.lab, keys.namespace, schedule={"cron": f"{due.minute} * * * *"})
    keys.workloads.wait_condition(
        keys.namespace, keys.name, "RotationOnTrack", "True", "RotationScheduled", deadline=ROTATED_SECONDS
    )
    due = due.replace(second=0, microsecond=0)
    assert keys.rotation["nextTime"] == due.strftime("%Y-%m-%dT%H:%M:%SZ")
    rotation = keys.wait_version(2, deadline=130)
    assert rotation["trigger"] == "Scheduled"
    assert rotation["scheduledFor"] == due.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert rotation["policy"] == f"{keys.namespace}/policy"
    status = wait_policy(keys.workloads, keys.namespace, selected=1, current=1, rotated=1)
    assert [run["rotated"] for run in status["history"]] == [1]
    assert keys.key["latest_version"] == 2


def test_a_request_to_a_policy_rotates_all_that_it_rules_and_nothing_made_later(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    for name in ("a", "b", "c"):
        workloads.ready(namespace, name, keys={"dataKeys": [{"name": "model"}]})
    policy(lab, namespace)
    wait_policy(workloads, namespace, selected=3, current=3)
    annotation = {"metadata": {"annotations": {names.ROTATE_ANNOTATION: "audit"}}}
    workloads.patch(namespace, "policy", annotation, KEY_ROTATION_POLICIES)
    for name in ("a", "b", "c"):
        Keys(lab, workloads, namespace, name).wait_version(2)
    status = wait_policy(workloads, namespace, requestId="audit", current=3, rotated=3)
    assert status["history"][-1]["requested"]
    workloads.ready(namespace, "later")
    wait_policy(workloads, namespace, selected=4, current=4)
    assert Keys(lab, workloads, namespace, "later").key["latest_version"] == 1


def test_of_two_policies_the_higher_priority_rules_and_the_other_says_by_whom_it_is_masked(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace)
    policy(lab, namespace, "lower", priority=1)
    wait_policy(workloads, namespace, "lower", selected=1, masked=0)
    policy(lab, namespace, "higher", priority=2)
    wait_policy(workloads, namespace, "higher", selected=1, current=1, masked=0)
    status = wait_policy(workloads, namespace, "lower", selected=1, current=0, masked=1)
    assert status["maskedBy"] == [f"{namespace}/higher"]
    workloads.delete(namespace, "higher", KEY_ROTATION_POLICIES)
    wait_policy(workloads, namespace, "lower", selected=1, current=1, masked=0)


def test_a_policy_of_the_operators_namespace_selects_others_by_their_labels(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace)
    policy(lab, namespace, "greedy", namespaceSelector={"matchLabels": {"env": namespace}})
    refused = eventually(
        lab,
        lambda: policy_status(workloads, namespace, "greedy").get("conditions"),
        10,
        "the policy to be looked at",
    )
    assert (refused[0]["status"], refused[0]["reason"]) == ("False", "InvalidSpec")
    policy(lab, names.OPERATOR_NAMESPACE, namespace, namespaceSelector={"matchLabels": {"env": namespace}})
    try:
        wait_policy(workloads, names.OPERATOR_NAMESPACE, namespace, selected=0)
        labels = {"metadata": {"labels": {"env": namespace}}}
        lab.api.request("PATCH", f"/api/v1/namespaces/{namespace}", labels, "application/merge-patch+json")
        wait_policy(workloads, names.OPERATOR_NAMESPACE, namespace, selected=1, current=1)
    finally:
        workloads.delete(names.OPERATOR_NAMESPACE, namespace, KEY_ROTATION_POLICIES)


def test_a_workload_that_no_policy_selects_says_so(keys: Keys) -> None:
    found = keys.workloads.condition(keys.namespace, keys.name, "RotationOnTrack")
    assert (found["status"], found["reason"]) == ("True", "NoRotationPolicy")


def test_a_policy_says_whether_it_rules_anything(keys: Keys) -> None:
    policy(keys.lab, keys.namespace, selector={"matchLabels": {"tier": "prod"}})
    wait_ready(keys, "True", "PolicySelectsNothing")
    keys.workloads.patch(keys.namespace, keys.name, {"metadata": {"labels": {"tier": "prod"}}})
    wait_ready(keys, "True", "PolicyActive")


def wait_ready(keys: Keys, status: str, reason: str) -> None:
    """Until the policy's Ready is this."""

    def found() -> bool:
        conditions = policy_status(keys.workloads, keys.namespace).get("conditions") or [{}]
        return (conditions[0].get("status"), conditions[0].get("reason")) == (status, reason)

    eventually(keys.lab, found, ROTATED_SECONDS, f"the policy's Ready to be {status}, {reason}")


def test_a_dry_run_says_what_would_happen_and_does_nothing(keys: Keys) -> None:
    policy(keys.lab, keys.namespace, dryRun=True)
    annotation = {"metadata": {"annotations": {names.ROTATE_ANNOTATION: "now"}}}
    keys.workloads.patch(keys.namespace, "policy", annotation, KEY_ROTATION_POLICIES)

    def planned() -> Json | None:
        status = policy_status(keys.workloads, keys.namespace)
        items: list[Json] = status.get("dryRun") or []
        return items[0] if items and items[0]["action"] == "Rotate" else None

    item = eventually(keys.lab, planned, ROTATED_SECONDS, "the dry run")
    assert item["workload"] == f"{keys.namespace}/{keys.name}"
    assert item["fromVersion"] == 1
    assert keys.key["latest_version"] == 1
    wait_ready(keys, "False", "PolicyRests")
    keys.workloads.wait_condition(keys.namespace, keys.name, "RotationOnTrack", "False", "RotationRests")


def test_a_suspended_policy_starts_nothing_until_it_is_not(keys: Keys) -> None:
    policy(keys.lab, keys.namespace, suspend=True)
    annotation = {"metadata": {"annotations": {names.ROTATE_ANNOTATION: "now"}}}
    keys.workloads.patch(keys.namespace, "policy", annotation, KEY_ROTATION_POLICIES)
    wait_policy(keys.workloads, keys.namespace, requestId="now")
    keys.workloads.wait_condition(keys.namespace, keys.name, "RotationOnTrack", "False", "RotationRests")
    assert keys.key["latest_version"] == 1
    keys.workloads.patch(keys.namespace, "policy", {"spec": {"suspend": False}}, KEY_ROTATION_POLICIES)
    keys.wait_version(2)


def test_at_most_so_many_rotate_at_once_and_all_do_in_the_end(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    fleet = [f"w{number}" for number in range(6)]
    for name in fleet:
        workloads.create(namespace, name)
    for name in fleet:
        workloads.wait_ready(namespace, name)
    policy(lab, namespace, limits={"maxConcurrent": 1, "perSecond": 20})
    wait_policy(workloads, namespace, selected=6)
    annotation = {"metadata": {"annotations": {names.ROTATE_ANNOTATION: "now"}}}
    workloads.patch(namespace, "policy", annotation, KEY_ROTATION_POLICIES)
    status = wait_policy(workloads, namespace, current=6, rotated=6)
    assert status["history"][-1]["failed"] == 0
    assert {Keys(lab, workloads, namespace, name).key["latest_version"] for name in fleet} == {2}


# Retired


RETIRES = {"after": "1s", "keepVersions": 1, "canary": "1s"}


def test_an_old_version_retires_when_nothing_is_wrapped_by_it(keys: Keys) -> None:
    policy(keys.lab, keys.namespace, retire=RETIRES)
    old = Identity.of(keys.lab, keys.namespace).encrypt(vault_name(keys.namespace), b"of long ago")
    keys.annotate(rotate="first")
    keys.wait_version(2)
    rotation = keys.wait_rotation(phase="Retired", retiredBelow=2)
    keys.workloads.wait_event(keys.namespace, keys.name, "VersionsRetired", contains="below 2")
    assert keys.key["min_decryption_version"] == 2
    assert rotation["oldestVersionInUse"] == 2
    assert keys.status["key"]["minDecryptionVersion"] == 2
    with pytest.raises(RequestFailed):
        Identity.of(keys.lab, keys.namespace).decrypt(vault_name(keys.namespace), old)
    keys.plaintexts(keys.secret())


def test_a_version_that_nothing_proves_to_be_out_of_use_stays_and_says_why(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace)
    keys = Keys(lab, workloads, namespace)
    policy(lab, namespace, retire=RETIRES)
    keys.annotate(rotate="first")
    found = workloads.wait_condition(
        namespace, "llm", "RotationOnTrack", "False", "RetirementUnproven", deadline=ROTATED_SECONDS
    )
    assert "versions below 2 cannot retire" in found["message"]
    assert keys.key["min_decryption_version"] == 1
    assert workloads.condition(namespace, "llm", "Ready")["status"] == "True"


def test_a_failed_decrypt_brings_the_old_versions_back_until_somebody_asks_again(keys: Keys) -> None:
    policy(keys.lab, keys.namespace, retire=RETIRES | {"canary": "1h"})
    name = vault_name(keys.namespace)
    old = Identity.of(keys.lab, keys.namespace).encrypt(name, b"of long ago")
    keys.annotate(rotate="first")
    keys.wait_rotation(raising=2)
    eventually(keys.lab, lambda: keys.key["min_decryption_version"] == 2 or None, 10, "the trial")
    keys.annotate(decrypt_failed="report-1")
    keys.workloads.wait_condition(
        keys.namespace,
        keys.name,
        "RotationOnTrack",
        "False",
        "RetirementRolledBack",
        deadline=ROTATED_SECONDS,
    )
    assert keys.key["min_decryption_version"] == 1
    assert Identity.of(keys.lab, keys.namespace).decrypt(name, old) == b"of long ago"
    keys.annotate(retry_retirement="again")
    eventually(keys.lab, lambda: keys.key["min_decryption_version"] == 2 or None, 10, "another trial")


def test_nothing_is_destroyed_without_an_identity_that_may(keys: Keys) -> None:
    policy(keys.lab, keys.namespace, retire=RETIRES | {"trim": True})
    keys.annotate(rotate="first")
    keys.workloads.wait_condition(
        keys.namespace, keys.name, "RotationOnTrack", "False", "RetireRoleMissing", deadline=ROTATED_SECONDS
    )
    assert keys.key.get("min_available_version", 0) == 0


# Data keys of their own


def test_new_data_keys_stand_beside_the_earlier_ones(keys: Keys) -> None:
    before = keys.secret()
    plain = keys.plaintexts(before)
    keys.annotate(rotate_data_keys="first")

    def made() -> Json | None:
        status = keys.status.get("dataKeyRotation") or {}
        return status if status.get("restartedAt") else None

    status = eventually(keys.lab, made, ROTATED_SECONDS, "new data keys")
    assert status["requestId"] == "first"
    after = keys.plaintexts(keys.secret())
    assert set(after) == {"model", "model.1", "prompts", "prompts.1"}
    assert {name: after[f"{name}.1"] for name in plain} == plain
    assert after["model"] != plain["model"]
    keys.workloads.wait_event(keys.namespace, keys.name, "DataKeysRotated", contains="model, prompts")
    keys.annotate(rotate="then the key")
    keys.wait_version(2)
    assert keys.plaintexts(keys.secret()) == after


def test_what_reads_data_keys_is_restarted_once(keys: Keys) -> None:
    """And not again for the same request, whatever makes the operator look."""
    name, path = "server", f"/apis/apps/v1/namespaces/{keys.namespace}/deployments"
    template = {
        "metadata": {"labels": {names.WORKLOAD_LABEL: keys.name, "app": name}},
        "spec": {"containers": [{"name": "main", "image": "example.org/llm:1"}]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    keys.lab.api.request("POST", path, {"metadata": {"name": name}, "spec": spec})
    eventually(keys.lab, lambda: keys.status.get("pods", {}).get("bound") == 1 or None, 30, "a bound pod")
    keys.annotate(rotate_data_keys="first")

    def done() -> Json | None:
        status = keys.status.get("dataKeyRotation") or {}
        return status if status.get("restartedAt") else None

    status = eventually(keys.lab, done, 30, "the restart")
    assert status["restarted"] == [f"Deployment/{name}"]
    keys.workloads.wait_event(keys.namespace, keys.name, "RolloutRestarted", contains=f"Deployment/{name}")
    generation = keys.lab.api.request("GET", f"{path}/{name}")["metadata"]["generation"]
    keys.annotate(resync="look again")
    eventually(keys.lab, lambda: keys.status.get("resync") == "look again" or None, 10, "another look")
    assert keys.lab.api.request("GET", f"{path}/{name}")["metadata"]["generation"] == generation


# What must not be made worse


def test_a_version_trimmed_behind_our_back_is_told_and_nothing_goes_on(
    keys: Keys, operator: SharedOperator
) -> None:
    """An older etcd is restored after the version that it needs was destroyed."""
    name, key = vault_name(keys.namespace), f"{TRANSIT}/keys/{vault_name(keys.namespace)}"
    for _ in range(2):
        keys.lab.vault_request("POST", f"{key}/rotate", {})
    keys.wait_version(3)
    operator.stop()
    keys.lab.vault_request(
        "POST", f"{key}/config", {"min_decryption_version": 3, "min_encryption_version": 3}
    )
    keys.lab.vault_request("POST", f"{key}/trim", {"min_available_version": 3})
    status = keys.status
    for one in status["dataKeys"]:
        one["wrapped"] = one["wrapped"].replace("vault:v3:", "vault:v1:")
        one["keyVersion"] = 1
    keys.workloads.patch_status(keys.namespace, keys.name, status)
    operator.start()
    keys.workloads.wait_condition(
        keys.namespace, keys.name, "KeyReady", "False", "KeyVersionDestroyed", deadline=ROTATED_SECONDS
    )
    keys.annotate(rotate="must wait")
    keys.workloads.wait_condition(keys.namespace, keys.name, "RotationOnTrack", "False", "Waiting")
    assert keys.key["latest_version"] == 3
    assert name in keys.status["vault"]["name"]


def test_an_older_vault_that_is_restored_is_told_and_nothing_is_made_worse(keys: Keys) -> None:
    """Another version 2 would be another key under the name of the one that the newer backup holds."""
    snapshot = raft(keys.lab.vault, "GET", "snapshot")
    keys.annotate(rotate="first")
    keys.wait_version(2)
    newer = raft(keys.lab.vault, "GET", "snapshot")
    plain = keys.plaintexts(keys.secret())
    raft(keys.lab.vault, "POST", "snapshot-force", snapshot)
    eventually(keys.lab, lambda: keys.key["latest_version"] == 1 or None, 30, "the older Vault")
    keys.workloads.wait_condition(keys.namespace, keys.name, "KeyReady", "False", "KeyReplaced", deadline=30)
    keys.annotate(rotate="must wait", resync="look again")
    eventually(keys.lab, lambda: keys.status.get("resync") == "look again" or None, 10, "another look")
    assert keys.key["latest_version"] == 1
    raft(keys.lab.vault, "POST", "snapshot-force", newer)
    eventually(keys.lab, lambda: keys.key["latest_version"] >= 2 or None, 30, "the newer Vault")
    # What waited goes on, with the key that was there.
    keys.wait_version(3, deadline=45)
    assert keys.plaintexts(keys.secret()) == plain
