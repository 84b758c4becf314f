"""What RotationOnTrack says: of what is in the way, of what is under way, of what is due, and of who rules."""

from __future__ import annotations

from datetime import timedelta

import pytest

from secureai_operator.api import reasons
from secureai_operator.api.reasons import Reason
from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.api.rotation_status import RotationPhase, RotationStatus
from secureai_operator.core.rotation.schedule import Answer, Due, Missed, Never, NotYet
from secureai_operator.core.rotation.selection import Policy
from secureai_operator.core.rotation.steps import Blocked, Nothing
from secureai_operator.core.rotation.verdict import Ruled, rotation_verdict
from secureai_operator.core.verdict import bad
from tests.unit.samples import NOW

SPEC = KeyRotationPolicySpec.model_validate({"selector": {}, "schedule": {"interval": "24h"}})
POLICY = Policy("team-a", "weekly", "2026-01-01T00:00:00Z", SPEC)
IDLE = RotationStatus()


@pytest.mark.parametrize(
    ("answer", "status", "reason", "says"),
    [
        (NotYet(NOW), "True", reasons.ROTATION_SCHEDULED, "2026-01-31T12:00:00Z"),
        (Due(NOW), "True", reasons.ROTATION_PENDING, "team-a/weekly"),
        (Missed(NOW, None, "too late"), "False", reasons.ROTATION_MISSED, "too late"),
        (Never(), "False", reasons.ROTATION_RESTS, "names no time"),
        (None, "False", reasons.ROTATION_RESTS, "names no time"),
    ],
)
def test_what_the_schedule_says(answer: Answer | None, status: str, reason: Reason, says: str) -> None:
    verdict = rotation_verdict(Ruled(POLICY, answer), IDLE, Nothing())
    assert (verdict.status, verdict.reason) == (status, reason)
    assert says in verdict.message


def test_nobody_rules() -> None:
    assert rotation_verdict(Ruled(), IDLE, Nothing()).reason is reasons.NO_ROTATION_POLICY


def test_a_policy_that_rests_is_named_whatever_is_due() -> None:
    verdict = rotation_verdict(Ruled(POLICY, Due(NOW), "is suspended"), IDLE, Nothing())
    assert verdict.reason is reasons.ROTATION_RESTS
    assert "team-a/weekly is suspended" in verdict.message


@pytest.mark.parametrize("phase", [RotationPhase.PLANNED, RotationPhase.ROTATED, RotationPhase.REWRAPPED])
def test_what_is_under_way_comes_before_the_schedule(phase: RotationPhase) -> None:
    rotation = RotationStatus(phase=phase, target=4)
    verdict = rotation_verdict(Ruled(POLICY, NotYet(NOW + timedelta(days=1))), rotation, Nothing())
    assert verdict.reason is reasons.ROTATION_UNDER_WAY
    assert "4" in verdict.message


def test_what_is_in_the_way_comes_first() -> None:
    unproven = Blocked(bad(reasons.RETIREMENT_UNPROVEN, "version 1 still wraps a data key"))
    assert rotation_verdict(Ruled(POLICY, Due(NOW)), IDLE, unproven) is unproven.verdict


def test_what_is_wrong_with_the_key_itself_is_for_keyready_to_say() -> None:
    verdict = rotation_verdict(
        Ruled(), IDLE, Blocked(bad(reasons.KEY_REPLACED, "another key", terminal=True))
    )
    assert verdict.reason is reasons.WAITING
    assert "KeyReplaced: another key" in verdict.message
    assert not verdict.terminal
