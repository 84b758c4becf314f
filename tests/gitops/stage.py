"""The example application of manifests/argocd, in a git repository of the lab's and in the hands of the real Argo CD."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from lab import Lab, LabTimeout
from lab.argocd import REFRESH, ArgoCD
from secureai_operator import names
from secureai_operator.api.resources import (
    DEPLOYMENTS,
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from tests.fixtures_operator import Workloads, eventually, wait_leading
from tests.gitops.watching import Seen, Watch
from tests.product import ROOT, Operator, Product

Json = dict[str, Any]

APPLICATION = "secureai"
NAMESPACE = "example-argocd"
EXAMPLE = "manifests/argocd/example"
APP = f"{EXAMPLE}/app"
WAVE = "argocd.argoproj.io/sync-wave"
ROLLED_OUT_SECONDS = 300.0
"""An API server that has just got our kinds lets no pod of theirs in for a minute or more."""
SETTLED_SECONDS = 120.0
OWNED = (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, NETWORK_POLICIES, SECRETS)


@dataclass(slots=True)
class Stage:
    """One lab with Argo CD and the repository; the operator runs beside the cluster as soon as git has brought its Deployment.

    The pods of that Deployment are played by kwok, which tells Argo CD what a kubelet would.
    """

    lab: Lab
    argo: ArgoCD
    product: Product
    workloads: Workloads = field(init=False)
    watch: Watch = field(init=False)
    operator: Operator | None = None

    def __post_init__(self) -> None:
        self.workloads = Workloads(self.lab)
        self.watch = Watch(self.lab, APPLICATION)

    def fill(self) -> None:
        """The repository as the example's comment asks for it."""
        for path in ("crds", "manifests/base", APP):
            shutil.copytree(ROOT / path, self.argo.repository.folder / path)
        self.argo.repository.commit_all("the example")

    def application(self) -> Json:
        """application.yaml with the two things that are anybody's own: the repository and the cluster."""
        application: Json = yaml.safe_load((ROOT / EXAMPLE / "application.yaml").read_text())
        for source in application["spec"]["sources"]:
            source["repoURL"] = self.argo.repository.url
        application["spec"]["destination"]["server"] = self.argo.cluster
        return application

    def start_operator(self) -> Operator:
        """Once its Deployment is there, as a kubelet would; the one before is ended first."""
        if self.operator is not None:
            self.operator.stop()
        self.operator = self.product.start_operator(vaultProbeSeconds=2, evictUnboundPods=True)
        return wait_leading(self.lab, self.operator)

    def wait_deployment(self) -> None:
        eventually(
            self.lab,
            lambda: self.workloads.find(DEPLOYMENTS, names.OPERATOR_NAMESPACE, "secureai-operator"),
            SETTLED_SECONDS,
            f"the operator's Deployment\n{self.argo.tails()}",
        )

    def push(self, message: str, files: Mapping[str, str | None]) -> str:
        """Commit files of the app's folder, and have Argo CD look."""
        changed = {f"{APP}/{name}": text for name, text in files.items()}
        revision = self.argo.repository.commit(message, changed)
        self.argo.refresh(APPLICATION)
        return revision

    def compare(self) -> None:
        """Have git and the cluster compared now; returns when it is done."""
        self.argo.refresh(APPLICATION)

        def done() -> bool:
            annotations = self.argo.application(APPLICATION)["metadata"].get("annotations") or {}
            return REFRESH not in annotations

        self.lab.wait_for(done, SETTLED_SECONDS, "Argo CD to have compared")

    def status(self) -> Json:
        found: Json = self.argo.application(APPLICATION).get("status") or {}
        return found

    def operation(self) -> Json:
        found: Json = self.status().get("operationState") or {}
        return found

    def resource(self, kind: str, name: str) -> Json:
        """What the Application says of one of its resources; {} if it has none such."""
        found: list[Json] = self.status().get("resources") or []
        return next((one for one in found if (one["kind"], one["name"]) == (kind, name)), {})

    def wait_settled(self, revision: str | None = None, deadline: float = SETTLED_SECONDS) -> float:
        """Until it is Synced and Healthy (at that commit) and no operation runs; returns the seconds that it took.

        What was before is no answer: a comparison that begins now comes first.
        """
        started = time.monotonic()
        self.compare()

        def settled() -> bool:
            status = self.status()
            sync = status.get("sync") or {}
            words = (sync.get("status"), (status.get("health") or {}).get("status"))
            over = (status.get("operationState") or {}).get("phase") == "Succeeded"
            at_revision = revision is None or set(sync.get("revisions") or ()) == {revision}
            return words == ("Synced", "Healthy") and over and at_revision

        try:
            self.lab.wait_for(settled, deadline, "the Application to be Synced and Healthy")
        except LabTimeout as error:
            error.add_note(json.dumps(self.told(), indent=1))
            error.add_note(self.argo.tails())
            raise
        return time.monotonic() - started

    def told(self) -> Json:
        """What the Application says is wrong."""
        status = self.status()
        resources = [
            one
            for one in status.get("resources") or ()
            if one.get("status") != "Synced"
            or (one.get("health") or {}).get("status", "Healthy") != "Healthy"
        ]
        operation = status.get("operationState") or {}
        return {
            "sync": (status.get("sync") or {}).get("status"),
            "health": status.get("health"),
            "conditions": status.get("conditions"),
            "operation": {key: operation.get(key) for key in ("phase", "message", "retryCount", "startedAt")},
            "resources": resources,
        }

    def owned(self, workload: str) -> Iterator[tuple[Resource, Json]]:
        """What the operator made for the workload."""
        uid = self.workloads.get(NAMESPACE, workload)["metadata"]["uid"]
        for resource in OWNED:
            for item in self.lab.api.request("GET", resource.path(NAMESPACE))["items"]:
                owners = item["metadata"].get("ownerReferences") or ()
                if any(owner["uid"] == uid for owner in owners):
                    yield resource, item


def out_of_sync(seen: list[Seen]) -> list[Seen]:
    return [one for one in seen if one.sync != "Synced"]


def operations(seen: list[Seen]) -> int:
    """How many operations Argo CD began between the first and the last of these states."""
    return len({one.operation for one in seen}) - 1
