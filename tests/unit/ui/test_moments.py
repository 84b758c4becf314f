"""The past of a workload is in order and complete, and what is due is apart from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from secureai_operator.api.reasons import REASONS
from secureai_operator.cli.key_views import KeyView
from secureai_operator.cli.output import Mark
from secureai_operator.telemetry.event_aggregation import Occurrence, Regarding
from secureai_operator.telemetry.events import event_manifest
from secureai_operator.ui.moments import MAX_MOMENTS, Moment, due, past
from secureai_operator.ui.source import Detail, EventView, events_about
from tests.unit.cli.key_samples import NOW, ago, key, record, without_key
from tests.unit.ui.samples import detail_of, hours, lives, showcase

LLM = showcase().workloads[0]


def detail(one: KeyView) -> Detail:
    return replace(detail_of(one.workload), key=one, events=())


def whats(moments: tuple[Moment, ...], kind: str) -> list[str]:
    return [one.what for one in moments if one.kind == kind]


def test_the_latest_comes_first() -> None:
    found = past(detail_of(LLM))
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    assert found[-1].at == LLM.created


def test_a_clock_that_is_behind_hides_nothing() -> None:
    drift = {"time": hours(0.1), "kind": "Role", "name": "saw-llm", "field": "", "action": "Healed"}
    assert past(detail(key(status={"lastDrift": drift})))[0].kind == "Drift"


def test_conditions_drift_rotations_and_events_are_all_told() -> None:
    found = past(detail_of(LLM))
    assert "Ready became True: AllReady" in whats(found, "Condition")
    assert whats(found, "Drift") == ["NetworkPolicy/saw-llm-allow differed in spec.egress"]
    assert "Scheduled v6 \u2192 v7" in whats(found, "Rotation")
    assert "DriftHealed (2 times)" in whats(found, "Event of secureai-operator")


def test_a_deleted_object_is_told_from_a_changed_one() -> None:
    drift = {"time": ago(1), "kind": "Role", "name": "saw-llm", "field": "", "action": "Reported"}
    (one,) = [m for m in past(detail(key(status={"lastDrift": drift}))) if m.kind == "Drift"]
    assert (one.what, one.text, one.mark) == ("Role/saw-llm was deleted", "Reported", Mark.WARNING)


def test_an_emergency_is_told_step_by_step() -> None:
    steps = [
        {"step": "AccessWithdrawn", "at": hours(-2), "milliseconds": 1},
        {"step": "CertificateReissued", "at": hours(-1), "milliseconds": 1, "skipped": "no certificate"},
    ]
    emergency = {"requestId": "incident-7", "startedAt": hours(-3), "steps": steps, "finishedAt": hours(-0.5)}
    found = past(detail(key(status={"emergency": emergency})))
    assert whats(found, "Emergency") == [
        "incident-7 is over",
        "CertificateReissued was skipped",
        "AccessWithdrawn",
        "incident-7 began",
    ]


def test_rotations_that_nobody_planned_stand_out() -> None:
    rotation = {"history": [record(2, 9, "Scheduled"), record(3, 5, "External")]}
    found = past(detail(key(latest=3, rotation=rotation)))
    marks = {one.what: one.mark for one in found if one.kind == "Rotation"}
    assert marks == {
        "Scheduled v1 \u2192 v2": Mark.GOOD,
        "External v2 \u2192 v3, done by others and adopted": Mark.WARNING,
    }


def test_a_rotation_under_way_is_told() -> None:
    rotation = {"phase": "Rotated", "fromVersion": 1, "target": 2, "plannedAt": hours(-0.1)}
    assert whats(past(detail(key(rotation=rotation))), "Rotation") == ["v1 \u2192 v2 is under way: Rotated"]


def test_what_is_due_comes_in_its_order() -> None:
    rotation = {"nextTime": hours(30), "retirements": [{"below": 2, "at": hours(10)}]}
    one = key(rotated=(9,), rotation=rotation, status={"certificate": lives(20)}, keep=1)
    assert [(moment.kind, moment.what) for moment in due(detail(one))] == [
        ("Key", "v1 retires"),
        ("Certificate", "is renewed"),
        ("Certificate", "ends, unless it is renewed"),
        ("Rotation", "the key rotates"),
    ]


def test_a_workload_that_nobody_looked_at_has_a_beginning_and_no_more() -> None:
    one = without_key()
    raw = {**one.workload.raw, "status": {}}
    bare = replace(one, workload=type(one.workload)(raw, ()))
    assert [moment.what for moment in past(detail(bare))] == ["created"]
    assert due(detail(bare)) == ()


def test_there_is_a_limit() -> None:
    events = tuple(
        EventView("Progressing", str(number), False, 1, NOW - timedelta(seconds=number), "x")
        for number in range(500)
    )
    found = past(detail_of(LLM, events=events))
    assert len(found) == MAX_MOMENTS
    assert found[0].text == "0"


def test_the_operators_own_events_are_told_as_such() -> None:
    about = Regarding("secureai.dev/v1alpha1", "SecureAIWorkload", LLM.namespace, LLM.name, LLM.uid)
    known = REASONS["DriftHealed"]
    written = event_manifest(
        Occurrence(about, known, "NetworkPolicy/saw-llm-allow", NOW, NOW, 2), "operator-0"
    )
    found = past(detail_of(LLM, events=events_about(LLM, [written])))
    assert found[0] == Moment(
        NOW,
        "Event of secureai-operator",
        "DriftHealed (2 times)",
        "NetworkPolicy/saw-llm-allow",
        Mark.WARNING,
    )


def test_only_events_about_this_very_object_are_taken() -> None:
    def event(**changed: str) -> dict[str, object]:
        about = {"kind": "SecureAIWorkload", "name": LLM.name, "uid": LLM.uid, **changed}
        return {"involvedObject": about, "reason": "KeyRotated", "lastTimestamp": hours(-1), "count": 3}

    others = [event(kind="Pod"), event(name="other"), event(uid="an earlier one"), {}]
    (found,) = events_about(LLM, [*others, event()])
    assert (found.reason, found.count, found.writer) == ("KeyRotated", 3, "")
    assert found.at == NOW - timedelta(hours=1)
