"""Workloads with a binding in their status, as the operator would write it, without an operator."""

from __future__ import annotations

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import SERVICE_ACCOUNTS
from secureai_operator.api.workload_status import BindingStatus
from tests.integration.crd_objects import Json, create, merge, path, workload
from tests.integration.installation import IN_FORCE_SECONDS, pod, post

# An operator that another test runs must not answer for these.
SUSPENDED = {"suspend": True}


def binding(name: str = "llm", namespace: str = "team-a", **fields: object) -> BindingStatus:
    return BindingStatus(
        ready=True,
        pod_labels={names.WORKLOAD_LABEL: name},
        service_account_name=names.service_account(name),
        audience=names.audience("main", namespace, name),
    ).model_copy(update=fields)


def declare(lab: Lab, namespace: str, spec: Json | None = None, name: str = "llm") -> Json:
    """A SecureAIWorkload with its ServiceAccount, and no answer of the operator's yet."""
    manifest = workload({**SUSPENDED, **(spec or {})}, name)
    assert create(lab, namespace, manifest).accepted
    account = {"metadata": {"name": names.service_account(name)}, "automountServiceAccountToken": False}
    lab.api.request("POST", SERVICE_ACCOUNTS.path(namespace), account)
    return manifest


def set_binding(lab: Lab, namespace: str, status: BindingStatus, name: str = "llm") -> None:
    """Replace the binding, and wait until admission has learned of it."""
    manifest = workload({}, name)
    value = status.model_dump(mode="json", by_alias=True)
    for part in (None, value):
        answer = merge(
            lab, namespace, manifest, {"status": {"observedGeneration": 1, "binding": part}}, status=True
        )
        assert answer.accepted, answer.causes
    where = path(namespace, manifest, named=True)
    assert lab.api.request("GET", where)["status"]["binding"] == value
    lab.wait_for(
        lambda: _is_seen(lab, namespace, status, name), IN_FORCE_SECONDS, "admission to know the binding"
    )


def _is_seen(lab: Lab, namespace: str, status: BindingStatus, name: str) -> bool:
    """By what a pod gets that carries all the labels: the audience is part of it and no test's binding repeats."""
    labels = {**status.pod_labels, names.WORKLOAD_LABEL: name}
    found = post(lab, namespace, pod(labels), dry_run=True)
    if not status.enforce:
        return found.accepted and "secureai.dev/enforcement" in found.body["metadata"].get("annotations", {})
    if not status.ready:
        return not found.accepted and "not ready to bind" in found.causes[0].message
    if not found.accepted:
        return False
    volumes = {volume["name"]: volume for volume in found.body["spec"]["volumes"]}
    (source,) = volumes["secureai-identity"]["projected"]["sources"]
    token: dict[str, object] = source["serviceAccountToken"]
    return (
        token["audience"] == status.audience and token["expirationSeconds"] == status.token_expiration_seconds
    )
