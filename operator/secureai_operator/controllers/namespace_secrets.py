"""The operator's right on Secrets, namespace by namespace: only where a SecureAIWorkload is, never cluster-wide."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from contextlib import aclosing
from functools import partial
from typing import Any

from secureai_operator import errors, names
from secureai_operator.api.resources import ROLE_BINDINGS, SECRETS, SECURE_AI_WORKLOADS
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
        self._closed: set[str] = set()
        """Namespaces whose binding is gone, even if the API server's authorizer, which learns of it late, still says yes."""
        self._closing: dict[str, asyncio.Event] = {}

    def is_open(self, namespace: str) -> bool:
        return namespace not in self._closed and self._informers.synced(namespace)

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
            task.add_done_callback(partial(self._opened, kube.namespace))
        await asyncio.shield(task)

    async def leave(self, kube: ScopedKube) -> None:
        """No workload of the namespace is known: give the right back, also one that a former process took."""
        if self.is_open(kube.namespace) or await _is_left_over(kube):
            await self.close(kube)

    async def close(self, kube: ScopedKube) -> None:
        """The last workload of the namespace is gone: give the right back.

        A workload that comes meanwhile waits: its new binding must not go the way of the old one.
        """
        namespace = kube.namespace
        self._informers.discard(namespace)
        self._closed.add(namespace)
        ended = self._closing[namespace] = asyncio.Event()
        try:
            await kube.delete(ROLE_BINDINGS, names.NAMESPACE_SECRETS_ROLE)
        finally:
            del self._closing[namespace]
            ended.set()

    def lost(self, namespace: str) -> None:
        """The binding was removed, or does not hold any more: the next pass of any workload there makes it again."""
        self._closed.add(namespace)

    def _opened(self, namespace: str, task: asyncio.Task[None]) -> None:
        del self._opening[namespace]
        if not task.cancelled():
            # Whoever waits has it told; all of them may have been cancelled meanwhile, which is no error of ours.
            task.exception()

    async def _open(self, kube: ScopedKube) -> None:
        try:
            async with asyncio.timeout(EFFECTIVE_SECONDS):
                if (closing := self._closing.get(kube.namespace)) is not None:
                    await closing.wait()
                # Again if it is lost meanwhile.
                while not self.is_open(kube.namespace):
                    await self._have_right(kube)
                    await self._synced(kube.namespace)
        except TimeoutError:
            raise errors.KubeUnavailable(
                "KubernetesUnavailable", f"Secrets of {kube.namespace} are not readable yet"
            ) from None

    async def _have_right(self, kube: ScopedKube) -> None:
        if kube.namespace not in self._closed and await _may(kube):
            return
        self._closed.discard(kube.namespace)
        try:
            await self._bind(kube)
        except BaseException:
            # Also when the time was up.
            self._closed.add(kube.namespace)
            raise
        while not await _may(kube):  # noqa: ASYNC110 - another process decides
            await asyncio.sleep(_POLL_SECONDS)
        if not self._informers.synced(kube.namespace):
            # One that was refused so far would take its time until it tries again.
            self._informers.discard(kube.namespace)

    async def _synced(self, namespace: str) -> None:
        informer = self._informers.ensure(namespace)
        while not informer.synced.is_set() and namespace not in self._closed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(informer.synced.wait(), _POLL_SECONDS)

    async def _bind(self, kube: ScopedKube) -> None:
        """Admission lets the operator do this only in a namespace that holds a workload, which it may learn a moment later."""
        binding = self._binding(kube.namespace)
        for attempt in range(1, 9):
            try:
                await kube.apply(ROLE_BINDINGS, names.NAMESPACE_SECRETS_ROLE, binding)
            except (errors.KubeForbidden, errors.KubeInvalid):
                if attempt == 8:  # noqa: PLR2004 - the end of the range
                    raise
                await asyncio.sleep(0.01 * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
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


async def _is_left_over(kube: ScopedKube) -> bool:
    """Whether the binding is there, and no workload: just after a start some may not be known yet."""
    if await kube.get(ROLE_BINDINGS, names.NAMESPACE_SECRETS_ROLE) is None:
        return False
    async with aclosing(kube.list_pages(SECURE_AI_WORKLOADS, limit=1)) as pages:
        items, _version = await anext(pages)
    return not items


async def _may(kube: ScopedKube) -> bool:
    return await kube.can_i("watch", SECRETS)
