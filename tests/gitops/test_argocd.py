"""The operator in the hands of the real Argo CD: waves in order, never OutOfSync, blocked and repaired, pruned and deleted.

The tests are one story and run in this order: each goes on where the one before left the Application.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from secureai_operator import names
from secureai_operator.api.resources import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    MUTATING_ADMISSION_POLICIES,
    NAMESPACES,
    SECURE_AI_WORKLOADS,
    Resource,
)
from tests.e2e.measures import Measures
from tests.gitops.stage import (
    APPLICATION,
    NAMESPACE,
    ROLLED_OUT_SECONDS,
    SETTLED_SECONDS,
    WAVE,
    Stage,
    operations,
    out_of_sync,
)
from tests.gitops.trouble import Life
from tests.integration.rotations import Keys
from tests.integration.test_deletion import access_left
from tests.integration.vault_identity import TRANSIT, vault_name
from tests.integration.vault_reads import found_in

Json = dict[str, Any]

pytestmark = pytest.mark.integration

WATCHED_SECONDS = 3600.0 if os.environ.get("SECUREAI_GITOPS") == "full" else 120.0
BLOCKED_SECONDS = 10.0
"""For as long the wave behind a Degraded one is looked for; Argo CD begins a wave within a second or two."""

REPAIRED_SECONDS = 180.0
"""The next attempt comes within 80 s by then; without `retry.refresh` all five would have to fail first, for 310 s."""


def manifest(kind: str, name: str, wave: int, api_version: str = "v1", **parts: Any) -> str:
    metadata = {"name": name, "namespace": NAMESPACE, "annotations": {WAVE: str(wave)}}
    return yaml.safe_dump({"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts})


def ranker(**spec: Any) -> str:
    return manifest("SecureAIWorkload", "ranker", 3, names.API_VERSION, spec=spec)


READER = {
    "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}]
}
NEEDS_READER = {"access": {"roleRefs": [{"kind": "Role", "name": "reader"}]}}


@pytest.fixture(scope="module")
def rolled_out(stage: Stage, measures: Measures) -> Stage:
    """The example, Synced and Healthy for the first time."""
    started = time.monotonic()
    stage.argo.apply(stage.application())
    stage.wait_deployment()
    measures.seconds("example applied → the operator's Deployment is there", time.monotonic() - started)
    stage.start_operator()
    stage.wait_settled(deadline=ROLLED_OUT_SECONDS)
    measures.seconds("example applied → Synced and Healthy", time.monotonic() - started)
    return stage


def waves(stage: Stage) -> dict[int, list[str]]:
    """When the objects of each wave were created."""
    found: dict[int, list[str]] = {}
    for one in stage.status()["resources"]:
        place = ("-n", one["namespace"]) if one.get("namespace") else ()
        kind = f"{one['kind']}.{one['version']}.{one['group']}" if one.get("group") else one["kind"]
        made = stage.lab.kubectl(
            "get", kind, one["name"], *place, "-o", "jsonpath={.metadata.creationTimestamp}"
        )
        found.setdefault(int(one.get("syncWave") or 0), []).append(made.stdout)
    return found


def test_the_example_becomes_synced_and_healthy_wave_by_wave(rolled_out: Stage, measures: Measures) -> None:
    found = waves(rolled_out)
    assert sorted(found) == [0, 1, 2, 3, 4]
    for earlier, later in itertools.pairwise(sorted(found)):
        assert max(found[earlier]) <= min(found[later]), f"wave {later} did not wait for wave {earlier}"
    workload = rolled_out.workloads.get(NAMESPACE)
    ready = next(one for one in workload["status"]["conditions"] if one["type"] == "Ready")
    assert ready["lastTransitionTime"] <= min(found[4])
    results = rolled_out.operation()["syncResult"]["resources"]
    assert {one["status"] for one in results} == {"Synced"}
    measures.note("objects of the example, waves", f"{sum(map(len, found.values()))}, {len(found)}")


def test_argo_cd_shows_the_health_of_our_kinds_by_our_scripts(rolled_out: Stage) -> None:
    workload = rolled_out.resource("SecureAIWorkload", "llm")["health"]
    assert workload["status"] == "Healthy"
    policy = rolled_out.resource("KeyRotationPolicy", "monthly")["health"]
    assert policy["status"] == "Healthy"


def test_drift_rotation_and_healing_are_never_out_of_sync(rolled_out: Stage, measures: Measures) -> None:
    life = Life(rolled_out)
    started = time.monotonic()
    life.go_on(WATCHED_SECONDS)
    rolled_out.wait_settled()
    seen = rolled_out.watch.since(started)
    watched = time.monotonic() - started
    differing = out_of_sync(seen)
    measures.note("watched with drift, rotation and healing", f"{watched:.0f} s, {len(seen)} states")
    measures.note("of these OutOfSync", str(len(differing)))
    measures.note("syncs that Argo CD began meanwhile", str(operations(seen)))
    measures.note(
        "health meanwhile",
        ", ".join(f"{word} {n}" for word, n in Counter(one.health for one in seen).items()),
    )
    for name, number in life.happened.items():
        measures.note(f"meanwhile: {name}", str(number))
    assert all(life.happened.values())
    assert not differing
    assert operations(seen) == 0
    assert "ignoreDifferences" not in rolled_out.argo.application(APPLICATION)["spec"]


def test_a_change_of_what_git_says_is_seen_and_undone(rolled_out: Stage, measures: Measures) -> None:
    """The other side of the coin: the watch that saw nothing sees what there is."""
    started = time.monotonic()
    rolled_out.workloads.patch(NAMESPACE, "llm", {"metadata": {"labels": {"tier": "test"}}})

    def undone() -> bool:
        return bool(rolled_out.workloads.get(NAMESPACE)["metadata"]["labels"]["tier"] == "prod")

    rolled_out.lab.wait_for(undone, SETTLED_SECONDS, "git's word to hold again")
    measures.seconds("changed by hand → as git says", time.monotonic() - started)
    rolled_out.wait_settled()
    seen = rolled_out.watch.since(started)
    assert {one.out_of_sync for one in out_of_sync(seen)} == {("SecureAIWorkload/llm",)}
    assert operations(seen) >= 1


def run_action(stage: Stage, name: str, kind: str = "SecureAIWorkload", resource: str = "llm") -> None:
    words = ("app", "actions", "run", APPLICATION, name, "--kind", kind, "--resource-name", resource)
    stage.argo.cli(*words)


def wait_version(stage: Stage, keys: Keys, version: int) -> None:
    stage.lab.wait_for(
        lambda: keys.status["key"]["latestVersion"] == version,
        SETTLED_SECONDS,
        f"version {version} of the key",
    )


def test_the_action_rotate_rotates_and_git_has_nothing_against_it(
    rolled_out: Stage, measures: Measures
) -> None:
    keys = Keys(rolled_out.lab, rolled_out.workloads, NAMESPACE)
    version, started = keys.status["key"]["latestVersion"], time.monotonic()
    run_action(rolled_out, "rotate")
    wait_version(rolled_out, keys, version + 1)
    measures.seconds("action rotate → the next version of the key", time.monotonic() - started)
    rolled_out.wait_settled()
    seen = rolled_out.watch.since(started)
    assert not out_of_sync(seen)
    assert operations(seen) == 0


def test_the_action_of_a_policy_rotates_what_it_rules(rolled_out: Stage) -> None:
    keys = Keys(rolled_out.lab, rolled_out.workloads, NAMESPACE)
    version, started = keys.status["key"]["latestVersion"], time.monotonic()
    run_action(rolled_out, "rotate", "KeyRotationPolicy", "monthly")
    wait_version(rolled_out, keys, version + 1)
    rolled_out.wait_settled()
    assert not out_of_sync(rolled_out.watch.since(started))


def test_suspend_and_resume_make_no_difference_to_git(rolled_out: Stage) -> None:
    started = time.monotonic()

    def health() -> str:
        return str(rolled_out.resource("SecureAIWorkload", "llm")["health"]["status"])

    run_action(rolled_out, "suspend")
    rolled_out.lab.wait_for(lambda: health() == "Suspended", SETTLED_SECONDS, "Argo CD to show Suspended")
    run_action(rolled_out, "resume")
    rolled_out.lab.wait_for(lambda: health() == "Healthy", SETTLED_SECONDS, "Argo CD to show Healthy")
    rolled_out.wait_settled()
    seen = rolled_out.watch.since(started)
    assert not out_of_sync(seen)
    assert operations(seen) == 0


def stays_absent(stage: Stage, resource: Resource, name: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert stage.workloads.find(resource, NAMESPACE, name) is None
        time.sleep(0.2)


def wait_nothing(stage: Stage, resource: Resource, name: str) -> None:
    gone = SETTLED_SECONDS
    stage.lab.wait_for(lambda: stage.workloads.find(resource, None, name) is None, gone, f"{name} to be gone")


def wait_resource(stage: Stage, kind: str, name: str, fits: Callable[[Json], bool], what: str) -> None:
    stage.lab.wait_for(lambda: fits(stage.resource(kind, name)), SETTLED_SECONDS, f"{kind} {name} {what}")


def test_a_degraded_workload_blocks_the_next_wave_until_git_is_repaired(
    rolled_out: Stage, measures: Measures
) -> None:
    after = manifest("ConfigMap", "after", 4, data={"a": "b"})
    rolled_out.push(
        "a workload whose role is missing", {"ranker.yaml": ranker(**NEEDS_READER), "after.yaml": after}
    )
    wait_resource(
        rolled_out,
        "SecureAIWorkload",
        "ranker",
        lambda one: (one.get("health") or {}).get("status") == "Degraded",
        "to be Degraded",
    )
    stays_absent(rolled_out, CONFIG_MAPS, "after", BLOCKED_SECONDS)
    assert rolled_out.workloads.find(SECURE_AI_WORKLOADS, NAMESPACE, "ranker") is not None

    started = time.monotonic()
    role = manifest("Role", "reader", 2, "rbac.authorization.k8s.io/v1", **READER)
    revision = rolled_out.push("its role", {"reader.yaml": role})
    rolled_out.wait_settled(revision, REPAIRED_SECONDS)
    measures.seconds("git repaired → all Synced and Healthy", time.monotonic() - started)
    assert rolled_out.workloads.find(CONFIG_MAPS, NAMESPACE, "after") is not None


def test_the_action_rotate_emergency_does_all_of_it(rolled_out: Stage, measures: Measures) -> None:
    keys = Keys(rolled_out.lab, rolled_out.workloads, NAMESPACE, "ranker")
    version, started = keys.status["key"]["latestVersion"], time.monotonic()
    run_action(rolled_out, "rotate-emergency", resource="ranker")

    def over() -> bool:
        emergency = keys.status.get("emergency") or {}
        return str(emergency.get("requestId")).endswith("-argocd") and bool(emergency.get("finishedAt"))

    rolled_out.lab.wait_for(over, SETTLED_SECONDS, "the emergency to be over")
    measures.seconds("action rotate-emergency → all of it done", time.monotonic() - started)
    assert keys.status["key"]["latestVersion"] == version + 1
    rolled_out.wait_settled()
    seen = rolled_out.watch.since(started)
    assert not out_of_sync(seen)
    assert operations(seen) == 0


def test_a_workload_that_git_no_longer_has_is_revoked_and_gone(rolled_out: Stage, measures: Measures) -> None:
    name = vault_name(NAMESPACE, "ranker")
    owned = list(rolled_out.owned("ranker"))
    assert owned
    assert access_left(rolled_out.lab, name)

    started = time.monotonic()
    revision = rolled_out.push("no ranker", {"ranker.yaml": None, "after.yaml": None, "reader.yaml": None})
    rolled_out.workloads.wait_gone(NAMESPACE, "ranker", SETTLED_SECONDS)
    measures.seconds("workload removed from git → revoked and gone", time.monotonic() - started)
    assert access_left(rolled_out.lab, name) == set()
    for resource, item in owned:
        if resource.kind == "Secret" and item["metadata"]["name"] == names.keys_secret("ranker"):
            continue
        rolled_out.workloads.wait_absent(resource, NAMESPACE, item["metadata"]["name"], SETTLED_SECONDS)
    rolled_out.wait_settled(revision)
    assert rolled_out.resource("SecureAIWorkload", "ranker") == {}


def test_the_application_is_deleted_workloads_first_and_only_kinds_and_keys_are_left(
    rolled_out: Stage, measures: Measures
) -> None:
    name = vault_name(NAMESPACE)
    assert access_left(rolled_out.lab, name)
    started = time.monotonic()
    rolled_out.argo.delete(APPLICATION)
    rolled_out.workloads.wait_gone(NAMESPACE, "llm", SETTLED_SECONDS)
    # The operator is of an earlier wave, so it was there to take the access back.
    assert rolled_out.workloads.find(DEPLOYMENTS, names.OPERATOR_NAMESPACE, "secureai-operator") is not None
    assert access_left(rolled_out.lab, name) == set()
    measures.seconds("Application deleted → workload revoked and gone", time.monotonic() - started)
    rolled_out.lab.wait_for(
        lambda: rolled_out.argo.find(APPLICATION) is None, ROLLED_OUT_SECONDS, "the Application to be gone"
    )
    measures.seconds("Application deleted → everything gone", time.monotonic() - started)
    for left in (NAMESPACE, names.OPERATOR_NAMESPACE):
        wait_nothing(rolled_out, NAMESPACES, left)
    wait_nothing(rolled_out, MUTATING_ADMISSION_POLICIES, "secureai-bind-pods")
    # The key is the customer's, and Argo CD takes no CRD away with an Application.
    assert found_in(rolled_out.lab.vault, f"{TRANSIT}/keys/{name}") is not None
    kinds = rolled_out.workloads.find(CUSTOM_RESOURCE_DEFINITIONS, None, "secureaiworkloads.secureai.dev")
    assert kinds is not None
