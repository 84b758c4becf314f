"""Nobody gets more than they hold: authors by admission, the operator by RBAC's own escalation check and its scope."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import (
    CLUSTER_ROLES,
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SECURE_AI_WORKLOADS,
    SERVICE_ACCOUNTS,
    Resource,
)
from tests.integration.bindings import declare
from tests.integration.crd_objects import Json, create, path, workload
from tests.integration.installation import User, author, install, operator, refusal

pytestmark = pytest.mark.integration

_RBAC = "rbac.authorization.k8s.io"
HELD = {
    "apiGroups": [""],
    "resources": ["configmaps", "services", "pods/log"],
    "verbs": ["get", "list", "watch"],
}
ONE_HELD = {"apiGroups": [""], "resources": ["leases"], "resourceNames": ["mine"], "verbs": ["get"]}
BIND_ONE = {"apiGroups": [_RBAC], "resources": ["roles"], "resourceNames": ["reader"], "verbs": ["bind"]}


@pytest.fixture(scope="module", autouse=True)
def _installed(lab: Lab) -> None:
    install(lab)


@pytest.fixture(scope="module")
def team(lab: Lab) -> tuple[str, User]:
    """A namespace, and somebody in it who writes workloads and holds little."""
    lab.create_namespace("ceiling-team")
    user = author(lab, "ceiling-team", "author", HELD, ONE_HELD, BIND_ONE)
    # Each policy comes into force in its own time.
    for spec in (access(rule("secrets-of-others")), access(refs=({"name": "not-to-be-bound"},))):
        lab.wait_for(partial(_is_refused, user, spec), 30, "the policies to be in force")
    return "ceiling-team", user


def _is_refused(user: User, spec: Json) -> bool:
    return not declared(user, "ceiling-team", spec).accepted


def rule(resource: str = "configmaps", *verbs: str, names: tuple[str, ...] = (), group: str = "") -> Json:
    optional = {"resourceNames": list(names)} if names else {}
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs or ("get",)), **optional}


def access(*rules: Json, refs: tuple[Json, ...] = ()) -> Json:
    return {"access": {"rules": list(rules), "roleRefs": list(refs)}}


def declared(user: User, namespace: str, spec: Json, name: str = "asked") -> Any:
    manifest = workload(spec, name)
    return user("POST", f"{path(namespace, manifest)}?dryRun=All", manifest)


# Authors.


@pytest.mark.parametrize(
    "spec",
    [
        access(),
        access(rule("configmaps", "get", "list", "watch")),
        access(rule("pods/log")),
        access(rule("leases", names=("mine",))),
        access(refs=({"name": "reader"},)),
        access(rule("configmaps", "get", "list", "watch", names=tuple("abcdefgh"))),
    ],
    ids=["nothing", "held", "subresource", "one-name", "role-by-bind", "all-24-combinations"],
)
def test_an_author_declares_what_they_hold(team: tuple[str, User], spec: Json) -> None:
    namespace, user = team
    found = declared(user, namespace, spec)
    assert found.accepted, found.causes


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (access(rule("leases")), '"get" on leases, which you may not do yourself'),
        (access(rule("leases", names=("mine", "yours"))), '"get" on leases "yours"'),
        (access(rule("pods/status", "patch")), '"patch" on pods/status'),
        (access(rule("configmaps", "get", "delete")), '"delete" on configmaps'),
        (access(rule("deployments", group="apps")), '"get" on deployments.apps'),
        (access(rule("pods")), '"get" on pods,'),
        (access(rule(), rule("services"), rule("leases")), '"get" on leases'),
        (access(refs=({"name": "writer"},)), "names Role writer, which you may not bind"),
        (access(refs=({"name": "reader"}, {"name": "writer"})), "names Role writer"),
        (access(refs=({"kind": "ClusterRole", "name": "reader"},)), "names ClusterRole reader"),
    ],
    ids=[
        "not-held",
        "another-name",
        "another-subresource",
        "another-verb",
        "another-group",
        "resource-of-a-held-subresource",
        "the-last-rule",
        "role-without-bind",
        "the-last-role",
        "cluster-role-of-the-same-name",
    ],
)
def test_an_author_declares_nothing_that_they_do_not_hold(
    team: tuple[str, User], spec: Json, said: str
) -> None:
    namespace, user = team
    assert said in refusal(declared(user, namespace, spec))


def test_the_last_of_24_combinations_is_asked_about_as_well(team: tuple[str, User]) -> None:
    namespace, user = team
    many = [
        rule("configmaps", "get", names=tuple("abcdefgh")),
        rule("services", "get", names=tuple("abcdefgh")),
    ]
    last = [rule("configmaps", "list", names=tuple("abcdefg")), rule("leases", names=("yours",))]
    assert 'on leases "yours"' in refusal(declared(user, namespace, access(*many, *last)))


def test_others_may_change_what_is_not_access(lab: Lab, team: tuple[str, User]) -> None:
    """The operator's finalizer, a label by a pipeline: no patch is held to what the author held once."""
    namespace, user = team
    manifest = workload({"suspend": True, **access(rule("leases"))}, "powerful")
    assert create(lab, namespace, manifest).accepted
    where = path(namespace, manifest, named=True)
    kind = "application/merge-patch+json"
    assert user("PATCH", where, {"metadata": {"labels": {"a": "b"}}}, kind).accepted
    assert user("PATCH", where, {"spec": {"network": {"dns": False}}}, kind).accepted
    assert "may not do yourself" in refusal(
        user("PATCH", where, {"spec": access(rule(), rule("leases"))}, kind)
    )
    assert user("PATCH", where, {"spec": access(rule())}, kind).accepted


@pytest.mark.parametrize(
    "name",
    [
        "llm.other.svc",
        "ceiling-team.svc",
        "llm.ceiling-team.svc.example.org",
        "llm-ceiling-team.svc",
        "example.org",
    ],
)
def test_a_certificate_speaks_for_its_own_namespace(team: tuple[str, User], name: str) -> None:
    namespace, user = team
    spec = {"certificate": {"dnsNames": ["llm.ceiling-team.svc", name]}}
    said = refusal(declared(user, namespace, spec))
    assert name in said
    # What is no name inside any namespace is refused by the schema, which does not know the namespace.
    assert "use names that end in .ceiling-team.svc" in said or "inside the workload's own namespace" in said


def test_a_certificate_may_have_all_names_of_its_namespace(team: tuple[str, User]) -> None:
    namespace, user = team
    own = ["llm.ceiling-team.svc", "pod-0.llm.ceiling-team.svc.cluster.local"]
    assert declared(user, namespace, {"certificate": {"dnsNames": own}}).accepted


# The operator itself.


@dataclass(frozen=True)
class Held:
    """A namespace with a workload, and the operator's identity with its rights on Secrets there."""

    namespace: str
    user: User
    uid: str


def owned(held: Held, name: str, workload_name: str = "llm", namespace: str = "", **content: Any) -> Json:
    """An object as the operator writes it."""
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": "SecureAIWorkload",
        "name": workload_name,
        "uid": held.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.WORKLOAD_LABEL: workload_name}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace or held.namespace,
            "labels": labels,
            "ownerReferences": [owner],
        },
        **content,
    }


def role_binding(
    held: Held, called: str, role: str = "saw-llm", kind: str = "Role", subject: Json | None = None
) -> Json:
    to = {"kind": "ServiceAccount", "name": "saw-llm", "namespace": held.namespace, **(subject or {})}
    reference = {"apiGroup": _RBAC, "kind": kind, "name": role}
    binding = owned(held, called, roleRef=reference, subjects=[to])
    if not called.endswith("-rules"):
        binding["metadata"]["labels"][names.ROLE_REF_LABEL] = "true"
    return binding


def secrets_binding(namespace: str, subject: Json | None = None) -> Json:
    to = {
        "kind": "ServiceAccount",
        "name": names.OPERATOR_SERVICE_ACCOUNT,
        "namespace": names.OPERATOR_NAMESPACE,
        **(subject or {}),
    }
    return {
        "metadata": {"name": names.NAMESPACE_SECRETS_ROLE, "namespace": namespace},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": names.NAMESPACE_SECRETS_ROLE},
        "subjects": [to],
    }


@pytest.fixture(scope="module")
def held(lab: Lab) -> Held:
    lab.create_namespace("ceiling-held")
    manifest = declare(lab, "ceiling-held")
    uid = lab.api.request("GET", path("ceiling-held", manifest, named=True))["metadata"]["uid"]
    user = operator(lab)
    binding = secrets_binding("ceiling-held")
    # Admission learns of the workload a moment after it was created.
    lab.wait_for(lambda: user.apply(ROLE_BINDINGS, binding).accepted, 30, "the operator's right on Secrets")
    where = SECRETS.path("ceiling-held")
    lab.wait_for(lambda: user("GET", where).accepted, 30, "the right on Secrets to be effective")
    return Held("ceiling-held", user, uid)


@pytest.mark.parametrize(
    "rules",
    [
        [rule("persistentvolumeclaims")],
        [rule("configmaps", "get", "delete")],
        [rule("pods/exec", "create")],
        [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
        [rule("clusterroles", "bind", group=_RBAC)],
    ],
    ids=["a-resource-more", "a-verb-more", "exec", "everything", "bind"],
)
def test_the_operator_cannot_grant_beyond_the_ceiling(held: Held, rules: list[Json]) -> None:
    user = held.user
    said = refusal(user.apply(ROLES, owned(held, "saw-llm", rules=rules)))
    assert "attempting to grant RBAC permissions not currently held" in said


def test_the_operator_grants_what_is_within_the_ceiling(held: Held) -> None:
    user = held.user
    rules = [
        rule("configmaps", "get", names=("llm-config",)),
        rule("endpointslices", group="discovery.k8s.io"),
    ]
    assert user.apply(ROLES, owned(held, "saw-llm", rules=rules)).accepted
    assert user.apply(ROLE_BINDINGS, role_binding(held, "saw-llm-rules")).accepted


OWN_RIGHTS = {
    "secrets": rule("secrets"),
    "status-of-workloads": rule("secureaiworkloads/status", "patch", group=names.GROUP),
    "network-policies": rule("networkpolicies", "delete", group="networking.k8s.io"),
    "accounts": rule("serviceaccounts", "create"),
    "bindings": rule("rolebindings", "create", group=_RBAC),
    "the-secrets-role": rule("clusterroles", "bind", names=(names.NAMESPACE_SECRETS_ROLE,), group=_RBAC),
    "evictions": rule("pods/eviction", "create"),
    "restarts": rule("deployments", "patch", group="apps"),
}


@pytest.mark.parametrize("which", OWN_RIGHTS)
def test_the_operators_own_rights_are_not_passed_on(lab: Lab, held: Held, which: str) -> None:
    """RBAC's escalation check alone would let them pass: the operator holds them."""
    rules = [rule("configmaps"), OWN_RIGHTS[which]]
    said = refusal(held.user.apply(ROLES, owned(held, "saw-llm", rules=rules)))
    assert f"is beyond the ClusterRole {names.GRANT_CEILING}" in said
    role = {"metadata": {"name": f"own-{which}"}, "rules": rules}
    lab.api.request("POST", ROLES.path(held.namespace), role)
    lab.api.request("POST", CLUSTER_ROLES.path(None), role)
    try:
        for kind in ("Role", "ClusterRole"):
            binding = role_binding(held, "saw-llm-ref0", f"own-{which}", kind)
            assert "the operator binds no role that gives rights on" in refusal(
                held.user.apply(ROLE_BINDINGS, binding)
            )
    finally:
        lab.api.request("DELETE", CLUSTER_ROLES.path(None, f"own-{which}"))


def test_a_ceiling_by_name_is_kept_by_name(lab: Lab, held: Held) -> None:
    where = CLUSTER_ROLES.path(None, names.GRANT_CEILING)
    before = lab.api.request("GET", where)["rules"]
    named = rule("persistentvolumeclaims", names=("shared",))
    kind = "application/merge-patch+json"
    lab.api.request("PATCH", where, {"rules": [*before, named]}, kind)

    def granted(one: Json) -> bool:
        return bool(held.user.apply(ROLES, owned(held, "saw-llm", rules=[one])).accepted)

    try:
        lab.wait_for(lambda: granted(named), 30, "the ceiling to be known")
        assert not granted(rule("persistentvolumeclaims", names=("other",)))
        assert not granted(rule("persistentvolumeclaims"))
    finally:
        lab.api.request("PATCH", where, {"rules": before}, kind)


def test_a_binding_by_reference_cannot_hide_from_the_policy_that_looks_at_its_role(
    lab: Lab, held: Held
) -> None:
    role = {"metadata": {"name": "reader"}, "rules": [rule("configmaps")]}
    lab.api.request("POST", ROLES.path(held.namespace), role)
    binding = role_binding(held, "saw-llm-ref0", "reader")
    del binding["metadata"]["labels"][names.ROLE_REF_LABEL]
    assert "labels every binding to a role" in refusal(held.user.apply(ROLE_BINDINGS, binding))
    # Of another test: a RoleBinding's role cannot be changed.
    held.user("DELETE", ROLE_BINDINGS.path(held.namespace, "saw-llm-rules"))
    binding = role_binding(held, "saw-llm-rules", "reader")
    assert "labels every binding to a role" in refusal(held.user.apply(ROLE_BINDINGS, binding))


def test_a_role_beyond_the_ceiling_is_not_bound_by_reference(lab: Lab, held: Held) -> None:
    user = held.user
    role = {"metadata": {"name": "writer"}, "rules": [rule("configmaps", "update")]}
    lab.api.request("POST", ROLES.path(held.namespace), role)
    said = refusal(user.apply(ROLE_BINDINGS, role_binding(held, "saw-llm-ref0", "writer")))
    assert "attempting to grant RBAC permissions not currently held" in said
    for cluster_role in ("admin", "cluster-admin", "edit", "secureai-operator"):
        binding = role_binding(held, "saw-llm-ref1", cluster_role, "ClusterRole")
        assert not user.apply(ROLE_BINDINGS, binding).accepted, cluster_role


def test_rights_on_secrets_are_taken_only_where_a_workload_is(lab: Lab, namespace: str) -> None:
    user = operator(lab)
    assert not user.apply(ROLE_BINDINGS, secrets_binding(namespace)).accepted
    assert not user.apply(ROLE_BINDINGS, secrets_binding("kube-system")).accepted
    assert not user("GET", SECRETS.path(namespace)).accepted
    assert not user("GET", SECRETS.path(None)).accepted


def test_rights_on_secrets_are_given_to_nobody_else(held: Held) -> None:
    user = held.user
    for subject in ({"name": "saw-llm", "namespace": held.namespace}, {"name": "default"}):
        assert "to nobody else" in refusal(
            user.apply(ROLE_BINDINGS, secrets_binding(held.namespace, subject))
        )
    role = names.NAMESPACE_SECRETS_ROLE
    other = role_binding(held, "saw-llm-ref2", role, "ClusterRole")
    assert not user.apply(ROLE_BINDINGS, other).accepted


_TOKEN = {"type": "kubernetes.io/service-account-token"}
_NO_AUTOMOUNT: dict[str, Any] = {"automountServiceAccountToken": False}
_SELECTOR = {"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Ingress"]}


@pytest.mark.parametrize(
    ("resource", "name", "content"),
    [
        (SERVICE_ACCOUNTS, "saw-llm", _NO_AUTOMOUNT),
        (SECRETS, "saw-llm-keys", {"type": "Opaque"}),
        (NETWORK_POLICIES, "saw-llm-allow", {"spec": _SELECTOR}),
        (NETWORK_POLICIES, "saw-llm-quarantine", {"spec": _SELECTOR}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_operator_writes_what_a_workload_owns(
    held: Held, resource: Resource, name: str, content: Json
) -> None:
    user = held.user
    found = user.apply(resource, owned(held, name, **content))
    assert found.accepted, found.causes


@pytest.mark.parametrize(
    ("resource", "name", "content", "said"),
    [
        (SERVICE_ACCOUNTS, "default", _NO_AUTOMOUNT, "the name of their workload"),
        (SERVICE_ACCOUNTS, "saw-other", _NO_AUTOMOUNT, "the name of their workload"),
        (SERVICE_ACCOUNTS, "saw-llm", {"automountServiceAccountToken": True}, "without automounted tokens"),
        (SECRETS, "saw-llm-tls", _TOKEN, "type Opaque and kubernetes.io/tls only"),
        (SECRETS, "saw-llm-more", {"type": "Opaque"}, "the name of their workload"),
        (NETWORK_POLICIES, "saw-llm-allow", {"spec": {"podSelector": {}}}, "select pods by label"),
        (NETWORK_POLICIES, "allow-all", {"spec": _SELECTOR}, "the name of their workload"),
        (ROLES, "admin", {"rules": []}, "the name of their workload"),
    ],
    ids=[
        "another-account",
        "another-workload's-account",
        "automount",
        "token-secret",
        "another-secret",
        "all-pods",
        "another-policy",
        "another-role",
    ],
)
def test_the_operator_writes_nothing_else(
    held: Held, resource: Resource, name: str, content: Json, said: str
) -> None:
    user = held.user
    extra = {"metadata": {"annotations": {"kubernetes.io/service-account.name": "default"}}}
    manifest = owned(held, name, **content)
    if content is _TOKEN:
        manifest["metadata"].update(extra["metadata"])
    assert said in refusal(user.apply(resource, manifest))


def test_the_operator_binds_nobody_but_the_workload(held: Held) -> None:
    user = held.user
    assert user.apply(ROLES, owned(held, "saw-llm", rules=[rule()])).accepted
    for subject in ({"name": "default"}, {"namespace": "kube-system"}):
        binding = role_binding(held, "saw-llm-ref3", subject=subject)
        assert "and to nobody else" in refusal(user.apply(ROLE_BINDINGS, binding))


def test_the_operator_writes_nothing_without_label_and_owner(held: Held) -> None:
    user = held.user
    for part in ("labels", "ownerReferences"):
        manifest = owned(held, "saw-stray", "stray", **_NO_AUTOMOUNT)
        del manifest["metadata"][part]
        assert "the operator writes only objects" in refusal(user.apply(SERVICE_ACCOUNTS, manifest))


def test_the_operator_writes_nothing_into_the_systems_namespaces(held: Held) -> None:
    user = held.user
    for namespace in ("kube-system", names.OPERATOR_NAMESPACE):
        manifest = owned(held, "saw-llm", namespace=namespace, **_NO_AUTOMOUNT)
        assert "namespaces of the system" in refusal(user.apply(SERVICE_ACCOUNTS, manifest))


def test_the_operator_deletes_nothing_that_is_not_its_own(lab: Lab, held: Held) -> None:
    user = held.user
    lab.api.request("POST", SECRETS.path(held.namespace), {"metadata": {"name": "theirs"}})
    said = refusal(user("DELETE", SECRETS.path(held.namespace, "theirs")))
    assert "names begin with saw-" in said


def test_the_operator_does_not_write_a_spec(held: Held) -> None:
    user = held.user
    where = SECURE_AI_WORKLOADS.path(held.namespace, "llm")
    kind = "application/merge-patch+json"
    assert "does not write the spec" in refusal(
        user("PATCH", where, {"spec": {"enforcement": "Audit"}}, kind)
    )
    assert user("PATCH", where, {"metadata": {"annotations": {"a": "b"}}}, kind).accepted
