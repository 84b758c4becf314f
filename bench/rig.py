"""What every measurement works with: a lab, the product on it, one operator, and a client that costs little."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.audit import AuditLog, Counts, count
from bench.samples import Cpu
from lab import Lab, LabError, wait_until
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.clients.kube import AioKube
from tests.product import Operator, Product

START_SECONDS = 60.0

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
    workloads: list[tuple[str, str]] = field(default_factory=list)
    """Namespace and name of every CR that was made and is Ready."""

    # The operator

    async def start_operator(self, **overrides: Any) -> None:
        """Start it and wait until it leads."""
        operator = await asyncio.to_thread(lambda: self.product.start_operator(**overrides))
        self.operator = operator

        async def leads() -> bool:
            if not operator.process.running:
                # Not a LabError: that would mean "not yet".
                raise RuntimeError(f"the operator ended\n{operator.process.tail()}")
            return self._logged("leading") is not None

        await wait_until(leads, START_SECONDS, f"the operator to lead\n{operator.process.tail()}")

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

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the operator's samples of that name that carry the labels."""
        listening = self._logged("listening")
        if listening is None:
            return 0.0
        connection = http.client.HTTPConnection("127.0.0.1", int(listening["port"]), timeout=5)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        samples = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for found, value in samples if all(part in found for part in wanted))

    # Counting

    def counted(self) -> Counts:
        """What the operator wrote since the last time that this was asked."""
        return count(self.kubernetes_audit, self.vault_audit)

    def cpu(self, **more: int) -> Cpu:
        """CPU time of everything that shares the machine with the measurement."""
        pids = {"bench": os.getpid(), **more}
        if self.operator is not None:
            pids["operator"] = self.operator_pid
        for component in ("kube-apiserver", "etcd", "kube-controller-manager", "vault"):
            pid = self.lab.component(component).pid
            if pid is not None:
                pids[component] = pid
        return Cpu.now(pids)

    async def settled(self, seconds: float = 1.0, deadline: float = 30.0) -> None:
        """Return when the operator has done no pass for so many seconds."""
        last, since = -1.0, time.monotonic()

        async def quiet() -> bool:
            nonlocal last, since
            passes = await asyncio.to_thread(self.metric, "secureai_reconcile_seconds_count")
            if passes != last:
                last, since = passes, time.monotonic()
            return time.monotonic() - since >= seconds

        await wait_until(quiet, deadline, "the operator to come to rest")

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
