"""What next: each rule of the chain on its own. `test_model` holds the whole of it to its promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from secureai_operator.api import reasons
from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.reasons import Reason
from secureai_operator.api.rotation import Retire
from secureai_operator.api.rotation_status import RetirementStatus, RotationPhase, RotationStatus, Trigger
from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload import Custody
from secureai_operator.api.workload_status import DataKeyStatus, KeyStatus, SecureAIWorkloadStatus
from secureai_operator.core.rotation.inventory import (
    Inventory,
    inventory,
    may_raise_minimum,
    may_rotate,
    may_trim,
)
from secureai_operator.core.rotation.next_step import next_step
from secureai_operator.core.rotation.record import HISTORY_MAX, RETIREMENTS_MAX, doubted, recorded, shown
from secureai_operator.core.rotation.schedule import Due, NotYet
from secureai_operator.core.rotation.situation import Request, Situation, last_rotation
from secureai_operator.core.rotation.steps import (
    WITHOUT_EFFECT,
    Adopt,
    Blocked,
    Conclude,
    Confirm,
    Finish,
    Nothing,
    Observe,
    Plan,
    PlanMinimum,
    PlanTrim,
    RaiseMinimum,
    Release,
    Rewrap,
    RollBackMinimum,
    Rotate,
    Step,
    Trim,
)
from tests.unit.samples import NOW, key_state

HOUR = timedelta(hours=1)
RETIRE = Retire(after="72h", keep_versions=1, canary="24h")


def key(latest: int = 1, minimum: int = 1, available: int = 0) -> KeyState:
    made = {version: int(NOW.timestamp()) for version in range(minimum, latest + 1)}
    return key_state(
        latest_version=latest,
        min_decryption_version=minimum,
        min_available_version=available,
        versions=made,
    )


def held(*versions: int | None, elsewhere: tuple[int | None, ...] = (), complete: bool = True) -> Inventory:
    return Inventory({f"k{place}": at for place, at in enumerate(versions)}, elsewhere, complete)


def situation(
    rotation: RotationStatus | None = None,
    *,
    at: KeyState | None = None,
    wrapped: Inventory | None = None,
    now: datetime = NOW,
    known: KeyStatus | None = None,
    **others: Any,
) -> Situation:
    at = key(rotation.version if rotation and rotation.version else 1) if at is None else at
    return Situation(
        workload=SecureAIWorkloadStatus(rotation=rotation, key=known),
        key=at,
        held=held(at.latest_version) if wrapped is None else wrapped,
        now=now,
        **others,
    )


def planned(**changed: Any) -> RotationStatus:
    return RotationStatus(phase=RotationPhase.PLANNED, version=1, from_version=1, target=2).model_copy(
        update={"trigger": Trigger.SCHEDULED, "planned_at": rfc3339(NOW), **changed}
    )


def observing(below: int = 3, version: int = 3, at: datetime = NOW, **changed: Any) -> RotationStatus:
    entry = RetirementStatus(below=below, at=rfc3339(at))
    return RotationStatus(phase=RotationPhase.OBSERVING, version=version, retirements=(entry,), **changed)


def assert_blocked(step: Step, reason: Reason) -> str:
    assert isinstance(step, Blocked), step
    assert step.verdict.reason is reason
    return step.verdict.message


# Planning -----------------------------------------------------------------------------------------------------


def test_nothing_is_done_until_it_is_due() -> None:
    assert next_step(situation()) == Nothing()
    assert next_step(situation(due=NotYet(NOW + HOUR))) == Nothing(NOW + HOUR)
    assert next_step(situation(due=Due(NOW))) == Plan(1, 2, Trigger.SCHEDULED, scheduled=NOW)


def test_a_request_is_acted_on_once_by_its_id() -> None:
    request = Request(Trigger.MANUAL, "a")
    step = next_step(situation(request=request))
    assert step == Plan(1, 2, Trigger.MANUAL, "a")
    rotation = recorded(RotationStatus(), step, NOW)
    done = rotation.model_copy(update={"phase": RotationPhase.RETIRED})
    assert next_step(situation(done, request=request)) == Nothing()
    assert isinstance(next_step(situation(done, request=Request(Trigger.MANUAL, "b"))), Plan)
    assert next_step(situation(request=Request(Trigger.MANUAL, ""))) == Nothing()


def test_a_request_waits_for_the_rotation_under_way() -> None:
    request = Request(Trigger.EMERGENCY, "x")
    assert next_step(situation(planned(), request=request)) == Rotate(1, 2)


def test_the_plan_is_on_the_server_before_vault_is_asked() -> None:
    assert Plan.intent
    assert PlanMinimum.intent
    assert PlanTrim.intent
    assert not any(step.intent for step in (Confirm, Adopt, Finish, Rewrap, Conclude, Release))


# Rotating -----------------------------------------------------------------------------------------------------


def test_a_planned_version_that_is_there_is_not_made_again() -> None:
    assert next_step(situation(planned())) == Rotate(1, 2)
    assert next_step(situation(planned(), at=key(2))) == Confirm(2, NOW)
    assert next_step(situation(planned(), at=key(4))) == Confirm(2, NOW)


def test_a_rotate_that_was_not_answered_is_not_sent_again_while_it_may_still_happen() -> None:
    rotation = doubted(planned(), NOW)
    step = next_step(situation(rotation))
    assert isinstance(step, Observe)
    assert NOW < step.until <= NOW + timedelta(minutes=5)
    assert next_step(situation(rotation, now=step.until)) == Rotate(1, 2)
    assert next_step(situation(rotation, at=key(2))) == Confirm(2, NOW)


def test_the_last_look_refuses_a_key_that_moved() -> None:
    assert may_rotate(key(1), 1)
    assert not may_rotate(key(2), 1)


def test_versions_of_others_are_adopted_after_our_own_rotation_is_over() -> None:
    rotation = recorded(planned(), Confirm(2, NOW), NOW)
    step = next_step(situation(rotation, at=key(4), wrapped=held(1, 4)))
    assert step == Rewrap(("k0",), 4, last=True)
    rotation = recorded(rotation, step, NOW)
    finish = next_step(situation(rotation, at=key(4)))
    assert isinstance(finish, Finish)
    rotation = recorded(rotation, finish, NOW)
    adopt = next_step(situation(rotation, at=key(4), due=Due(NOW)))
    assert adopt == Adopt(2, 4, NOW)
    rotation = recorded(rotation, adopt, NOW)
    rotation = recorded(rotation, next_step(situation(rotation, at=key(4))), NOW)
    assert [(entry.from_version, entry.to_version, entry.trigger) for entry in rotation.history] == [
        (1, 2, Trigger.SCHEDULED), (2, 4, Trigger.EXTERNAL),
    ]  # fmt: skip
    assert [entry.result for entry in rotation.history] == ["Done", "Adopted"]


def test_a_workload_whose_status_was_lost_adopts_and_rotates_nothing() -> None:
    assert next_step(situation(None, at=key(3), due=Due(NOW))) == Adopt(1, 3, NOW)


def test_customer_managed_keys_wait_for_their_material() -> None:
    custody: dict[str, Any] = {"custody": Custody.CUSTOMER_MANAGED, "due": NotYet(NOW + HOUR)}
    step = next_step(situation(planned(), **custody))
    assert "version 2" in assert_blocked(step, reasons.AWAITING_KEY_MATERIAL)
    assert isinstance(step, Blocked)
    assert step.until == NOW + HOUR
    assert next_step(situation(planned(), at=key(2), **custody)) == Confirm(2, NOW)
    assert isinstance(next_step(situation(custody=Custody.CUSTOMER_MANAGED, due=Due(NOW))), Plan)


def test_rewrapping_goes_in_batches_and_is_counted() -> None:
    rotation = recorded(planned(), Confirm(2, NOW), NOW)
    first = next_step(situation(rotation, at=key(2), wrapped=held(1, 1, 1), batch=2))
    assert first == Rewrap(("k0", "k1"), 2, last=False)
    rotation = recorded(rotation, first, NOW)
    assert rotation.phase is RotationPhase.ROTATED
    second = next_step(situation(rotation, at=key(2), wrapped=held(2, 2, 1), batch=2))
    assert second == Rewrap(("k2",), 2, last=True)
    rotation = recorded(rotation, second, NOW)
    assert rotation.phase is RotationPhase.REWRAPPED
    rotation = recorded(rotation, next_step(situation(rotation, at=key(2), wrapped=held(2, 2, 2))), NOW)
    assert rotation.history[-1].items_rewrapped == 3


def test_a_data_key_that_came_back_from_a_backup_is_rewrapped_at_any_time() -> None:
    idle = RotationStatus(version=3)
    step = next_step(situation(idle, at=key(3), wrapped=held(2, 3)))
    assert step == Rewrap(("k0",), 3, last=True)
    assert recorded(idle, step, NOW) == idle


# What must not be made worse ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rotation", "known"), [(planned(), None), (None, KeyStatus(created_at=rfc3339(NOW)))]
)
def test_a_lost_key_is_told_and_nothing_is_done(
    rotation: RotationStatus | None, known: KeyStatus | None
) -> None:
    status = SecureAIWorkloadStatus(rotation=rotation, key=known)
    step = next_step(Situation(status, None, held(1), NOW, due=Due(NOW)))
    assert_blocked(step, reasons.KEY_LOST)
    wrapped = (DataKeyStatus(name="a", key_version=1, wrapped="vault:v1:AAAAAAAAAAAAAAAAAAAA"),)
    assert_blocked(
        next_step(Situation(SecureAIWorkloadStatus(data_keys=wrapped), None, held(1), NOW)), reasons.KEY_LOST
    )
    assert next_step(Situation(SecureAIWorkloadStatus(), None, held(), NOW, due=Due(NOW))) == Nothing()


@pytest.mark.parametrize(
    "before",
    [
        situation(RotationStatus(version=3), at=key(2), due=Due(NOW)),
        situation(at=key(1), known=KeyStatus(latest_version=2), due=Due(NOW)),
    ],
)
def test_a_vault_that_went_back_is_told_and_nothing_is_done(before: Situation) -> None:
    assert_blocked(next_step(before), reasons.KEY_REPLACED)


def test_a_data_key_of_a_version_that_is_not_there_stops_everything() -> None:
    """Making that version would give its name to another one, and a backup could not be restored beside it."""
    assert_blocked(next_step(situation(at=key(2), wrapped=held(3), due=Due(NOW))), reasons.DATA_KEY_LOST)


def test_an_imported_key_is_never_asked_to_rotate() -> None:
    """Whatever its custody: Vault answers that with an error of its own, which looks like an outage."""
    rotation = RotationStatus(phase=RotationPhase.PLANNED, version=2, target=3, planned_at=rfc3339(NOW))
    step = next_step(situation(rotation, at=replace(key(2), imported=True)))
    assert_blocked(step, reasons.AWAITING_KEY_MATERIAL)


def test_a_key_with_as_many_versions_as_vault_can_store_is_not_planned_further() -> None:
    full = replace(key(139), type="rsa-3072")
    assert_blocked(
        next_step(situation(RotationStatus(version=139), at=full, wrapped=held(139), due=Due(NOW))),
        reasons.KEY_ARCHIVE_FULL,
    )
    trimmed = replace(full, min_available_version=2)
    assert isinstance(
        next_step(situation(RotationStatus(version=139), at=trimmed, wrapped=held(139), due=Due(NOW))), Plan
    )


def test_two_requests_that_stand_are_each_acted_on_once() -> None:
    done = RotationStatus(phase=RotationPhase.RETIRED, version=2, request_id="a", emergency_request_id="b")
    for request in (Request(Trigger.MANUAL, "a"), Request(Trigger.EMERGENCY, "b")):
        assert next_step(situation(done, at=key(2), wrapped=held(2), request=request)) == Nothing()
    for request in (Request(Trigger.MANUAL, "b"), Request(Trigger.EMERGENCY, "a")):
        assert isinstance(next_step(situation(done, at=key(2), wrapped=held(2), request=request)), Plan)


def test_versions_are_not_destroyed_by_an_operator_that_has_no_role_for_it() -> None:
    rotation = RotationStatus(phase=RotationPhase.RETIRED, version=3, retired_below=3)
    retire = Retire(keep_versions=1, trim=True)
    at = key(3, 3)
    step = next_step(situation(rotation, at=at, wrapped=held(3), retire=retire, may_trim=False))
    assert_blocked(step, reasons.RETIRE_ROLE_MISSING)
    assert isinstance(next_step(situation(rotation, at=at, wrapped=held(3), retire=retire)), PlanTrim)


def test_a_data_key_whose_version_is_destroyed_stops_everything() -> None:
    step = next_step(situation(RotationStatus(version=3), at=key(3, 2, 2), wrapped=held(1, 3), due=Due(NOW)))
    assert "version 1" in assert_blocked(step, reasons.KEY_VERSION_DESTROYED)


def test_a_minimum_that_others_raised_above_what_is_in_use_goes_back() -> None:
    rotation = RotationStatus(version=3)
    at = key(3, minimum=3)
    assert next_step(situation(rotation, at=at, wrapped=held(2))) == RollBackMinimum(2, hold=False)
    step = next_step(situation(rotation, at=at, wrapped=held(3, elsewhere=(1,))))
    assert step == RollBackMinimum(1, hold=False)


# Retirement ---------------------------------------------------------------------------------------------------


def test_old_versions_retire_after_the_grace_period_by_proof_and_on_trial() -> None:
    at = NOW + 72 * HOUR
    rotation = observing(at=at)
    assert next_step(situation(rotation, retire=RETIRE)) == Observe(at)
    step = next_step(situation(rotation, retire=RETIRE, now=at))
    assert step == PlanMinimum(3, 1, at + 24 * HOUR, at)
    rotation = recorded(rotation, step, at)
    assert next_step(situation(rotation, retire=RETIRE, now=at)) == RaiseMinimum(3)
    raised = key(3, minimum=3)
    assert next_step(situation(rotation, at=raised, retire=RETIRE, now=at)) == Observe(at + 24 * HOUR)
    end = at + 24 * HOUR
    step = next_step(situation(rotation, at=raised, retire=RETIRE, now=end))
    assert step == Conclude(3)
    rotation = recorded(rotation, step, end)
    assert (rotation.phase, rotation.retired_below) == (RotationPhase.RETIRED, 3)
    assert next_step(situation(rotation, at=raised, retire=RETIRE, now=end)) == Nothing()


@pytest.mark.parametrize(
    ("wrapped", "says"),
    [
        (held(), "no wrapped data key"),
        (held(3, None), "cannot be read"),
        (held(3, elsewhere=(None,)), "cannot be read"),
        (held(3, complete=False), "not all places"),
        (held(3, elsewhere=(2,)), "version 2"),
    ],
)
def test_without_proof_nothing_retires_is_raised_or_trimmed(wrapped: Inventory, says: str) -> None:
    assert says in assert_blocked(
        next_step(situation(observing(), wrapped=wrapped, retire=RETIRE)), reasons.RETIREMENT_UNPROVEN
    )
    on_trial = observing(raising=3, canary_until=rfc3339(NOW + HOUR))
    assert says in assert_blocked(
        next_step(situation(on_trial, wrapped=wrapped, retire=RETIRE)), reasons.RETIREMENT_UNPROVEN
    )
    assert not may_raise_minimum(3, key(3), wrapped)
    trim = Retire(keep_versions=1, trim=True)
    retired = RotationStatus(version=3, retired_below=3, trimming=3)
    step = next_step(situation(retired, at=key(3, 3), wrapped=wrapped, retire=trim))
    assert not isinstance(step, Trim | PlanTrim)
    assert not may_trim(3, key(3, 3), wrapped)


def test_keep_versions_are_kept_but_in_an_emergency() -> None:
    keep = Retire(keep_versions=3)
    step = next_step(situation(observing(below=5, version=5), retire=keep))
    assert isinstance(step, PlanMinimum)
    assert step.to == 3
    few = observing(below=3)
    assert next_step(situation(few, retire=keep)) == Conclude(0, NOW)
    emergency = RetirementStatus(below=3, at=rfc3339(NOW), emergency=True)
    now = few.model_copy(update={"retirements": (emergency,)})
    for retire in (keep, None):
        step = next_step(situation(now, retire=retire))
        assert isinstance(step, PlanMinimum)
        assert step.to == 3


def test_without_a_policy_nothing_retires() -> None:
    assert not isinstance(next_step(situation(observing(), retire=None)), PlanMinimum)


def test_an_emergency_retires_at_once() -> None:
    rotation = recorded(planned(trigger=Trigger.EMERGENCY), Confirm(2, NOW), NOW)
    step = next_step(situation(rotation, at=key(2)))
    assert step == Finish(2, NOW, emergency=True)
    step = next_step(situation(recorded(rotation, step, NOW), at=key(2)))
    assert isinstance(step, PlanMinimum)
    assert step.to == 2


def test_a_decrypt_that_fails_brings_the_versions_back_until_somebody_asks_again() -> None:
    rotation = observing(raising=3, minimum_before=2, canary_until=rfc3339(NOW + HOUR)).model_copy(
        update={"retirements": ()}
    )
    at = key(3, minimum=3)
    step = next_step(situation(rotation, at=at, retire=RETIRE, decrypts_fail=True))
    assert step == RollBackMinimum(2, hold=True)
    rotation = recorded(rotation, step, NOW)
    later: dict[str, Any] = {"at": key(3, 2), "retire": RETIRE, "now": NOW + 1000 * HOUR}
    assert_blocked(next_step(situation(rotation, **later)), reasons.RETIREMENT_ROLLED_BACK)
    assert isinstance(next_step(situation(rotation, **later, due=Due(NOW))), Plan)
    step = next_step(situation(rotation, **later, retry_retirement=True))
    assert step == Release()
    step = next_step(situation(recorded(rotation, step, NOW), **later))
    assert isinstance(step, PlanMinimum)
    assert step.to == 3


def test_a_trial_that_never_began_begins_anew() -> None:
    rotation = observing(raising=3, minimum_before=1, canary_until=rfc3339(NOW))
    step = next_step(situation(rotation, retire=RETIRE))
    assert step == PlanMinimum(3, 1, NOW + 24 * HOUR, None)
    assert recorded(rotation, step, NOW).retirements == rotation.retirements


def emergency_on_trial(below: int = 5) -> RotationStatus:
    """Version 2 is on trial for a day as an emergency made version 5."""
    entry = RetirementStatus(below=below, at=rfc3339(NOW), emergency=True)
    return RotationStatus(
        phase=RotationPhase.OBSERVING,
        version=5,
        retirements=(entry,),
        raising=3,
        minimum_before=2,
        canary_until=rfc3339(NOW + 24 * HOUR),
    )


@pytest.mark.parametrize("retire", [RETIRE, None])
def test_an_emergency_does_not_wait_for_the_end_of_a_trial(retire: Retire | None) -> None:
    """Until its minimum is raised access is withdrawn: a day of trial would be a day without access."""
    rotation = emergency_on_trial()
    step = next_step(situation(rotation, at=key(5, 3), retire=retire))
    assert step == PlanMinimum(5, 2, NOW + 24 * HOUR, NOW)
    rotation = recorded(rotation, step, NOW)
    assert next_step(situation(rotation, at=key(5, 3), retire=retire)) == RaiseMinimum(5)
    # If decrypts fail, all that was on trial comes back.
    failing = situation(rotation, at=key(5, 5), retire=retire, decrypts_fail=True)
    assert next_step(failing) == RollBackMinimum(2, hold=True)
    end = NOW + 24 * HOUR
    assert next_step(situation(rotation, at=key(5, 5), retire=retire, now=end)) == Conclude(5)


def test_an_emergency_without_proof_says_so() -> None:
    unread = situation(emergency_on_trial(), at=key(5, 3), wrapped=held(5, None), retire=RETIRE)
    assert "below 5" in assert_blocked(next_step(unread), reasons.RETIREMENT_UNPROVEN)


@given(
    raising=st.integers(0, 6),
    minimum=st.integers(1, 6),
    below=st.integers(2, 6),
    others=st.lists(st.integers(2, 6), max_size=3),
    retire=st.sampled_from([RETIRE, Retire(keep_versions=4, canary="720h"), None]),
)
def test_whatever_is_on_trial_an_emergency_raises_its_minimum_at_once(
    raising: int, minimum: int, below: int, others: list[int], retire: Retire | None
) -> None:
    """With proof, and without a minute passing."""
    entries = [RetirementStatus(below=one, at=rfc3339(NOW)) for one in others]
    entries.append(RetirementStatus(below=below, at=rfc3339(NOW), emergency=True))
    rotation = RotationStatus(
        phase=RotationPhase.OBSERVING,
        version=6,
        retirements=tuple(entries),
        raising=raising,
        minimum_before=1 if raising else 0,
        canary_until=rfc3339(NOW + 24 * HOUR) if raising else None,
    )
    for _ in range(4):
        step = next_step(situation(rotation, at=key(6, minimum), retire=retire))
        if isinstance(step, RaiseMinimum):
            assert step.to > minimum
            minimum = step.to
        rotation = recorded(rotation, step, NOW)
    assert minimum >= below


def test_what_an_emergency_asks_for_and_the_trial_raises_anyway_needs_no_plan_of_its_own() -> None:
    rotation = emergency_on_trial(below=3)
    assert next_step(situation(rotation, at=key(5, 2), retire=RETIRE)) == RaiseMinimum(3)


def test_a_rotation_does_not_wait_for_retirement() -> None:
    step = next_step(situation(observing(), wrapped=held(3, None), retire=RETIRE, due=Due(NOW)))
    assert isinstance(step, Plan)


# Trimming -----------------------------------------------------------------------------------------------------


def test_trim_is_off_unless_asked_for_and_only_what_retired_goes() -> None:
    retired = RotationStatus(phase=RotationPhase.RETIRED, version=5, retired_below=3)
    at, wrapped = key(5, minimum=4), held(5)
    assert next_step(situation(retired, at=at, wrapped=wrapped, retire=RETIRE)) == Nothing()
    trim = Retire(keep_versions=1, trim=True)
    step = next_step(situation(retired, at=at, wrapped=wrapped, retire=trim))
    assert step == PlanTrim(3)
    planned_trim = recorded(retired, step, NOW)
    assert next_step(situation(planned_trim, at=at, wrapped=wrapped, retire=trim)) == Trim(3)
    assert next_step(situation(planned_trim, at=at, wrapped=wrapped, retire=RETIRE)) == Nothing()
    trimmed = key(5, minimum=4, available=3)
    assert next_step(situation(planned_trim, at=trimmed, wrapped=wrapped, retire=trim)) == Nothing()
    assert may_trim(3, at, wrapped)
    assert not may_trim(5, at, wrapped)


def test_trim_keeps_the_versions_that_are_to_be_kept() -> None:
    retired = RotationStatus(phase=RotationPhase.RETIRED, version=5, retired_below=5)
    step = next_step(situation(retired, at=key(5, 5), retire=Retire(keep_versions=3, trim=True)))
    assert step == PlanTrim(3)


# Records ------------------------------------------------------------------------------------------------------


def test_history_and_retirements_stay_bounded_and_the_oldest_keep_their_time() -> None:
    rotation = RotationStatus(version=1)
    for turn in range(1, 40):
        now = NOW + turn * HOUR
        rotation = recorded(rotation, Plan(turn, turn + 1, Trigger.SCHEDULED, scheduled=now), now)
        rotation = recorded(rotation, Confirm(turn + 1, now), now)
        rotation = recorded(rotation, Finish(turn + 1, now + 72 * HOUR, emergency=False), now)
    assert len(rotation.history) == HISTORY_MAX
    assert rotation.history[-1].to_version == 40
    assert len(rotation.retirements) == RETIREMENTS_MAX
    assert rotation.retirements[0].at == rfc3339(NOW + 73 * HOUR)
    assert rotation.retirements[-1].below == 40


def test_waiting_and_effects_leave_no_record() -> None:
    rotation = observing()
    for step in (Nothing(), Observe(NOW), Rotate(1, 2), RaiseMinimum(2), Trim(2)):
        assert not isinstance(step, WITHOUT_EFFECT)
        assert recorded(rotation, step, NOW) is rotation


def test_the_status_shows_what_people_ask() -> None:
    step = next_step(situation(observing(), wrapped=held(3, elsewhere=(2,)), retire=RETIRE))
    seen = shown(observing(), step, held(3, elsewhere=(2,)), NOW + HOUR)
    assert seen.blocked_reason == "RetirementUnproven"
    assert seen.oldest_version_in_use == 2
    assert seen.next_time == rfc3339(NOW + HOUR)
    assert seen.retire_at == rfc3339(NOW)
    assert shown(seen, Nothing(), held(), None).blocked_reason == ""


def test_the_schedule_counts_from_the_plan_or_the_version_whichever_is_later() -> None:
    late, early = NOW + HOUR, NOW - HOUR
    status = SecureAIWorkloadStatus(rotation=planned(planned_at=rfc3339(late)))
    assert last_rotation(status, key(2)) == late
    status = SecureAIWorkloadStatus(rotation=planned(planned_at=rfc3339(early)))
    assert last_rotation(status, key(2)) == NOW
    assert last_rotation(SecureAIWorkloadStatus(), key_state(versions={})) is None


def test_the_inventory_reads_versions_from_the_ciphertexts_themselves() -> None:
    text = "vault:v{}:" + "A" * 40
    data_key = DataKeyStatus(name="a", key_version=9, wrapped=text.format(2))
    found = inventory([data_key], {"a": text.format(1), "b": "nonsense"}, text.format(7))
    assert found.wrapped == {"a": 2}
    assert found.elsewhere == (1, None, 7)
    assert (found.oldest, found.newest) == (1, 7)
    assert not inventory([data_key], None).complete
