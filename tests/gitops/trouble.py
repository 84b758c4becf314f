"""What happens to a workload in its life, again and again: drift, rotation, restarts. Each ends when all is well again."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab import LabTimeout
from secureai_operator import names
from secureai_operator.api.resources import (
    DEPLOYMENTS,
    NETWORK_POLICIES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from tests.fixtures_operator import eventually
from tests.gitops.stage import NAMESPACE, SETTLED_SECONDS, Stage
from tests.integration.rotations import Keys

Json = dict[str, Any]

PAUSE_SECONDS = 5.0
"""Between rounds, so that Argo CD also sees the calm, and an hour does not fill the key's archive."""
_STRANGER = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
CHANGES: dict[Resource, Json] = {
    SERVICE_ACCOUNTS: {"automountServiceAccountToken": True},
    ROLES: {"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]},
    ROLE_BINDINGS: {"subjects": [_STRANGER]},
    NETWORK_POLICIES: {"spec": {"egress": [{}]}},
    SECRETS: {"data": {"other": base64.b64encode(b"x").decode()}},
}


def content(live: Json) -> Json:
    """What decides about security. Of a Secret only the entries' names: what is in them may rightly be new."""
    parts = ("automountServiceAccountToken", "rules", "roleRef", "subjects", "spec")
    kept = {part: live.get(part) for part in parts}
    return {**kept, "data": sorted(live.get("data") or {}), "labels": live["metadata"].get("labels")}


@dataclass(slots=True)
class Life:
    """Rounds of trouble for one workload; `happened` counts it by kind."""

    stage: Stage
    workload: str = "llm"
    happened: Counter[str] = field(default_factory=Counter)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def keys(self) -> Keys:
        return Keys(self.stage.lab, self.stage.workloads, NAMESPACE, self.workload)

    def go_on(self, seconds: float) -> None:
        """Whole rounds until the time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.round()
            time.sleep(min(PAUSE_SECONDS, max(0.0, end - time.monotonic())))

    def round(self) -> None:
        """Each kind of trouble once."""
        troubles: tuple[tuple[str, Callable[[], int]], ...] = (
            ("owned objects deleted", self.delete_owned),
            ("owned objects changed", self.change_owned),
            ("keys rotated", self.rotate),
            ("pods deleted", self.delete_pod),
            ("pods in quarantine for a while", self.quarantine_pod),
            ("emergency rotations", self.rotate_in_emergency),
            ("restarts of the operator", self.restart_operator),
        )
        for name, trouble in troubles:
            self.happened[name] += trouble()
            self.stage.workloads.wait_ready(NAMESPACE, self.workload, SETTLED_SECONDS)

    def delete_owned(self) -> int:
        owned = list(self.stage.owned(self.workload))
        for resource, item in owned:
            name = item["metadata"]["name"]
            self.stage.workloads.delete(NAMESPACE, name, resource)
            self._wait_back(resource, item)
        return len(owned)

    def change_owned(self) -> int:
        owned = list(self.stage.owned(self.workload))
        for resource, item in owned:
            self.stage.workloads.patch(NAMESPACE, item["metadata"]["name"], CHANGES[resource], resource)
            self._wait_back(resource, item)
        return len(owned)

    def rotate(self) -> int:
        version = self.keys.status["key"]["latestVersion"]
        self.keys.annotate(rotate=f"round-{next(self._numbers)}")
        self.keys.wait_version(version + 1, SETTLED_SECONDS)
        return 1

    def rotate_in_emergency(self) -> int:
        request = f"emergency-{next(self._numbers)}"
        self.keys.annotate(rotate_emergency=request)

        def over() -> bool:
            emergency = self.keys.status.get("emergency") or {}
            return emergency.get("requestId") == request and bool(emergency.get("finishedAt"))

        try:
            self.stage.lab.wait_for(over, SETTLED_SECONDS, f"{request} to be over")
        except LabTimeout as error:
            error.add_note(json.dumps(self.keys.status))
            raise
        self._wait_replicas()
        return 1

    def delete_pod(self) -> int:
        self.stage.workloads.delete(NAMESPACE, self._pods()[0], PODS)
        self._wait_replicas()
        return 1

    def quarantine_pod(self) -> int:
        pod = self._pods()[0]
        for value in ("investigation", None):
            labels = {"metadata": {"labels": {names.QUARANTINE_LABEL: value}}}
            self.stage.workloads.patch(NAMESPACE, pod, labels, PODS)
            self._wait_quarantined(1 if value else 0)
        return 1

    def restart_operator(self) -> int:
        self.stage.start_operator()
        return 1

    def _pods(self) -> list[str]:
        items = self.stage.lab.api.request("GET", PODS.path(NAMESPACE))["items"]
        return [one["metadata"]["name"] for one in items if "deletionTimestamp" not in one["metadata"]]

    def _wait_replicas(self) -> None:
        def available() -> bool:
            live = self.stage.workloads.find(DEPLOYMENTS, NAMESPACE, self.workload) or {}
            status = live.get("status") or {}
            return bool(status.get("availableReplicas") == status.get("replicas") == 2)

        self.stage.lab.wait_for(available, SETTLED_SECONDS, "the pods to be back")

    def _wait_quarantined(self, number: int) -> None:
        def counted() -> bool:
            pods = self.keys.status.get("pods") or {}
            return int(pods.get("quarantined") or 0) == number

        self.stage.lab.wait_for(counted, SETTLED_SECONDS, f"{number} pods in quarantine")

    def _wait_back(self, resource: Resource, before: Json) -> None:
        name = before["metadata"]["name"]

        def back() -> Json | None:
            live = self.stage.workloads.find(resource, NAMESPACE, name)
            return live if live is not None and content(live) == content(before) else None

        eventually(self.stage.lab, back, SETTLED_SECONDS, f"{resource.kind} {name} as it was")
