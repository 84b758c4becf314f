"""Metrics of rotations and policies: what happened is counted once, words stay few, series go with their policy."""

from __future__ import annotations

import pytest

from secureai_operator.api.reasons import REASONS, Severity
from secureai_operator.api.rotation import KeyRotationPolicyStatus
from secureai_operator.api.rotation_status import EmergencyStep, RotationPhase, Trigger
from secureai_operator.telemetry.labels import OTHER
from secureai_operator.telemetry.metrics import Metrics
from secureai_operator.telemetry.policy_metrics import STATES, PolicyFacts
from secureai_operator.telemetry.rotation_metrics import _PHASES

WEEKLY = PolicyFacts(
    selected=9,
    current=3,
    pending=1,
    in_progress=2,
    failed=1,
    skipped=1,
    masked=1,
    next_rotation=1_800_000_000.0,
)
WHERE = {"namespace": "team-a", "name": "weekly"}


def value(metrics: Metrics, series: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(series, labels)


def test_rotations_are_counted_by_trigger_and_result() -> None:
    metrics = Metrics()
    for trigger in Trigger:
        metrics.rotation.rotated(trigger, "Done")
    metrics.rotation.rotated("Scheduled", "RotationRefused")
    series = "secureai_rotation_total"
    assert [value(metrics, series, trigger=trigger.value, result="Done") for trigger in Trigger] == [1] * 4
    assert value(metrics, series, trigger="Scheduled", result="RotationRefused") == 1


def test_a_phase_is_measured_from_milliseconds_to_months() -> None:
    metrics = Metrics()
    for phase, seconds in (("Rotated", 0.02), ("Rewrapped", 1.5), ("Retired", 72 * 3600.0)):
        metrics.rotation.phase(phase, seconds)
    assert value(metrics, "secureai_rotation_seconds_sum", phase="Retired") == 72 * 3600
    assert value(metrics, "secureai_rotation_seconds_bucket", phase="Retired", le="86400.0") == 0
    assert value(metrics, "secureai_rotation_seconds_bucket", phase="Retired", le="259200.0") == 1
    assert value(metrics, "secureai_rotation_seconds_bucket", phase="Rotated", le="0.05") == 1
    assert list(_PHASES) == sorted(set(_PHASES))


def test_a_clock_that_went_back_makes_no_negative_duration() -> None:
    metrics = Metrics()
    metrics.rotation.phase("Rotated", -3.0)
    metrics.rotation.emergency_step("KeyRotated", -1.0)
    assert value(metrics, "secureai_rotation_seconds_sum", phase="Rotated") == 0
    assert value(metrics, "secureai_emergency_step_seconds_sum", step="KeyRotated") == 0


def test_what_a_rotation_brought_about_is_counted() -> None:
    metrics = Metrics()
    metrics.rotation.rewrapped(500)
    metrics.rotation.rewrapped(1)
    metrics.rotation.data_keys_rotated(2)
    metrics.rotation.restarted("Deployment")
    for step in EmergencyStep:
        metrics.rotation.emergency_step(step, 0.1)
    assert value(metrics, "secureai_rewrap_items_total") == 501
    assert value(metrics, "secureai_data_key_rotations_total") == 2
    assert value(metrics, "secureai_restarts_total", kind="Deployment") == 1
    counted = [value(metrics, "secureai_emergency_step_seconds_count", step=step) for step in EmergencyStep]
    assert counted == [1] * len(EmergencyStep)


def test_every_word_that_the_api_has_fits_its_label() -> None:
    metrics = Metrics()
    for phase in RotationPhase:
        metrics.rotation.phase(phase, 1.0)
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Rollout"):
        metrics.rotation.restarted(kind)
    assert f'"{OTHER}"'.encode() not in metrics.render()[0]


@pytest.mark.parametrize("text", ["free text", "x" * 200, ""])
def test_a_label_is_never_text(text: str) -> None:
    metrics = Metrics()
    metrics.rotation.rotated(text, text)
    assert value(metrics, "secureai_rotation_total", trigger=OTHER, result=OTHER) == 1


def test_a_rollback_is_seen_by_increase_the_first_time() -> None:
    """A series that begins with 1 has not increased: what is rare has to be there, at zero, before it happens."""
    metrics = Metrics()
    assert value(metrics, "secureai_retirement_rollbacks_total") == 0
    metrics.rotation.rolled_back()
    assert value(metrics, "secureai_retirement_rollbacks_total") == 1


def test_every_security_event_is_there_before_it_happens() -> None:
    metrics = Metrics()
    there = {
        name: value(metrics, "secureai_security_events_total", reason=name)
        for name, reason in REASONS.items()
        if reason.severity is Severity.SECURITY
    }
    assert "KeyLost" in there
    assert set(there.values()) == {0}


def test_a_policy_says_how_far_its_workloads_are_and_when_it_is_next() -> None:
    metrics = Metrics()
    metrics.policy("team-a", "weekly", WEEKLY)
    counts = {state: value(metrics, "secureai_policy_workloads", state=state, **WHERE) for state in STATES}
    selected = counts.pop("selected")
    assert selected == 9
    assert selected == sum(count or 0 for count in counts.values())
    assert value(metrics, "secureai_policy_next_rotation_timestamp_seconds", **WHERE) == 1_800_000_000


def test_the_states_are_those_of_a_policys_status() -> None:
    assert set(STATES) <= set(KeyRotationPolicyStatus.model_fields)


def test_a_policy_that_never_rotates_has_no_next_time() -> None:
    metrics = Metrics()
    metrics.policy("team-a", "weekly", PolicyFacts())
    assert value(metrics, "secureai_policy_next_rotation_timestamp_seconds", **WHERE) is None


def test_a_policys_series_go_with_it() -> None:
    metrics = Metrics()
    metrics.policy("team-a", "weekly", WEEKLY)
    metrics.policy("team-b", "weekly", WEEKLY)
    metrics.policy_gone("team-a", "weekly")
    metrics.policy_gone("team-a", "never-there")
    assert b'namespace="team-a"' not in metrics.render()[0]
    assert b'namespace="team-b"' in metrics.render()[0]
