"""Keep quarantined pods without tracked connections, so that no connection from before goes on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol

from secureai_operator import names
from secureai_operator.node_agent.flows import Address, Flow
from secureai_operator.runtime.store import ObjectKey

log = logging.getLogger(__name__)

MOST_REMEMBERED = 4096
"""Connections of one pod that are remembered for its release."""


class Table(Protocol):
    """The kernel's connections; both calls block, and are made one at a time."""

    def cut(self, addresses: Collection[Address]) -> list[Flow]:
        """Forget all connections of these addresses; returns those that there were."""

    def bring_back(self, flows: Iterable[Flow]) -> int:
        """Know these again, as far as that is possible; returns how many."""


@dataclass(frozen=True, slots=True)
class QuarantinedPod:
    """A pod that is to have no connections."""

    namespace: str
    name: str
    uid: str
    addresses: frozenset[Address]


IsReleased = Callable[[QuarantinedPod], Awaitable[bool]]
"""Whether a pod that is no longer seen as quarantined is still there, with its addresses, and without the label."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two looks at the table."""

    eager: float = 0.05
    eager_for: float = 10.0
    """From the last change on: as long as a CNI may take to make a policy effective, packets of before that bring entries
    back which are then established again."""
    calm: float = 1.0


def quarantined(raw: dict[str, Any]) -> QuarantinedPod | None:
    """The pod if it is to be cut: it carries the label, it has addresses, and they are its own and not the node's."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    if names.QUARANTINE_LABEL not in (metadata.get("labels") or {}) or spec.get("hostNetwork"):
        return None
    # An address of a pod that has ended may be another's by now.
    if status.get("phase") in ("Succeeded", "Failed"):
        return None
    found = [status.get("podIP"), *(entry.get("ip") for entry in status.get("podIPs") or ())]
    addresses = frozenset(ip_address(text) for text in found if text)
    if not addresses:
        return None
    return QuarantinedPod(metadata["namespace"], metadata["name"], metadata["uid"], addresses)


def still_there(raw: dict[str, Any], pod: QuarantinedPod) -> bool:
    """Whether this is that pod, running and out of quarantine."""
    metadata = raw["metadata"]
    return (
        metadata["uid"] == pod.uid
        and not metadata.get("deletionTimestamp")
        and names.QUARANTINE_LABEL not in (metadata.get("labels") or {})
        and (raw.get("status") or {}).get("phase") == "Running"
    )


class Isolation:
    """Cut what `changed` says is quarantined, again and again until it no longer is.

    Contract:
    - An entry of a quarantined pod lives no longer than the pace says. Forgetting is not refusing: whether the
      next packet passes is for the NetworkPolicy to say, which is why it is safe to do it once too often.
    - What a pod had when it was quarantined is brought back when it is released, unless the other end is quarantined
      too. Of a pod that is gone nothing is: its address may be another's.
    """

    def __init__(self, table: Table, is_released: IsReleased, pace: Pace | None = None) -> None:
        self._table = table
        self._is_released = is_released
        self._pace = pace or Pace()
        self._pods: dict[ObjectKey, QuarantinedPod] = {}
        self._left: list[QuarantinedPod] = []
        # By the pod's uid, and by the tuple that the connection was first seen with.
        self._remembered: dict[str, dict[tuple[int, bytes], Flow]] = {}
        self._changed = asyncio.Event()
        self._eager_until = 0.0

    def changed(self, old: QuarantinedPod | None, new: QuarantinedPod | None, live: bool) -> None:  # noqa: ARG002
        """Take in what an informer tells."""
        if old is not None and (new is None or new.uid != old.uid):
            self._pods.pop((old.namespace, old.name), None)
            self._left.append(old)
        if new is not None:
            self._pods[new.namespace, new.name] = new
            log.info("pod is quarantined", extra={"namespace": new.namespace, "pod": new.name})
            self._eager_until = asyncio.get_running_loop().time() + self._pace.eager_for
        self._changed.set()

    async def run(self) -> None:
        """Cut and bring back for ever."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._pods and not self._left:
                await self._changed.wait()
            self._changed.clear()
            while self._left:
                await self._let_go(self._left.pop(0))
            eager = loop.time() < self._eager_until
            await self._cut(eager=eager)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace.eager if eager else self._pace.calm):
                    await self._changed.wait()

    async def _cut(self, *, eager: bool) -> None:
        addresses = self._addresses()
        if not addresses:
            return
        # The kernel may take a while with a large table.
        flows = await asyncio.to_thread(self._table.cut, addresses)
        if eager:
            self._remember(flows)
        if flows:
            # Later it is the kubelet's probes, one after the other for as long as the quarantine lasts.
            level = logging.INFO if eager else logging.DEBUG
            log.log(level, "connections cut", extra={"connections": len(flows), "pods": len(self._pods)})

    def _remember(self, flows: Iterable[Flow]) -> None:
        """Only of the first seconds: later ones are not connections of before."""
        for flow in flows:
            for pod in self._pods.values():
                known = self._remembered.setdefault(pod.uid, {})
                if flow.whole and flow.addresses & pod.addresses and len(known) < MOST_REMEMBERED:
                    known.setdefault(flow.whole[0], flow)

    async def _let_go(self, pod: QuarantinedPod) -> None:
        flows = self._remembered.pop(pod.uid, {})
        released = await self._is_released(pod)
        extra = {"namespace": pod.namespace, "pod": pod.name}
        if not released:
            log.info("pod is gone", extra=extra)
            return
        # Asked last: who is quarantined may have changed meanwhile.
        back = [flow for flow in flows.values() if not flow.addresses & self._addresses()]
        count = await asyncio.to_thread(self._table.bring_back, back)
        log.info("pod is released", extra={**extra, "connections": count})

    def _addresses(self) -> frozenset[Address]:
        return frozenset().union(*(pod.addresses for pod in self._pods.values()))
