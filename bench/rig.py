"""What every measurement works with: a lab, the product on it, one operator, and a client that costs little."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.audit import AuditLog, Counts, count
from bench.samples import Cpu
from lab import Lab, LabError, LabTimeout, wait_until
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.clients.kube import AioKube
from secureai_operator.runtime.identity import POD_UID
from tests.product import Operator, Product

START_SECONDS = 120.0
GC_SECONDS = 120.0
SETTLED_SECONDS = 120.0
PASSES = "secureai_reconcile_seconds_count"
DUE_AT_ONCE = 2
"""Looks that may wait at a moment although nothing happens."""
COMPONENTS = ("kube-apiserver", "etcd", "vault", "kube-controller-manager", "kube-scheduler", "kwok")

Log = Callable[[str], None]


@dataclass(slots=True)
class Rig:
    """One lab, from empty to full."""

    lab: Lab
    product: Product
    kube: AioKube
    kubernetes_audit: AuditLog
    vault_audit: AuditLog
    log: Log
    operator: Operator | None = None
    pod: str = field(default_factory=lambda: str(uuid.uuid4()))
    """UID of the pod that the operator would be in: so a process knows that the one before it is dead."""
    workloads: list[tuple[str, str]] = field(default_factory=list)
    """Namespace and name of every CR that was made and is Ready."""
    found: dict[str, Any] = field(default_factory=dict)
    """What this trial found so far, by the names of scenarios; also on labs before this one."""
    _is_followed: bool = False

    # The operator

    async def ensure_operator(self) -> None:
        """One that leads and is at rest, in a cluster whose garbage collector follows our kind."""
        if self.operator is None:
            await self.start_operator()
        await self.wait_for_garbage_collector()
        await self.settled(deadline=SETTLED_SECONDS)

    async def start_operator(self, **overrides: Any) -> None:
        """Start it, as the container of its pod, and wait until it leads."""
        operator = await asyncio.to_thread(self.launch, **overrides)

        async def leads() -> bool:
            if not operator.process.running:
                # Not a LabError: that would mean "not yet".
                raise RuntimeError(f"the operator ended\n{operator.process.tail()}")
            return self._logged("leading") is not None

        await wait_until(leads, START_SECONDS, f"the operator to lead\n{operator.process.tail()}")

    def launch(self, **overrides: Any) -> Operator:
        """Start it, and wait for nothing."""
        self.operator = self.product.start_operator(environment={POD_UID: self.pod}, **overrides)
        return self.operator

    async def wait_for_garbage_collector(self) -> None:
        """Until it follows the new kind it asks for each owner again and again, which is nobody's load."""
        if self._is_followed:
            return
        self.log("waiting for the garbage collector to know the kind")
        # It looks for new kinds every half minute, and at its start.
        controllers = self.lab.component("kube-controller-manager")
        await asyncio.to_thread(controllers.kill)
        audit = AuditLog(self.kubernetes_audit.path)

        def follows() -> bool:
            return any(
                entry["verb"] == "watch"
                and (entry.get("objectRef") or {}).get("resource") == SECURE_AI_WORKLOADS.plural
                and "controller-manager" in entry["userAgent"]
                for entry in audit.new_entries()
            )

        await asyncio.to_thread(controllers.start)
        what = "the garbage collector to follow workloads"
        await asyncio.to_thread(self.lab.wait_for, follows, GC_SECONDS, what)
        self._is_followed = True

    async def stop_operator(self) -> None:
        if self.operator is not None:
            await asyncio.to_thread(self.operator.stop)
        self.operator = None

    @property
    def operator_pid(self) -> int:
        if self.operator is None or self.operator.process.pid is None:
            raise LabError("no operator is running")
        return self.operator.process.pid

    def _logged(self, event: str) -> dict[str, Any] | None:
        if self.operator is None:
            return None
        for line in self.operator.process.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if f'"{event}"' in line:
                entry: dict[str, Any] = json.loads(line)
                return entry
        return None

    def led_at(self) -> float:
        """When the operator began to lead, in seconds since the epoch, by its own log."""
        leading = self._logged("leading")
        if leading is None:
            raise LabError("the operator does not lead")
        return datetime.fromisoformat(leading["time"]).timestamp()

    def answer(self, path: str) -> tuple[int, str]:
        """What the operator's own port answers: the status, and the text; (0, "") as long as nobody listens."""
        listening = self._logged("listening")
        if listening is None:
            return 0, ""
        connection = http.client.HTTPConnection("127.0.0.1", int(listening["port"]), timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip()
        finally:
            connection.close()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the operator's samples of that name that carry the labels."""
        _, text = self.answer("/metrics")
        return _sum(text, name, labels)

    # Counting

    def counted(self) -> Counts:
        """What the operator wrote since the last time that this was asked."""
        return count(self.kubernetes_audit, self.vault_audit)

    def cpu(self, **more: int) -> Cpu:
        """CPU time of everything that shares the machine with the measurement."""
        pids = {"bench": os.getpid(), **more}
        if self.operator is not None:
            pids["operator"] = self.operator_pid
        for component in COMPONENTS:
            pid = self.lab.component(component).pid
            if pid is not None:
                pids[component] = pid
        return Cpu.now(pids)

    async def all_of(self, shown: Sequence[asyncio.Future[float]], deadline: float, what: str) -> list[float]:
        """All results; an error as soon as the operator ends, which would be waited for in vain."""
        together = asyncio.gather(*shown)
        end = time.monotonic() + deadline
        try:
            while not (await asyncio.wait([together], timeout=1.0))[0]:
                if self.operator is not None and not await asyncio.to_thread(self._is_running):
                    raise RuntimeError(f"the operator ended\n{self.operator.process.tail()}")
                if time.monotonic() > end:
                    missing = sum(not future.done() for future in shown)
                    raise LabTimeout(
                        f"waited {deadline:g} s for {what}: {missing} of {len(shown)} are missing"
                    )
            return together.result()
        finally:
            together.cancel()
            await asyncio.gather(together, return_exceptions=True)

    def _is_running(self) -> bool:
        return self.operator is not None and self.operator.process.running

    async def settled(self, seconds: float = 1.0, deadline: float = 30.0) -> None:
        """Return when for so many seconds nothing waited and nobody asked for a pass.

        Looks that are due do not count: of thousands there is always one.
        """
        last, since = -1.0, time.monotonic()

        async def quiet() -> bool:
            nonlocal last, since
            _, text = await asyncio.to_thread(self.answer, "/metrics")
            passes = sum(_sum(text, PASSES, {"trigger": lane}) for lane in ("urgent", "routine"))
            if passes != last or _sum(text, "secureai_workqueue_depth", {}) > DUE_AT_ONCE:
                last, since = passes, time.monotonic()
            return time.monotonic() - since >= seconds

        # The page of metrics grows with the workloads, and is the operator's work.
        interval = 0.1 + len(self.workloads) / 2000
        await wait_until(quiet, deadline, "the operator to come to rest", interval)

    # Workloads

    async def create_namespace(self, name: str) -> None:
        await asyncio.to_thread(self.lab.create_namespace, name)

    async def create_workload(self, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        return await self.kube.create(
            SECURE_AI_WORKLOADS,
            namespace,
            {
                "apiVersion": SECURE_AI_WORKLOADS.api_version,
                "kind": SECURE_AI_WORKLOADS.kind,
                "metadata": {"name": name, "namespace": namespace},
                "spec": spec,
            },
        )


def is_ready(workload: dict[str, Any]) -> bool:
    """Ready, for the generation that it now has."""
    return any(
        condition["type"] == "Ready"
        and condition["status"] == "True"
        and condition.get("observedGeneration") == workload["metadata"]["generation"]
        for condition in (workload.get("status") or {}).get("conditions") or ()
    )


def _sum(text: str, name: str, labels: Mapping[str, str]) -> float:
    """Of the samples of that name that carry the labels, in a page of metrics."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    samples = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for found, value in samples if all(part in found for part in wanted))
