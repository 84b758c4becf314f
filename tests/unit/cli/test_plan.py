"""`plan` says what would change, and exits as kubectl diff does."""

from __future__ import annotations

import pytest

from secureai_operator.cli.exits import NO, OK, USAGE
from secureai_operator.cli.plan import Planned, exit_code, summary
from secureai_operator.cli.plan_steps import Action, Change, _key_problem, _vault, changed_fields
from tests.unit.samples import Json, facts, workload


def planned(outcome: str, *changes: Change) -> Planned:
    return Planned("SecureAIWorkload", "team-a", "llm", outcome, changes=changes)


def test_fields_that_differ_are_named_by_their_path() -> None:
    old = {"keys": {"type": "a", "dataKeys": [1]}, "suspend": False}
    new = {"keys": {"type": "a", "dataKeys": [1, 2]}, "suspend": False, "network": {"dns": True}}
    assert changed_fields(old, new) == ["spec.keys.dataKeys", "spec.network"]
    assert changed_fields(old, old) == []
    assert changed_fields(None, new) == ["spec"]


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["unchanged", "skipped"], OK),
        (["unchanged", "created"], NO),
        (["changed"], NO),
        (["created", "refused"], USAGE),
    ],
)
def test_the_exit_code_is_that_of_the_worst_object(outcomes: list[str], code: int) -> None:
    assert exit_code([planned(outcome) for outcome in outcomes]) == code


def test_an_unchanged_workload_whose_objects_would_change_is_a_change() -> None:
    assert exit_code([planned("unchanged", Change(Action.CREATE, "Kubernetes", "Role/saw-llm"))]) == NO


def test_the_summary_counts_by_action() -> None:
    create, delete = (Change(action, "Kubernetes", "x") for action in (Action.CREATE, Action.DELETE))
    text = summary([planned("changed", create, create, delete), planned("refused")])
    assert text == "2 to create, 0 to change, 1 to delete; 1 refused"


@pytest.mark.parametrize(
    ("keys", "connection", "says"),
    [
        ({}, "default", None),
        ({}, "nowhere", None),  # which is said of the connection
        ({"custody": "hold-your-own-key"}, "customer-a", None),
        ({"custody": "hold-your-own-key"}, "default", "CustodyMismatch"),
        ({}, "customer-a", "CustodyMismatch"),
        ({"custody": "customer-managed"}, "default", "AwaitingKeyMaterial"),
    ],
)
def test_what_keeps_a_key_from_being_there_is_foretold(keys: Json, connection: str, says: str | None) -> None:
    item = workload({"keys": keys, "vault": {"connection": connection}})
    problem = _key_problem(item, facts())
    assert (problem.reason.name if problem else None) == says
    if says == "AwaitingKeyMaterial":
        assert problem is not None
        assert "saw.main.team-a.llm" in problem.message


@pytest.mark.parametrize(("custody", "made"), [("service-managed", True), ("customer-managed", False)])
def test_a_key_that_the_customer_brings_is_not_planned(custody: str, made: bool) -> None:
    planned_names = [
        change.name for change in _vault(workload({"keys": {"custody": custody}}), None, facts())
    ]
    assert ("Key/saw.main.team-a.llm" in planned_names) is made
    assert "Policy/saw.main.team-a.llm" in planned_names
