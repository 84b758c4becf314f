"""The pods of workloads: which are bound, which escaped, and replacing those that a controller makes anew."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from secureai_operator import errors, names
from secureai_operator.api import reasons
from secureai_operator.api.reasons import Reason
from secureai_operator.api.resources import PODS
from secureai_operator.api.workload import Enforcement
from secureai_operator.clients.kube import ScopedKube
from secureai_operator.controllers.status_json import decoded
from secureai_operator.controllers.workloads import Key, Workloads
from secureai_operator.controllers.world import LivePod, live_pod
from secureai_operator.core.desired.binding import belongs, bind_pod, unbound_reason
from secureai_operator.core.facts import PodFacts, Workload
from secureai_operator.runtime.informer import Informer

log = logging.getLogger(__name__)

SELECTED_SECONDS = 30.0
"""How often pods that only a podSelector claims are listed: they carry no label of ours to watch by."""


@dataclass(slots=True)
class Pods:
    """All pods with the workload label, from the watch; and those selected otherwise, listed now and then."""

    informer: Informer[LivePod]
    evict: bool
    tell: Callable[[Workload, Reason, str], None]
    _selected: dict[Key, tuple[tuple[LivePod, ...], float]] = field(default_factory=dict)

    async def refresh(self, workload: Workload, kube: ScopedKube) -> None:
        """List the pods of a workload with a selector of its own, unless that was done just before."""
        if workload.spec.pod_selector is None:
            return
        _, until = self._selected.get(workload.key, ((), 0.0))
        if time.monotonic() < until:
            return
        selector = ",".join(f"{key}={value}" for key, value in sorted(workload.pod_labels.items()))
        found: list[LivePod] = []
        async for items, _version in kube.list_pages(PODS, label_selector=selector):
            found += [live_pod(item) for item in items]
        self._selected[workload.key] = (tuple(found), time.monotonic() + SELECTED_SECONDS)

    def forget(self, key: Key) -> None:
        self._selected.pop(key, None)

    def of(self, workload: Workload) -> tuple[PodFacts, ...]:
        """The pods that count: neither finished nor on their way out."""
        labelled = self.informer.store.owned(workload.key)
        by_uid = {pod.uid: pod for pod in labelled.values()}
        known = self.informer.store
        for pod in self._selected.get(workload.key, ((), 0.0))[0]:
            # The watch knows better about a pod that it follows.
            if known.get((pod.namespace, pod.name)) is None:
                by_uid.setdefault(pod.uid, pod)
        return tuple(
            _facts(workload, pod)
            for pod in sorted(by_uid.values(), key=lambda pod: pod.name)
            if not pod.finished
        )

    async def replace_unbound(self, workload: Workload, pods: tuple[PodFacts, ...], kube: ScopedKube) -> bool:
        """Evict one escaped pod that a controller makes anew; whether there are more. PodDisruptionBudgets are kept."""
        binding = workload.status.binding
        if (
            not self.evict
            or workload.spec.enforcement is Enforcement.AUDIT
            or binding is None
            or not binding.ready
        ):
            return False
        candidates = [pod for pod in pods if pod.problem and pod.controlled]
        if not candidates:
            return False
        first = candidates[0]
        try:
            await kube.evict(first.name, first.uid)
        except errors.OperatorError as error:
            log.info(
                "eviction waits",
                extra={"namespace": workload.namespace, "workload": workload.name, "reason": error.reason},
            )
            return True
        self.tell(workload, reasons.POD_REPLACED, f"pod {first.name} was evicted: {first.problem}")
        self._selected.pop(workload.key, None)
        return True


def bind_operations(pod: Mapping[str, Any], namespace: str, workloads: Workloads) -> list[dict[str, Any]]:
    """The JSON patch that binds a new pod, for the webhook; the same as the admission policy makes of the same status.

    Raises PermissionError with a message for the user if the pod's workload cannot bind it yet.
    """
    for item in workloads.in_namespace(namespace):
        binding = decoded(item.status).binding
        if binding is None:
            continue
        if belongs(pod, binding) and binding.enforce and not binding.ready:
            raise PermissionError(
                f"SecureAIWorkload {namespace}/{item.name} is not ready for pods; look at its conditions"
            )
        operations = bind_pod(pod, binding)
        if operations or belongs(pod, binding):
            return [dict(operation) for operation in operations]
    claimed = ((pod.get("metadata") or {}).get("labels") or {}).get(names.WORKLOAD_LABEL)
    if claimed:
        raise PermissionError(
            f"SecureAIWorkload {namespace}/{claimed} does not exist or is not ready for pods yet"
        )
    return []


def _facts(workload: Workload, pod: LivePod) -> PodFacts:
    binding = workload.status.binding
    problem = (
        "the workload is not ready to bind it"
        if binding is None
        else (unbound_reason(pod.raw_binding, binding) or "")
    )
    return PodFacts(
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.uid,
        problem=problem,
        quarantined=pod.quarantined,
        controlled=pod.controlled,
        owner=pod.owner,
        created=pod.created,
        runs_to_end=pod.runs_to_end,
    )


def owner_of(pod: LivePod) -> Key | None:
    """The workload that the pod's label names; its own namespace's, whatever the label says."""
    return (pod.namespace, pod.workload) if pod.workload else None
