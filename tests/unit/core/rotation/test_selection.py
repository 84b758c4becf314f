"""Which policy rules: closed by default, the same in any order, and quick for many."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from secureai_operator.api import reasons
from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.core.rotation.selection import Candidate, Policy, Selection, policy_verdict

SYSTEM = "secureai-system"
NAMESPACES = {"team-a": {"env": "prod"}, "team-b": {"env": "test"}, SYSTEM: {}}


def policy(
    name: str = "p",
    namespace: str = "team-a",
    *,
    created: str = "2026-01-01T00:00:00Z",
    priority: int = 0,
    **selectors: Any,
) -> Policy:
    spec = {"schedule": {"interval": "24h"}, "selector": {}, "priority": priority, **selectors}
    return Policy(namespace, name, created, KeyRotationPolicySpec.model_validate(spec))


def workload(namespace: str = "team-a", name: str = "llm", **labels: str) -> Candidate:
    return Candidate(namespace, name, labels)


def ruling(candidate: Candidate, *policies: Policy) -> list[str]:
    """The one that rules, then those it masks."""
    found = Selection(policies, NAMESPACES, SYSTEM).ruling(candidate)
    return [str(one) for one in (found.policy, *found.masked) if one is not None]


def test_a_policy_selects_by_labels_in_its_own_namespace() -> None:
    prod = policy(selector={"matchLabels": {"tier": "prod", "app": "x"}})
    assert ruling(workload(tier="prod", app="x", more="y"), prod) == ["team-a/p"]
    assert ruling(workload(tier="prod"), prod) == []
    assert ruling(workload(tier="dev", app="x"), prod) == []
    assert ruling(workload("team-b", tier="prod", app="x"), prod) == []
    assert ruling(workload(), policy()) == ["team-a/p"]


def test_only_the_operators_namespace_reaches_into_others() -> None:
    everywhere: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"env": "prod"}}}
    ours, theirs = policy(namespace=SYSTEM, **everywhere), policy(namespace="team-b", **everywhere)
    assert ruling(workload(), ours, theirs) == [f"{SYSTEM}/p"]
    assert ruling(workload("team-b"), ours, theirs) == []
    assert policy_verdict(ours, SYSTEM) is None
    verdict = policy_verdict(theirs, SYSTEM)
    assert verdict is not None
    assert verdict.reason is reasons.INVALID_SPEC
    assert "namespaceSelector" in verdict.message


def test_without_a_namespace_selector_the_operators_namespace_is_like_any_other() -> None:
    assert ruling(workload(), policy(namespace=SYSTEM)) == []
    assert ruling(workload(SYSTEM), policy(namespace=SYSTEM)) == [f"{SYSTEM}/p"]


def test_an_empty_namespace_selector_takes_every_namespace_that_is_known() -> None:
    every = policy(namespace=SYSTEM, namespaceSelector={})
    assert ruling(workload(), every) == [f"{SYSTEM}/p"]
    assert ruling(workload("unknown"), every) == []


def test_priority_then_age_then_name_decides_and_the_others_are_masked() -> None:
    old, young = policy("old", created="2025-01-01T00:00:00Z"), policy("a-young")
    high, twin = policy("high", priority=5), policy("b-young")
    far = policy("far", SYSTEM, priority=1, namespaceSelector={})
    assert ruling(workload(), twin, young, old, far, high) == [
        "team-a/high", f"{SYSTEM}/far", "team-a/old", "team-a/a-young", "team-a/b-young",
    ]  # fmt: skip


def test_tallies_say_how_many_are_masked_and_by_whom() -> None:
    high = policy("high", priority=5, selector={"matchLabels": {"tier": "prod"}})
    low = policy("low")
    none = policy("none", selector={"matchLabels": {"tier": "no"}})
    candidates = [workload(name="a", tier="prod"), workload(name="b", tier="prod"), workload(name="c")]
    tallies = Selection([low, none, high], NAMESPACES, SYSTEM).tallies(candidates)
    assert set(tallies) == {high.key, low.key}
    assert (tallies[high.key].selected, tallies[high.key].masked, tallies[high.key].masked_by) == (2, 0, ())
    assert tallies[low.key].selected == 3
    assert (tallies[low.key].masked, tallies[low.key].masked_by) == (2, ("team-a/high",))


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3)
policies = st.lists(
    st.builds(
        lambda name, namespace, priority, day, selector, everywhere: policy(
            name,
            namespace,
            created=f"2026-01-0{day}T00:00:00Z",
            priority=priority,
            selector={"matchLabels": selector},
            **({"namespaceSelector": {}} if everywhere else {}),
        ),
        st.sampled_from("abcdef"),
        st.sampled_from([*NAMESPACES]),
        st.integers(-1, 1),
        st.integers(1, 3),
        labels,
        st.booleans(),
    ),
    max_size=8,
    unique_by=lambda one: one.key,
)


@given(policies, labels, st.sampled_from([*NAMESPACES]), st.randoms())
def test_the_order_of_arrival_decides_nothing_and_exactly_one_rules(
    some: list[Policy], its: dict[str, str], namespace: str, random: Any
) -> None:
    candidate = Candidate(namespace, "w", its)
    found = ruling(candidate, *some)
    random.shuffle(some)
    assert ruling(candidate, *some) == found
    selecting = {
        str(one)
        for one in some
        if all(its.get(key) == value for key, value in one.spec.selector.match_labels.items())
        and (
            one.namespace == SYSTEM if one.spec.namespace_selector is not None else one.namespace == namespace
        )
    }
    assert set(found) == selecting
    assert len(found) == len(selecting)


def test_ten_thousand_workloads_are_told_apart_in_no_time() -> None:
    spaces = {f"ns-{place}": {"env": "prod"} for place in range(100)}
    some = [policy(f"p{place}", f"ns-{place}", selector={"matchLabels": {"a": "x"}}) for place in range(100)]
    some += [policy(f"all{place}", SYSTEM, namespaceSelector={}, priority=place) for place in range(3)]
    candidates = [workload(f"ns-{place % 100}", f"w{place}", a="x") for place in range(10_000)]
    selection = Selection(some, spaces, SYSTEM)
    start = time.process_time()
    tallies = selection.tallies(candidates)
    assert time.process_time() - start < 2
    assert tallies[SYSTEM, "all2"].masked == 0
    assert tallies[SYSTEM, "all2"].selected == 10_000
    assert tallies["ns-7", "p7"].masked == 100
