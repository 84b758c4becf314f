"""A SecureAIWorkload as the verbs read it: tolerant of what an older or newer operator wrote. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from secureai_operator.api.condition_types import ConditionType
from secureai_operator.api.reasons import REASONS, Reason, Severity
from secureai_operator.cli.output import Mark, Word, moment, string

_MARKS = {
    Severity.GOOD: Mark.GOOD,
    Severity.PROGRESS: Mark.PROGRESS,
    Severity.WARNING: Mark.WARNING,
    Severity.ERROR: Mark.ERROR,
    Severity.SECURITY: Mark.ERROR,
}

NORMALLY_FALSE = frozenset(
    {
        ConditionType.RECONCILING.value,
        ConditionType.STALLED.value,
        ConditionType.DRIFT_DETECTED.value,
    }
)
"""Conditions that speak of something wrong when they are True."""

_NEVER_GATES = frozenset(
    {
        ConditionType.READY.value,
        ConditionType.RECONCILING.value,
        ConditionType.DRIFT_DETECTED.value,
        # A rotation that is late leaves a key that works.
        ConditionType.ROTATION_ON_TRACK.value,
    }
)


@dataclass(frozen=True)
class ConditionView:
    """One condition of the status."""

    type: str
    status: str
    reason: str
    message: str
    observed_generation: int
    since: datetime | None

    @property
    def holds(self) -> bool:
        """Whether it is as one wishes it."""
        return self.status == ("False" if self.type in NORMALLY_FALSE else "True")

    @property
    def known(self) -> Reason | None:
        return REASONS.get(self.reason)

    @property
    def mark(self) -> Mark:
        severity = None if self.known is None else self.known.severity
        if self.holds and severity not in (Severity.WARNING, Severity.SECURITY):
            return Mark.GOOD
        return _MARKS[severity] if severity is not None else Mark.WARNING


@dataclass(frozen=True)
class WorkloadView:
    """What status and metadata of a workload say."""

    raw: Mapping[str, Any]
    conditions: tuple[ConditionView, ...]

    @property
    def name(self) -> str:
        return string(self.raw, "metadata", "name")

    @property
    def namespace(self) -> str:
        return string(self.raw, "metadata", "namespace")

    @property
    def uid(self) -> str:
        return string(self.raw, "metadata", "uid")

    @property
    def generation(self) -> int:
        return int(self.raw["metadata"].get("generation", 0))

    @property
    def observed_generation(self) -> int:
        return int(self.status.get("observedGeneration", -1))

    @property
    def created(self) -> datetime | None:
        return moment(string(self.raw, "metadata", "creationTimestamp"))

    @property
    def deleting(self) -> bool:
        return bool(self.raw["metadata"].get("deletionTimestamp"))

    @property
    def status(self) -> Mapping[str, Any]:
        return self.raw.get("status") or {}

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.raw.get("spec") or {}

    @property
    def pod_labels(self) -> dict[str, str]:
        return dict((self.status.get("binding") or {}).get("podLabels") or {})

    @property
    def seen(self) -> bool:
        """Whether the status speaks of the spec as it is now."""
        return self.observed_generation == self.generation

    def gates(self, kind: str) -> bool:
        """Whether a condition of this type can keep the workload from being Ready, or explains what does."""
        if kind in _NEVER_GATES:
            return False
        if kind == ConditionType.CONFIDENTIAL_SCHEDULABLE:
            return string(self.spec, "confidential", "mode") == "Required"
        if kind in (ConditionType.NETWORK_ISOLATED, ConditionType.PODS_BOUND):
            return string(self.spec, "enforcement") != "Audit"
        return True

    def condition(self, kind: ConditionType) -> ConditionView | None:
        return next((found for found in self.conditions if found.type == kind.value), None)

    @property
    def ready(self) -> bool:
        """Ready, and not of an older generation."""
        ready = self.condition(ConditionType.READY)
        return ready is not None and ready.holds and self.seen and not self.deleting

    @property
    def state(self) -> Word:
        """The one word for it all."""
        if self.deleting:
            return Word("Terminating", Mark.PROGRESS)
        ready = self.condition(ConditionType.READY)
        if ready is None or not self.seen:
            return Word("Pending", Mark.PROGRESS)
        return Word("Ready", Mark.GOOD) if ready.holds else Word("NotReady", ready.mark)


def view(raw: Mapping[str, Any]) -> WorkloadView:
    conditions = (raw.get("status") or {}).get("conditions") or ()
    return WorkloadView(raw, tuple(_condition(one) for one in conditions))


def _condition(raw: Mapping[str, Any]) -> ConditionView:
    return ConditionView(
        type=string(raw, "type"),
        status=string(raw, "status"),
        reason=string(raw, "reason"),
        message=string(raw, "message"),
        observed_generation=int(raw.get("observedGeneration") or 0),
        since=moment(string(raw, "lastTransitionTime")),
    )
