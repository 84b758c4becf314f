"""Argo CD is told the truth at every status: what is Healthy is Ready, what is Degraded needs a person, and nothing raises."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.reasons import REASONS, Reason, Severity
from secureai_operator.controllers.assessment import assess
from secureai_operator.controllers.workload_status import next_status
from tests.unit.argocd.kstatus import KStatus, kstatus
from tests.unit.argocd.sandbox import KINDS, Json, document, folder, health
from tests.unit.argocd.states import POLICIES, STATES, live_policy, member
from tests.unit.argocd.workload_states import WORKLOADS, live_workload
from tests.unit.controllers.findings import facts_of, found_for
from tests.unit.samples import NOW, specs, workload

ARGO = ("Healthy", "Progressing", "Degraded", "Suspended")
POLICY_ONLY = ("PolicyActive", "PolicySelectsNothing", "PolicyRests", "RotationsFailing")
IN_FORCE = ("PolicyActive", "PolicySelectsNothing")
CHOSEN = {
    "AccessWithdrawn": "Progressing",
    "VaultRateLimited": "Progressing",
    "PodsUnbound": "Progressing",
    "Suspended": "Suspended",
    "CustomerLocked": "Suspended",
    "AwaitingKeyMaterial": "Suspended",
    "PolicyRests": "Suspended",
    "DriftReported": "Degraded",
    "RotationsFailing": "Degraded",
}
"""Reasons of Ready whose severity does not say whether they need a person: each is a choice, and docs/argocd.md says why."""
BY_SEVERITY = {
    Severity.PROGRESS: "Progressing",
    Severity.ERROR: "Degraded",
    Severity.SECURITY: "Degraded",
}


def rows() -> Iterator[Any]:
    for kind in KINDS:
        for row in document(folder(kind) / "health_test.yaml")["tests"]:
            yield pytest.param(kind, row, id=f"{kind}-{row['inputPath'].removeprefix('testdata/')}")


def conditions(obj: Json) -> dict[str, Json]:
    return {one["type"]: one for one in obj["status"]["conditions"]}


def said(obj: Json, kind: C, status: str, reason: str) -> Json:
    """The object with another word about one condition."""
    changed = copy.deepcopy(obj)
    conditions(changed)[kind.value] |= {"status": status, "reason": reason, "message": "it says so"}
    return changed


def reasons_of_ready() -> list[Reason]:
    """Every reason for which a workload may not be Ready."""
    found = [one for one in REASONS.values() if C.READY in one.conditions and one.severity != "Good"]
    return [reason for reason in found if reason.name not in POLICY_ONLY]


# In Argo CD's own format --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "row"), list(rows()))
def test_every_row_is_as_it_says(kind: str, row: Json) -> None:
    obj = document(folder(kind) / row["inputPath"])
    assert obj["kind"] == kind
    assert health(obj) == (row["healthStatus"]["status"], row["healthStatus"]["message"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_state_has_its_row_and_there_are_at_least_twelve(kind: str) -> None:
    tested = [row["inputPath"] for row in document(folder(kind) / "health_test.yaml")["tests"]]
    assert sorted(tested) == sorted(f"testdata/{name}.yaml" for name in STATES[kind])
    assert len(tested) >= 12
    states = {row["healthStatus"]["status"] for row in document(folder(kind) / "health_test.yaml")["tests"]}
    assert states == set(ARGO)


# Every reason -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reason", REASONS.values(), ids=str)
def test_every_reason_has_one_of_the_four_states_and_words(kind: str, reason: Reason) -> None:
    base = WORKLOADS["ready"]() if kind == "SecureAIWorkload" else POLICIES["active"]()
    for status in ("True", "False", "Unknown"):
        for one in C:
            if one.value not in conditions(base):
                continue
            state, message = health(said(base, one, status, reason.name))
            assert state in ARGO
            assert message


@pytest.mark.parametrize("reason", reasons_of_ready(), ids=str)
def test_what_needs_a_person_is_degraded_and_what_ends_by_itself_is_not(reason: Reason) -> None:
    not_ready = said(WORKLOADS["ready"](), C.READY, "False", reason.name)
    # Vault as a whole is away, not a single request.
    obj = said(not_ready, C.VAULT_REACHABLE, "False", "VaultUnreachable")
    state, message = health(obj)
    assert state == (CHOSEN.get(reason.name) or BY_SEVERITY[reason.severity]), "choose a state for it"
    assert reason.name in message


@pytest.mark.parametrize("name", POLICY_ONLY)
def test_the_reasons_of_a_policy_have_the_state_that_is_chosen(name: str) -> None:
    status = "True" if name in IN_FORCE else "False"
    state, message = health(said(POLICIES["active"](), C.READY, status, name))
    assert state == ("Healthy" if name in IN_FORCE else CHOSEN[name])
    assert name in message


@pytest.mark.parametrize("kind", KINDS)
def test_a_reason_that_nobody_knows_yet_is_never_good(kind: str) -> None:
    base = WORKLOADS["ready"]() if kind == "SecureAIWorkload" else POLICIES["active"]()
    assert health(said(base, C.READY, "False", "Novel"))[0] == "Degraded"
    assert health(said(base, C.READY, "Unknown", "Novel"))[0] == "Progressing"


@pytest.mark.parametrize("reason", ["VaultTimeout", "VaultUnreachable"])
def test_one_request_that_failed_is_no_outage(reason: str) -> None:
    obj = said(WORKLOADS["ready"](), C.READY, "False", reason)
    assert health(said(obj, C.VAULT_REACHABLE, "True", "VaultHealthy"))[0] == "Progressing"
    assert health(said(obj, C.VAULT_REACHABLE, "False", reason))[0] == "Degraded"
    assert health(said(obj, C.VAULT_REACHABLE, "Unknown", "Progressing"))[0] == "Degraded"


@pytest.mark.parametrize("reason", ["AwaitingKeyMaterial", "RotationRefused", "KeyArchiveFull"])
def test_an_emergency_that_needs_a_person_says_so(reason: str) -> None:
    state, message = health(said(WORKLOADS["emergency"](), C.ROTATION_ON_TRACK, "False", reason))
    assert state == "Degraded"
    assert reason in message


# Whatever there is --------------------------------------------------------------------------------------------


@st.composite
def real_workloads(draw: st.DrawFn) -> Json:
    """What the API server may hold: what a pass wrote, and what happened to the CR since."""
    item = workload(draw(specs), generation=draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(0, 2))):
        known = draw(facts_of())
        found = draw(found_for(item, known))
        seen = None if found.suspended or found.terminating else known
        status = next_status(item, found, seen, assess(item, found, seen), NOW)
        item = replace(item, status=status)
    if draw(st.integers(0, 3)) == 0:
        item = replace(item, generation=item.generation + 1)
    metadata: Json = {"deletionTimestamp": "2026-01-31T12:30:00Z"} if draw(st.integers(0, 5)) == 0 else {}
    return live_workload(item, **metadata)


_words: st.SearchStrategy[Any] = st.sampled_from(["True", "False", "Unknown", "", None, 7, True, {}, []])
_reason_names: st.SearchStrategy[Any] = st.sampled_from([*REASONS, "", "Novel", None, 7, {}])
_strange_conditions = st.fixed_dictionaries(
    {"type": st.sampled_from([*(kind.value for kind in C), "", None, 7])},
    optional={
        "status": _words,
        "reason": _reason_names,
        "message": st.sampled_from(["", "x", None, 7, []]),
        "observedGeneration": st.sampled_from([0, 1, 2, -1, None, "1"]),
    },
)
_anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "True", "Ready"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "type", "status"]), inner)
    ),
    max_leaves=6,
)
_strange_statuses = _anything | st.fixed_dictionaries(
    {},
    optional={
        "observedGeneration": st.sampled_from([-1, 0, 1, 2, None, "1"]),
        "conditions": st.lists(_strange_conditions | _anything, max_size=6) | _anything,
        "pods": _anything,
        "emergency": _anything,
        "key": _anything,
        "rotation": _anything,
    },
)


@st.composite
def strange_objects(draw: st.DrawFn) -> Json:
    """What no operator writes, or one of another version does."""
    metadata: Json = {"name": "x", "generation": draw(st.sampled_from([1, 2, None]))}
    if draw(st.booleans()):
        metadata["deletionTimestamp"] = "2026-01-31T12:30:00Z"
    kind = draw(st.sampled_from(KINDS))
    obj: Json = {"apiVersion": "secureai.dev/v1alpha1", "kind": kind, "metadata": metadata}
    for part, strategy in (("spec", _anything), ("status", _strange_statuses)):
        if draw(st.booleans()):
            obj[part] = draw(strategy)
    return obj


@given(strange_objects())
@settings(max_examples=300, deadline=None)
def test_whatever_the_status_holds_there_is_an_answer(obj: Json) -> None:
    state, message = health(obj)
    assert state in ARGO
    assert message
    if state == "Healthy":
        status = obj["status"]
        assert status["observedGeneration"] == obj["metadata"]["generation"]
        assert "deletionTimestamp" not in obj["metadata"]


@given(real_workloads())
@settings(max_examples=120, deadline=None)
def test_kstatus_and_argo_cd_never_contradict_each_other(obj: Json) -> None:
    agree(obj)


@st.composite
def summaries(draw: st.DrawFn) -> Json:
    """A state with any combination of what sums it up, and of generations, even one that no pass writes."""
    kind = draw(st.sampled_from(KINDS))
    obj = copy.deepcopy(STATES[kind]["ready" if kind == "SecureAIWorkload" else "active"]())
    for name in ("Ready", "Reconciling", "Stalled"):
        conditions(obj)[name] |= {
            "status": draw(st.sampled_from(["True", "False", "Unknown"])),
            "observedGeneration": draw(st.sampled_from([1, 1, 1, 0])),
        }
    conditions(obj)["Ready"]["reason"] = draw(st.sampled_from([*REASONS]))
    obj["status"]["observedGeneration"] = draw(st.sampled_from([1, 1, 1, 0, -1]))
    return obj


@given(summaries())
@settings(max_examples=300, deadline=None)
def test_they_agree_on_any_summary(obj: Json) -> None:
    agree(obj)


@pytest.mark.parametrize(
    "obj",
    [pytest.param(made(), id=f"{kind}-{name}") for kind in KINDS for name, made in STATES[kind].items()],
)
def test_they_agree_at_every_state(obj: Json) -> None:
    agree(obj)


def agree(obj: Json) -> None:
    state, _ = health(obj)
    found = {} if not obj["status"].get("conditions") else conditions(obj)
    word, ready = kstatus(obj), found.get("Ready", {})
    if state == "Healthy":
        assert ready["observedGeneration"] == obj["metadata"]["generation"]
        assert obj["status"]["observedGeneration"] == obj["metadata"]["generation"]
        assert word is KStatus.CURRENT
        assert ready["status"] == "True"
    # kstatus does not look at the generation that a condition speaks of; Argo CD is told nothing of an old one.
    speaks_of_now = ready.get("observedGeneration") == obj["metadata"]["generation"]
    if word is KStatus.CURRENT:
        assert state == ("Healthy" if speaks_of_now else "Progressing")
    if word is KStatus.FAILED:
        assert state == ("Degraded" if speaks_of_now else "Progressing")
    if word is KStatus.TERMINATING:
        assert state == "Progressing"


def test_a_policy_that_selects_nothing_is_healthy_only_of_its_own_generation() -> None:
    obj = live_policy()
    assert health(obj)[0] == "Healthy"
    assert health({**obj, "metadata": {**obj["metadata"], "generation": 2}})[0] == "Progressing"
    assert health(live_policy(None, member()))[0] == "Healthy"


# Suspended ----------------------------------------------------------------------------------------------------


def test_a_suspension_counts_once_the_operator_has_seen_it() -> None:
    assert health(WORKLOADS["suspended-not-seen"]())[0] == "Progressing"
    assert health(WORKLOADS["suspended"]())[0] == "Suspended"
    assert health(POLICIES["suspended-not-seen"]())[0] == "Progressing"
    assert health(POLICIES["suspended"]())[0] == "Suspended"


def test_the_key_lost_of_a_suspended_workload_that_goes_on_is_not_hidden() -> None:
    obj = WORKLOADS["key-lost"]()
    assert health({**obj, "spec": {**obj["spec"], "suspend": True}})[0] == "Degraded"
