"""Whether rotation is on track, in one verdict: for the condition RotationOnTrack. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType, rfc3339
from secureai_operator.api.rotation_status import RotationStatus
from secureai_operator.core.rotation.schedule import Answer, Due, Missed, Never, NotYet
from secureai_operator.core.rotation.selection import Policy
from secureai_operator.core.rotation.situation import UNDER_WAY
from secureai_operator.core.rotation.steps import Blocked, Step
from secureai_operator.core.verdict import Verdict, bad, good


@dataclass(frozen=True, slots=True)
class Ruled:
    """What rules the workload and what it says now; `rests` says why a policy starts nothing, or is empty."""

    policy: Policy | None = None
    answer: Answer | None = None
    rests: str = ""


def rotation_verdict(ruled: Ruled, rotation: RotationStatus, step: Step) -> Verdict:
    """What the condition says; what is wrong with the key itself is for KeyReady to say."""
    if isinstance(step, Blocked):
        if ConditionType.ROTATION_ON_TRACK in step.verdict.reason.conditions:
            return step.verdict
        cause = step.verdict.message or step.verdict.reason.meaning
        return bad(reasons.WAITING, f"{step.verdict.reason.name}: {cause}")
    if rotation.phase in UNDER_WAY:
        return good(reasons.ROTATION_UNDER_WAY, f"to version {rotation.target}")
    return _scheduled(ruled)


def _scheduled(ruled: Ruled) -> Verdict:
    if ruled.policy is None:
        return good(reasons.NO_ROTATION_POLICY)
    if ruled.rests:
        return bad(reasons.ROTATION_RESTS, f"policy {ruled.policy} {ruled.rests}")
    match ruled.answer:
        case Due(scheduled=scheduled):
            return good(reasons.ROTATION_PENDING, f"due since {rfc3339(scheduled)} by policy {ruled.policy}")
        case Missed(message=message):
            return bad(reasons.ROTATION_MISSED, message)
        case NotYet(next_time=next_time):
            return good(reasons.ROTATION_SCHEDULED, f"next at {rfc3339(next_time)} by policy {ruled.policy}")
        case Never() | None:
            return bad(reasons.ROTATION_RESTS, f"policy {ruled.policy} names no time any more")
