"""Restarting on a real cluster, as the operator's own identity: each request once, gently, and nothing that is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    Resource,
)
from secureai_operator.clients.kube import Json
from secureai_operator.controllers.rollouts import Restarted
from secureai_operator.core.restarts import second_of
from tests.integration.audits import Audit
from tests.integration.restarting import Acting, acting_in, begun, mark
from tests.integration.running import all_ready, live_pods, pod_spec, ready_pods, running, start

pytestmark = pytest.mark.integration

HELD = "rollouts-held"
MERGE = "application/merge-patch+json"
BUDGETS = f"/apis/policy/v1/namespaces/{HELD}/poddisruptionbudgets"
DONE_SECONDS = 60.0


@pytest.fixture(scope="module")
def acting(lab: Lab) -> Iterator[Acting]:
    yield acting_in(lab, HELD)
    lab.delete_namespace(HELD)


def rolled_out(lab: Lab, resource: Resource, name: str, before: Json) -> Json:
    """The object once none of the pods of before is left and its controller has done what it was told."""

    def done() -> Json | None:
        live = lab.api.request("GET", resource.path(HELD, name))
        current = live["status"].get("observedGeneration") == live["metadata"]["generation"]
        pods = ready_pods(lab, HELD, name)
        settled = len(pods) == len(before) and live_pods(lab, HELD, name).keys() == pods.keys()
        return live if current and settled and not before.keys() & pods.keys() else None

    found = lab.wait_for(done, DONE_SECONDS, f"{resource.kind} {name} to have other pods")
    assert found is not None
    return found


def revisions(lab: Lab, app: str) -> int:
    """ReplicaSets that a Deployment has made so far: one for each template."""
    return len(lab.api.request("GET", f"{REPLICA_SETS.path(HELD)}?labelSelector=app%3D{app}")["items"])


# By the template.


@pytest.mark.parametrize(
    ("resource", "count"),
    [(DEPLOYMENTS, 2), (STATEFUL_SETS, 2), (DAEMON_SETS, 1)],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_what_replaces_its_pods_is_restarted_once_for_a_request_and_again_for_another(
    lab: Lab, acting: Acting, resource: Resource, count: int
) -> None:
    name = f"rolled-{resource.plural}"
    start(lab, HELD, resource, running(resource, name), count)
    expected, nothing = (Restarted(one, (), pending=False) for one in ((f"{resource.kind}/{name}",), ()))

    for number, request in enumerate(("first", "second"), start=2):
        before, since = live_pods(lab, HELD, name), datetime.now(UTC)
        audit = Audit(lab)
        assert acting.restart(name, request, since) == expected
        # While it rolls, when it may have no pod at all, as well as afterwards.
        assert acting.restart(name, request, since) in (expected, nothing)
        live = rolled_out(lab, resource, name, before)
        assert acting.restart(name, request, since) == expected

        assert mark(live) == request
        assert lab.api.request("GET", resource.path(HELD, name))["metadata"]["generation"] == number
        assert [(one.verb, one.resource) for one in audit.kube_writes(HELD)] == [("patch", resource.plural)]
        if resource is DEPLOYMENTS:
            assert revisions(lab, name) == number


def test_a_template_that_lost_the_mark_is_not_restarted_again_for_the_request(
    lab: Lab, acting: Acting
) -> None:
    """Somebody applied the manifest anew: all pods are younger than the request already."""
    start(lab, HELD, DEPLOYMENTS, running(DEPLOYMENTS, "replaced"))
    since = begun(lab)
    before = live_pods(lab, HELD, "replaced")
    acting.restart("replaced", "r1", since)
    rolled_out(lab, DEPLOYMENTS, "replaced", before)
    second = live_pods(lab, HELD, "replaced")
    without = {"spec": {"template": {"metadata": {"annotations": {names.RESTARTED_FOR_ANNOTATION: None}}}}}
    lab.api.request("PATCH", DEPLOYMENTS.path(HELD, "replaced"), without, MERGE)
    rolled_out(lab, DEPLOYMENTS, "replaced", second)

    assert acting.restart("replaced", "r1", since) == Restarted(("Deployment/replaced",), (), pending=False)
    assert mark(lab.api.request("GET", DEPLOYMENTS.path(HELD, "replaced"))) is None


def test_a_paused_deployment_is_marked_and_named(lab: Lab, acting: Acting) -> None:
    start(lab, HELD, DEPLOYMENTS, running(DEPLOYMENTS, "paused"))
    where = DEPLOYMENTS.path(HELD, "paused")
    lab.api.request("PATCH", where, {"spec": {"paused": True}}, MERGE)
    before, since = live_pods(lab, HELD, "paused"), datetime.now(UTC)
    for _ in range(2):
        found = acting.restart("paused", "r1", since)
        assert found == Restarted((), ("Deployment/paused (paused)",), pending=False)
    assert mark(lab.api.request("GET", where)) == "r1"
    lab.api.request("PATCH", where, {"spec": {"paused": False}}, MERGE)
    rolled_out(lab, DEPLOYMENTS, "paused", before)


def test_pods_that_their_owner_deletes_are_left_and_come_back_new(lab: Lab, acting: Acting) -> None:
    strategy = {"updateStrategy": {"type": "OnDelete"}}
    start(lab, HELD, STATEFUL_SETS, running(STATEFUL_SETS, "db", **strategy))
    before, since = live_pods(lab, HELD, "db"), begun(lab)
    assert acting.restart("db", "r1", since) == Restarted((), ("StatefulSet/db (OnDelete)",), pending=False)
    assert live_pods(lab, HELD, "db").keys() == before.keys()

    for item in before.values():
        lab.api.request("DELETE", PODS.path(HELD, item["metadata"]["name"]))
    rolled_out(lab, STATEFUL_SETS, "db", before)
    assert acting.restart("db", "r1", since) == Restarted(("StatefulSet/db",), (), pending=False)
    for item in live_pods(lab, HELD, "db").values():
        assert item["metadata"]["annotations"][names.RESTARTED_FOR_ANNOTATION] == "r1"


# By eviction.


def evicted_through(
    lab: Lab, acting: Acting, app: str, since: datetime, count: int
) -> tuple[Restarted, list[int]]:
    """Call until nothing is pending, as soon as all pods are ready; the last answer, and pods replaced by each call."""
    steps: list[int] = []
    while True:
        before = all_ready(lab, HELD, app, count)
        older = sum(1 for pod in acting.pods(app) if pod.created <= second_of(since))
        found = acting.restart(app, "r1", since)
        if not found.pending:
            return found, steps
        # The last one says so itself: by the next call its pod may not have come yet.
        assert bool(found.restarted) is (older == 1)
        assert len(steps) < 10, "it never ends"
        after = live_pods(lab, HELD, app)
        steps.append(len(before.keys() - after.keys()))


def test_a_bare_replica_set_loses_its_old_pods_one_by_one_and_each_once(lab: Lab, acting: Acting) -> None:
    start(lab, HELD, REPLICA_SETS, running(REPLICA_SETS, "bare", replicas=3), 3)
    old, since, audit = live_pods(lab, HELD, "bare"), begun(lab), Audit(lab)

    found, steps = evicted_through(lab, acting, "bare", since, 3)

    assert found == Restarted(("ReplicaSet/bare",), (), pending=False)
    assert steps == [1, 1, 1]
    evictions = [one.name for one in audit.kube_writes(HELD) if one.subresource == "eviction"]
    assert sorted(evictions) == sorted(item["metadata"]["name"] for item in old.values())
    assert not old.keys() & live_pods(lab, HELD, "bare").keys()


def test_a_disruption_budget_is_honoured_and_waited_for(lab: Lab, acting: Acting) -> None:
    start(lab, HELD, REPLICA_SETS, running(REPLICA_SETS, "budgeted"), 2)
    budget = {
        "metadata": {"name": "budgeted"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "budgeted"}}},
    }
    lab.api.request("POST", BUDGETS, budget)
    expected = {"expectedPods": 2, "currentHealthy": 2, "disruptionsAllowed": 0}

    def counted() -> bool:
        status: Json = lab.api.request("GET", f"{BUDGETS}/budgeted").get("status", {})
        return expected.items() <= status.items()

    lab.wait_for(counted, 30, "the budget to be counted")
    old, since = live_pods(lab, HELD, "budgeted"), begun(lab)
    for _ in range(3):
        assert acting.restart("budgeted", "r1", since) == Restarted((), (), pending=True)
    assert live_pods(lab, HELD, "budgeted").keys() == old.keys()

    lab.api.request("DELETE", f"{BUDGETS}/budgeted")
    found, _ = evicted_through(lab, acting, "budgeted", since, 2)
    assert found == Restarted(("ReplicaSet/budgeted",), (), pending=False)


def test_a_budget_of_one_does_not_hold_up_another(lab: Lab, acting: Acting) -> None:
    for name in ("a-kept", "b-free"):
        manifest = running(REPLICA_SETS, name, replicas=1)
        manifest["spec"]["template"]["metadata"]["labels"]["both"] = "yes"
        start(lab, HELD, REPLICA_SETS, manifest, 1)
    spec = {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "a-kept"}}}
    lab.api.request("POST", BUDGETS, {"metadata": {"name": "a-kept"}, "spec": spec})
    kept, free = (live_pods(lab, HELD, name) for name in ("a-kept", "b-free"))
    pods = acting.pods("a-kept") + acting.pods("b-free")
    since = begun(lab)
    found = acting.restart("", "r1", since, pods=pods)
    assert found == Restarted(("ReplicaSet/b-free",), (), pending=True)
    assert live_pods(lab, HELD, "a-kept").keys() == kept.keys()
    lab.wait_for(lambda: not free.keys() & live_pods(lab, HELD, "b-free").keys(), 60, "the other to go")


def test_nothing_is_evicted_in_the_second_of_the_request(lab: Lab, acting: Acting) -> None:
    start(lab, HELD, REPLICA_SETS, running(REPLICA_SETS, "soon"))
    old, since = live_pods(lab, HELD, "soon"), datetime.now(UTC)
    assert acting.restart("soon", "r1", since, now=since) == Restarted((), (), pending=True)
    assert live_pods(lab, HELD, "soon").keys() == old.keys()


def owner(lab: Lab, name: str) -> Json:
    """A controller of a kind that the operator knows nothing of, played by a ConfigMap."""
    made = lab.api.request("POST", CONFIG_MAPS.path(HELD), {"metadata": {"name": name}})
    uid = made["metadata"]["uid"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "controller": True}


def test_pods_of_a_controller_of_another_kind_are_evicted(lab: Lab, acting: Acting) -> None:
    manifest = running(REPLICA_SETS, "canary", replicas=1)
    manifest["metadata"]["ownerReferences"] = [owner(lab, "canary")]
    start(lab, HELD, REPLICA_SETS, manifest, 1)
    found, steps = evicted_through(lab, acting, "canary", begun(lab), 1)
    assert (found.restarted, steps) == (("ConfigMap/canary",), [1])


def test_a_deployment_that_another_controller_writes_is_not_changed(lab: Lab, acting: Acting) -> None:
    manifest = running(DEPLOYMENTS, "served", replicas=1)
    manifest["metadata"]["ownerReferences"] = [owner(lab, "served")]
    before = start(lab, HELD, DEPLOYMENTS, manifest, 1)
    found, steps = evicted_through(lab, acting, "served", begun(lab), 1)
    assert (found.restarted, steps) == (("Deployment/served",), [1])
    live = lab.api.request("GET", DEPLOYMENTS.path(HELD, "served"))
    assert live["metadata"]["generation"] == before["metadata"]["generation"]


# Not at all.


def test_jobs_and_bare_pods_are_left_as_they_are(lab: Lab, acting: Acting) -> None:
    labels = {"app": "left"}
    job = {
        "metadata": {"name": "train"},
        "spec": {"template": {"metadata": {"labels": labels}, "spec": pod_spec(restartPolicy="Never")}},
    }
    lab.api.request("POST", JOBS.path(HELD), job)
    lonely = {"metadata": {"name": "lonely", "labels": labels}, "spec": pod_spec()}
    lab.api.request("POST", PODS.path(HELD), lonely)
    before = all_ready(lab, HELD, "left", 2)
    since, audit = begun(lab), Audit(lab)
    found = acting.restart("left", "r1", since)
    assert found == Restarted((), ("Job/train", "Pod/lonely"), pending=False)
    assert live_pods(lab, HELD, "left").keys() == before.keys()
    assert audit.kube_writes(HELD) == []


def test_a_pod_that_came_after_the_request_is_nobodys_business(lab: Lab, acting: Acting) -> None:
    since = begun(lab)
    lonely = {"metadata": {"name": "later", "labels": {"app": "later"}}, "spec": pod_spec()}
    lab.api.request("POST", PODS.path(HELD), lonely)
    assert acting.restart("later", "r1", since) == Restarted((), (), pending=False)
