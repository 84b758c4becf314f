"""The one patch at the end of a pass, and none if nothing is new."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from secureai_operator import errors
from secureai_operator.api.conditions import ConditionType
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.api.workload_status import Condition, SecureAIWorkloadStatus
from secureai_operator.clients.kube import ScopedKube
from secureai_operator.controllers.hooks import Hooks
from secureai_operator.controllers.memory import Memories
from secureai_operator.controllers.status_json import status_body
from secureai_operator.controllers.workloads import Workloads
from secureai_operator.core.facts import Workload

DRIFT_SECONDS = 1.0
"""Shortest time between two writes that only tell of a newer drift: such a write costs the API server several times what
the heal itself does, and in a storm nobody reads each of them."""


@dataclass(slots=True)
class StatusWriter:
    """Writes statuses, whole; remembers what was written, which counts more than what somebody makes of it."""

    workloads: Workloads
    memories: Memories
    hooks: Hooks

    async def write(self, workload: Workload, status: SecureAIWorkloadStatus, kube: ScopedKube) -> float:
        """Write the status if it is new; returns in how many seconds to come back for what was held back, or 0.

        Raises errors.KubeNotFound for a workload that is gone, after forgetting it.
        """
        self.hooks.status(workload, status)
        memory = self.memories.of(workload.key, workload.uid)
        last, memory.status = memory.status, status
        seen = memory.seen_status
        if status == seen:
            return 0.0
        wait = memory.drift_told_at + DRIFT_SECONDS - time.monotonic()
        if wait > 0 and seen is not None and _without_drift(status) == _without_drift(seen):
            return wait
        if seen is None or status.last_drift != seen.last_drift:
            memory.drift_told_at = time.monotonic()
        try:
            await self._patch(workload, status, kube)
        except BaseException:
            # What is not on the API server was not said: an intent that nobody could read there is none.
            memory.status = last
            raise
        return 0.0

    async def _patch(self, workload: Workload, status: SecureAIWorkloadStatus, kube: ScopedKube) -> None:
        test = {"op": "test", "path": "/metadata/uid", "value": workload.uid}
        body = status_body(status)
        operations: list[dict[str, Any]] = [test, {"op": "add", "path": "/status", "value": body}]
        try:
            with self.workloads.writing_status(workload.key):
                answer = await kube.json_patch(
                    SECURE_AI_WORKLOADS, workload.name, operations, subresource="status"
                )
                self.workloads.put(answer, own=True)
        except errors.KubeNotFound:
            # A ghost: it was deleted while the watch was broken.
            self.workloads.remove(workload.key, workload.uid)
            raise


def _without_drift(status: SecureAIWorkloadStatus) -> SecureAIWorkloadStatus:
    """The status but for what it tells of drift that was healed: whether drift stands is no detail."""
    conditions = tuple(_undated(condition) for condition in status.conditions)
    return status.model_copy(update={"last_drift": None, "conditions": conditions})


def _undated(condition: Condition) -> Condition:
    if condition.type != ConditionType.DRIFT_DETECTED.value or condition.status == "True":
        return condition
    return condition.model_copy(update={"reason": "", "message": "", "last_transition_time": ""})
