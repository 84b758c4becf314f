"""Access: the declared rules and role references, and nothing else; never more than the platform's ceiling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from secureai_operator import names
from secureai_operator.api import reasons
from secureai_operator.api.access import AccessRule
from secureai_operator.api.conditions import ConditionType
from secureai_operator.api.resources import ROLE_BINDINGS, ROLES
from secureai_operator.core.desired.objects import DesiredObject, desired_object
from secureai_operator.core.facts import CeilingRule, Facts, Workload
from secureai_operator.core.verdict import Verdict, bad

_RBAC = "rbac.authorization.k8s.io"


def desired_access(workload: Workload) -> Iterator[DesiredObject]:
    """A Role with its binding for the inline rules, and a binding for each role reference."""
    access = workload.spec.access
    if access.rules:
        yield desired_object(
            workload,
            ROLES,
            names.role(workload.name),
            ConditionType.ACCESS_GRANTED,
            {"rules": [_policy_rule(rule) for rule in access.rules]},
        )
        yield _binding(workload, names.role_binding(workload.name), "Role", names.role(workload.name))
    for index, reference in enumerate(access.role_refs):
        yield _binding(
            workload, names.role_ref_binding(workload.name, index), reference.kind.value, reference.name
        )


def access_verdict(workload: Workload, facts: Facts) -> Verdict | None:
    """Why the access cannot be granted, or None: the API server would refuse it, with less to say."""
    for rule in workload.spec.access.rules:
        beyond = _first_beyond(_as_ceiling_rule(rule), facts.ceiling)
        if beyond:
            return bad(
                reasons.BEYOND_CEILING,
                f"{beyond} is beyond the platform's ceiling ({names.GRANT_CEILING})",
                terminal=True,
            )
    for reference in workload.spec.access.role_refs:
        rules = facts.referenced_roles.get((reference.kind.value, reference.name))
        if rules is None:
            return bad(reasons.ROLE_NOT_FOUND, f"{reference.kind.value} {reference.name} does not exist")
        for granted in rules:
            beyond = _first_beyond(granted, facts.ceiling)
            if beyond:
                return bad(
                    reasons.BEYOND_CEILING,
                    f"{reference.kind.value} {reference.name} grants {beyond}, beyond the platform's ceiling",
                    terminal=True,
                )
    return None


def _policy_rule(rule: AccessRule) -> dict[str, Any]:
    content: dict[str, Any] = {
        "apiGroups": list(rule.api_groups),
        "resources": list(rule.resources),
        "verbs": list(rule.verbs),
    }
    if rule.resource_names:
        content["resourceNames"] = list(rule.resource_names)
    return content


def _binding(workload: Workload, name: str, kind: str, role: str) -> DesiredObject:
    return desired_object(
        workload,
        ROLE_BINDINGS,
        name,
        ConditionType.ACCESS_GRANTED,
        {
            "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
            "subjects": [
                {
                    "kind": "ServiceAccount",
                    "name": names.service_account(workload.name),
                    "namespace": workload.namespace,
                }
            ],
        },
        labels={} if kind == "Role" and role == names.role(workload.name) else {names.ROLE_REF_LABEL: "true"},
    )


def _as_ceiling_rule(rule: AccessRule) -> CeilingRule:
    return CeilingRule(
        frozenset(rule.api_groups),
        frozenset(rule.resources),
        frozenset(rule.resource_names),
        frozenset(rule.verbs),
    )


def _first_beyond(rule: CeilingRule, ceiling: Sequence[CeilingRule]) -> str:
    """The first combination that no rule of the ceiling holds, as `verb resource`; empty if there is none.

    The comparison is RBAC's own (rule by rule, name by name), so that what passes here is not refused later.
    """
    wanted = product(
        sorted(rule.api_groups),
        sorted(rule.resources),
        sorted(rule.resource_names) or [""],
        sorted(rule.verbs),
    )
    for group, resource, name, verb in wanted:
        if not any(_covers(held, group, resource, name, verb) for held in ceiling):
            return f"{verb} {resource}{'.' + group if group else ''}{'/' + name if name else ''}"
    return ""


def _covers(held: CeilingRule, group: str, resource: str, name: str, verb: str) -> bool:
    _, slash, part = resource.partition("/")
    resources = {resource, "*", f"*/{part}"} if slash else {resource, "*"}
    return (
        bool({group, "*"} & held.api_groups)
        and bool(resources & held.resources)
        and bool({verb, "*"} & held.verbs)
        and (not held.resource_names or name in held.resource_names)
    )
