"""Deletion: access is revoked first, the key is kept unless told otherwise, and nothing hangs for ever or leaks in silence."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from secureai_operator import errors, names
from secureai_operator.api import reasons
from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.reasons import Reason
from secureai_operator.api.resources import CONFIG_MAPS, NAMESPACES, SECRETS, SECURE_AI_WORKLOADS
from secureai_operator.api.workload import DeletionPolicy
from secureai_operator.api.workload_status import SecureAIWorkloadStatus
from secureai_operator.clients.kube import KubeApi, ScopedKube
from secureai_operator.clients.vault_api import VaultApi
from secureai_operator.controllers.namespace_secrets import NamespaceSecrets
from secureai_operator.controllers.revocation import revoke_certificate
from secureai_operator.controllers.workloads import Key, StoredWorkload, Workloads
from secureai_operator.core.facts import PlatformConfig, Workload

log = logging.getLogger(__name__)

ORPHAN_REPORT = "secureai-orphans"
"""ConfigMap in the operator's namespace; one entry for each workload that was let go with access left in Vault."""
RETRY_SECONDS = 2.0
RETRY_CAP = 30.0


@dataclass(slots=True)
class Finalization:
    """Carries out what the finalizer stands for."""

    kube: KubeApi
    config: PlatformConfig
    workloads: Workloads
    secrets: NamespaceSecrets
    operator_namespace: str
    orphan_deadline: float
    """Seconds that a workload of a namespace that is being deleted waits for Vault."""
    now: Callable[[], datetime]
    tell: Callable[[Workload, Reason, str], None]
    _attempts: dict[Key, int] = field(default_factory=dict)
    _since: dict[Key, float] = field(default_factory=dict)

    async def finalize(
        self, workload: Workload, item: StoredWorkload, kube: ScopedKube, vaults: Mapping[str, VaultApi]
    ) -> float | None:
        """Revoke and let go; returns when to try again, or None when the CR is free to go."""
        if not workload.has_finalizer:
            return None
        key = workload.key
        await self._make_sure(workload, item, kube)
        try:
            await self._revoke(workload, kube, vaults.get(workload.spec.vault.connection))
        except errors.OperatorError as error:
            if not await self._is_let_go(workload):
                return self._again(key, error)
            await self._report_orphan(workload)
        await self._remove_finalizer(item, kube)
        self.forget(key)
        return None

    async def make_up(
        self,
        key: Key,
        status: SecureAIWorkloadStatus,
        kube: ScopedKube,
        vaults: Mapping[str, VaultApi],
    ) -> None:
        """Revoke the access of a CR that is gone without us: somebody took our finalizer off it.

        Not if another CR has the name by now: its own pass writes what it needs over what is left.
        """
        place = status.vault
        vault = None if place is None else vaults.get(place.connection)
        if vault is None or await kube.get(SECURE_AI_WORKLOADS, key[1]) is not None:
            return
        await _withdraw(vault, names.vault_name(self.config.cluster, *key))
        extra = {"namespace": key[0], "workload": key[1]}
        log.warning("the workload went without its finalizer; its access is revoked", extra=extra)

    async def _make_sure(self, workload: Workload, item: StoredWorkload, kube: ScopedKube) -> None:
        """Read the CR itself: by a late watch its successor's access would be revoked, or a key destroyed that is to stay.

        Raises errors.Retry if it is another one, or gone.
        """
        live = await kube.get(SECURE_AI_WORKLOADS, workload.name)
        if live is None or live["metadata"]["uid"] != workload.uid:
            self.workloads.remove(workload.key, workload.uid)
        if live is None:
            raise errors.KubeNotFound("Retrying", "the workload is gone already")
        self.workloads.put(live)
        if (live["metadata"]["uid"], live["metadata"]["generation"]) != (workload.uid, item.generation):
            raise errors.KubeConflict("Retrying", "the workload is not the one that was to go")

    def forget(self, key: Key) -> None:
        """The CR is gone, whoever let it go: another one of the same name waits its own time."""
        self._attempts.pop(key, None)
        self._since.pop(key, None)

    async def _revoke(self, workload: Workload, kube: ScopedKube, vault: VaultApi | None) -> None:
        """Everything in Vault that grants access, then the key as the policies say."""
        place = workload.status.vault
        name = names.vault_name(self.config.cluster, workload.namespace, workload.name)
        if vault is None:
            if place is None:
                return
            raise errors.WaitForUser(
                reasons.CONNECTION_NOT_CONFIGURED.name,
                f"connection {workload.spec.vault.connection} is not configured any more",
            )
        await _withdraw(vault, name)
        has_secrets = workload.status.certificate is not None or bool(workload.status.data_keys)
        reaches_secrets = has_secrets and await self._reaches_secrets(workload, kube)
        if reaches_secrets:
            await revoke_certificate(workload, kube, vault)
        self.tell(workload, reasons.ACCESS_REVOKED, f"role, policy and certificate of {name} are revoked")
        await self._settle_key(workload, kube if reaches_secrets else None, vault, name)

    async def _reaches_secrets(self, workload: Workload, kube: ScopedKube) -> bool:
        """Whether the Secrets can be read; not so only in a namespace that goes and took the right on them first.

        Nothing can be made there any more, the right neither, and the Secrets go with it.
        """
        if await kube.can_i("get", SECRETS):
            return True
        if await self._is_namespace_going(workload):
            extra = {"namespace": workload.namespace, "workload": workload.name}
            log.warning("certificate not revoked: the namespace is going", extra=extra)
            return False
        await self.secrets.open(kube)
        return True

    async def _settle_key(
        self, workload: Workload, kube: ScopedKube | None, vault: VaultApi, name: str
    ) -> None:
        connection = self.config.connections.get(workload.spec.vault.connection)
        if workload.spec.deletion_policy is DeletionPolicy.DESTROY and connection and connection.may_destroy:
            await vault.delete_key(name)
            self.tell(workload, reasons.KEY_DESTROYED, f"key {name} is destroyed")
            return
        if workload.status.data_keys and kube is not None:
            await _retain_keys_secret(workload, kube)
        if workload.status.key is not None:
            self.tell(workload, reasons.KEY_RETAINED, f"key {name} stays in Vault")

    async def _is_let_go(self, workload: Workload) -> bool:
        """Whether the CR may go although its access may be left: told to, or its namespace waited long enough."""
        if workload.force_delete:
            return True
        if not await self._is_namespace_going(workload):
            return False
        loop = asyncio.get_running_loop().time()
        return loop - self._since.setdefault(workload.key, loop) >= self.orphan_deadline

    async def _is_namespace_going(self, workload: Workload) -> bool:
        namespace = await self.kube.get(NAMESPACES, None, workload.namespace)
        return namespace is not None and bool(namespace["metadata"].get("deletionTimestamp"))

    async def _report_orphan(self, workload: Workload) -> None:
        name = names.vault_name(self.config.cluster, workload.namespace, workload.name)
        entry = f"{rfc3339(self.now())} connection={workload.spec.vault.connection} name={name} uid={workload.uid}"
        patch: dict[str, Any] = {
            "apiVersion": CONFIG_MAPS.api_version,
            "kind": CONFIG_MAPS.kind,
            "metadata": {
                "name": ORPHAN_REPORT,
                "namespace": self.operator_namespace,
                "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY},
            },
            "data": {f"{workload.namespace}.{workload.name}": entry},
        }
        existing = await self.kube.get(CONFIG_MAPS, self.operator_namespace, ORPHAN_REPORT)
        if existing is None:
            await self.kube.create(CONFIG_MAPS, self.operator_namespace, patch)
        else:
            await self.kube.merge_patch(
                CONFIG_MAPS, self.operator_namespace, ORPHAN_REPORT, {"data": patch["data"]}
            )
        self.tell(
            workload,
            reasons.ORPHANED,
            f"let go although {name} could not be revoked in Vault; see ConfigMap "
            f"{self.operator_namespace}/{ORPHAN_REPORT}",
        )

    async def _remove_finalizer(self, item: StoredWorkload, kube: ScopedKube) -> None:
        current = self.workloads.get(item.key) or item
        rest = [finalizer for finalizer in current.finalizers if finalizer != names.FINALIZER]
        with contextlib.suppress(errors.KubeNotFound):
            await kube.merge_patch(
                SECURE_AI_WORKLOADS,
                item.name,
                {
                    "metadata": {
                        "finalizers": rest,
                        "uid": item.uid,
                        "resourceVersion": current.resource_version,
                    }
                },
            )

    def _again(self, key: Key, error: errors.OperatorError) -> float:
        attempt = self._attempts[key] = self._attempts.get(key, 0) + 1
        log.info("revocation waits", extra={"namespace": key[0], "workload": key[1], "reason": error.reason})
        return min(RETRY_CAP, RETRY_SECONDS * 1.5 ** min(attempt, 10)) * random.uniform(0.5, 1.0)  # noqa: S311


async def _withdraw(vault: VaultApi, name: str) -> None:
    """Logins first: what is already logged in loses its policy next."""
    await vault.delete_auth_role(name)
    await vault.delete_policy(name)
    await vault.delete_pki_role(name)


async def _retain_keys_secret(workload: Workload, kube: ScopedKube) -> None:
    """Take the Secret of wrapped data keys out of garbage collection: the key alone cannot decrypt anything."""
    name = names.keys_secret(workload.name)
    secret = await kube.get(SECRETS, name)
    if secret is None:
        return
    owners = [
        owner for owner in secret["metadata"].get("ownerReferences") or () if owner["uid"] != workload.uid
    ]
    await kube.merge_patch(
        SECRETS,
        name,
        {
            "metadata": {
                "resourceVersion": secret["metadata"]["resourceVersion"],
                "ownerReferences": owners,
                "labels": {names.RETAINED_LABEL: "true"},
            }
        },
    )
