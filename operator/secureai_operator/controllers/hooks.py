"""How passes tell the outside what they did: metrics, events and one log line per decision."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from secureai_operator import names
from secureai_operator.api import reasons
from secureai_operator.api.reasons import Reason, Severity
from secureai_operator.api.rotation import KeyRotationPolicyStatus
from secureai_operator.api.workload_status import DriftStatus, SecureAIWorkloadStatus
from secureai_operator.controllers.workloads import Key
from secureai_operator.core.facts import Workload
from secureai_operator.telemetry.event_aggregation import Regarding
from secureai_operator.telemetry.events import EventRecorder
from secureai_operator.telemetry.metrics import Metrics
from secureai_operator.telemetry.policy_metrics import PolicyFacts
from secureai_operator.telemetry.workload_facts import workload_facts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hooks:
    """How a pass tells the outside: metrics, events, logs."""

    drift: Callable[[Workload, DriftStatus], None]
    security: Callable[[Workload, Reason, str], None]
    event: Callable[[Workload, Reason, str], None]
    status: Callable[[Workload, SecureAIWorkloadStatus], None]
    gone: Callable[[Key], None]


def recording_hooks(
    metrics: Metrics, events: EventRecorder, seconds_since: Callable[[Key], float | None]
) -> Hooks:
    """The hooks of a running operator; `seconds_since` tells how long ago the watch showed a key's last foreign change."""

    def regarding(workload: Workload) -> Regarding:
        return Regarding(
            names.API_VERSION, "SecureAIWorkload", workload.namespace, workload.name, workload.uid
        )

    def event(workload: Workload, reason: Reason, message: str) -> None:
        extra = {"namespace": workload.namespace, "workload": workload.name, "reason": reason.name}
        log.info("event", extra={**extra, "detail": message})
        events.record(regarding(workload), reason, message)

    def drift(workload: Workload, found: DriftStatus) -> None:
        metrics.drifted(found.kind, found.field, found.action)
        since = seconds_since(workload.key)
        if since is not None and found.action == "Healed":
            metrics.healed(since)
        reason = reasons.DRIFT_HEALED if found.action == "Healed" else reasons.DRIFT_REPORTED
        event(workload, reason, f"{found.kind} {found.name}: {found.field or 'deleted'}")

    def security(workload: Workload, reason: Reason, message: str) -> None:
        if reason.severity is Severity.SECURITY:
            metrics.security_event(reason.name)
        event(workload, reason, message)

    def status(workload: Workload, new: SecureAIWorkloadStatus) -> None:
        metrics.workload(workload.namespace, workload.name, workload_facts(new))

    def gone(key: Key) -> None:
        metrics.workload_gone(*key)

    return Hooks(drift=drift, security=security, event=event, status=status, gone=gone)


def policy_facts(status: KeyRotationPolicyStatus) -> PolicyFacts:
    """What the gauges say of a policy."""
    next_time = status.next_time
    return PolicyFacts(
        selected=status.selected,
        current=status.current,
        pending=status.pending,
        in_progress=status.in_progress,
        failed=status.failed,
        skipped=status.skipped,
        masked=status.masked,
        next_rotation=None if next_time is None else datetime.fromisoformat(next_time).timestamp(),
    )
