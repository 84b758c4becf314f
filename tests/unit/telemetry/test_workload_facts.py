"""What the metrics say of a workload follows from its status, and says nothing that is not known."""

from __future__ import annotations

from typing import Any

import pytest

from secureai_operator.api.rotation_status import EmergencyStatus, RotationPhase, RotationStatus
from secureai_operator.api.workload_status import (
    CertificateStatus,
    Condition,
    DataKeyStatus,
    KeyStatus,
    SecureAIWorkloadStatus,
)
from secureai_operator.telemetry.metrics import Metrics
from secureai_operator.telemetry.workload_facts import workload_facts

DAY, UNIX = "2026-01-31T12:00:00Z", 1769860800.0
LATER, UNIX_LATER = "2026-02-07T12:00:00Z", UNIX + 7 * 86400
WHERE = {"namespace": "team-a", "name": "llm"}


def condition(kind: str, status: str, reason: str) -> Condition:
    return Condition.model_validate(
        {"type": kind, "status": status, "reason": reason, "lastTransitionTime": DAY}
    )


def data_key(name: str, version: int) -> DataKeyStatus:
    return DataKeyStatus(name=name, key_version=version, wrapped=f"vault:v{version}:bm90IGEgcmVhbCBrZXk=")


def status(**parts: Any) -> SecureAIWorkloadStatus:
    return SecureAIWorkloadStatus(**parts)


def value(series: str, of: SecureAIWorkloadStatus, **labels: str) -> float | None:
    metrics = Metrics()
    metrics.workload("team-a", "llm", workload_facts(of))
    return metrics.registry.get_sample_value(series, {**WHERE, **labels})


def test_of_a_new_workload_nothing_is_known_and_nothing_is_said() -> None:
    metrics = Metrics()
    metrics.workload("team-a", "llm", workload_facts(status()))
    assert [family.name for family in metrics.workloads.collect() if list(family.samples)] == []


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ("secureai_key_latest_version", 3),
        ("secureai_key_version_created_timestamp_seconds", UNIX),
        ("secureai_key_min_decryption_version", 2),
        ("secureai_key_oldest_version_in_use", 2),
        ("secureai_next_rotation_timestamp_seconds", UNIX_LATER),
        ("secureai_key_retirement_timestamp_seconds", UNIX_LATER),
        ("secureai_certificate_not_after_timestamp_seconds", UNIX_LATER),
        ("secureai_certificate_renewal_timestamp_seconds", UNIX),
        ("secureai_emergency_started_timestamp_seconds", UNIX),
        ("secureai_rewrap_pending", 2),
    ],
)
def test_every_number_of_the_status_has_its_series(series: str, expected: float) -> None:
    full = status(
        key=KeyStatus(latest_version=3, latest_version_at=DAY, min_decryption_version=2),
        data_keys=(data_key("model", 3), data_key("model.1", 2), data_key("prompts", 2)),
        certificate=CertificateStatus(not_after=LATER, renewal_time=DAY),
        rotation=RotationStatus(oldest_version_in_use=2, next_time=LATER, retire_at=LATER),
        emergency=EmergencyStatus(request_id="incident-7", started_at=DAY),
    )
    assert value(series, full) == expected


def test_no_data_key_waits_for_a_rewrap_once_all_are_on_the_latest_version() -> None:
    assert value("secureai_rewrap_pending", status(key=KeyStatus(latest_version=1))) == 0
    done = status(key=KeyStatus(latest_version=2), data_keys=(data_key("model", 2),))
    assert value("secureai_rewrap_pending", done) == 0


def test_an_emergency_that_is_over_is_not_under_way() -> None:
    over = EmergencyStatus(request_id="incident-7", started_at=DAY, finished_at=LATER)
    assert value("secureai_emergency_started_timestamp_seconds", status(emergency=over)) is None


def test_a_rotation_that_is_planned_and_not_made_is_due_since_its_time() -> None:
    """The schedule looks beyond what it has started: waiting for key material would look like being on time."""
    planned = RotationStatus(
        phase=RotationPhase.PLANNED, planned_at=LATER, scheduled_for=DAY, next_time="2026-02-14T12:00:00Z"
    )
    asked = planned.model_copy(update={"scheduled_for": None})
    series = "secureai_next_rotation_timestamp_seconds"
    assert value(series, status(rotation=planned)) == UNIX
    assert value(series, status(rotation=asked)) == UNIX_LATER


def test_trouble_is_named_by_its_reason_and_the_rest_is_silent() -> None:
    found = status(
        conditions=(
            condition("Ready", "True", "AllReady"),
            condition("RotationOnTrack", "False", "RetirementRolledBack"),
            condition("KeyReady", "False", "KeyLost"),
            condition("NetworkIsolated", "Unknown", "Progressing"),
            condition("PodsBound", "True", "OfANewerOperator"),
        )
    )
    assert workload_facts(found).troubles == (
        ("RotationOnTrack", "RetirementRolledBack"),
        ("KeyReady", "KeyLost"),
    )
    series = "secureai_workload_trouble"
    assert value(series, found, type="KeyReady", reason="KeyLost") == 1
    assert value(series, found, type="Ready", reason="AllReady") is None


def test_trouble_that_is_over_has_no_series_any_more() -> None:
    metrics = Metrics()
    lost = status(conditions=(condition("KeyReady", "False", "KeyLost"),))
    restored = status(conditions=(condition("KeyReady", "True", "KeyAvailable"),))
    for found in (lost, restored):
        metrics.workload("team-a", "llm", workload_facts(found))
    labels = {**WHERE, "type": "KeyReady", "reason": "KeyLost"}
    assert metrics.registry.get_sample_value("secureai_workload_trouble", labels) is None
