"""One operator process: runs its parts in one loop and one task group, and ends them in order.

A part that dies unexpectedly ends the process: start-up is fast, and nothing is ever silently half alive. A standby runs all
of it but the workers, so that it is warm when it takes over.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import kopf

from secureai_operator import handlers, names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.assembly import Parts, assemble
from secureai_operator.clients.tls_memory import keep_reads_small
from secureai_operator.controllers.pods import bind_operations
from secureai_operator.controllers.workloads import Key
from secureai_operator.runtime.workqueue import Lane, current_lane
from secureai_operator.settings import BindingBackend, Settings
from secureai_operator.telemetry.http import TelemetryServer

log = logging.getLogger(__name__)

RELIST_SECONDS = 300.0
"""How often a list of the CRs replaces what the watch told: Kopf keeps objects that were deleted while a watch was broken."""
REPORT_SECONDS = 15.0
"""How often the gauges of the Vault connections are set; about a scrape interval."""
SILENT_SECONDS = 150.0
"""Longest silence of a watch; bookmarks come every minute."""
STUCK_SECONDS = 60.0
"""Longest that urgent work may wait before the process counts as stuck."""
KOPF_END_SECONDS = 1.0
"""How long Kopf may take to close its watches at the end."""


@dataclass(slots=True)
class App:
    """The life of one process; set `stopping` to end it."""

    parts: Parts
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Run until `stopping` is set or the Lease is lost; then end in order."""
        server = TelemetryServer(
            self.parts.metrics,
            self.healthy,
            self.ready,
            host=self.parts.settings.http_host,
            port=self.parts.settings.http_port,
        )
        log.info("listening", extra={"port": await server.start()})
        try:
            async with asyncio.TaskGroup() as group:
                background = [
                    group.create_task(informer.run(), name=f"informer-{informer.name}")
                    for informer in self.parts.informers
                ]
                background.append(group.create_task(self.parts.secrets.run(), name="informer-secrets"))
                background += [
                    group.create_task(vault.run(), name=f"vault-{name}")
                    for name, vault in self.parts.vaults.items()
                ]
                background.append(group.create_task(self.parts.events.run(), name="events"))
                background.append(group.create_task(self._relist(), name="relist"))
                background.append(group.create_task(self._report_vaults(), name="report-vaults"))
                election = group.create_task(self._elect(), name="election")
                work = group.create_task(self._work_when_leader(), name="work")
                stop_kopf = asyncio.Event()
                kopf_task = group.create_task(self._run_kopf(stop_kopf), name="kopf")
                await self._until_stopped(kopf_task)
                await self._end(work, election, background, stop_kopf)
        finally:
            await server.close()
            for vault in self.parts.vaults.values():
                await vault.close()
            await self.parts.kube.close()
            await asyncio.to_thread(self.parts.traces.close)

    async def _until_stopped(self, kopf_task: asyncio.Task[None]) -> None:
        waits = [
            asyncio.ensure_future(self.stopping.wait()),
            asyncio.ensure_future(self.parts.elector.lost.wait()),
        ]
        try:
            await asyncio.wait([*waits, kopf_task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.parts.elector.lost.is_set() and not self.stopping.is_set():
            raise LeadershipLostError
        if kopf_task.done() and not self.stopping.is_set():
            raise KopfEndedError

    async def _end(
        self,
        work: asyncio.Task[None],
        election: asyncio.Task[None],
        background: list[asyncio.Task[None]],
        stop_kopf: asyncio.Event,
    ) -> None:
        """Workers first, then the Lease: nobody may take over while a pass is under way."""
        log.info("stopping")
        self.parts.policy_workers.stop()
        self.parts.workers.stop()
        if not self.parts.elector.is_leader:
            work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await self.parts.events.close(deadline=0.2)
        self.parts.elector.stop()
        await election
        stop_kopf.set()
        for task in background:
            task.cancel()

    async def _elect(self) -> None:
        """Ahead of all workloads: behind a thousand new ones a renewal waited for its place until the Lease was lost."""
        current_lane.set(Lane.URGENT)
        await self.parts.elector.run()

    async def _work_when_leader(self) -> None:
        await self._synced()
        # What was loaded stays: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        await self.parts.elector.wait_until_leader()
        self.parts.metrics.leads(leader=True)
        log.info("leading", extra={"workloads": len(self.parts.workloads)})
        async with asyncio.TaskGroup() as group:
            group.create_task(self.parts.policy_workers.run(), name="policy-workers")
            group.create_task(self.parts.workers.run(), name="workers")

    async def _synced(self) -> None:
        for informer in self.parts.informers:
            await informer.synced.wait()

    async def _run_kopf(self, stop: asyncio.Event) -> None:
        use_webhook = self.parts.binding is BindingBackend.WEBHOOK
        tasks = await kopf.spawn_tasks(
            registry=handlers.registry(
                self.parts.triggers.on_workload, self._bind_pod if use_webhook else None
            ),
            settings=handlers.operator_settings(
                self.parts.settings.model_copy(update={"binding": self.parts.binding})
            ),
            clusterwide=True,
            standalone=True,
            # Or Kopf asks who runs this process, and a pod's user is no user of the image.
            identity=cast("Any", names.OPERATOR_SERVICE_ACCOUNT),
            stop_flag=stop,
        )
        # Kopf took the signals for itself; it would end first, and the workers and the Lease with it.
        self.take_signals()
        try:
            # Not kopf.run_tasks: at its end it waits five seconds for every task of the process, ours too.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            done, _ = await asyncio.wait(tasks, timeout=KOPF_END_SECONDS)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def take_signals(self) -> None:
        """SIGTERM and SIGINT end this process in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)

    def _bind_pod(self, pod: Mapping[str, Any], namespace: str) -> list[dict[str, Any]]:
        return bind_operations(pod, namespace, self.parts.workloads)

    async def _relist(self) -> None:
        """Replace what is known of the CRs by a list now and then."""
        while True:
            await asyncio.sleep(RELIST_SECONDS)
            seen: set[Key] = set()
            started = set(self.parts.workloads.keys())
            try:
                async for items, _version in self.parts.kube.list_pages(SECURE_AI_WORKLOADS):
                    for raw in items:
                        self.parts.triggers.on_workload(None, raw)
                        seen.add((raw["metadata"]["namespace"], raw["metadata"]["name"]))
            except Exception as error:  # noqa: BLE001 - the next list is as good as this one
                log.warning("relist failed", extra={"error": type(error).__name__})
                continue
            for key in started - seen:
                if self.parts.workloads.remove(key):
                    self.parts.queue.add(key)

    async def _report_vaults(self) -> None:
        """Keep the gauges of the Vault connections: health is told on change only, a token's end never."""
        while True:
            for name, vault in self.parts.vaults.items():
                self.parts.metrics.vault_up(name, up=vault.health.usable)
                self.parts.metrics.vault_token_expires(name, time.time() + vault.token_seconds)
            await asyncio.sleep(REPORT_SECONDS)

    # Probes

    def healthy(self) -> tuple[bool, str]:
        for informer in (*self.parts.informers, *self.parts.secrets):
            if informer.synced.is_set() and informer.silent_for() > SILENT_SECONDS:
                return False, f"the watch of {informer.name} is silent"
        if self.parts.elector.is_leader and self.parts.queue.oldest_age(Lane.URGENT) > STUCK_SECONDS:
            return False, "urgent work is stuck"
        return True, "ok"

    def ready(self) -> tuple[bool, str]:
        waiting = [informer.name for informer in self.parts.informers if not informer.synced.is_set()]
        if waiting:
            return False, f"not synced: {', '.join(waiting)}"
        return True, "leading" if self.parts.elector.is_leader else "standby"


class LeadershipLostError(RuntimeError):
    """Another process may lead now: end at once, and start again as a standby."""


class KopfEndedError(RuntimeError):
    """Kopf stopped although nobody asked it to."""


async def main(settings: Settings, kubeconfig: str | None = None) -> int:
    """Run the operator until SIGTERM or SIGINT; returns the exit code."""
    if kubeconfig:
        os.environ["KUBECONFIG"] = kubeconfig  # Kopf has no other way to be told
    keep_reads_small()
    app = App(await assemble(settings, kubeconfig))
    app.take_signals()
    try:
        await app.run()
    except* (LeadershipLostError, KopfEndedError) as group:
        log.error("ended early", extra={"cause": type(group.exceptions[0]).__name__})  # noqa: TRY400 - no trace needed
        code = 1
    else:
        code = 0
    return code
