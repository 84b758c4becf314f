"""Metrics of each KeyRotationPolicy: how many of its workloads are how far, and when it rotates next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from secureai_operator.telemetry.object_gauges import Gauge, ObjectGauges, known

STATES: Final = ("selected", "current", "pending", "in_progress", "failed", "skipped", "masked")
"""What a workload is to a policy: every one is `selected`, and one of the others."""


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What the metrics say of one policy: its workloads by state, and unix time."""

    selected: int = 0
    current: int = 0
    pending: int = 0
    in_progress: int = 0
    failed: int = 0
    skipped: int = 0
    masked: int = 0
    next_rotation: float | None = None


class PolicyMetrics(ObjectGauges[PolicyFacts]):
    """The gauges of all policies."""

    def __init__(self) -> None:
        super().__init__(_GAUGES)


def _workloads(facts: PolicyFacts) -> Iterator[tuple[Mapping[str, str], float]]:
    for state in STATES:
        yield {"state": state}, float(getattr(facts, state))


_GAUGES: Final[tuple[Gauge[PolicyFacts], ...]] = (
    Gauge(
        "secureai_policy_workloads",
        "Workloads that the policy selects, by what they are to it.",
        _workloads,
    ),
    Gauge(
        "secureai_policy_next_rotation_timestamp_seconds",
        "The policy's next planned rotation, in unix time.",
        known(lambda facts: facts.next_rotation),
    ),
)
