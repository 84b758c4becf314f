"""What is read of a role, and for whom it counts how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureai_operator.api.workload_status import Condition, SecureAIWorkloadStatus
from secureai_operator.controllers.role_rules import FRESH_SECONDS, SETTLED_SECONDS, counts_for, rules_of
from secureai_operator.core.facts import CeilingRule
from tests.unit.samples import workload


def granted(status: str = "True", generation: int = 1) -> SecureAIWorkloadStatus:
    said = Condition(
        type="AccessGranted",
        status=status,
        reason="AccessGranted",
        observed_generation=generation,
        last_transition_time="2026-01-31T12:00:00Z",
    )
    return SecureAIWorkloadStatus(conditions=(said,))


def test_a_role_counts_longer_for_whom_it_was_granted_to() -> None:
    assert counts_for(workload(status=granted())) == SETTLED_SECONDS


@pytest.mark.parametrize(
    "status", [SecureAIWorkloadStatus(), granted("False"), granted("Unknown"), granted(generation=2)]
)
def test_a_role_is_read_again_soon_while_access_is_not_granted_for_this_spec(
    status: SecureAIWorkloadStatus,
) -> None:
    assert counts_for(workload(status=status)) == FRESH_SECONDS


def test_a_role_is_read_again_for_whom_another_look_was_asked_for() -> None:
    assert counts_for(replace(workload(status=granted()), resync="now")) == FRESH_SECONDS


def test_the_rules_of_a_role_are_read_and_those_about_urls_are_not_lost() -> None:
    """The API server wants whoever binds a role to hold all of its rules."""
    role = {
        "rules": [
            {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"], "verbs": ["get"]},
            {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
        ]
    }
    found = rules_of(role)
    assert found is not None
    assert found[0] == CeilingRule(frozenset({""}), frozenset({"pods"}), frozenset({"a"}), frozenset({"get"}))
    assert found[1].resources == {"/metrics"}
    assert "" not in found[1].api_groups
    assert rules_of(None) is None
    assert rules_of({}) == ()
