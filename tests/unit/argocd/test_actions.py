"""An action asks for what `secureai rotate` asks for, offers what it would not refuse, and changes nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureai_operator import names
from secureai_operator.api.reasons import REASONS
from secureai_operator.cli.key_views import KeyView
from secureai_operator.cli.policies import PolicyView
from secureai_operator.cli.rotation_plan import ANNOTATIONS, Action, policy_refusal, refusal
from secureai_operator.cli.rotation_requests import REQUEST_ID
from secureai_operator.cli.workloads import view
from tests.unit.argocd.sandbox import KINDS, Json, LuaError, acted, discovered, document, folder
from tests.unit.argocd.states import ACTED_ON, POLICIES, REQUEST, STATES, with_spec
from tests.unit.argocd.workload_states import DELETED, WORKLOADS
from tests.unit.samples import NOW

NEW = "20991231t235959z-new"
ASKED = {"rotate": Action.ROTATE, "rotate-emergency": Action.EMERGENCY}


def actions_of(kind: str) -> list[str]:
    return sorted(path.parent.name for path in (folder(kind) / "actions").glob("*/action.lua"))


def rows(section: str) -> Iterator[Any]:
    for kind in KINDS:
        for row in document(folder(kind) / "actions" / "action_test.yaml")[section]:
            name = row["inputPath"].removeprefix("testdata/")
            yield pytest.param(kind, row, id=f"{kind}-{row.get('action', 'discovery')}-{name}")


def at(kind: str, path: str) -> Json:
    return document(folder(kind) / "actions" / path)


def by_name(actions: list[Json]) -> list[Json]:
    return sorted(actions, key=lambda one: str(one["name"]))


# In Argo CD's own format --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "row"), list(rows("discoveryTests")))
def test_every_row_of_discovery_is_as_it_says(kind: str, row: Json) -> None:
    found = [{"name": name, **action} for name, action in discovered(at(kind, row["inputPath"])).items()]
    assert by_name(found) == by_name(row["result"])


@pytest.mark.parametrize(("kind", "row"), list(rows("actionTests")))
def test_every_row_of_an_action_is_as_it_says(kind: str, row: Json) -> None:
    source = at(kind, row["inputPath"])
    before = copy.deepcopy(source)
    assert acted(row["action"], source) == at(kind, row["expectedOutputPath"])
    assert source == before


@pytest.mark.parametrize("kind", KINDS)
def test_every_action_has_a_row_and_every_file_is_used(kind: str) -> None:
    tests = document(folder(kind) / "actions" / "action_test.yaml")
    assert sorted(row["action"] for row in tests["actionTests"]) == actions_of(kind)
    used = {row["inputPath"] for row in (*tests["discoveryTests"], *tests["actionTests"])}
    used |= {row["expectedOutputPath"] for row in tests["actionTests"]}
    assert used == {f"testdata/{name}.yaml" for name, _ in ACTED_ON[kind]()}


# What is asked for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("action", ["rotate", "rotate-emergency", "suspend", "resume"])
def test_an_action_changes_one_field(kind: str, action: str) -> None:
    if action not in actions_of(kind):
        assert (kind, action) == ("KeyRotationPolicy", "rotate-emergency"), "policies ask for rotations only"
        return
    obj = WORKLOADS["ready"]() if kind == "SecureAIWorkload" else POLICIES["active"]()
    after = acted(action, obj)
    if action in ASKED:
        assert after["metadata"].pop("annotations") == {ANNOTATIONS[ASKED[action]]: REQUEST}
    else:
        assert after["spec"].pop("suspend") is (action == "suspend")
        del obj["spec"]["suspend"]
    assert after == obj


def test_a_request_is_one_that_the_command_line_would_make_and_another_each_second() -> None:
    found = set()
    for seconds in (0, 0, 1, 61):
        after = acted("rotate", WORKLOADS["ready"](), NOW + timedelta(seconds=seconds))
        request = after["metadata"]["annotations"][names.ROTATE_ANNOTATION]
        assert REQUEST_ID.fullmatch(request)
        found.add(request)
    assert len(found) == 3


def test_other_annotations_stay() -> None:
    obj = WORKLOADS["ready"]()
    obj["metadata"]["annotations"] = {"example.com/note": "somebody's"}
    assert acted("rotate", obj)["metadata"]["annotations"] == {
        "example.com/note": "somebody's",
        names.ROTATE_ANNOTATION: REQUEST,
    }


def test_what_is_empty_is_the_same_kind_of_empty_afterwards() -> None:
    """Or Argo CD would patch it, and a status too."""
    obj = {**WORKLOADS["ready"](), "spec": {}}
    fields: Json = {"f:spec": {}, "f:metadata": {"f:finalizers": {".": {}, 'v:"secureai.dev/finalizer"': {}}}}
    obj["metadata"]["managedFields"] = [{"manager": "argocd-controller", "fieldsV1": fields}]
    after = acted("rotate", obj)
    del after["metadata"]["annotations"]
    assert after == obj
    assert acted("suspend", obj)["spec"] == {"suspend": True}


# What is offered, and what is refused although Argo CD runs it -------------------------------------------------


_reason_names = st.sampled_from([*REASONS])
_statuses = st.sampled_from(["True", "False", "Unknown"])


@st.composite
def rotated_workloads(draw: st.DrawFn) -> Json:
    """A state with whatever else decides about a rotation."""
    obj = copy.deepcopy(WORKLOADS[draw(st.sampled_from(sorted(WORKLOADS)))]())
    status = obj["status"]
    for one in status.get("conditions", []):
        if one["type"] in ("KeyReady", "RotationOnTrack") and draw(st.booleans()):
            one |= {"status": draw(_statuses), "reason": draw(_reason_names)}
    phase = draw(st.sampled_from([None, "Idle", "Planned", "Rotated", "Rewrapped", "Observing", "Retired"]))
    if phase is not None:
        status["rotation"] = {"phase": phase, "target": 2, "requestId": "earlier"}
    if draw(st.booleans()):
        status["emergency"] = {"requestId": "incident-7", "startedAt": "2026-01-31T12:00:00Z"}
        if draw(st.booleans()):
            status["emergency"]["finishedAt"] = "2026-01-31T12:00:09Z"
    if "key" in status and draw(st.booleans()):
        status["key"]["latestVersion"] = draw(st.integers(0, 2))
    if draw(st.integers(0, 4)) == 0:
        obj["metadata"]["deletionTimestamp"] = DELETED
    return with_spec(obj, suspend=draw(st.integers(0, 4)) == 0)


@pytest.mark.parametrize("kind", ["KeyReady", "RotationOnTrack"])
@pytest.mark.parametrize("reason", REASONS)
def test_what_the_command_line_refuses_for_a_reason_is_not_offered(kind: str, reason: str) -> None:
    obj = WORKLOADS["ready"]()
    (found,) = [one for one in obj["status"]["conditions"] if one["type"] == kind]
    found |= {"status": "False", "reason": reason}
    offered_as_by_the_command_line(obj)


@given(rotated_workloads())
@settings(max_examples=200, deadline=None)
def test_a_rotation_is_offered_where_the_command_line_would_not_refuse_it(obj: Json) -> None:
    offered_as_by_the_command_line(obj)


def offered_as_by_the_command_line(obj: Json) -> None:
    offered = discovered(obj)
    for name, action in ASKED.items():
        why = refusal(KeyView(view(obj)), action, NEW)
        assert offered[name]["disabled"] == bool(why), why


@pytest.mark.parametrize("name", STATES["KeyRotationPolicy"])
def test_a_rotation_of_a_policy_is_offered_where_the_command_line_would_not_refuse_it(name: str) -> None:
    obj = POLICIES[name]()
    assert discovered(obj)["rotate"]["disabled"] == bool(policy_refusal(PolicyView(obj)))


@pytest.mark.parametrize(
    "obj", [pytest.param(made(), id=name) for kind in KINDS for name, made in STATES[kind].items()]
)
def test_either_suspend_or_resume_is_offered_and_neither_at_the_end(obj: Json) -> None:
    offered = discovered(obj)
    pair = (offered["suspend"]["disabled"], offered["resume"]["disabled"])
    if "deletionTimestamp" in obj["metadata"]:
        assert pair == (True, True)
    else:
        assert pair == (obj["spec"]["suspend"], not obj["spec"]["suspend"])


def test_discovery_offers_exactly_the_actions_that_there_are() -> None:
    assert sorted(discovered(WORKLOADS["ready"]())) == actions_of("SecureAIWorkload")
    assert sorted(discovered(POLICIES["active"]())) == actions_of("KeyRotationPolicy")


@pytest.mark.parametrize(
    ("action", "obj"),
    [
        ("rotate", WORKLOADS["suspended"]()),
        ("rotate-emergency", WORKLOADS["suspended"]()),
        ("rotate-emergency", WORKLOADS["emergency"]()),
        ("rotate", POLICIES["suspended"]()),
        ("rotate", POLICIES["dry-run"]()),
    ],
)
def test_what_would_be_acted_on_later_is_refused_although_argo_cd_asks(action: str, obj: Json) -> None:
    with pytest.raises(LuaError, match=r"^(it is suspended|an emergency rotation is under way)"):
        acted(action, obj)


def test_an_emergency_that_is_over_keeps_no_other_from_beginning() -> None:
    obj = WORKLOADS["emergency"]()
    obj["status"]["emergency"]["finishedAt"] = "2026-01-31T12:00:09Z"
    assert names.EMERGENCY_ANNOTATION in acted("rotate-emergency", obj)["metadata"]["annotations"]
