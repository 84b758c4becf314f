"""The preflight's look at the operator's rights: all that it uses, and none of those that it must not have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from secureai_operator import names
from secureai_operator.api.resources import (
    CLUSTER_ROLES,
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    EVENTS,
    KEY_ROTATION_POLICIES,
    LEASES,
    MUTATING_ADMISSION_POLICIES,
    NAMESPACES,
    NETWORK_POLICIES,
    NODES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    RUNTIME_CLASSES,
    SECRETS,
    SECURE_AI_WORKLOADS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SERVICE_ACCOUNTS,
    STATEFUL_SETS,
    SUBJECT_ACCESS_REVIEWS,
    Resource,
)
from secureai_operator.cli.check_item import Item, Verdict
from secureai_operator.clients.kube_user import KubeUser

OPERATOR = f"system:serviceaccount:{names.OPERATOR_NAMESPACE}:{names.OPERATOR_SERVICE_ACCOUNT}"
SELF = "self"
_SHOWN = 4


@dataclass(frozen=True)
class Right:
    """A verb on a kind; `namespace` "" is cluster-wide."""

    resource: Resource
    verb: str
    name: str = ""
    subresource: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        sub = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {self.resource.plural}{sub}{f' {self.name}' if self.name else ''}{place}"


def _rights(
    resource: Resource, *verbs: str, name: str = "", subresource: str = "", namespace: str = ""
) -> list[Right]:
    return [Right(resource, verb, name, subresource, namespace) for verb in verbs]


_WHOLE = ("get", "list", "watch", "create", "patch", "delete")
_HOME = names.OPERATOR_NAMESPACE

NEEDED: tuple[Right, ...] = (
    *_rights(SECURE_AI_WORKLOADS, "get", "list", "watch", "patch"),
    *_rights(SECURE_AI_WORKLOADS, "patch", subresource="status"),
    *_rights(KEY_ROTATION_POLICIES, "list", "watch"),
    *_rights(KEY_ROTATION_POLICIES, "patch", subresource="status"),
    *_rights(SERVICE_ACCOUNTS, *_WHOLE),
    *_rights(ROLES, *_WHOLE),
    *_rights(ROLE_BINDINGS, *_WHOLE),
    *_rights(NETWORK_POLICIES, *_WHOLE),
    *_rights(CLUSTER_ROLES, "bind", name=names.NAMESPACE_SECRETS_ROLE),
    *_rights(CLUSTER_ROLES, "get"),
    *_rights(PODS, "list", "watch"),
    *_rights(PODS, "create", subresource="eviction"),
    *_rights(NODES, "list", "watch"),
    *_rights(RUNTIME_CLASSES, "list", "watch"),
    *_rights(NAMESPACES, "get", "list", "watch"),
    *_rights(EVENTS, "create"),
    *_rights(MUTATING_ADMISSION_POLICIES, "get", name="secureai-bind-pods"),
    *_rights(LEASES, "create", namespace=_HOME),
    *_rights(LEASES, "get", "update", name=names.OPERATOR_SERVICE_ACCOUNT, namespace=_HOME),
    *_rights(CONFIG_MAPS, "create", namespace=_HOME),
    *_rights(CONFIG_MAPS, "get", "patch", name="secureai-orphans", namespace=_HOME),
)
"""What manifests/base grants; a test compares the two."""

FORBIDDEN: tuple[Right, ...] = (
    *_rights(SECRETS, "get", "list", "watch"),
    *_rights(CLUSTER_ROLES, "escalate", "bind", "create", "patch", "update"),
    *_rights(ROLES, "escalate", "bind"),
    *_rights(SERVICE_ACCOUNTS, "impersonate"),
    *_rights(SERVICE_ACCOUNTS, "create", subresource="token"),
    *_rights(PODS, "create"),
    *_rights(PODS, "create", subresource="exec"),
    *_rights(DEPLOYMENTS, "create", "update", "patch"),
    *_rights(STATEFUL_SETS, "create", "update", "patch"),
    *_rights(DAEMON_SETS, "create", "update", "patch"),
)
"""With any of these the operator could take over the cluster."""


def rights(kube: KubeUser, subject: str | None) -> Iterator[Item]:
    user = subject or OPERATOR
    missing = [right for right in NEEDED if not allowed(kube, user, right)]
    if missing:
        shown = [
            *map(str, missing[:_SHOWN]),
            *([f"{len(missing) - _SHOWN} more"] if missing[_SHOWN:] else []),
        ]
        step = "kubectl apply --server-side -k manifests/base"
        yield Item("rights", "all that it needs", Verdict.FAIL, f"{user} may not {', '.join(shown)}", step)
    else:
        yield Item("rights", "all that it needs", Verdict.OK, f"{len(NEEDED)} rights of {user}")
    excess = [right for right in FORBIDDEN if allowed(kube, user, right)]
    if excess:
        text = f"{user} may {', '.join(map(str, excess))}"
        yield Item("rights", "nothing dangerous", Verdict.WARN, text, "look for other bindings of it")
    else:
        yield Item(
            "rights",
            "nothing dangerous",
            Verdict.OK,
            f"none of {len(FORBIDDEN)} rights that it must not have",
        )


def allowed(kube: KubeUser, user: str, right: Right) -> bool:
    """The API server's own answer, for another user by SubjectAccessReview, for oneself without any right."""
    attributes = {
        "group": right.resource.group,
        "version": right.resource.version,
        "resource": right.resource.plural,
        "subresource": right.subresource,
        "verb": right.verb,
        "name": right.name,
        "namespace": right.namespace,
    }
    spec: dict[str, object] = {
        "resourceAttributes": {key: value for key, value in attributes.items() if value}
    }
    res = SELF_SUBJECT_ACCESS_REVIEWS
    if user != SELF:
        res = SUBJECT_ACCESS_REVIEWS
        spec |= {"user": user, "groups": groups(user)}
    review = {"apiVersion": res.api_version, "kind": res.kind, "spec": spec}
    return bool((kube.create(res, None, review).get("status") or {}).get("allowed"))


def groups(user: str) -> list[str]:
    """The groups that the API server itself gives a user of that name."""
    parts = user.split(":")
    if parts[:2] != ["system", "serviceaccount"] or len(parts) != 4:  # noqa: PLR2004
        return ["system:authenticated"]
    return ["system:serviceaccounts", f"system:serviceaccounts:{parts[2]}", "system:authenticated"]
