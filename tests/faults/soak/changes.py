"""What people and other controllers do all the time: changes of workloads, foreign writes and deletions, requests."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from lab import Lab, LabError
from secureai_operator import names
from secureai_operator.api.resources import KEY_ROTATION_POLICIES, PODS
from secureai_operator.cli.owned import KINDS
from tests.faults.soak.fleet import NAMESPACES, TIERS, Fleet, Json, Wanted, one_more_data_key, some_changes
from tests.faults.soak.rightness import INTRUDER, is_at_rest
from tests.integration.vault_identity import AUTH, vault_name

RESOURCES = {resource.kind: resource for resource, _ in KINDS}
FOREIGN: dict[str, tuple[Json, ...]] = {
    "NetworkPolicy": (
        {"spec": {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": INTRUDER}}}]}]}},
        {"spec": {"egress": [{"to": [{"podSelector": {"matchLabels": {"app": INTRUDER}}}]}]}},
        {"metadata": {"labels": {names.WORKLOAD_LABEL: INTRUDER}}},
    ),
    "Role": ({"rules": [{"apiGroups": [""], "resources": [f"{INTRUDER}s"], "verbs": ["get"]}]},),
    "RoleBinding": (
        {"subjects": [{"kind": "User", "name": INTRUDER, "apiGroup": "rbac.authorization.k8s.io"}]},
    ),
    "Secret": (
        {"data": {INTRUDER: "aW50cnVkZXI="}},
        {"metadata": {"labels": {names.MANAGED_BY_LABEL: INTRUDER}}},
    ),
    "ServiceAccount": ({"automountServiceAccountToken": True},),
}

WEIGHTS = {
    "update": 18.0,
    "add a data key": 2.0,
    "create": 7.0,
    "delete": 7.0,
    "foreign write": 25.0,
    "foreign deletion": 20.0,
    "foreign write in Vault": 2.0,
    "pod deleted": 2.0,
    "rotate": 10.0,
    "rotate data keys": 3.0,
    "emergency": 0.5,
    "rotate by policy": 0.2,
}


@dataclass(slots=True)
class Changes:
    """Makes one change at a time, chosen by a seeded generator; the number of workloads stays near `size`."""

    lab: Lab
    fleet: Fleet
    random: random.Random
    size: int
    now: Callable[[], float]
    made: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Changes that the API server or Vault did not take, by what was asked and how it was answered."""
    policy_requests: int = 0
    _number: int = 0

    def one(self) -> None:
        kind = self._kind()
        makers: dict[str, Callable[[], bool]] = {
            "update": self._update,
            "add a data key": self._add_data_key,
            "create": self._create,
            "delete": self._delete,
            "foreign write": self._write,
            "foreign deletion": self._remove,
            "foreign write in Vault": self._write_vault,
            "pod deleted": self._delete_pods,
            "rotate": lambda: self._ask(names.ROTATE_ANNOTATION),
            "rotate data keys": lambda: self._ask(names.ROTATE_DATA_KEYS_ANNOTATION),
            "emergency": lambda: self._ask(names.EMERGENCY_ANNOTATION),
            "rotate by policy": self._ask_policy,
        }
        try:
            if makers[kind]():
                self.made[kind] += 1
        except LabError as error:
            self.refused[f"{kind}: {getattr(error, 'status', type(error).__name__)}"] += 1

    def resize(self) -> None:
        """Bring the number of workloads to `size`."""
        while len(self.fleet.wanted) > self.size:
            self._delete()
        while len(self.fleet.wanted) < self.size:
            self._create()

    def _kind(self) -> str:
        count = len(self.fleet.wanted)
        if abs(count - self.size) > 2:
            return "create" if count < self.size else "delete"
        return self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]

    def _any(self) -> Wanted:
        return self.random.choice(list(self.fleet.wanted.values()))

    def _update(self) -> bool:
        self.fleet.update(self._any(), some_changes(self.random))
        return True

    def _add_data_key(self) -> bool:
        one = self._any()
        change = one_more_data_key(one)
        if change is None:
            return False
        self.fleet.update(one, change)
        return True

    def _create(self) -> bool:
        self.fleet.create()
        return True

    def _delete(self) -> bool:
        self.fleet.delete(self._any())
        return True

    def _write(self) -> bool:
        one = self._any()
        kind, name = self.random.choice(one.objects())
        change = self.random.choice(FOREIGN[kind])
        path = RESOURCES[kind].path(one.namespace, name)
        self.lab.api.request("PATCH", path, change, "application/merge-patch+json")
        return True

    def _remove(self) -> bool:
        one = self._any()
        kind, name = self.random.choice(one.objects())
        self.lab.api.request("DELETE", RESOURCES[kind].path(one.namespace, name))
        return True

    def _write_vault(self) -> bool:
        one = self._any()
        name = vault_name(*one.key)
        if self.random.random() < 0.5:
            self.lab.vault_request("PUT", f"sys/policies/acl/{name}", {"policy": f"# {INTRUDER}\n"})
        else:
            self.lab.vault_request("DELETE", f"auth/{AUTH}/role/{name}")
        one.touched_at = self.now()
        return True

    def _delete_pods(self) -> bool:
        having = [one for one in self.fleet.wanted.values() if one.pods]
        if not having:
            return False
        one = self.random.choice(having)
        selector = f"labelSelector={names.WORKLOAD_LABEL}%3D{one.name}"
        self.lab.api.request("DELETE", f"{PODS.path(one.namespace)}?{selector}")
        return True

    def _ask(self, annotation: str) -> bool:
        """Ask for something, if nothing that was asked of it is under way: another request would take its place."""
        one = self._any()
        listed = self.fleet.listed().get(one.key)
        if listed is None or not is_at_rest(one, listed):
            return False
        self._number += 1
        self.fleet.annotate(one, annotation, f"request-{self._number}")
        return True

    def _ask_policy(self) -> bool:
        self._number += 1
        place = KEY_ROTATION_POLICIES.path(self.random.choice(NAMESPACES), self.random.choice(TIERS))
        change = {"metadata": {"annotations": {names.ROTATE_ANNOTATION: f"request-{self._number}"}}}
        self.lab.api.request("PATCH", place, change, "application/merge-patch+json")
        self.policy_requests += 1
        return True
