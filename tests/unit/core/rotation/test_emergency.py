"""An emergency: in this order, each step when it is true, resumable anywhere, and access last."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from secureai_operator.api.rotation_status import (
    EmergencyStatus,
    EmergencyStep,
    RotationPhase,
    RotationStatus,
)
from secureai_operator.core.rotation.emergency import (
    EmergencyFacts,
    advanced,
    begun,
    denies,
    is_asked_for,
    is_under_way,
    next_emergency_step,
    steps_over,
)
from tests.unit.samples import NOW

REQUEST = "incident-7"
DONE = RotationStatus(phase=RotationPhase.OBSERVING, version=2, target=2, emergency_request_id=REQUEST)
ALL = EmergencyFacts(
    access_withdrawn=True,
    access_restored=True,
    rotation=DONE,
    min_decryption_version=2,
    certificate="new",
    account="new",
    restarted=True,
)


def run(emergency: EmergencyStatus, facts: EmergencyFacts) -> EmergencyStatus:
    """As far as the facts let it go."""
    while (after := advanced(emergency, facts, NOW, 5)) is not emergency:
        emergency = after
    return emergency


def fresh() -> EmergencyStatus:
    return begun(REQUEST, "old", "old", NOW)


def test_with_all_that_is_true_it_goes_through_every_step_in_order() -> None:
    over = run(fresh(), ALL)
    assert [step.step for step in over.steps] == list(EmergencyStep)
    assert not any(step.skipped for step in over.steps)
    assert over.finished_at is not None
    assert not is_under_way(over)


@pytest.mark.parametrize(
    ("missing", "stops_at"),
    [
        ({"access_withdrawn": False}, EmergencyStep.ACCESS_WITHDRAWN),
        ({"rotation": RotationStatus()}, EmergencyStep.KEY_ROTATED),
        (
            {"rotation": DONE.model_copy(update={"phase": RotationPhase.PLANNED})},
            EmergencyStep.KEY_ROTATED,
        ),
        (
            {"rotation": DONE.model_copy(update={"phase": RotationPhase.ROTATED})},
            EmergencyStep.DATA_KEYS_REWRAPPED,
        ),
        ({"min_decryption_version": 1}, EmergencyStep.MINIMUM_RAISED),
        ({"certificate": "old"}, EmergencyStep.CERTIFICATE_REISSUED),
        ({"certificate": ""}, EmergencyStep.CERTIFICATE_REISSUED),
        ({"account": "old"}, EmergencyStep.IDENTITY_REPLACED),
        ({"account": ""}, EmergencyStep.IDENTITY_REPLACED),
        ({"restarted": False}, EmergencyStep.PODS_RESTARTED),
        ({"access_restored": False}, EmergencyStep.ACCESS_RESTORED),
    ],
)
def test_what_is_not_true_yet_holds_it_up_there(missing: dict[str, Any], stops_at: EmergencyStep) -> None:
    stopped = run(fresh(), replace(ALL, **missing))
    assert next_emergency_step(stopped) is stops_at
    assert is_under_way(stopped)
    # And with it, it goes on from there.
    assert run(stopped, ALL).finished_at is not None


def test_access_is_denied_from_its_beginning_until_the_pods_are_restarted() -> None:
    emergency = fresh()
    assert denies(emergency)
    assert denies(run(emergency, replace(ALL, restarted=False)))
    assert not denies(run(emergency, replace(ALL, access_restored=False)))
    assert not denies(run(emergency, ALL))
    assert not denies(None)


def test_what_can_never_be_done_is_skipped_and_says_why() -> None:
    over = run(
        fresh(),
        replace(
            ALL,
            min_decryption_version=1,
            unprovable="there is no data key",
            wants_certificate=False,
            certificate="",
            touches_pods=False,
            restarted=False,
        ),
    )
    skipped = {step.step: step.skipped for step in over.steps if step.skipped}
    assert set(skipped) == {
        EmergencyStep.MINIMUM_RAISED,
        EmergencyStep.CERTIFICATE_REISSUED,
        EmergencyStep.IDENTITY_REPLACED,
        EmergencyStep.PODS_RESTARTED,
    }
    assert skipped[EmergencyStep.MINIMUM_RAISED] == "there is no data key"


def test_pods_that_cannot_be_restarted_hold_nobody_up_for_ever() -> None:
    over = run(fresh(), replace(ALL, restarted=False, unrestarted="not everything in time"))
    assert over.finished_at is not None
    assert {step.step: step.skipped for step in over.steps if step.skipped} == {
        EmergencyStep.PODS_RESTARTED: "not everything in time"
    }


def test_each_request_is_once_and_another_waits_for_its_end() -> None:
    assert is_asked_for(REQUEST, None)
    assert not is_asked_for("", None)
    assert not is_asked_for("another", fresh())
    over = run(fresh(), ALL)
    assert not is_asked_for(REQUEST, over)
    assert is_asked_for("another", over)


@given(
    st.lists(
        st.builds(
            EmergencyFacts,
            access_withdrawn=st.booleans(),
            access_restored=st.booleans(),
            rotation=st.sampled_from(
                [RotationStatus(), *(DONE.model_copy(update={"phase": phase}) for phase in RotationPhase)]
            ),
            min_decryption_version=st.integers(1, 3),
            certificate=st.sampled_from(["", "old", "new"]),
            account=st.sampled_from(["", "old", "new"]),
            restarted=st.booleans(),
        ),
        max_size=30,
    )
)
@settings(max_examples=200)
def test_whatever_the_passes_find_steps_only_follow_each_other_and_access_comes_last(
    passes: list[EmergencyFacts],
) -> None:
    emergency = fresh()
    for facts in passes:
        before = emergency
        emergency = run(emergency, facts)
        assert emergency.steps[: len(before.steps)] == before.steps
        assert [step.step for step in emergency.steps] == list(EmergencyStep)[: len(emergency.steps)]
        if EmergencyStep.PODS_RESTARTED not in steps_over(emergency):
            assert denies(emergency)
