"""The operator's right on Secrets, namespace by namespace: only where a SecureAIWorkload is, never cluster-wide."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from secureai_operator import errors, names
from secureai_operator.api.resources import ROLE_BINDINGS, SECRETS
from secureai_operator.clients.kube import ScopedKube
from secureai_operator.core.drift import Child
from secureai_operator.runtime.informer_set import InformerSet

log = logging.getLogger(__name__)

EFFECTIVE_SECONDS = 5.0
"""How long to wait until a new binding is effective: the API server's own caches take some milliseconds."""
_POLL_SECONDS = 0.01


class NamespaceSecrets:
    """Bind the operator to `secureai-operator-secrets` in a namespace, and follow the Secrets there.

    Asks whether it may before it does: a request that the API server forbids is one that never should have been sent.
    """

    def __init__(self, informers: InformerSet[Child], operator_namespace: str) -> None:
        self._informers = informers
        self._operator_namespace = operator_namespace
        self._opening: dict[str, asyncio.Task[None]] = {}

    def is_open(self, namespace: str) -> bool:
        return self._informers.synced(namespace)

    def holds(self, place: tuple[str, str]) -> bool:
        """Whether a Secret of ours has this namespace and name; only known where the namespace is open."""
        return self._informers.get(place) is not None

    async def open(self, kube: ScopedKube) -> None:
        """Return when the namespace's Secrets are known. Raises errors.Retry if that takes too long."""
        if self.is_open(kube.namespace):
            return
        task = self._opening.get(kube.namespace)
        if task is None:
            task = asyncio.create_task(self._open(kube), name=f"secrets-{kube.namespace}")
            self._opening[kube.namespace] = task
            task.add_done_callback(lambda _: self._opening.pop(kube.namespace, None))
        await asyncio.shield(task)

    async def close(self, kube: ScopedKube) -> None:
        """The last workload of the namespace is gone: give the right back."""
        self._informers.discard(kube.namespace)
        await kube.delete(ROLE_BINDINGS, names.NAMESPACE_SECRETS_ROLE)

    def lost(self, namespace: str) -> None:
        """Somebody removed the binding: the next pass of any workload there makes it again."""
        self._informers.discard(namespace)

    async def _open(self, kube: ScopedKube) -> None:
        try:
            async with asyncio.timeout(EFFECTIVE_SECONDS):
                if not await _may(kube):
                    await self._bind(kube)
                    while not await _may(kube):  # noqa: ASYNC110 - another process decides
                        await asyncio.sleep(_POLL_SECONDS)
                await self._informers.ensure(kube.namespace).synced.wait()
        except TimeoutError:
            raise errors.KubeUnavailable(
                "KubernetesUnavailable", f"Secrets of {kube.namespace} are not readable yet"
            ) from None

    async def _bind(self, kube: ScopedKube) -> None:
        """Admission lets the operator do this only in a namespace that holds a workload, which it may learn a moment later."""
        binding = self._binding(kube.namespace)
        for attempt in range(1, 9):
            try:
                await kube.apply(ROLE_BINDINGS, names.NAMESPACE_SECRETS_ROLE, binding)
            except (errors.KubeForbidden, errors.KubeInvalid):
                if attempt == 8:  # noqa: PLR2004 - the end of the range
                    raise
                await asyncio.sleep(0.01 * 2**attempt)
            else:
                log.info("secrets opened", extra={"namespace": kube.namespace})
                return

    def _binding(self, namespace: str) -> dict[str, Any]:
        return {
            "apiVersion": ROLE_BINDINGS.api_version,
            "kind": ROLE_BINDINGS.kind,
            "metadata": {
                "name": names.NAMESPACE_SECRETS_ROLE,
                "namespace": namespace,
                "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY},
            },
            "roleRef": {
                "apiGroup": ROLE_BINDINGS.group,
                "kind": "ClusterRole",
                "name": names.NAMESPACE_SECRETS_ROLE,
            },
            "subjects": [
                {
                    "kind": "ServiceAccount",
                    "name": names.OPERATOR_SERVICE_ACCOUNT,
                    "namespace": self._operator_namespace,
                }
            ],
        }


async def _may(kube: ScopedKube) -> bool:
    return await kube.can_i("watch", SECRETS)
