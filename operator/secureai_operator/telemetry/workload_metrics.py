"""Metrics of each workload: what holds, and how old its key is and gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from secureai_operator.telemetry.object_gauges import Gauge, ObjectGauges, known

_STATUS = {"True": 1.0, "False": 0.0}


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """What the metrics say of one workload. Times are unix time; None is unknown or does not apply."""

    conditions: tuple[tuple[str, str], ...]
    """(type, status), with the status True, False or Unknown."""
    troubles: tuple[tuple[str, str], ...] = ()
    """(type, reason) of the conditions whose reason somebody should know."""
    key_version: int | None = None
    key_version_created: float | None = None
    oldest_version_in_use: int | None = None
    min_decryption_version: int | None = None
    rewrap_pending: int | None = None
    """Data keys that an older version than the latest wraps."""
    next_rotation: float | None = None
    """In the past for a rotation that is due and not done."""
    retirement: float | None = None
    emergency_started: float | None = None
    """Only while the emergency rotation is under way."""
    certificate_not_after: float | None = None
    certificate_renewal: float | None = None


class WorkloadMetrics(ObjectGauges[WorkloadFacts]):
    """The gauges of all workloads."""

    def __init__(self) -> None:
        super().__init__(_GAUGES)


def _conditions(facts: WorkloadFacts) -> Iterator[tuple[Mapping[str, str], float]]:
    for kind, status in facts.conditions:
        yield {"type": kind}, _STATUS.get(status, -1.0)


def _troubles(facts: WorkloadFacts) -> Iterator[tuple[Mapping[str, str], float]]:
    for kind, reason in facts.troubles:
        yield {"type": kind, "reason": reason}, 1.0


_GAUGES: Final[tuple[Gauge[WorkloadFacts], ...]] = (
    Gauge(
        "secureai_workload_condition",
        "Conditions of the workloads: 1 for True, 0 for False, -1 for Unknown.",
        _conditions,
    ),
    Gauge(
        "secureai_workload_trouble",
        "1 for each condition whose reason is a warning, an error or a matter of security, by that reason.",
        _troubles,
    ),
    Gauge(
        "secureai_key_latest_version",
        "Latest version of the workload's key in Vault.",
        known(lambda facts: facts.key_version),
    ),
    Gauge(
        "secureai_key_version_created_timestamp_seconds",
        "When the latest version of the key was made, in unix time: its age counts from here.",
        known(lambda facts: facts.key_version_created),
    ),
    Gauge(
        "secureai_key_oldest_version_in_use",
        "Oldest version of the key that wraps a data key.",
        known(lambda facts: facts.oldest_version_in_use),
    ),
    Gauge(
        "secureai_key_min_decryption_version",
        "Oldest version of the key that still decrypts.",
        known(lambda facts: facts.min_decryption_version),
    ),
    Gauge(
        "secureai_rewrap_pending",
        "Data keys of the workload that an older version than the latest wraps.",
        known(lambda facts: facts.rewrap_pending),
    ),
    Gauge(
        "secureai_next_rotation_timestamp_seconds",
        "When the key rotates next by its policy, in unix time; in the past it is due and not done.",
        known(lambda facts: facts.next_rotation),
    ),
    Gauge(
        "secureai_key_retirement_timestamp_seconds",
        "When old versions of the key retire next, in unix time.",
        known(lambda facts: facts.retirement),
    ),
    Gauge(
        "secureai_emergency_started_timestamp_seconds",
        "Start of the emergency rotation that is under way, in unix time.",
        known(lambda facts: facts.emergency_started),
    ),
    Gauge(
        "secureai_certificate_not_after_timestamp_seconds",
        "End of validity of the workload's certificate, in unix time.",
        known(lambda facts: facts.certificate_not_after),
    ),
    Gauge(
        "secureai_certificate_renewal_timestamp_seconds",
        "When the workload's certificate is renewed, in unix time.",
        known(lambda facts: facts.certificate_renewal),
    ),
)
