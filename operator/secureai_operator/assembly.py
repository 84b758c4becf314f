"""The assembly: clients → stores → informers → controller → workers, put together and not yet running."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from secureai_operator import names
from secureai_operator.api.resources import (
    EVENTS,
    KEY_ROTATION_POLICIES,
    NAMESPACES,
    NETWORK_POLICIES,
    NODES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    RUNTIME_CLASSES,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from secureai_operator.api.rotation import KeyRotationPolicyStatus
from secureai_operator.clients.kube import AioKube, KubeLease, KubeSettings, KubeSource
from secureai_operator.clients.vault import HvacVault
from secureai_operator.controllers.binding import chosen_backend
from secureai_operator.controllers.children import Children, child_of
from secureai_operator.controllers.emergency import Emergencies
from secureai_operator.controllers.finalization import Finalization
from secureai_operator.controllers.hooks import Hooks, policy_facts, recording_hooks
from secureai_operator.controllers.key_life import KeyLife
from secureai_operator.controllers.memory import Memories
from secureai_operator.controllers.namespace_secrets import NamespaceSecrets
from secureai_operator.controllers.places import Places
from secureai_operator.controllers.pods import Pods, owner_of
from secureai_operator.controllers.policies import (
    NamespaceLabels,
    Policies,
    StoredPolicy,
    namespace_labels,
    stored_policy,
)
from secureai_operator.controllers.policy import SETTLE_SECONDS, PolicyController
from secureai_operator.controllers.role_rules import RoleRules
from secureai_operator.controllers.rotation import Rotations
from secureai_operator.controllers.rulings import Rulings
from secureai_operator.controllers.status_writer import StatusWriter
from secureai_operator.controllers.triggers import Triggers
from secureai_operator.controllers.workload import WorkloadController
from secureai_operator.controllers.workloads import Key, Workloads
from secureai_operator.controllers.world import LivePod, World, live_pod, node_facts
from secureai_operator.core.bootstrap import needed_capabilities
from secureai_operator.core.configured import platform_config, vault_connections
from secureai_operator.core.drift import Child
from secureai_operator.core.facts import NodeFacts, PlatformConfig
from secureai_operator.core.rotation.selection import Labels
from secureai_operator.runtime.controller import URGENT_WORKERS, Controller, ControllerSettings, places
from secureai_operator.runtime.identity import Identity, own_identity
from secureai_operator.runtime.informer import Informer
from secureai_operator.runtime.informer_set import InformerSet
from secureai_operator.runtime.lease import Elector, LeaseSettings
from secureai_operator.runtime.workqueue import Lane, WorkQueue, current_lane
from secureai_operator.settings import BindingBackend, Settings
from secureai_operator.telemetry.events import EventRecorder
from secureai_operator.telemetry.metrics import Metrics
from secureai_operator.telemetry.traces import Traces

LEASE = "secureai-operator"
POLICY_WORKERS = 2
"""Policies are few, and a look at one is quick."""


_now = partial(datetime.now, UTC)


@dataclass(slots=True)
class Parts:
    """All parts of one operator process."""

    settings: Settings
    kube: AioKube
    vaults: Mapping[str, HvacVault]
    metrics: Metrics
    traces: Traces
    events: EventRecorder
    workloads: Workloads
    queue: WorkQueue[Key]
    triggers: Triggers
    informers: list[Informer[Any]]
    secrets: InformerSet[Child]
    controller: WorkloadController
    workers: Controller[Key]
    policy_workers: Controller[Key]
    elector: Elector
    binding: BindingBackend


async def assemble(settings: Settings, kubeconfig: str | None) -> Parts:
    """Put the parts together; nothing runs yet."""
    metrics, identity = Metrics(), own_identity(os.environ)
    traces = Traces.of(settings.tracing, instance=identity.holder, on_export=metrics.trace_export)
    observe = traces.of_kubernetes(metrics.kubernetes_request)
    kube = await AioKube.connect(KubeSettings(kubeconfig=kubeconfig), is_urgent=_is_urgent, observe=observe)
    events = EventRecorder(
        lambda namespace, manifest: kube.create(EVENTS, namespace, manifest),
        instance=identity.holder,
        on_result=metrics.kubernetes_event,
    )
    elector = _elector(settings, kube, identity)
    vaults = _vaults(settings, metrics, elector, traces)
    workloads, children = Workloads(), Children()
    queue: WorkQueue[Key] = WorkQueue(places(settings.workers))
    policy_queue: WorkQueue[Key] = WorkQueue()
    # Late, because who rules whom is known only with the namespaces, which are watched as everything else is.
    namespaces: dict[str, Labels] = {}
    triggers = Triggers(
        workloads,
        children,
        queue,
        metrics,
        policies=Policies(settings.operator_namespace, lambda: namespaces),
        places=Places(lambda key: queue.add(key, Lane.BACKGROUND)),
        rulings=Rulings(lambda key: policy_queue.add_after(key, SETTLE_SECONDS)),
        policy_queue=policy_queue,
    )
    informers = _informers(kube, triggers, settings.operator_namespace, namespaces)
    children.follow(informers.owned, informers.secrets)
    controller = _controller(settings, kube, vaults, triggers, informers, metrics, events, elector)
    triggers.secrets, triggers.world = controller.secrets, controller.world
    for name, vault in vaults.items():
        vault.subscribe(partial(triggers.on_vault_health, name))
    parts = Parts(
        settings=settings,
        kube=kube,
        vaults=vaults,
        metrics=metrics,
        traces=traces,
        events=events,
        workloads=workloads,
        queue=queue,
        triggers=triggers,
        informers=informers.cluster_wide,
        secrets=informers.secrets,
        controller=controller,
        workers=_workers(settings, queue, controller, metrics, traces),
        policy_workers=Controller(
            "policy",
            policy_queue,
            _policy_controller(settings, kube, triggers, metrics, elector).reconcile,
            settings=ControllerSettings(workers=POLICY_WORKERS, grace=settings.shutdown_seconds),
        ),
        elector=elector,
        binding=await chosen_backend(settings.binding, kube),
    )
    _watch_metrics(parts)
    return parts


@dataclass(frozen=True, slots=True)
class _Informers:
    """Everything that is watched but the CRs themselves, which Kopf watches."""

    owned: list[Informer[Child]]
    secrets: InformerSet[Child]
    nodes: Informer[NodeFacts]
    classes: Informer[str]
    pods: Informer[LivePod]
    policies: Informer[StoredPolicy]
    namespaces: Informer[NamespaceLabels]

    @property
    def cluster_wide(self) -> list[Informer[Any]]:
        return [*self.owned, self.nodes, self.classes, self.pods, self.policies, self.namespaces]


def _informers(
    kube: AioKube, triggers: Triggers, operator_namespace: str, namespaces: dict[str, Labels]
) -> _Informers:
    def on_namespace(old: NamespaceLabels | None, new: NamespaceLabels | None, live: bool) -> None:
        if new is not None:
            namespaces[new.name] = new.labels
        elif old is not None:
            namespaces.pop(old.name, None)
        triggers.on_namespace(old, new, live)

    def secrets_of(namespace: str) -> Informer[Child]:
        source = KubeSource(kube, SECRETS, namespace, label_selector=names.MANAGED_SELECTOR)
        return Informer("secrets", source, child_of("Secret"), _owner_uid, triggers.on_child)

    return _Informers(
        # One for each owned kind that may be listed in the whole cluster: all but Secrets.
        owned=[
            Informer(
                resource.plural,
                KubeSource(kube, resource, label_selector=names.MANAGED_SELECTOR),
                child_of(resource.kind),
                _owner_uid,
                triggers.on_child,
            )
            for resource in (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, NETWORK_POLICIES)
        ],
        secrets=InformerSet("secrets", secrets_of),
        nodes=Informer("nodes", KubeSource(kube, NODES), node_facts, _nobody, triggers.on_cluster),
        classes=Informer(
            "runtimeclasses", KubeSource(kube, RUNTIME_CLASSES), _name, _nobody, triggers.on_cluster
        ),
        pods=Informer(
            "pods",
            KubeSource(kube, PODS, label_selector=names.WORKLOAD_LABEL),
            live_pod,
            owner_of,
            triggers.on_pod,
        ),
        # Not Kopf's: no pass may begin before all policies are known, or it would find a workload that none rules.
        policies=Informer(
            "keyrotationpolicies",
            KubeSource(kube, KEY_ROTATION_POLICIES),
            partial(stored_policy, operator_namespace=operator_namespace),
            _nobody,
            triggers.on_policy,
        ),
        namespaces=Informer(
            "namespaces", KubeSource(kube, NAMESPACES), namespace_labels, _nobody, on_namespace
        ),
    )


def _controller(  # noqa: PLR0917 - the parts it is made of
    settings: Settings,
    kube: AioKube,
    vaults: Mapping[str, HvacVault],
    triggers: Triggers,
    informers: _Informers,
    metrics: Metrics,
    events: EventRecorder,
    elector: Elector,
) -> WorkloadController:
    config = platform_config(settings)
    workloads = triggers.workloads
    memories = Memories()
    hooks = recording_hooks(metrics, events, triggers.seconds_since)
    secrets = NamespaceSecrets(informers.secrets, settings.operator_namespace)
    return WorkloadController(
        kube=kube,
        vaults=vaults,
        world=World(config, workloads, informers.nodes, informers.classes, informers.pods, RoleRules(kube)),
        workloads=workloads,
        children=triggers.children,
        pods=Pods(informers.pods, settings.evict_unbound_pods, hooks.event),
        secrets=secrets,
        finalization=Finalization(
            kube=kube,
            config=config,
            workloads=workloads,
            secrets=secrets,
            operator_namespace=settings.operator_namespace,
            orphan_deadline=settings.orphan_deadline_seconds,
            now=_now,
            tell=hooks.event,
        ),
        hooks=hooks,
        now=_now,
        vault_probe_seconds=settings.vault_probe_seconds,
        leads=lambda: elector.is_leader,
        statuses=StatusWriter(workloads, memories, hooks),
        memories=memories,
        key_life=_key_life(config, triggers, hooks, metrics),
        hurry=lambda key, seconds: triggers.queue.add_after(key, seconds, Lane.URGENT),
    )


def _key_life(config: PlatformConfig, triggers: Triggers, hooks: Hooks, metrics: Metrics) -> KeyLife:
    def may_trim(connection: str) -> bool:
        known = config.connections.get(connection)
        return known is not None and known.may_trim

    return KeyLife(
        rotations=Rotations(
            policies=triggers.policies,
            places=triggers.places,
            rulings=triggers.rulings,
            now=_now,
            tell=hooks.security,
            metrics=metrics.rotation,
            may_trim=may_trim,
        ),
        emergencies=Emergencies(triggers.children, _now, hooks.security, metrics.rotation),
        children=triggers.children,
        now=_now,
        tell=hooks.event,
        metrics=metrics.rotation,
    )


def _policy_controller(
    settings: Settings, kube: AioKube, triggers: Triggers, metrics: Metrics, elector: Elector
) -> PolicyController:
    def on_request(key: Key) -> None:
        stored = triggers.policies.get(key)
        if stored is not None:
            triggers.policy_changed(stored)

    def on_status(key: Key, status: KeyRotationPolicyStatus | None) -> None:
        if status is None:
            metrics.policy_gone(*key)
        else:
            metrics.policy(*key, policy_facts(status))

    return PolicyController(
        kube=kube,
        policies=triggers.policies,
        rulings=triggers.rulings,
        operator_namespace=settings.operator_namespace,
        now=_now,
        leads=lambda: elector.is_leader,
        on_request=on_request,
        on_status=on_status,
    )


def _vaults(settings: Settings, metrics: Metrics, elector: Elector, traces: Traces) -> dict[str, HvacVault]:
    return {
        name: HvacVault(
            connection,
            needed_capabilities(connection),
            observe=traces.of_vault(name, partial(metrics.vault_request, name)),
            is_urgent=_is_urgent,
            may_write=lambda: elector.is_leader,
        )
        for name, connection in vault_connections(settings).items()
    }


def _elector(settings: Settings, kube: AioKube, identity: Identity) -> Elector:
    return Elector(
        KubeLease(kube, settings.operator_namespace, LEASE),
        identity,
        settings=LeaseSettings(
            duration=settings.lease_seconds,
            renew=settings.lease_seconds / 4,
            renew_deadline=settings.lease_seconds * 0.8,
        ),
    )


def _nobody(_: object) -> None:
    """Nodes and runtime classes have no owner."""


def _name(raw: dict[str, Any]) -> str:
    return str(raw["metadata"]["name"])


def _owner_uid(child: Child) -> str | None:
    return child.owner_uid or None


def _workers(
    settings: Settings,
    queue: WorkQueue[Key],
    controller: WorkloadController,
    metrics: Metrics,
    traces: Traces,
) -> Controller[Key]:
    def observe(outcome: Any, seconds: float) -> None:
        metrics.reconciled(outcome.value, seconds, current_lane.get().name.lower())

    return Controller(
        "workload",
        queue,
        traces.traced(controller.reconcile),
        settings=ControllerSettings(
            workers=settings.workers + URGENT_WORKERS, grace=settings.shutdown_seconds
        ),
        observe=observe,
    )


def _watch_metrics(parts: Parts) -> None:
    for lane in Lane:
        parts.metrics.watch_queue(
            lane.name.lower(), partial(parts.queue.depth, lane), partial(parts.queue.oldest_age, lane)
        )
    for informer in parts.informers:
        parts.metrics.watch_informer(informer.name, informer.silent_for)
    parts.metrics.watch_tasks(lambda: len(asyncio.all_tasks()))


def _is_urgent() -> bool:
    return current_lane.get() is Lane.URGENT
