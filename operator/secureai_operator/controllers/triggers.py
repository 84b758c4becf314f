"""What the watches tell becomes keys in the queue. A trigger is only a reason to look, never what was seen."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secureai_operator.api.vault_types import VaultHealth
from secureai_operator.controllers.children import Children, is_secrets_binding
from secureai_operator.controllers.namespace_secrets import NamespaceSecrets
from secureai_operator.controllers.places import Places
from secureai_operator.controllers.pods import owner_of
from secureai_operator.controllers.policies import NamespaceLabels, Policies, StoredPolicy
from secureai_operator.controllers.rulings import Rulings
from secureai_operator.controllers.workloads import Key, Workloads
from secureai_operator.controllers.world import LivePod, World
from secureai_operator.core.drift import Child
from secureai_operator.runtime.workqueue import Lane, WorkQueue
from secureai_operator.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Triggers:
    """The callbacks of Kopf, of the informers and of the Vault clients.

    Drift is urgent; what a list told (a start, a relist) and what a user asked for is routine, so that a thousand creations
    never hold up a heal.
    """

    workloads: Workloads
    children: Children
    queue: WorkQueue[Key]
    metrics: Metrics
    policies: Policies
    places: Places
    rulings: Rulings
    policy_queue: WorkQueue[Key]
    secrets: NamespaceSecrets | None = None
    world: World | None = None
    _changed_at: dict[Key, float] = field(default_factory=dict)

    def seconds_since(self, key: Key) -> float | None:
        """How long ago the watch last showed a foreign change of the key's objects; None if that is not known."""
        changed_at = self._changed_at.get(key)
        return None if changed_at is None else time.monotonic() - changed_at

    def on_workload(self, kind: str | None, raw: Mapping[str, Any]) -> None:
        metadata = raw["metadata"]
        key = metadata["namespace"], metadata["name"]
        if kind == "DELETED":
            if self.workloads.remove(key, metadata["uid"], metadata["resourceVersion"]):
                self.children.forget(metadata["uid"])
                self._changed_at.pop(key, None)
                self.queue.add(key)
        elif self.workloads.put(raw):
            self.queue.add(key, self._lane(kind, key))

    def _lane(self, kind: str | None, key: Key) -> Lane:
        """An emergency waits for nobody; of a list nobody waits for a single one."""
        item = self.workloads.get(key)
        if item is not None and item.requests.emergency:
            return Lane.URGENT
        return Lane.BACKGROUND if kind is None else Lane.ROUTINE

    def on_policy(self, old: StoredPolicy | None, new: StoredPolicy | None, live: bool) -> None:  # noqa: ARG002
        seen = new or old
        if seen is None:
            return
        changed = self.policies.remove(seen.key, seen.uid) if new is None else self.policies.put(new)
        if changed:
            self.policy_changed(seen)

    def policy_changed(self, policy: StoredPolicy) -> None:
        """Look at the policy, and at all workloads that it may select or may have selected."""
        self.policy_queue.add(policy.key)
        self.places.forget_policy(policy.key)
        everywhere = policy.policy.spec.namespace_selector is not None
        items = self.workloads.values() if everywhere else self.workloads.in_namespace(policy.key[0])
        keys = {item.key for item in items} | self.rulings.ruled_by(policy.key)
        for key in keys:
            self.queue.add(key, Lane.BACKGROUND)

    def on_namespace(self, old: NamespaceLabels | None, new: NamespaceLabels | None, live: bool) -> None:
        """Only its labels are looked at, and only by policies that select by them."""
        before = None if old is None else old.labels
        after = None if new is None else new.labels
        if before == after:
            return
        self.policies.forget_selection()
        if live and self.policies.span_namespaces:
            name = (new or old or NamespaceLabels("", {})).name
            for item in self.workloads.in_namespace(name):
                self.queue.add(item.key, Lane.BACKGROUND)

    def on_child(self, old: Child | None, new: Child | None, live: bool) -> None:
        seen = new or old
        if seen is None:
            return
        if is_secrets_binding(seen):
            self._on_secrets_binding(seen, gone=new is None)
            return
        if not self.children.saw(old, new):
            return
        for uid in {child.owner_uid for child in (old, new) if child is not None and child.owner_uid}:
            key = self.workloads.key_of(uid)
            if key is not None:
                if live:
                    self._changed_at[key] = time.monotonic()
                self.queue.add(key, Lane.URGENT if live else Lane.ROUTINE)

    def _on_secrets_binding(self, binding: Child, *, gone: bool) -> None:
        if binding.namespace not in self.workloads.namespaces():
            if not gone:
                # Perhaps the process died that was to remove it with the last workload. No workload has this name.
                self.queue.add((binding.namespace, ""), Lane.BACKGROUND)
        elif gone and self.secrets is not None:
            self.secrets.lost(binding.namespace)
            for item in self.workloads.in_namespace(binding.namespace):
                self.queue.add(item.key, Lane.URGENT)
                break

    def on_pod(self, old: LivePod | None, new: LivePod | None, live: bool) -> None:  # noqa: ARG002
        self._forget_cluster()
        for pod in (old, new):
            key = owner_of(pod) if pod is not None else None
            if key is not None and self.workloads.get(key) is not None:
                self.queue.add(key)

    def on_cluster(self, old: object, new: object, live: bool) -> None:  # noqa: ARG002
        """A node or a runtime class changed: placement may have."""
        self._forget_cluster()
        if live:
            for key in self.workloads.keys():  # noqa: SIM118 - not a mapping
                self.queue.add(key)

    def _forget_cluster(self) -> None:
        if self.world is not None:
            self.world.forget_cluster()

    def on_vault_health(self, connection: str, health: VaultHealth) -> None:
        log.info(
            "vault health",
            extra={"connection": connection, "status": health.status.value, "reason": health.reason},
        )
        self.metrics.vault_up(connection, up=health.usable)
        for item in self.workloads.values():
            if item.connection == connection:
                self.queue.add(item.key, Lane.BACKGROUND)
