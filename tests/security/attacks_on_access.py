"""Attacks on rights: more than the author holds, more than the ceiling holds, and the API server asked directly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from secureai_operator import names
from secureai_operator.api.resources import (
    CONFIG_MAPS,
    KEY_ROTATION_POLICIES,
    LEASES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SECURE_AI_WORKLOADS,
    SERVICE_ACCOUNTS,
)
from tests.integration.crd_objects import Json, policy, workload
from tests.security.arena import MERGE, SETTLED_SECONDS, Arena
from tests.security.catalogue import HARMLESS, REFUSED, Attack, add, attack

CEILING = "access beyond the ceiling"
DIRECT = "rights that only the operator has"
_RBAC = "rbac.authorization.k8s.io"


def rule(resource: str, *verbs: str, group: str = "", **more: Any) -> Json:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs or ("get",)), **more}


@dataclass(frozen=True, slots=True)
class Wish:
    """Something that a workload is declared to have, and a word of the refusal."""

    name: str
    access: Json
    says: str


def rules(*wanted: Json) -> Json:
    return {"rules": list(wanted)}


def refs(name: str, kind: str = "ClusterRole") -> Json:
    return {"roleRefs": [{"kind": kind, "name": name}]}


WISHES = (
    Wish("all Secrets", rules(rule("secrets", "get", "list")), "remove secrets"),
    Wish("Secrets in the midst of others", rules(rule("configmaps"), rule("services"), rule("secrets")), "remove secrets"),
    Wish("a wildcard for verbs", rules(rule("configmaps", "*")), "wildcards are not allowed"),
    Wish("a wildcard for resources", rules(rule("*")), "wildcards are not allowed"),
    Wish("a wildcard for groups", rules(rule("configmaps", group="*")), "wildcards are not allowed"),
    Wish("a wildcard for subresources", rules(rule("*/status")), "wildcards are not allowed"),
    Wish("escalate", rules(rule("roles", "escalate", group=_RBAC)), "escalate, bind, impersonate"),
    Wish("bind", rules(rule("clusterroles", "bind", group=_RBAC)), "escalate, bind, impersonate"),
    Wish("impersonate", rules(rule("users", "impersonate")), "escalate, bind, impersonate"),
    Wish("writing roles", rules(rule("rolebindings", "create", group=_RBAC)), "rights on rights"),
    Wish("a shell in other pods", rules(rule("pods/exec", "create")), "pods/exec"),
    Wish("debugging other pods", rules(rule("pods/ephemeralcontainers", "patch")), "pods/ephemeralcontainers"),
    Wish("tokens of other accounts", rules(rule("serviceaccounts/token", "create")), "serviceaccounts/token"),
    Wish("the nodes' kubelets", rules(rule("nodes/proxy")), "nodes/proxy"),
    Wish("a URL that is no resource", rules({"nonResourceURLs": ["/metrics"], "verbs": ["get"]}), "nonResourceURLs"),
    Wish("its own status", rules(rule("secureaiworkloads/status", "patch", group=names.GROUP)), "only get, list and watch"),
    Wish("approving certificates", rules(rule("signers", "approve", group="certificates.k8s.io")), "may not do yourself"),
    Wish("cluster-scoped objects", rules(rule("nodes")), "may not do yourself"),
    Wish("admission policies",
         rules(rule("validatingadmissionpolicies", "delete", group="admissionregistration.k8s.io")), "may not do yourself"),
    Wish("creating pods", rules(rule("pods", "create")), "may not do yourself"),
    Wish("what the ceiling holds and the author does not", rules(rule("configmaps")), "may not do yourself"),
    Wish("cluster-admin", refs("cluster-admin"), "name a role that holds what it uses"),
    Wish("a role of the system", refs("system:node"), "name a role that holds what it uses"),
    Wish("the operator's own role", refs("secureai-operator"), "you may not bind"),
    Wish("the operator's role for Secrets", refs(names.NAMESPACE_SECRETS_ROLE), "you may not bind"),
    Wish("the ceiling itself", refs(names.GRANT_CEILING), "you may not bind"),
    Wish("a role of the own namespace", refs("tenant", "Role"), "you may not bind"),
    Wish("a role that is not there yet", refs("made-later", "Role"), "you may not bind"),
)  # fmt: skip


def _wished(wish: Wish, arena: Arena) -> None:
    spec = {"access": wish.access}
    arena.is_refused(spec, wish.says)
    # By a change, and by apply: other ways to the same.
    name = arena.declared({})
    assert not arena.tenant.merge(name, {"spec": spec}).accepted
    where = f"{SECURE_AI_WORKLOADS.path(arena.namespace, name)}?fieldManager=evil&force=true"
    applied = arena.tenant("PATCH", where, workload(spec, name), "application/apply-patch+yaml")
    assert not applied.accepted
    assert not any(item["kind"] in {"Role", "RoleBinding"} for item in arena.objects(name))


for _wish in WISHES:
    add(
        Attack(
            f"access to {_wish.name}" if "cluster-admin" not in _wish.name else "the role cluster-admin",
            CEILING,
            f"`spec.access` with {_wish.name}: on creation, by a merge patch, and by server-side apply",
            REFUSED,
            "all three are refused, and the workload has no Role and no RoleBinding",
            partial(_wished, _wish),
        )
    )


@attack(
    "access beyond the ceiling by a mightier author",
    CEILING,
    "the cluster's administrator, who holds everything, declares a right that the platform's ceiling does not hold",
    HARMLESS,
    "the CR is there, AccessGranted is False with BeyondCeiling, and there is no Role",
)
def beyond_ceiling(arena: Arena) -> None:
    name = arena.name()
    wish = {"access": rules(rule("persistentvolumeclaims"))}
    assert arena.administrator.create(workload(wish, name)).accepted
    arena.workloads.wait_condition(
        arena.namespace, name, "AccessGranted", "False", "BeyondCeiling", SETTLED_SECONDS
    )
    assert not any(item["kind"] in {"Role", "RoleBinding"} for item in arena.objects(name))
    arena.clear()


@attack(
    "more rights for a mightier author's workload",
    CEILING,
    "the administrator has given a workload a right; the tenant changes the workload so that it has one more",
    REFUSED,
    "refused for the right that the tenant does not hold; the Role is as it was",
)
def one_more_right(arena: Arena) -> None:
    name = arena.name()
    given = rule("configmaps", resourceNames=["a"])
    assert arena.administrator.create(workload({"access": rules(given)}, name)).accepted
    arena.workloads.wait_ready(arena.namespace, name, SETTLED_SECONDS)
    answer = arena.tenant.merge(name, {"spec": {"access": rules(given, rule("configmaps"))}})
    assert "may not do yourself" in answer.causes[0].message
    (role,) = (item for item in arena.objects(name) if item["kind"] == "Role")
    assert role["rules"] == [given]
    arena.clear()


# The API server, asked directly.


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the tenant's own; NAMESPACE and VICTIM stand for the two namespaces."""

    name: str
    method: str
    where: str
    body: Json | None = None
    content_type: str = "application/json"


_OWN, _THEIRS, _SYSTEM = "tenant-ns", "victim-ns", names.OPERATOR_NAMESPACE
_LABELLED: Json = {"metadata": {"labels": {"a": "b"}}}

REQUESTS = (
    Request("reads Secrets of its own namespace", "GET", SECRETS.path(_OWN)),
    Request("reads the victim's keys", "GET", SECRETS.path(_THEIRS, "saw-llm-keys")),
    Request("reads all Secrets", "GET", SECRETS.path(None)),
    Request("lists the victim's workloads", "GET", SECURE_AI_WORKLOADS.path(_THEIRS)),
    Request("lists all workloads", "GET", SECURE_AI_WORKLOADS.path(None)),
    Request("watches all policies", "GET", f"{KEY_ROTATION_POLICIES.path(None)}?watch=true"),
    Request("changes the victim's workload", "PATCH", SECURE_AI_WORKLOADS.path(_THEIRS, "llm"), _LABELLED, MERGE),
    Request("deletes the victim's workload", "DELETE", SECURE_AI_WORKLOADS.path(_THEIRS, "llm")),
    Request("deletes all of the victim's workloads", "DELETE", SECURE_AI_WORKLOADS.path(_THEIRS)),
    Request("makes a policy in the operator's namespace", "POST", KEY_ROTATION_POLICIES.path(_SYSTEM),
            policy({"selector": {}, "namespaceSelector": {}, "schedule": {"interval": "2h"}})),
    Request("asks for a workload's token", "POST", SERVICE_ACCOUNTS.path(_OWN, "saw-llm", "token"), {"spec": {"audiences": ["vault://main/a/llm"]}}),
    Request("asks for the operator's token", "POST",
            SERVICE_ACCOUNTS.path(_SYSTEM, names.OPERATOR_SERVICE_ACCOUNT, "token"), {"spec": {"audiences": ["vault"]}}),
    Request("makes a pod", "POST", PODS.path(_OWN), {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "a"}]}}),
    Request("labels a pod for quarantine", "PATCH", PODS.path(_THEIRS, "p"),
            {"metadata": {"labels": {names.QUARANTINE_LABEL: "true"}}}, MERGE),
    Request("evicts a pod", "POST", PODS.path(_THEIRS, "p", "eviction"), {"metadata": {"name": "p"}}),
    Request("gives itself a role", "POST", ROLE_BINDINGS.path(_OWN),
            {"metadata": {"name": "more"}, "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "admin"}}),
    Request("widens its role", "PATCH", ROLES.path(_OWN, "tenant"), {"rules": []}, MERGE),
    Request("labels a node as confidential", "PATCH", "/api/v1/nodes/plain-0",
            {"metadata": {"labels": {"intel.feature.node.kubernetes.io/tdx": "true"}}}, MERGE),
    Request("takes an admission policy away", "DELETE",
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/secureai-workload-authors"),
    Request("changes the schema", "PATCH",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/secureaiworkloads.secureai.dev", _LABELLED, MERGE),
    Request("raises the ceiling", "PATCH", f"/apis/{_RBAC}/v1/clusterroles/{names.GRANT_CEILING}", {"rules": []}, MERGE),
    Request("takes the operator's Lease", "DELETE", LEASES.path(_SYSTEM, names.FIELD_MANAGER)),
    Request("forges the report of orphans", "PATCH", CONFIG_MAPS.path(_SYSTEM, "secureai-orphans"), {"data": {"a": "b"}}, MERGE),
    Request("reads the operator's configuration", "GET", CONFIG_MAPS.path(_SYSTEM, "secureai-operator")),
    Request("takes the label off its namespace", "PATCH", f"/api/v1/namespaces/{_OWN}", _LABELLED, MERGE),
)  # fmt: skip


def _requested(request: Request, arena: Arena) -> None:
    where = request.where.replace(_OWN, arena.namespace).replace(_THEIRS, arena.victim)
    arena.is_forbidden(request.method, where, request.body, request.content_type)


for _request in REQUESTS:
    add(
        Attack(
            f"the tenant {_request.name}",
            DIRECT,
            f"`{_request.method} {_request.where}`",
            REFUSED,
            "403: the rights on the two kinds bring no other with them",
            partial(_requested, _request),
        )
    )


@attack(
    "the tenant impersonates the operator",
    DIRECT,
    "`Impersonate-User` with the operator's ServiceAccount, and with the group `system:masters`",
    REFUSED,
    "403, and the audit log has no request of the operator's from there",
)
def impersonation(arena: Arena) -> None:
    who = f"system:serviceaccount:{names.OPERATOR_NAMESPACE}:{names.OPERATOR_SERVICE_ACCOUNT}"
    for headers in (
        {"Impersonate-User": who},
        {"Impersonate-User": "a", "Impersonate-Group": "system:masters"},
    ):
        answer = arena.tenant("GET", SECURE_AI_WORKLOADS.path(arena.victim), headers=headers)
        assert answer.code == 403
