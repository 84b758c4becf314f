"""The manifests on the lab's cluster, and requests by somebody who is not its administrator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab import Lab
from lab.rest import JsonClient
from secureai_operator import names
from secureai_operator.api.resources import SERVICE_ACCOUNTS, Resource
from tests.integration.crd_objects import Answer, Cause, Json, install_crds, path, workload

BASE = Path(__file__).parents[2] / "manifests" / "base"

IN_FORCE_SECONDS = 30.0
_NOT_ON_THE_LAB = frozenset({"Deployment"})
"""On fake nodes it would only pretend to run."""


def base_manifests(lab: Lab) -> list[Json]:
    """Everything in `manifests/base`."""
    return [item for item in yaml.safe_load_all(lab.kubectl("kustomize", BASE).stdout) if item]


def install(lab: Lab) -> None:
    """CRDs, RBAC and admission policies, in force; a second time changes nothing."""
    install_crds(lab)
    kept = [item for item in base_manifests(lab) if item["kind"] not in _NOT_ON_THE_LAB]
    applied = ("apply", "--server-side", "--force-conflicts", "-f", "-")
    lab.kubectl(*applied, input=yaml.safe_dump_all(kept))
    lab.wait_for(lambda: _is_refused(lab), IN_FORCE_SECONDS, "the admission policies to be in force")


def _is_refused(lab: Lab) -> bool:
    return not post(lab, "default", pod({names.WORKLOAD_LABEL: "nobody"}), dry_run=True).accepted


class User:
    """Requests as a ServiceAccount, by impersonation: the audit log tells them from those that a process made."""

    def __init__(self, lab: Lab, namespace: str, name: str) -> None:
        who = {
            "Impersonate-User": f"system:serviceaccount:{namespace}:{name}",
            "Impersonate-Group": "system:authenticated",
        }
        self._client = JsonClient(lab.api_url, {**lab.api.headers, **who}, lab.api.tls)

    def __call__(
        self, method: str, where: str, body: object = None, content_type: str = "application/json"
    ) -> Answer:
        return answer(*self._client.raw(method, where, body, content_type))

    def apply(self, resource: Resource, manifest: Mapping[str, Any]) -> Answer:
        """Server-side apply, as the operator does it."""
        metadata = manifest["metadata"]
        where = f"{resource.path(metadata['namespace'], metadata['name'])}?fieldManager=test&force=true"
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **manifest}
        return self("PATCH", where, body, "application/apply-patch+yaml")


def operator(lab: Lab) -> User:
    """The operator's own identity."""
    return User(lab, names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT)


def author(lab: Lab, namespace: str, name: str, *rules: Json) -> User:
    """Somebody who may write SecureAIWorkloads in the namespace, and what the rules say."""
    own = {
        "apiGroups": [names.GROUP],
        "resources": ["secureaiworkloads"],
        "verbs": ["create", "update", "patch", "get"],
    }
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    metadata = {"name": name, "namespace": namespace}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    lab.api.request("POST", SERVICE_ACCOUNTS.path(namespace), {"metadata": metadata})
    lab.api.request(
        "POST", f"{rbac}/namespaces/{namespace}/roles", {"metadata": metadata, "rules": [own, *rules]}
    )
    binding = {"metadata": metadata, "roleRef": role, "subjects": [subject]}
    lab.api.request("POST", f"{rbac}/namespaces/{namespace}/rolebindings", binding)
    user = User(lab, namespace, name)
    # The authorizer learns of the binding a moment later.
    probe = workload({}, "rights-probe")
    where = f"{path(namespace, probe)}?dryRun=All"
    lab.wait_for(lambda: user("POST", where, probe).accepted, IN_FORCE_SECONDS, f"the rights of {name}")
    return user


def pod(labels: Mapping[str, str] | None = None, name: str = "p", **spec: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {"containers": [{"name": "main", "image": "main"}], **spec},
    }


def post(lab: Lab, namespace: str, manifest: Json, *, dry_run: bool = False) -> Answer:
    """Create a pod as administrator."""
    dry = "?dryRun=All" if dry_run else ""
    return answer(*lab.api.raw("POST", f"/api/v1/namespaces/{namespace}/pods{dry}", manifest))


def answer(code: int, text: str) -> Answer:
    body = json.loads(text)
    causes = () if code < 400 else (Cause("", body.get("message", "")),)
    return Answer(code, body, causes)


def refusal(found: Answer) -> str:
    """What the refused user reads."""
    assert not found.accepted, "expected a refusal"
    return " ".join(cause.message for cause in found.causes)
