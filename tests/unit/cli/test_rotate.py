"""`secureai rotate`: a dry run says what the operator would do, and a request is made once."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from secureai_operator.api import workload_status
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.reasons import REASONS
from secureai_operator.api.resources import KEY_ROTATION_POLICIES
from secureai_operator.api.rotation_status import EmergencyStep, RotationPhase
from secureai_operator.cli import rotate, rotate_show
from secureai_operator.cli.exits import NO, OK, UNANSWERED, USAGE, CliError
from secureai_operator.cli.key_views import UNDER_WAY, KeyView
from secureai_operator.cli.main import main
from secureai_operator.cli.policies import PolicyView, ruled
from secureai_operator.cli.rotate_wait import Followed
from secureai_operator.cli.rotation_plan import (
    ANNOTATIONS,
    DATA_KEYS_MAX,
    Action,
    RotationPlan,
    policy_refusal,
    rotation_plan,
)
from secureai_operator.cli.rotation_progress import Progress, policy_progress, progress
from secureai_operator.cli.rotation_requests import (
    REQUEST_ID,
    Asking,
    Outcome,
    asking_policy,
    asking_workload,
    new_request_id,
)
from secureai_operator.cli.workloads import view
from secureai_operator.core.rotation import situation
from tests.unit.cli.crs import workload
from tests.unit.cli.key_samples import NOW, ago, key, without_key

Json = dict[str, Any]
PLANNED = {"phase": "Planned", "target": 2, "requestId": "other"}
EMERGENCY = {"requestId": "incident-7", "startedAt": ago(0)}


def policy(spec: Json | None = None, status: Json | None = None, **metadata: Any) -> PolicyView:
    return PolicyView(
        {
            "metadata": {"name": "weekly", "namespace": "team-a", **metadata},
            "spec": {"selector": {}, **(spec or {})},
            "status": status or {},
        }
    )


def plan(one: KeyView, action: Action = Action.ROTATE, rules: PolicyView | None = None) -> RotationPlan:
    return rotation_plan(one, action, rules, "req-1", NOW)


def said(found: RotationPlan, step: str) -> str:
    return next(one.what for one in found.steps if one.step == step)


def skipped(found: RotationPlan) -> set[str]:
    return {one.step for one in found.steps if one.skipped}


def annotated(one: KeyView, annotation: str, value: str) -> KeyView:
    metadata = {**one.workload.raw["metadata"], "annotations": {annotation: value}}
    return KeyView(view({**one.workload.raw, "metadata": metadata}), one.keep)


# What would happen -----------------------------------------------------------------------------------------
def test_a_rotation_makes_one_version_and_moves_every_data_key_to_it() -> None:
    found = plan(key(rotated=(20, 10), data_keys={"model": 3, "model.1": 3}))
    assert (found.from_version, found.to_version, found.rewrapped) == (3, 4, 2)
    assert [one.step for one in found.steps] == ["Planned", "Rotated", "Rewrapped", "Retired"]
    assert said(found, "Rewrapped") == "2 data keys to version 4, without a restart"


def test_old_versions_retire_after_the_grace_period_but_for_those_that_are_kept() -> None:
    found = plan(key(rotated=(30, 20, 10)), rules=policy({"retire": {"after": "48h", "keepVersions": 2}}))
    assert found.retire_at == NOW + timedelta(hours=48)
    assert said(found, "Retired") == (
        "versions below 4 decrypt no more from 2026-02-02 12:00 UTC; the latest 2 stay (retire.keepVersions)"
    )


@pytest.mark.parametrize(
    ("one", "rules", "why"),
    [
        (key(rotated=(10,)), None, "no KeyRotationPolicy rules it"),
        (key(rotation={"policy": "team-a/weekly"}), None, "as team-a/weekly says, which could not be read"),
        (key(rotated=(10,)), policy(), "the latest 3 versions stay (retire.keepVersions)"),
        (key(rotated=(30, 20, 10), data_keys={}), policy(), "no data key proves"),
        (key(rotated=(30, 20, 10), minimum=3), policy(), "the latest 3 versions stay"),
    ],
)
def test_a_version_that_would_not_retire_says_why(one: KeyView, rules: PolicyView | None, why: str) -> None:
    found = plan(one, rules=rules)
    assert "Retired" in skipped(found)
    assert found.retire_at is None
    assert why in said(found, "Retired")


def test_a_customers_key_waits_for_its_material_and_in_an_emergency_without_access() -> None:
    one = key(custody="customer-managed")
    assert said(plan(one), "Rotated") == "waits for key material: version 2 is the customer's to import"
    assert plan(one).notes == ()
    (note,) = plan(one, Action.EMERGENCY).notes
    assert note.startswith("access stays withdrawn until the customer has imported version 2")


def test_an_emergency_has_the_steps_of_the_api_in_their_order() -> None:
    one = key(status={"pods": {"bound": 2, "unbound": 1}})
    found = plan(one, Action.EMERGENCY)
    assert [one.step for one in found.steps] == [step.value for step in EmergencyStep]
    assert skipped(found) == set()
    assert said(found, "MinimumRaised") == "versions below 2 decrypt no more, without a grace period"
    assert said(found, "PodsRestarted") == "what runs its 3 pods is told to restart"


def test_an_emergency_skips_what_there_is_nothing_of() -> None:
    found = plan(key(data_keys={}, spec={"certificate": {"delivery": "None"}}), Action.EMERGENCY)
    assert skipped(found) == {"DataKeysRewrapped", "MinimumRaised", "CertificateReissued", "PodsRestarted"}
    assert "no data key proves" in said(found, "MinimumRaised")


def test_under_audit_no_pod_is_restarted() -> None:
    one = key(status={"pods": {"bound": 2}}, spec={"enforcement": "Audit"})
    assert "PodsRestarted" in skipped(plan(one, Action.EMERGENCY))


def test_what_is_planned_already_comes_before_the_emergency() -> None:
    found = plan(key(rotation=PLANNED), Action.EMERGENCY)
    assert found.to_version == 3
    assert found.notes == ("a rotation to version 2 is under way (Planned), and comes first",)


def test_new_data_keys_leave_the_earlier_ones_under_their_number() -> None:
    found = plan(key(data_keys={"model": 1, "index": 1, "model.1": 1}), Action.DATA_KEYS)
    assert found.to_version == found.from_version
    assert said(found, "Made") == "2 new data keys (model, index); the earlier ones stay as model.1, index.1"


def test_a_report_of_a_failed_decrypt_brings_back_what_is_on_trial_and_nothing_else() -> None:
    tried = plan(key(rotation={"raising": 3, "minimumBefore": 2}), Action.DECRYPT_FAILURE)
    assert said(tried, "RolledBack").startswith("versions from 2 decrypt again")
    quiet = plan(key(), Action.DECRYPT_FAILURE)
    assert not quiet.refused
    assert skipped(quiet) == {"RolledBack"}


# What cannot work ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "action", "why"),
    [
        (without_key(), Action.ROTATE, "it has no key yet"),
        (without_key(), Action.EMERGENCY, "it has no key yet"),
        (key(spec={"suspend": True}), Action.ROTATE, "it is suspended"),
        (key(deleting=True), Action.ROTATE, "it is being deleted"),
        (key(changed={C.KEY_READY: ("False", "KeyLost")}), Action.EMERGENCY, "KeyLost: about KeyReady"),
        (key(track=("False", "KeyArchiveFull")), Action.ROTATE, "KeyArchiveFull: about RotationOnTrack"),
        (key(rotation=PLANNED), Action.ROTATE, "a rotation to version 2 is under way (Planned)"),
        (key(status={"emergency": EMERGENCY}), Action.ROTATE, "'incident-7' is under way"),
        (key(status={"emergency": EMERGENCY}), Action.EMERGENCY, "'incident-7' is under way"),
        (key(data_keys={}), Action.DATA_KEYS, "it has no data keys"),
        (
            key(status={"dataKeyRotation": {"requestId": "a", "madeAt": ago(0)}}),
            Action.DATA_KEYS,
            "the data key rotation 'a' is under way",
        ),
        (
            key(data_keys={"model": 1, **{f"model.{n}": 1 for n in range(1, DATA_KEYS_MAX)}}),
            Action.DATA_KEYS,
            f"{DATA_KEYS_MAX + 1} data keys",
        ),
        (key(), Action.RETRY_RETIREMENT, "no retirement is held"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(one: KeyView, action: Action, why: str) -> None:
    found = plan(one, action)
    assert why in found.refused
    assert found.steps == ()
    assert asking_workload(one, action, "req-1").outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("one", "action"),
    [
        (key(rotation=PLANNED), Action.EMERGENCY),
        (key(rotation=PLANNED), Action.DATA_KEYS),
        (key(rotation={"retirementHeld": True}), Action.RETRY_RETIREMENT),
        (key(status={"emergency": {**EMERGENCY, "finishedAt": ago(0)}}), Action.ROTATE),
        (key(changed={C.VAULT_REACHABLE: ("False", "VaultSealed")}), Action.ROTATE),
    ],
)
def test_what_only_has_to_wait_is_not_refused(one: KeyView, action: Action) -> None:
    assert plan(one, action).refused == ""


def test_a_sealed_vault_is_noted() -> None:
    (note,) = plan(key(changed={C.VAULT_REACHABLE: ("False", "VaultSealed")})).notes
    assert note == "Vault does not answer now (VaultSealed): it waits until it does"


def test_the_room_for_data_keys_is_that_of_the_api() -> None:
    assert workload_status.DATA_KEYS_MAX == DATA_KEYS_MAX


def test_the_phases_under_way_are_those_of_the_operator() -> None:
    assert {RotationPhase(one) for one in UNDER_WAY} == set(situation.UNDER_WAY)


@pytest.mark.parametrize("field", ["suspend", "dryRun"])
def test_a_policy_that_rests_is_not_asked(field: str) -> None:
    assert f"spec.{field} is true" in policy_refusal(policy({field: True}))
    assert asking_policy(policy({field: True}), "req-1").outcome is Outcome.REFUSED
    assert policy_refusal(policy({field: False})) == ""


def test_a_policy_rules_what_the_workloads_say_it_rules() -> None:
    fleet = (
        key("a", rotation={"policy": "team-a/weekly"}),
        key("b", rotation={"policy": "team-b/weekly"}),
        key("c"),
    )
    assert [one.workload.name for one in ruled(policy(), fleet)] == ["a"]


# Asking once -----------------------------------------------------------------------------------------------
ACTED_ON: tuple[tuple[Action, Json], ...] = (
    (Action.ROTATE, {"rotation": {"requestId": "req-1"}}),
    (Action.EMERGENCY, {"rotation": {"emergencyRequestId": "req-1"}}),
    (Action.EMERGENCY, {"emergency": {**EMERGENCY, "requestId": "req-1", "finishedAt": ago(0)}}),
    (Action.DATA_KEYS, {"dataKeyRotation": {"requestId": "req-1", "restartedAt": ago(0)}}),
    (Action.RETRY_RETIREMENT, {"rotation": {"retirementRequest": "req-1"}}),
    (Action.DECRYPT_FAILURE, {"rotation": {"decryptFailure": "req-1"}}),
)


@pytest.mark.parametrize(("action", "status"), ACTED_ON)
def test_a_request_that_was_acted_on_is_not_made_again(action: Action, status: Json) -> None:
    found = asking_workload(key(status=status), action, "req-1")
    assert found.outcome is Outcome.REPEATED
    assert found.message == "request req-1 was made before and was acted on: nothing happens twice"
    assert found.live


@pytest.mark.parametrize("action", list(Action))
def test_a_request_that_waits_is_not_made_again_even_if_it_could_not_work_now(action: Action) -> None:
    waiting = annotated(key(spec={"suspend": True}), ANNOTATIONS[action], "req-1")
    found = asking_workload(waiting, action, "req-1")
    assert found.outcome is Outcome.REPEATED
    assert "waits for the operator" in found.message


def test_a_request_that_was_not_acted_on_is_named_by_the_one_that_takes_its_place() -> None:
    waiting = annotated(key(), ANNOTATIONS[Action.ROTATE], "earlier")
    assert asking_workload(waiting, Action.ROTATE, "req-1").replaces == "earlier"
    done = annotated(key(rotation={"requestId": "earlier"}), ANNOTATIONS[Action.ROTATE], "earlier")
    assert asking_workload(done, Action.ROTATE, "req-1").replaces == ""


def test_a_new_id_fits_everywhere_and_is_new() -> None:
    made = {new_request_id(NOW) for _ in range(50)}
    assert len(made) == 50
    for one in made:
        assert re.fullmatch(r"20260131t120000z-[0-9a-f]{6}", one)
        assert REQUEST_ID.fullmatch(one)
        assert len(one) <= 63


# How far it is ---------------------------------------------------------------------------------------------
MINE = {"requestId": "req-1", "fromVersion": 1, "target": 2, "itemsRewrapped": 1}


def stages(found: Progress) -> list[str]:
    return [one.name for one in found.stages]


@pytest.mark.parametrize(
    ("rotation", "names", "done"),
    [
        ({"requestId": "other", "phase": "Observing"}, [], False),
        ({**MINE, "phase": "Planned"}, ["Planned"], False),
        ({**MINE, "phase": "Rotated", "rotatedAt": ago(0)}, ["Planned", "Rotated"], False),
        (
            {**MINE, "phase": "Rewrapped", "rotatedAt": ago(0), "rewrappedAt": ago(0)},
            ["Planned", "Rotated", "Rewrapped"],
            False,
        ),
        (
            {**MINE, "phase": "Observing", "rotatedAt": ago(0), "rewrappedAt": ago(0)},
            ["Planned", "Rotated", "Rewrapped", "Observing"],
            True,
        ),
    ],
)
def test_a_rotation_is_done_when_it_is_ours_and_no_longer_under_way(
    rotation: Json, names: list[str], done: bool
) -> None:
    found = progress(key(rotation=rotation), Action.ROTATE, "req-1")
    assert (stages(found), found.done) == (names, done)


def test_an_emergency_is_done_when_access_is_restored() -> None:
    steps = [{"step": step.value, "milliseconds": 5} for step in EmergencyStep]
    begun = {"requestId": "req-1", "startedAt": ago(0), "steps": steps[:2]}
    found = progress(key(status={"emergency": begun}), Action.EMERGENCY, "req-1")
    assert (stages(found), found.done) == (["AccessWithdrawn", "KeyRotated"], False)
    over = {**begun, "steps": steps, "finishedAt": ago(0)}
    assert progress(key(status={"emergency": over}), Action.EMERGENCY, "req-1").done
    assert not progress(key(status={"emergency": over}), Action.EMERGENCY, "req-2").done


def test_new_data_keys_are_done_when_their_consumers_were_restarted() -> None:
    made = {"requestId": "req-1", "madeAt": ago(0)}
    assert not progress(key(status={"dataKeyRotation": made}), Action.DATA_KEYS, "req-1").done
    restarted = {**made, "restartedAt": ago(0), "restarted": ["Deployment/llm"], "left": ["Job/train"]}
    found = progress(key(status={"dataKeyRotation": restarted}), Action.DATA_KEYS, "req-1")
    assert found.done
    assert found.stages[-1].detail == "Deployment/llm; restart yourself: Job/train"


@pytest.mark.parametrize(
    ("action", "field"),
    [(Action.RETRY_RETIREMENT, "retirementRequest"), (Action.DECRYPT_FAILURE, "decryptFailure")],
)
def test_the_others_are_done_as_soon_as_they_are_seen(action: Action, field: str) -> None:
    assert progress(key(rotation={field: "req-1"}), action, "req-1").done
    assert not progress(key(rotation={field: "req-0"}), action, "req-1").done


def test_what_is_in_the_way_is_told_with_the_next_step() -> None:
    waits = key(rotation={**MINE, "phase": "Planned"}, track=("Unknown", "AwaitingKeyMaterial"))
    found = progress(waits, Action.ROTATE, "req-1")
    assert (found.reason, found.failed) == ("AwaitingKeyMaterial", False)
    assert found.next_step == REASONS["AwaitingKeyMaterial"].next_step
    assert progress(key(), Action.ROTATE, "req-1").reason == ""


def test_a_key_that_is_lost_ends_the_waiting() -> None:
    lost = key(changed={C.KEY_READY: ("False", "KeyLost")}, track=("False", "KeyLost"))
    assert progress(lost, Action.ROTATE, "req-1").failed


def test_a_policy_is_done_when_every_key_that_it_rules_is_younger_than_the_request() -> None:
    asked = policy(status={"requestId": "req-1", "requestedAt": ago(1)})
    young, old = key("young", rotated=(0.5,)), key("old", rotated=(30,))
    under_way = key("under-way", rotated=(0.5,), rotation={"phase": "Rotated"})
    behind = key("clock-behind", rotated=(1.1,), rotation={"plannedAt": ago(0.9)})
    assert policy_progress(asked, [young, behind], "req-1").done
    assert policy_progress(asked, [], "req-1").done
    assert not policy_progress(asked, [young, under_way], "req-1").done
    assert not policy_progress(asked, [young], "req-2").done
    found = policy_progress(asked, [young, old], "req-1")
    assert (stages(found), found.done) == (["Accepted", "Rotating"], False)
    assert found.message == "1 of 2 keys rotated; team-a/old"


def test_a_workload_that_takes_no_part_keeps_no_policy_waiting() -> None:
    asked = policy(status={"requestId": "req-1", "requestedAt": ago(1)})
    absent = [key("asleep", spec={"suspend": True}), key("leaving", deleting=True), without_key("new")]
    assert policy_progress(asked, absent, "req-1").done


def test_a_policy_that_waits_names_the_workload_that_needs_somebody() -> None:
    asked = policy(status={"requestId": "req-1", "requestedAt": ago(1)})
    waits = key("theirs", rotation={"phase": "Planned"}, track=("Unknown", "AwaitingKeyMaterial"))
    found = policy_progress(asked, [key("old"), waits], "req-1")
    assert "team-a/theirs: AwaitingKeyMaterial" in found.message
    assert found.next_step == REASONS["AwaitingKeyMaterial"].next_step


# The verb --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "name one of NAME, -l LABELS and --policy POLICY"),
        (("llm", "-l", "a=b"), "name one of NAME"),
        (
            ("--policy", "weekly", "--emergency"),
            "--policy asks for rotations only, not for a emergency rotation",
        ),
        (("llm", "--request-id", "a b"), "--request-id has 1 to 63"),
        (("llm", "--request-id", "x" * 64), "--request-id has 1 to 63"),
        (("llm", "--request-id", ""), "--request-id has 1 to 63"),
        (("llm", "--timeout", "5m"), "--timeout goes with --wait"),
        (("llm", "--wait", "--timeout", "soon"), "--timeout is a length of time"),
        (("llm", "--wait", "--timeout", "0s"), "--timeout is a length of time"),
        (("llm", "--wait", "--dry-run"), "--dry-run does nothing"),
    ],
)
def test_flags_that_do_not_go_together_are_wrong_usage(
    words: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rotate", *words, "--kubeconfig", "/nonexistent/file"]) == USAGE
    assert text in capsys.readouterr().err


def test_only_one_thing_can_be_asked_for_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rotate", "llm", "--emergency", "--data-keys"])
    assert ended.value.code == USAGE
    assert "not allowed with" in capsys.readouterr().err


class _Stdin:
    def __init__(self, line: str, *, terminal: bool = True) -> None:
        self._line = line
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def readline(self) -> str:
        return self._line


def open_emergency() -> list[Asking]:
    one = key(custody="customer-managed")
    return [rotate._with_plan(asking_workload(one, Action.EMERGENCY, "r"), one, None, _request())]


def _request() -> rotate.Request:
    return rotate.Request(Action.EMERGENCY, "r", NOW)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def give(line: str, *, terminal: bool = True) -> None:
        monkeypatch.setattr("sys.stdin", _Stdin(line, terminal=terminal))

    return give


def test_an_emergency_goes_on_only_after_a_yes(
    answers: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    answers("yes\n")
    rotate._confirm(open_emergency())
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "nothing decrypts for it until it is over" in printed.err
    assert "access stays withdrawn until the customer has imported version 2" in printed.err
    for line in ("y\n", "no\n", ""):
        answers(line)
        with pytest.raises(CliError, match="nothing was done") as ended:
            rotate._confirm(open_emergency())
        assert ended.value.code == NO


def test_an_emergency_without_a_terminal_needs_a_flag(answers: Callable[..., None]) -> None:
    answers("yes\n", terminal=False)
    with pytest.raises(CliError, match="--yes") as ended:
        rotate._confirm(open_emergency())
    assert ended.value.code == USAGE


def test_the_exit_code_tells_no_answer_from_a_no() -> None:
    asked = asking_workload(key(), Action.ROTATE, "r")
    refused = asking_workload(key(spec={"suspend": True}), Action.ROTATE, "r")
    failed = Asking(KEY_ROTATION_POLICIES, "a", "b", Outcome.FAILED)
    done = Followed(asked, Progress(done=True), ended=1.0)
    late = Followed(asked)
    assert rotate.exit_code([asked], []) == OK
    assert rotate.exit_code([asked], [done]) == OK
    assert rotate.exit_code([asked, refused], [done]) == NO
    assert rotate.exit_code([asked], [done, late]) == NO
    assert rotate.exit_code([failed, refused], []) == UNANSWERED
    assert rotate.exit_code([asked], [Followed(asked, unanswered="no answer")]) == UNANSWERED


def test_a_request_that_nobody_acted_on_is_said_to_be_one() -> None:
    nobody = dict(rotate_show.why_not(Followed(asking_workload(key(), Action.ROTATE, "r"))))
    assert nobody["message"] == "the operator has not acted on the request"
    assert "secureai check" in nobody["next"]


def test_a_condition_of_rotation_never_keeps_a_workload_from_being_ready() -> None:
    one = workload({C.ROTATION_ON_TRACK: ("False", "RotationMissed")})
    assert one.ready
    assert not one.gates(C.ROTATION_ON_TRACK)
    assert one.gates(C.KEY_READY)
