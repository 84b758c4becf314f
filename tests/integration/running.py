"""What runs pods on the lab's cluster, and a namespace in which the operator may restart it."""

from __future__ import annotations

from typing import Any

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import (
    DAEMON_SETS,
    DEPLOYMENTS,
    PODS,
    ROLE_BINDINGS,
    STATEFUL_SETS,
    Resource,
)
from tests.integration.bindings import declare
from tests.integration.crd_objects import Json
from tests.integration.installation import IN_FORCE_SECONDS, User, install, operator

ROLLED = (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS)
_RBAC = "rbac.authorization.k8s.io"


def held_namespace(lab: Lab, namespace: str) -> User:
    """A new namespace with a workload, where the operator has taken its rights; returns the operator's identity."""
    install(lab)
    lab.create_namespace(namespace)
    declare(lab, namespace)
    binding = {
        "metadata": {"name": names.NAMESPACE_SECRETS_ROLE, "namespace": namespace},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": names.NAMESPACE_SECRETS_ROLE},
        "subjects": [
            {
                "kind": "ServiceAccount",
                "name": names.OPERATOR_SERVICE_ACCOUNT,
                "namespace": names.OPERATOR_NAMESPACE,
            }
        ],
    }
    user = operator(lab)
    # Admission learns of the workload, and the authorizer of the binding, a moment later.
    lab.wait_for(
        lambda: user.apply(ROLE_BINDINGS, binding).accepted, IN_FORCE_SECONDS, "the operator's binding"
    )
    absent = DEPLOYMENTS.path(namespace, "absent")
    lab.wait_for(lambda: user("GET", absent).code == 404, IN_FORCE_SECONDS, "the binding to be effective")
    return user


def pod_spec(**spec: Any) -> Json:
    container = {"name": "main", "image": "main", "env": [{"name": "A", "value": "1"}]}
    return {"containers": [container], "terminationGracePeriodSeconds": 0, **spec}


def running(resource: Resource, app: str, **spec: Any) -> Json:
    """A Deployment, StatefulSet, DaemonSet (of one node) or ReplicaSet whose pods carry the label `app`."""
    labels = {"app": app}
    placed = {"nodeSelector": {"kubernetes.io/hostname": "plain-0"}} if resource is DAEMON_SETS else {}
    counted = {} if resource is DAEMON_SETS else {"replicas": 2}
    service = {"serviceName": app} if resource is STATEFUL_SETS else {}
    template = {"metadata": {"labels": labels, "annotations": {"note": "theirs"}}, "spec": pod_spec(**placed)}
    body = {"selector": {"matchLabels": labels}, "template": template, **counted, **service, **spec}
    return {"metadata": {"name": app, "labels": labels}, "spec": body}


def start(lab: Lab, namespace: str, resource: Resource, manifest: Json, pods: int = 2) -> Json:
    """Create it and wait until so many pods of it are there and ready; returns it as it is then."""
    made = lab.api.request("POST", resource.path(namespace), manifest)
    name = made["metadata"]["name"]
    all_ready(lab, namespace, name, pods)
    return lab.api.request("GET", resource.path(namespace, name))


def live_pods(lab: Lab, namespace: str, app: str) -> dict[str, Json]:
    """The pods of that label that are not on their way out, by uid."""
    items = lab.api.request("GET", f"{PODS.path(namespace)}?labelSelector=app%3D{app}")["items"]
    return {item["metadata"]["uid"]: item for item in items if not item["metadata"].get("deletionTimestamp")}


def ready_pods(lab: Lab, namespace: str, app: str) -> dict[str, Json]:
    return {uid: item for uid, item in live_pods(lab, namespace, app).items() if _is_ready(item)}


def _is_ready(item: Json) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def all_ready(lab: Lab, namespace: str, app: str, count: int) -> dict[str, Json]:
    """The pods of that label once so many are ready."""

    def found() -> dict[str, Json] | None:
        ready = ready_pods(lab, namespace, app)
        return ready if len(ready) == count else None

    pods = lab.wait_for(found, 30, f"{count} pods of {namespace}/{app} to be ready")
    assert pods is not None
    return pods


def all_gone(lab: Lab, namespace: str, resource: Resource, name: str) -> None:
    """Wait until it and everything below it has gone."""
    absent = f"{resource.path(namespace)}?fieldSelector=metadata.name%3D{name}"
    lab.wait_for(
        lambda: not lab.api.request("GET", absent)["items"], 30, f"{resource.kind} {namespace}/{name} to go"
    )
