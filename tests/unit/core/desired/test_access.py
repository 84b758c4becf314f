"""Access: what is granted is what is declared, and the ceiling is judged as the API server judges it."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureai_operator.api import reasons
from secureai_operator.core.desired.access import access_verdict, desired_access
from secureai_operator.core.facts import CeilingRule
from tests.unit.samples import CEILING, Json, facts, workload

RULE = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}


def test_nothing_declared_is_nothing_granted() -> None:
    assert list(desired_access(workload())) == []
    assert access_verdict(workload(), facts()) is None


def test_rules_become_one_role_bound_to_the_workload_s_own_account_only() -> None:
    item = workload({"access": {"rules": [RULE, {**RULE, "resourceNames": ["a"]}]}})
    role, binding = desired_access(item)
    assert role.manifest["rules"] == [RULE, {**RULE, "resourceNames": ["a"]}]
    assert binding.manifest["roleRef"]["name"] == role.name
    assert binding.manifest["subjects"] == [
        {"kind": "ServiceAccount", "name": "saw-llm", "namespace": "team-a"}
    ]


def test_each_role_reference_has_a_binding_of_its_own_and_no_role() -> None:
    item = workload({"access": {"roleRefs": [{"name": "a"}, {"kind": "ClusterRole", "name": "b"}]}})
    bindings = list(desired_access(item))
    assert [(one.resource.kind, one.name) for one in bindings] == [
        ("RoleBinding", "saw-llm-ref0"),
        ("RoleBinding", "saw-llm-ref1"),
    ]
    assert [one.manifest["roleRef"]["kind"] for one in bindings] == ["Role", "ClusterRole"]


def test_a_rule_beyond_the_ceiling_is_named_and_needs_another_spec() -> None:
    rule = {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["a"], "verbs": ["get"]}
    verdict = access_verdict(workload({"access": {"rules": [RULE, rule]}}), facts())
    assert verdict is not None
    assert verdict.reason is reasons.BEYOND_CEILING
    assert verdict.terminal
    assert "get deployments.apps/a" in verdict.message


def test_no_ceiling_allows_nothing() -> None:
    verdict = access_verdict(workload({"access": {"rules": [RULE]}}), facts(ceiling=()))
    assert verdict is not None
    assert verdict.reason is reasons.BEYOND_CEILING


def test_a_role_that_does_not_exist_is_waited_for() -> None:
    item = workload({"access": {"roleRefs": [{"name": "reader"}]}})
    for known in ({}, {("Role", "reader"): None}, {("ClusterRole", "reader"): CEILING}):
        verdict = access_verdict(item, facts(referenced_roles=known))
        assert verdict is not None
        assert verdict.reason is reasons.ROLE_NOT_FOUND
        assert not verdict.terminal
    assert access_verdict(item, facts(referenced_roles={("Role", "reader"): CEILING})) is None
    assert access_verdict(item, facts(referenced_roles={("Role", "reader"): ()})) is None


def test_a_role_with_a_wildcard_is_beyond_a_ceiling_without_one() -> None:
    item = workload({"access": {"roleRefs": [{"name": "reader"}]}})
    for wide in (
        CeilingRule(frozenset({"*"}), frozenset({"configmaps"}), frozenset(), frozenset({"get"})),
        CeilingRule(frozenset({""}), frozenset({"*"}), frozenset(), frozenset({"get"})),
        CeilingRule(frozenset({""}), frozenset({"configmaps"}), frozenset(), frozenset({"*"})),
    ):
        verdict = access_verdict(item, facts(referenced_roles={("Role", "reader"): (wide,)}))
        assert verdict is not None
        assert verdict.reason is reasons.BEYOND_CEILING


# As the API server does it ------------------------------------------------------------------------------------
#
# Kubernetes, k8s.io/component-helpers/auth/rbac/validation: Covers breaks the wanted rule down into single
# combinations, each of which one held rule must cover.


def api_server_covers(held: list[Json], wanted: Json) -> bool:
    singles = product(
        wanted["apiGroups"], wanted["resources"], wanted["resourceNames"] or [None], wanted["verbs"]
    )
    return all(any(rule_covers(rule, *single) for rule in held) for single in singles)


def rule_covers(rule: Json, group: str, resource: str, name: str | None, verb: str) -> bool:
    verbs = "*" in rule["verbs"] or verb in rule["verbs"]
    groups = "*" in rule["apiGroups"] or group in rule["apiGroups"]
    resources = "*" in rule["resources"] or resource in rule["resources"]
    if not resources and "/" in resource:
        resources = "*/" + resource.split("/", 1)[1] in rule["resources"]
    names = not rule["resourceNames"] or (name is not None and name in rule["resourceNames"])
    return verbs and groups and resources and names


def some(values: list[str], least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=2, unique=True)


held_rules = st.fixed_dictionaries(
    {
        "apiGroups": some(["", "apps", "*"]),
        "resources": some(["pods", "pods/log", "*/log", "*"]),
        "resourceNames": some(["a", "b"], 0),
        "verbs": some(["get", "list", "*"]),
    }
)
wanted_rules = st.fixed_dictionaries(
    {
        "apiGroups": some(["", "apps"]),
        "resources": some(["pods", "pods/log"]),
        "resourceNames": some(["a", "b"], 0),
        "verbs": some(["get", "list"]),
    }
)


def as_rule(rule: dict[str, Any]) -> CeilingRule:
    return CeilingRule(
        frozenset(rule["apiGroups"]),
        frozenset(rule["resources"]),
        frozenset(rule["resourceNames"]),
        frozenset(rule["verbs"]),
    )


@given(st.lists(held_rules, max_size=3), wanted_rules)
@settings(max_examples=150, deadline=None)
def test_the_ceiling_holds_a_rule_exactly_if_the_api_server_says_so(held: list[Json], wanted: Json) -> None:
    item = workload({"access": {"rules": [wanted]}})
    allowed = access_verdict(item, facts(ceiling=tuple(map(as_rule, held)))) is None
    assert allowed is api_server_covers(held, wanted)


@given(st.lists(held_rules, max_size=3), held_rules)
@settings(max_examples=100, deadline=None)
def test_a_referenced_role_is_judged_the_same_way(held: list[Json], granted: Json) -> None:
    item = workload({"access": {"roleRefs": [{"name": "reader"}]}})
    known = {("Role", "reader"): (as_rule(granted),)}
    allowed = access_verdict(item, facts(ceiling=tuple(map(as_rule, held)), referenced_roles=known)) is None
    assert allowed is api_server_covers(held, granted)


@pytest.mark.parametrize("names", [[], ["a"]])
def test_a_ceiling_for_single_names_does_not_hold_a_rule_for_all(names: list[str]) -> None:
    held = CeilingRule(frozenset({""}), frozenset({"configmaps"}), frozenset({"a"}), frozenset({"get"}))
    item = workload({"access": {"rules": [{**RULE, "resourceNames": names}]}})
    assert (access_verdict(item, facts(ceiling=(held,))) is None) is bool(names)
