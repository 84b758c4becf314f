"""`plan` says what would change, and exits as kubectl diff does."""

from __future__ import annotations

import pytest

from secureai_operator.cli.exits import NO, OK, USAGE
from secureai_operator.cli.plan import Planned, exit_code, summary
from secureai_operator.cli.plan_steps import Action, Change, changed_fields


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
