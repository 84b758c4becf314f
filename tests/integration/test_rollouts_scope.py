"""Of what runs pods the operator's identity changes one annotation of the pod template, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import DAEMON_SETS, DEPLOYMENTS, ROLE_BINDINGS, STATEFUL_SETS, Resource
from tests.integration.crd_objects import Answer, Json
from tests.integration.installation import IN_FORCE_SECONDS, User, operator, refusal
from tests.integration.running import ROLLED, held_namespace, pod_spec, running

pytestmark = pytest.mark.integration

HELD = "rollouts-scope"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture(scope="module")
def user(lab: Lab) -> Iterator[User]:
    """The operator, in a namespace with one of each that nobody's pods wait for."""
    found = held_namespace(lab, HELD)
    for resource in ROLLED:
        lab.api.request("POST", resource.path(HELD), running(resource, "llm", **_idle(resource)))
    lab.wait_for(
        lambda: not patched(found, DEPLOYMENTS, {"spec": {"minReadySeconds": 7}}).accepted,
        IN_FORCE_SECONDS,
        "the policy to be in force",
    )
    yield found
    lab.delete_namespace(HELD)


def _idle(resource: Resource) -> Json:
    template = running(resource, "llm")["spec"]["template"]
    if resource is DAEMON_SETS:
        return {"template": {**template, "spec": pod_spec(nodeSelector={"no": "node"})}}
    return {"replicas": 0, "template": template}


def patched(user: User, resource: Resource, change: Json, name: str = "llm", kind: str = STRATEGIC) -> Answer:
    return user("PATCH", f"{resource.path(HELD, name)}?dryRun=All", change, kind)


def template(**parts: Any) -> Json:
    return {"spec": {"template": parts}}


def marked(value: str | None) -> Json:
    return template(metadata={"annotations": {names.RESTARTED_FOR_ANNOTATION: value}})


@pytest.mark.parametrize("resource", ROLLED, ids=lambda one: one.kind)
@pytest.mark.parametrize("kind", [MERGE, STRATEGIC], ids=["merge", "strategic"])
def test_the_operator_marks_a_template_as_restarted(user: User, resource: Resource, kind: str) -> None:
    found = patched(user, resource, marked("incident-7"), kind=kind)
    assert found.accepted, found.causes
    annotations = found.body["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"note": "theirs", names.RESTARTED_FOR_ANNOTATION: "incident-7"}


@pytest.mark.parametrize("resource", ROLLED, ids=lambda one: one.kind)
def test_the_operator_marks_a_template_that_has_no_annotations_or_another_mark(
    lab: Lab, user: User, resource: Resource
) -> None:
    plain = running(resource, "plain", **_idle(resource))
    del plain["spec"]["template"]["metadata"]["annotations"]
    plain["spec"]["template"]["metadata"]["labels"] = {"app": "plain"}
    lab.api.request("POST", resource.path(HELD), plain)
    where = resource.path(HELD, "plain")
    for value in ("first", "second"):
        found = user("PATCH", where, marked(value), MERGE)
        assert found.accepted, found.causes
    assert not user("PATCH", where, marked(None), MERGE).accepted


_OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}
CHANGES: dict[str, tuple[Json, str]] = {
    "image": (template(spec={"containers": [{"name": "main", "image": "theirs"}]}), "but its annotations"),
    "environment": (
        template(spec={"containers": [{"name": "main", "env": [{"name": "A", "value": "2"}]}]}),
        "but its annotations",
    ),
    "command": (
        template(spec={"containers": [{"name": "main", "command": ["sh"]}]}),
        "but its annotations",
    ),
    "a-container-more": (
        template(spec={"containers": [{"name": "more", "image": "a"}]}),
        "but its annotations",
    ),
    "identity": (template(spec={"serviceAccountName": "admin"}), "but its annotations"),
    "host-network": (template(spec={"hostNetwork": True}), "but its annotations"),
    "a-label-of-the-pods": (template(metadata={"labels": {"b": "c"}}), "but its annotations"),
    "another-annotation-of-the-pods": (
        template(metadata={"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}),
        "but secureai.dev/restarted-for",
    ),
    "an-annotation-less": (
        template(metadata={"annotations": {"note": None}}),
        "but secureai.dev/restarted-for",
    ),
    "an-annotation-changed": (
        template(metadata={"annotations": {"note": "ours"}}),
        "but secureai.dev/restarted-for",
    ),
    "an-odd-mark": (marked("two words"), "to the name of a request"),
    "a-long-mark": (marked("x" * 64), "to the name of a request"),
    "a-mark-of-two-lines": (marked("a\nb"), "to the name of a request"),
    "an-empty-mark": (marked(""), "to the name of a request"),
    "history": ({"spec": {"revisionHistoryLimit": 3}}, "but its pod template"),
    "ready-seconds": ({"spec": {"minReadySeconds": 3}}, "but its pod template"),
    "a-label": ({"metadata": {"labels": {"b": "c"}}}, "no label, annotation, owner or finalizer"),
    "a-label-less": ({"metadata": {"labels": {"app": None}}}, "no label, annotation, owner or finalizer"),
    "an-annotation": ({"metadata": {"annotations": {"b": "c"}}}, "no label, annotation, owner or finalizer"),
    "an-owner": ({"metadata": {"ownerReferences": [_OWNER]}}, "no label, annotation, owner or finalizer"),
    "a-finalizer": (
        {"metadata": {"finalizers": ["example.org/a"]}},
        "no label, annotation, owner or finalizer",
    ),
}


@pytest.mark.parametrize("resource", ROLLED, ids=lambda one: one.kind)
@pytest.mark.parametrize("what", CHANGES)
def test_the_operator_changes_nothing_else(user: User, resource: Resource, what: str) -> None:
    change, said = CHANGES[what]
    assert said in refusal(patched(user, resource, change))


def test_the_counter_of_a_daemon_set_is_the_api_servers_and_for_no_other_kind(user: User) -> None:
    counter = "deprecated.daemonset.template.generation"
    change = {"metadata": {"annotations": {counter: "7"}}}
    assert patched(user, DAEMON_SETS, change).body["metadata"]["annotations"][counter] == "1"
    for resource in (DEPLOYMENTS, STATEFUL_SETS):
        assert "no label, annotation" in refusal(patched(user, resource, change))


@pytest.mark.parametrize(
    ("resource", "spec"),
    [
        (DEPLOYMENTS, {"replicas": 5}),
        (DEPLOYMENTS, {"paused": True}),
        (DEPLOYMENTS, {"strategy": {"type": "Recreate", "rollingUpdate": None}}),
        (DEPLOYMENTS, {"progressDeadlineSeconds": 700}),
        (STATEFUL_SETS, {"replicas": 5}),
        (STATEFUL_SETS, {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}),
        (STATEFUL_SETS, {"ordinals": {"start": 1}}),
        (DAEMON_SETS, {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}),
    ],
    ids=lambda value: value.kind if isinstance(value, Resource) else next(iter(value)),
)
def test_the_operator_changes_no_number_and_no_strategy(user: User, resource: Resource, spec: Json) -> None:
    assert "but its pod template" in refusal(patched(user, resource, {"spec": spec}, kind=MERGE))


def test_a_change_cannot_hide_behind_the_mark(user: User) -> None:
    change = marked("r1")
    change["spec"]["template"]["spec"] = {"hostPID": True}
    assert "but its annotations" in refusal(patched(user, DEPLOYMENTS, change))
    change = {**marked("r1"), "metadata": {"annotations": {"b": "c"}}}
    assert "no label, annotation" in refusal(patched(user, DEPLOYMENTS, change))


def test_an_apply_is_held_to_the_same(user: User) -> None:
    """Server-side apply with force takes fields over from whoever set them."""
    metadata = {"name": "llm", "namespace": HELD}
    assert user.apply(DEPLOYMENTS, {"metadata": metadata, **marked("r2")}).accepted
    other = {"metadata": metadata, "spec": {"replicas": 3, **marked("r2")["spec"]}}
    assert "but its pod template" in refusal(user.apply(DEPLOYMENTS, other))


def test_others_change_what_they_may(lab: Lab, user: User) -> None:  # noqa: ARG001 - sets the place up
    where = f"{DEPLOYMENTS.path(HELD, 'llm')}?dryRun=All"
    change = {"spec": {"replicas": 1, **template(spec={"serviceAccountName": "other"})["spec"]}}
    assert lab.api.raw("PATCH", where, change, MERGE)[0] == 200


@contextmanager
def a_right_too_many(lab: Lab, namespace: str) -> Iterator[None]:
    """Somebody binds the operator to the role of the namespace's administrator."""
    subject = {
        "kind": "ServiceAccount",
        "name": names.OPERATOR_SERVICE_ACCOUNT,
        "namespace": names.OPERATOR_NAMESPACE,
    }
    binding = {
        "metadata": {"name": "too-many"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [subject],
    }
    lab.api.request("POST", ROLE_BINDINGS.path(namespace), binding)
    user = operator(lab)
    where = f"{DEPLOYMENTS.path(namespace)}?limit=1"
    try:
        lab.wait_for(lambda: user("GET", where).accepted, IN_FORCE_SECONDS, "the right")
        yield
    finally:
        lab.api.request("DELETE", ROLE_BINDINGS.path(namespace, "too-many"))
        # Others count on it that the operator has no such right.
        lab.wait_for(lambda: not user("GET", where).accepted, IN_FORCE_SECONDS, "the right to be gone")


@pytest.mark.parametrize("resource", ROLLED, ids=lambda one: one.kind)
def test_a_right_too_many_lets_the_operator_do_no_more(lab: Lab, user: User, resource: Resource) -> None:
    """Whatever RBAC gives its identity: no scaling, no making, no deleting."""
    said = "neither makes nor deletes what runs pods"
    where = resource.path(HELD, "llm")
    with a_right_too_many(lab, HELD):
        assert said in refusal(user("DELETE", f"{where}?dryRun=All"))
        assert said in refusal(user("POST", f"{resource.path(HELD)}?dryRun=All", running(resource, "new")))
        assert "but its annotations" in refusal(patched(user, resource, CHANGES["image"][0]))
        if resource is not DAEMON_SETS:
            scaled = {"spec": {"replicas": 4}}
            assert said in refusal(user("PATCH", f"{where}/scale?dryRun=All", scaled, MERGE))


def test_a_right_too_many_restarts_nothing_of_the_system(lab: Lab, user: User) -> None:
    lab.api.request("POST", DEPLOYMENTS.path("kube-system"), running(DEPLOYMENTS, "llm", replicas=0))
    where = DEPLOYMENTS.path("kube-system", "llm")
    try:
        with a_right_too_many(lab, "kube-system"):
            assert "namespaces of the system" in refusal(user("PATCH", where, marked("r1"), MERGE))
    finally:
        lab.api.request("DELETE", where)


def test_nothing_is_restarted_where_no_workload_is(lab: Lab, user: User, namespace: str) -> None:
    lab.api.request("POST", DEPLOYMENTS.path(namespace), running(DEPLOYMENTS, "llm", replicas=0))
    for where in (DEPLOYMENTS.path(namespace, "llm"), DEPLOYMENTS.path("kube-system", "any")):
        assert "cannot patch resource" in refusal(user("PATCH", where, marked("r1"), MERGE))
        assert "cannot get resource" in refusal(user("GET", where))
    assert "cannot list resource" in refusal(user("GET", DEPLOYMENTS.path(HELD)))
