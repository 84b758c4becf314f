"""The admission policies on the SecureAIWorkload itself: nobody declares what they do not hold.

They are generated because CEL's `authorizer` is dear: one check costs 350,000 of the 1,000,000 that an expression may
spend, and 10,000,000 is all that a policy may. So each combination of group, resource, name and verb has an expression
of its own, which asks one question or none. Source: Kubernetes, apiserver/pkg/apis/cel (PerCallLimit,
RuntimeCELCostBudget); the cost of a check was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secureai_operator import names
from secureai_operator.api.rules import GRANTS_MAX

Json = dict[str, Any]

AUTHORS_POLICY = "secureai-workload-authors"
ROLE_REFS_POLICY = "secureai-workload-role-refs"
BOUNDS_POLICY = "secureai-workload-bounds"

ROLE_REFS_MAX = 4

SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", names.OPERATOR_NAMESPACE)
"""Pods here are never looked at, so that a broken policy can be repaired; so no workload may live here."""

_LABELS = {"app.kubernetes.io/name": "secureai-operator", "app.kubernetes.io/part-of": "secureai"}

_CHANGED = "request.operation == 'CREATE' || object.spec.?{field} != oldObject.spec.?{field}"


def policies() -> tuple[Json, ...]:
    """All generated policies, each followed by its binding."""
    return tuple(
        part for policy in (_authors(), _role_refs(), _bounds()) for part in (policy, _bound(policy))
    )


def _authors() -> Json:
    """Every combination in the inline rules is one that the author may do in the namespace."""
    grants = (
        "object.spec.access.?rules.orValue([])"
        ".map(rule, rule.apiGroups.map(group, rule.resources.map(resource,"
        " (rule.?resourceNames.orValue([]).size() == 0 ? [''] : rule.resourceNames).map(name,"
        " rule.verbs.map(verb, [string(group), string(resource).split('/', 2)[0],"
        " resource.contains('/') ? resource.split('/', 2)[1] : '', string(name), string(verb)])))))"
        ".flatten(4)"
    )
    return _policy(
        AUTHORS_POLICY,
        condition=("access-changes", _CHANGED.format(field="access")),
        variables=[("grants", grants)],
        validations=[
            _validation(
                f"variables.grants.size() <= {GRANTS_MAX}",
                f"'spec.access.rules has ' + string(variables.grants.size()) + ' combinations of group, resource, name "
                f"and verb, and may have {GRANTS_MAX}: put more into a Role and name it in spec.access.roleRefs'",
            ),
            *(_holds_grant(index) for index in range(GRANTS_MAX)),
        ],
    )


def _holds_grant(index: int) -> Json:
    grant = f"variables.grants[{index}]"
    return _validation(
        f"variables.grants.size() <= {index} || authorizer.group({grant}[0]).resource({grant}[1])"
        f".subresource({grant}[2]).namespace(request.namespace).name({grant}[3]).check({grant}[4]).allowed()",
        f"'spec.access.rules grants \"' + {grant}[4] + '\" on ' + {grant}[1]"
        f" + ({grant}[2] == '' ? '' : '/' + {grant}[2]) + ({grant}[0] == '' ? '' : '.' + {grant}[0])"
        f" + ({grant}[3] == '' ? '' : ' \"' + {grant}[3] + '\"')"
        " + ', which you may not do yourself in namespace ' + request.namespace"
        " + ': take it out, or have somebody apply it who may'",
    )


def _role_refs() -> Json:
    """Every role that is named is one that the author may bind."""
    return _policy(
        ROLE_REFS_POLICY,
        condition=("access-changes", _CHANGED.format(field="access")),
        variables=[("roleRefs", "object.spec.access.?roleRefs.orValue([])")],
        validations=[
            _validation(
                f"variables.roleRefs.size() <= {ROLE_REFS_MAX}",
                f"'spec.access.roleRefs may have {ROLE_REFS_MAX}: put the rules of several into one Role'",
            ),
            *(_may_bind(index) for index in range(ROLE_REFS_MAX)),
        ],
    )


def _may_bind(index: int) -> Json:
    role = f"variables.roleRefs[{index}]"
    resource = f"({role}.?kind.orValue('Role') == 'ClusterRole' ? 'clusterroles' : 'roles')"
    return _validation(
        f"variables.roleRefs.size() <= {index} || authorizer.group('rbac.authorization.k8s.io').resource({resource})"
        f".namespace(request.namespace).name({role}.name).check('bind').allowed()",
        f"'spec.access.roleRefs names ' + {role}.?kind.orValue('Role') + ' ' + {role}.name"
        " + ', which you may not bind in namespace ' + request.namespace"
        " + ': take it out, or get \"bind\" on it'",
    )


def _bounds() -> Json:
    """A workload lives where its pods are looked at, and its certificate speaks for its own namespace."""
    spaces = ", ".join(f"'{name}'" for name in SYSTEM_NAMESPACES)
    inside = "variables.foreign.size() == 0"
    own = "'.' + request.namespace + '.svc'"
    return _policy(
        BOUNDS_POLICY,
        condition=("certificate-changes", _CHANGED.format(field="certificate")),
        variables=[
            ("dnsNames", "object.spec.?certificate.?dnsNames.orValue([])"),
            (
                "foreign",
                f"variables.dnsNames.filter(name, !(name.endsWith({own}) || name.endsWith({own} + '.cluster.local')))",
            ),
        ],
        validations=[
            _validation(
                f"!(request.namespace in [{spaces}])",
                "'pods in namespace ' + request.namespace + ' are never bound: create the SecureAIWorkload in another one'",
            ),
            _validation(
                inside,
                "'spec.certificate.dnsNames has ' + variables.foreign[0] + ', which is not in namespace '"
                " + request.namespace + ': use names that end in .' + request.namespace + '.svc or .' + request.namespace"
                " + '.svc.cluster.local'",
            ),
        ],
    )


def _policy(
    name: str,
    *,
    condition: tuple[str, str],
    variables: Sequence[tuple[str, str]],
    validations: Sequence[Json],
) -> Json:
    group, version = names.API_VERSION.split("/")
    rule = {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["secureaiworkloads"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name, "labels": dict(_LABELS)},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [rule]},
            "matchConditions": [{"name": condition[0], "expression": condition[1]}],
            "variables": [{"name": key, "expression": expression} for key, expression in variables],
            "validations": list(validations),
        },
    }


def _validation(expression: str, message: str) -> Json:
    return {"expression": expression, "reason": "Forbidden", "messageExpression": message}


def _bound(policy: Json) -> Json:
    name = policy["metadata"]["name"]
    return {
        "apiVersion": policy["apiVersion"],
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": dict(_LABELS)},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
