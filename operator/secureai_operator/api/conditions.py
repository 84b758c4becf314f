"""The condition types of a SecureAIWorkload, and how a condition changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from secureai_operator.api.condition_types import ConditionType
from secureai_operator.api.workload_status import Condition

__all__ = ["ConditionType", "condition", "merged", "rfc3339"]


_ORDER = {str(kind): place for place, kind in enumerate(ConditionType)}


def rfc3339(moment: datetime) -> str:
    """The moment as Kubernetes writes it: UTC, whole seconds."""
    # Not strftime: it writes the year 1 of a strange certificate as `1`, which the API server refuses.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def merged(old: Sequence[Condition], new: Iterable[Condition]) -> tuple[Condition, ...]:
    """`new` in order, where a condition whose status did not change keeps its transition time."""
    before = {condition.type: condition for condition in old}
    kept = (
        condition.model_copy(update={"last_transition_time": before[condition.type].last_transition_time})
        if condition.type in before and before[condition.type].status == condition.status
        else condition
        for condition in new
    )
    return tuple(sorted(kept, key=lambda condition: _ORDER.get(condition.type, len(_ORDER))))


def condition(conditions: Sequence[Condition], kind: ConditionType) -> Condition | None:
    return next((found for found in conditions if found.type == kind), None)
