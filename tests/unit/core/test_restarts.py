"""What runs a workload's pods, and how each of it is restarted: values in, values out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator import names
from secureai_operator.core.facts import Owner, PodFacts
from secureai_operator.core.restarts import (
    Consumer,
    Way,
    consumers,
    controller_of,
    held_back,
    replica_sets,
    request_value,
    restart_patch,
    second_of,
    turned,
    way,
)

BEGUN = "2026-01-31T12:00:00Z"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
RS = Owner("apps", "ReplicaSet", "llm-1", "rs1")
RS_OLD = Owner("apps", "ReplicaSet", "llm-0", "rs0")
LLM = Owner("apps", "Deployment", "llm", "d")


def pod(
    name: str, owner: Owner | None = None, created: str = BEGUN, *, runs_to_end: bool = False
) -> PodFacts:
    controlled = owner is not None
    return PodFacts(
        "team-a",
        name,
        f"uid-{name}",
        problem="",
        quarantined=False,
        controlled=controlled,
        owner=owner,
        created=created,
        runs_to_end=runs_to_end,
    )


def owned_by(group: str, kind: str, *, runs_to_end: bool = False) -> Consumer:
    owner = Owner(group, kind, "llm", "u")
    return Consumer(owner, (pod("a", owner, runs_to_end=runs_to_end),))


# What runs the pods.


def test_the_controller_is_the_owner_that_says_so() -> None:
    sponsor = {"apiVersion": "example.org/v1", "kind": "Sponsor", "name": "s", "uid": "s"}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "llm-1", "uid": "rs1", "controller": True}
    assert controller_of({"ownerReferences": [sponsor, owner]}) == RS
    assert controller_of({"ownerReferences": [sponsor]}) is None
    assert controller_of({"ownerReferences": None}) is None
    core = {**owner, "apiVersion": "v1", "kind": "ReplicationController"}
    assert controller_of({"ownerReferences": [core]}) == Owner("", "ReplicationController", "llm-1", "rs1")


def test_replica_sets_are_asked_about_once_and_only_those_of_kubernetes() -> None:
    foreign = Owner("apps.example.org", "ReplicaSet", "llm", "x")
    pods = [pod("a", RS), pod("b", RS), pod("c", RS_OLD), pod("d"), pod("e", LLM), pod("f", foreign)]
    assert replica_sets(pods) == (RS, RS_OLD)


def test_pods_of_two_replica_sets_are_of_their_one_deployment() -> None:
    pods = [pod("b", RS), pod("c", RS_OLD), pod("a", RS)]
    (found,) = consumers(pods, {RS: LLM, RS_OLD: LLM})
    assert str(found) == "Deployment/llm"
    assert [one.name for one in found.pods] == ["a", "b", "c"]


def test_a_replica_set_without_a_controller_runs_its_pods_itself() -> None:
    (found,) = consumers([pod("a", RS)], {RS: RS})
    assert (str(found), way(found)) == ("ReplicaSet/llm-1", Way.EVICT)


def test_pods_whose_replica_set_went_are_nobodys() -> None:
    assert consumers([pod("a", RS)], {}) == ()


def test_each_bare_pod_runs_itself() -> None:
    found = consumers([pod("b"), pod("a")], {})
    assert [(str(one), way(one)) for one in found] == [("Pod/a", Way.LEAVE), ("Pod/b", Way.LEAVE)]


@pytest.mark.parametrize(
    ("consumer", "expected"),
    [
        (owned_by("apps", "Deployment"), Way.ROLL),
        (owned_by("apps", "StatefulSet"), Way.ROLL),
        (owned_by("apps", "DaemonSet"), Way.ROLL),
        (owned_by("apps.kruise.io", "StatefulSet"), Way.EVICT),
        (owned_by("argoproj.io", "Rollout"), Way.EVICT),
        (owned_by("leaderworkerset.x-k8s.io", "LeaderWorkerSet"), Way.EVICT),
        (owned_by("", "ReplicationController"), Way.EVICT),
        (owned_by("batch", "Job", runs_to_end=True), Way.LEAVE),
        (owned_by("kubeflow.org", "PyTorchJob", runs_to_end=True), Way.LEAVE),
        (owned_by("", "Node"), Way.LEAVE),
        (owned_by("", "Pod"), Way.LEAVE),
    ],
    ids=str,
)
def test_what_runs_pods_is_restarted_in_its_own_way(consumer: Consumer, expected: Way) -> None:
    assert way(consumer) is expected


# Never twice.


def test_a_pod_made_in_the_second_of_the_request_may_be_older_and_one_of_the_next_is_not() -> None:
    before, same, after = (
        pod(name, RS, created)
        for name, created in [("a", "2026-01-31T11:59:59Z"), ("b", BEGUN), ("c", "2026-01-31T12:00:01Z")]
    )
    assert Consumer(RS, (before, same, after)).older(BEGUN) == (before, same)
    assert second_of(NOW + timedelta(milliseconds=900)) == BEGUN


def live(annotations: Any = None, **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "llm"}, "annotations": annotations}}
    return {"metadata": {"name": "llm", "resourceVersion": "7"}, "spec": {"template": template, **spec}}


@pytest.mark.parametrize("annotations", [None, {}, {names.RESTARTED_FOR_ANNOTATION: "another"}, {"a": "r1"}])
def test_a_template_without_the_request_is_patched_as_it_was_seen(annotations: Any) -> None:
    assert restart_patch(live(annotations), "r1") == {
        "metadata": {"resourceVersion": "7"},
        "spec": {"template": {"metadata": {"annotations": {names.RESTARTED_FOR_ANNOTATION: "r1"}}}},
    }


def test_a_template_that_carries_the_request_is_left_alone() -> None:
    assert restart_patch(live({names.RESTARTED_FOR_ANNOTATION: "r1"}), "r1") is None


@pytest.mark.parametrize("request_id", ["a", "2026-01-31-audit", "emergency/incident-7", "a:b_c.d", "x" * 63])
def test_a_plain_request_is_named_as_it_is(request_id: str) -> None:
    assert request_value(request_id) == request_id


@pytest.mark.parametrize(
    "request_id", ["", "two words", "x" * 64, "-a", "ä", "a\n", "sha256-0123", '{"a": 1}']
)
def test_a_long_or_odd_request_has_a_short_name(request_id: str) -> None:
    value = request_value(request_id)
    assert value.startswith("sha256-")
    assert len(value) == 39
    assert value == request_value(request_id)


@given(st.text(max_size=80), st.text(max_size=80))
def test_two_requests_never_have_one_name(one: str, other: str) -> None:
    assert (request_value(one) == request_value(other)) == (one == other)
    # A name is no name of something else either.
    assert request_value(one) == one or request_value(request_value(one)) != request_value(one)


# What does not replace its pods by itself.


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({}, ""),
        ({"paused": False, "strategy": {"type": "Recreate"}}, ""),
        ({"paused": True}, "paused"),
        ({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}, ""),
        ({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": None}}, ""),
        ({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}, "partition"),
        ({"updateStrategy": {"type": "OnDelete"}}, "OnDelete"),
    ],
)
def test_what_waits_for_its_owner_is_named_with_the_reason(spec: dict[str, Any], word: str) -> None:
    assert held_back(live(**spec)) == word


def test_every_pod_comes_first_in_its_turn() -> None:
    pods = tuple(pod(name) for name in "abcd")
    first = {turned(pods, NOW + timedelta(seconds=second))[0].name for second in range(4)}
    assert first == set("abcd")
    assert sorted(one.name for one in turned(pods, NOW + timedelta(seconds=2))) == list("abcd")
    assert turned((), NOW) == ()
