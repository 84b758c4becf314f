"""The composition root: clients → stores → informers → Lease → workers → Kopf, and an ordered end.

Everything runs in one loop and one task group: a part that dies unexpectedly ends the process. Start-up is fast, and nothing
is ever silently half alive. A standby runs all of it but the workers, so that it is warm when it takes over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import kopf

from secureai_operator import handlers, names
from secureai_operator.api.resources import (
    EVENTS,
    MUTATING_ADMISSION_POLICIES,
    NETWORK_POLICIES,
    NODES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    RUNTIME_CLASSES,
    SECRETS,
    SECURE_AI_WORKLOADS,
    SERVICE_ACCOUNTS,
)
from secureai_operator.clients.kube import AioKube, KubeLease, KubeSettings, KubeSource
from secureai_operator.clients.vault import HvacVault
from secureai_operator.controllers.children import Children, child_of
from secureai_operator.controllers.configuration import platform_config, vault_connections
from secureai_operator.controllers.finalization import Finalization
from secureai_operator.controllers.hooks import recording_hooks
from secureai_operator.controllers.namespace_secrets import NamespaceSecrets
from secureai_operator.controllers.pods import Pods, bind_operations, owner_of
from secureai_operator.controllers.triggers import Triggers
from secureai_operator.controllers.workload import WorkloadController
from secureai_operator.controllers.workloads import Key, Workloads
from secureai_operator.controllers.world import LivePod, World, live_pod, node_facts
from secureai_operator.core.bootstrap import needed_capabilities
from secureai_operator.core.drift import Child
from secureai_operator.core.facts import NodeFacts
from secureai_operator.runtime.controller import Controller, ControllerSettings
from secureai_operator.runtime.informer import Informer
from secureai_operator.runtime.informer_set import InformerSet
from secureai_operator.runtime.lease import Elector, LeaseSettings
from secureai_operator.runtime.workqueue import Lane, WorkQueue, current_lane
from secureai_operator.settings import BindingBackend, Settings
from secureai_operator.telemetry.events import EventRecorder
from secureai_operator.telemetry.http import TelemetryServer
from secureai_operator.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

LEASE = "secureai-operator"
BINDING_POLICY = "secureai-bind-pods"
"""Name of the MutatingAdmissionPolicy of manifests/base; without it pods are bound by the webhook."""

RELIST_SECONDS = 600.0
"""How often the list of CRs replaces what the watch told: Kopf keeps objects that were deleted while a watch was broken."""
SILENT_SECONDS = 150.0
"""Longest silence of a watch; bookmarks come every minute."""
STUCK_SECONDS = 60.0
"""Longest that urgent work may wait before the process counts as stuck."""


@dataclass(slots=True)
class App:
    """All parts of one operator process."""

    settings: Settings
    kube: AioKube
    vaults: Mapping[str, HvacVault]
    metrics: Metrics
    events: EventRecorder
    workloads: Workloads
    queue: WorkQueue[Key]
    triggers: Triggers
    informers: list[Informer[Any]]
    secrets: InformerSet[Child]
    controller: WorkloadController
    workers: Controller[Key]
    elector: Elector
    binding: BindingBackend
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    bound_port: int = 0

    # Life

    async def run(self) -> None:
        """Run until `stopping` is set or the Lease is lost; then end in order."""
        server = TelemetryServer(
            self.metrics, self.healthy, self.ready, host=self.settings.http_host, port=self.settings.http_port
        )
        self.bound_port = await server.start()
        log.info("listening", extra={"port": self.bound_port})
        try:
            async with asyncio.TaskGroup() as group:
                background = [
                    group.create_task(informer.run(), name=f"informer-{informer.name}")
                    for informer in self.informers
                ]
                background.append(group.create_task(self.secrets.run(), name="informer-secrets"))
                background += [
                    group.create_task(vault.run(), name=f"vault-{name}")
                    for name, vault in self.vaults.items()
                ]
                background.append(group.create_task(self.events.run(), name="events"))
                background.append(group.create_task(self._relist(), name="relist"))
                election = group.create_task(self.elector.run(), name="election")
                work = group.create_task(self._work_when_leader(), name="work")
                stop_kopf = asyncio.Event()
                kopf_task = group.create_task(self._run_kopf(stop_kopf), name="kopf")
                await self._until_stopped(kopf_task)
                await self._end(work, election, background, stop_kopf)
        finally:
            await server.close()
            for vault in self.vaults.values():
                await vault.close()
            await self.kube.close()

    async def _until_stopped(self, kopf_task: asyncio.Task[None]) -> None:
        waits = [
            asyncio.ensure_future(self.stopping.wait()),
            asyncio.ensure_future(self.elector.lost.wait()),
        ]
        try:
            await asyncio.wait([*waits, kopf_task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.elector.lost.is_set() and not self.stopping.is_set():
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
        self.workers.stop()
        if not self.elector.is_leader:
            work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await self.events.close(deadline=0.2)
        self.elector.stop()
        await election
        stop_kopf.set()
        for task in background:
            task.cancel()

    async def _work_when_leader(self) -> None:
        await self._synced()
        await self.elector.wait_until_leader()
        self.metrics.leads(leader=True)
        log.info("leading", extra={"workloads": len(self.workloads)})
        await self.workers.run()

    async def _synced(self) -> None:
        for informer in self.informers:
            await informer.synced.wait()

    async def _run_kopf(self, stop: asyncio.Event) -> None:
        use_webhook = self.binding is BindingBackend.WEBHOOK
        await kopf.operator(
            registry=handlers.registry(self.triggers.on_workload, self._bind_pod if use_webhook else None),
            settings=handlers.operator_settings(self.settings.model_copy(update={"binding": self.binding})),
            clusterwide=True,
            standalone=True,
            stop_flag=stop,
        )

    def _bind_pod(self, pod: Mapping[str, Any], namespace: str) -> list[dict[str, Any]]:
        return bind_operations(pod, namespace, self.workloads)

    async def _relist(self) -> None:
        """Replace what is known of the CRs by a list now and then."""
        while True:
            await asyncio.sleep(RELIST_SECONDS)
            seen: set[Key] = set()
            started = set(self.workloads.keys())
            try:
                async for items, _version in self.kube.list_pages(SECURE_AI_WORKLOADS):
                    for raw in items:
                        self.triggers.on_workload(None, raw)
                        seen.add((raw["metadata"]["namespace"], raw["metadata"]["name"]))
            except Exception as error:  # noqa: BLE001 - the next list is as good as this one
                log.warning("relist failed", extra={"error": type(error).__name__})
                continue
            for key in started - seen:
                if self.workloads.remove(key):
                    self.queue.add(key)

    # Probes

    def healthy(self) -> tuple[bool, str]:
        for informer in self.informers:
            if informer.synced.is_set() and informer.silent_for() > SILENT_SECONDS:
                return False, f"the watch of {informer.name} is silent"
        if self.elector.is_leader and self.queue.oldest_age(Lane.URGENT) > STUCK_SECONDS:
            return False, "urgent work is stuck"
        return True, "ok"

    def ready(self) -> tuple[bool, str]:
        waiting = [informer.name for informer in self.informers if not informer.synced.is_set()]
        if waiting:
            return False, f"not synced: {', '.join(waiting)}"
        return True, "leading" if self.elector.is_leader else "standby"


class LeadershipLostError(RuntimeError):
    """Another process may lead now: end at once, and start again as a standby."""


class KopfEndedError(RuntimeError):
    """Kopf stopped although nobody asked it to."""


async def build(settings: Settings, kubeconfig: str | None) -> App:
    """Put the parts together; nothing runs yet."""
    metrics = Metrics()
    kube = await AioKube.connect(
        KubeSettings(kubeconfig=kubeconfig),
        is_urgent=_is_urgent,
        observe=metrics.kubernetes_request,
    )
    config = platform_config(settings)
    vaults = {
        name: HvacVault(
            connection,
            needed_capabilities(connection),
            observe=partial(metrics.vault_request, name),
            is_urgent=_is_urgent,
        )
        for name, connection in vault_connections(settings).items()
    }
    identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    events = EventRecorder(
        lambda namespace, manifest: kube.create(EVENTS, namespace, manifest),
        instance=identity,
        on_result=metrics.kubernetes_event,
    )
    workloads, children = Workloads(), Children()
    queue: WorkQueue[Key] = WorkQueue()
    triggers = Triggers(workloads, children, queue, metrics)
    owned = _child_informers(kube, triggers)
    secrets = InformerSet[Child](
        "secrets",
        lambda namespace: Informer(
            "secrets",
            KubeSource(kube, SECRETS, namespace, label_selector=names.MANAGED_SELECTOR),
            child_of("Secret"),
            _owner_uid,
            triggers.on_child,
        ),
    )
    children.follow(owned, secrets)
    nodes: Informer[NodeFacts] = Informer(
        "nodes", KubeSource(kube, NODES), node_facts, lambda _: None, triggers.on_cluster
    )
    classes: Informer[str] = Informer(
        "runtimeclasses",
        KubeSource(kube, RUNTIME_CLASSES),
        lambda raw: str(raw["metadata"]["name"]),
        lambda _: None,
        triggers.on_cluster,
    )
    pods: Informer[LivePod] = Informer(
        "pods",
        KubeSource(kube, PODS, label_selector=names.WORKLOAD_LABEL),
        live_pod,
        owner_of,
        triggers.on_pod,
    )
    hooks = recording_hooks(metrics, events)
    controller = WorkloadController(
        kube=kube,
        vaults=vaults,
        world=World(config, workloads, nodes, classes, pods, kube),
        workloads=workloads,
        children=children,
        pods=Pods(pods, settings.evict_unbound_pods, hooks.event),
        secrets=NamespaceSecrets(secrets, settings.operator_namespace),
        finalization=Finalization(
            kube,
            config,
            workloads,
            settings.operator_namespace,
            settings.orphan_deadline_seconds,
            _now,
            hooks.event,
        ),
        hooks=hooks,
        now=_now,
        vault_probe_seconds=settings.vault_probe_seconds,
    )
    triggers.secrets = controller.secrets
    app = App(
        settings=settings,
        kube=kube,
        vaults=vaults,
        metrics=metrics,
        events=events,
        workloads=workloads,
        queue=queue,
        triggers=triggers,
        informers=[*owned, nodes, classes, pods],
        secrets=secrets,
        controller=controller,
        workers=_workers(settings, queue, controller, metrics),
        elector=Elector(
            KubeLease(kube, settings.operator_namespace, LEASE),
            identity,
            settings=LeaseSettings(
                duration=settings.lease_seconds,
                renew=settings.lease_seconds / 4,
                renew_deadline=settings.lease_seconds * 0.8,
            ),
        ),
        binding=await _binding_backend(settings, kube),
    )
    for name, vault in vaults.items():
        vault.subscribe(partial(triggers.on_vault_health, name))
    _watch_metrics(app)
    return app


async def main(settings: Settings, kubeconfig: str | None = None) -> int:
    """Run the operator until SIGTERM or SIGINT; returns the exit code."""
    if kubeconfig:
        os.environ["KUBECONFIG"] = kubeconfig  # Kopf has no other way to be told
    app = await build(settings, kubeconfig)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stopping.set)
    try:
        await app.run()
    except* (LeadershipLostError, KopfEndedError) as group:
        log.error("ended early", extra={"cause": type(group.exceptions[0]).__name__})  # noqa: TRY400 - no trace needed
        code = 1
    else:
        code = 0
    return code


# Parts ------------------------------------------------------------------------------------------------------


def _child_informers(kube: AioKube, triggers: Triggers) -> list[Informer[Child]]:
    """One for each owned kind that may be listed in the whole cluster: all but Secrets."""
    return [
        Informer(
            resource.plural,
            KubeSource(kube, resource, label_selector=names.MANAGED_SELECTOR),
            child_of(resource.kind),
            _owner_uid,
            triggers.on_child,
        )
        for resource in (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, NETWORK_POLICIES)
    ]


def _owner_uid(child: Child) -> str | None:
    return child.owner_uid or None


def _workers(
    settings: Settings, queue: WorkQueue[Key], controller: WorkloadController, metrics: Metrics
) -> Controller[Key]:
    def observe(outcome: Any, seconds: float) -> None:
        metrics.reconciled(outcome.value, seconds, current_lane.get().name.lower())

    return Controller(
        "workload",
        queue,
        controller.reconcile,
        settings=ControllerSettings(workers=settings.workers, grace=settings.shutdown_seconds),
        observe=observe,
    )


def _watch_metrics(app: App) -> None:
    for lane in Lane:
        app.metrics.watch_queue(
            lane.name.lower(), partial(app.queue.depth, lane), partial(app.queue.oldest_age, lane)
        )
    for informer in app.informers:
        app.metrics.watch_informer(informer.name, informer.silent_for)


async def _binding_backend(settings: Settings, kube: AioKube) -> BindingBackend:
    """What binds pods: as configured, or the admission policy if the cluster has it."""
    if settings.binding is not BindingBackend.AUTO:
        return settings.binding
    policy = await kube.get(MUTATING_ADMISSION_POLICIES, None, BINDING_POLICY)
    return BindingBackend.WEBHOOK if policy is None else BindingBackend.POLICY


def _is_urgent() -> bool:
    return current_lane.get() is Lane.URGENT


def _now() -> datetime:
    return datetime.now(UTC)
