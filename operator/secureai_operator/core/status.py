"""Status: from verdicts to conditions. Pure, and free of anything that changes without a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.conditions import merged, rfc3339
from secureai_operator.api.confidential import ConfidentialMode
from secureai_operator.api.reasons import Reason
from secureai_operator.api.workload import Enforcement
from secureai_operator.api.workload_status import Condition
from secureai_operator.core.facts import Workload
from secureai_operator.core.verdict import Verdict, bad, good, unknown

CONCERNS = (
    C.IDENTITY_READY,
    C.KEY_READY,
    C.CERTIFICATE_READY,
    C.ACCESS_GRANTED,
    C.NETWORK_ISOLATED,
    C.CONFIDENTIAL_SCHEDULABLE,
    C.PODS_BOUND,
    C.ROTATION_ON_TRACK,
)
"""In the order in which a person should look at them."""

_SUMMARY = (C.READY, C.RECONCILING, C.STALLED)
_MESSAGE_MAX = 1024
_TrueFalse = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one pass found: a verdict for each concern, and the two that stand beside them."""

    concerns: Mapping[C, Verdict]
    vault: Verdict
    drift: Verdict
    suspended: bool = False
    terminating: bool = False


def conditions(workload: Workload, assessment: Assessment, now: datetime) -> tuple[Condition, ...]:
    """All conditions of the workload; one whose status is unchanged keeps its transition time."""
    if assessment.suspended or assessment.terminating:
        # Nothing was looked at: what the conditions said of another generation they still say of that one.
        known = {condition.type: condition for condition in workload.status.conditions}
    else:
        known = {}
    stamp = rfc3339(now)
    new = [
        known[kind.value]
        if kind not in _SUMMARY and kind.value in known
        else Condition(
            type=kind.value,
            status=verdict.status,
            reason=verdict.reason.name,
            message=verdict.message[:_MESSAGE_MAX],
            observed_generation=workload.generation,
            last_transition_time=stamp,
        )
        for kind, verdict in _verdicts(workload, assessment)
    ]
    return merged(workload.status.conditions, new)


def blocking(workload: Workload, concerns: Mapping[C, Verdict]) -> Iterator[tuple[C, Verdict]]:
    """The concerns that keep the workload from being Ready, in the order in which to look at them."""
    for kind in CONCERNS:
        verdict = concerns[kind]
        if verdict.status != "True" and _gates(workload, kind):
            yield kind, verdict


def _gates(workload: Workload, kind: C) -> bool:
    if kind is C.CONFIDENTIAL_SCHEDULABLE:
        return workload.spec.confidential.mode is ConfidentialMode.REQUIRED
    if kind in (C.NETWORK_ISOLATED, C.PODS_BOUND):
        return workload.spec.enforcement is Enforcement.ENFORCE
    # A rotation that is late harms nothing that runs; what is wrong with the key itself is KeyReady's.
    return kind is not C.ROTATION_ON_TRACK


def _verdicts(workload: Workload, assessment: Assessment) -> Iterator[tuple[C, Verdict]]:
    blockers = list(blocking(workload, assessment.concerns))
    terminal = next((verdict for _, verdict in blockers if verdict.terminal), None)
    yield C.READY, _ready(assessment, blockers)
    yield C.RECONCILING, _reconciling(assessment, blockers, terminal)
    yield C.STALLED, _stalled(terminal)
    yield from ((kind, assessment.concerns[kind]) for kind in CONCERNS)
    yield C.VAULT_REACHABLE, assessment.vault
    yield C.DRIFT_DETECTED, assessment.drift


def _ready(assessment: Assessment, blockers: list[tuple[C, Verdict]]) -> Verdict:
    if assessment.terminating:
        return bad(reasons.TERMINATING, "access is being revoked")
    if assessment.suspended:
        return unknown(reasons.SUSPENDED, "spec.suspend is true: nothing is checked or healed")
    if not blockers:
        return good(reasons.ALL_READY, "everything declared is in place")
    # A terminal cause explains more than what waits for it.
    kind, first = next((item for item in blockers if item[1].terminal), blockers[0])
    status: _TrueFalse = "False" if first.status == "False" else "Unknown"
    return Verdict(
        status, _summary_reason(first.reason), f"{kind.value}: {first.message or first.reason.meaning}"
    )


def _summary_reason(reason: Reason) -> Reason:
    """Every reason that a concern may carry may also be Ready's: the registry says so for each."""
    return reason if C.READY in reason.conditions else reasons.PROGRESSING


def _reconciling(
    assessment: Assessment, blockers: list[tuple[C, Verdict]], terminal: Verdict | None
) -> Verdict:
    if assessment.terminating:
        return Verdict("True", reasons.TERMINATING, "access is being revoked")
    if assessment.suspended:
        return bad(reasons.SUSPENDED, "spec.suspend is true")
    # What driftPolicy Warn leaves standing nobody works on.
    blockers = [item for item in blockers if item[1].reason is not reasons.DRIFT_REPORTED]
    if not blockers or terminal is not None:
        return bad(reasons.SETTLED)
    if any(verdict.status == "False" for _, verdict in blockers):
        return Verdict("True", reasons.RETRYING, f"{blockers[0][0].value} is not True yet")
    return Verdict("True", reasons.PROGRESSING, f"{blockers[0][0].value} is not known yet")


def _stalled(terminal: Verdict | None) -> Verdict:
    if terminal is None:
        return bad(reasons.SETTLED)
    reason = terminal.reason if C.STALLED in terminal.reason.conditions else reasons.INVALID_SPEC
    return Verdict("True", reason, terminal.message)
