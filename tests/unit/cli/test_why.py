"""`why` names the first cause, not the first symptom, and always a next step."""

from __future__ import annotations

import pytest

from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.reasons import REASONS, Severity
from secureai_operator.cli.operator_lease import Leadership
from secureai_operator.cli.why import diagnose
from tests.unit.cli.crs import workload

LEADS = Leadership(True, "somebody leads")
NOBODY = Leadership(False, "no operator leads")


def test_a_healthy_workload_is_ready_and_needs_no_step() -> None:
    found = diagnose(workload(), LEADS)
    assert found.ready
    assert found.also == ()


def test_an_unreachable_vault_is_the_cause_of_a_key_that_is_not_ready() -> None:
    found = diagnose(
        workload(
            {
                C.READY: ("False", "VaultUnreachable"),
                C.IDENTITY_READY: ("Unknown", "Waiting"),
                C.KEY_READY: ("Unknown", "VaultUnreachable"),
                C.VAULT_REACHABLE: ("False", "VaultUnreachable"),
            }
        ),
        LEADS,
    )
    assert (found.condition, found.reason) == ("VaultReachable", "VaultUnreachable")
    assert found.next_step == REASONS["VaultUnreachable"].next_step
    assert found.also == ("KeyReady: VaultUnreachable", "IdentityReady: Waiting")


def test_what_only_another_spec_can_help_comes_before_everything_else() -> None:
    found = diagnose(
        workload(
            {
                C.READY: ("False", "BeyondCeiling"),
                C.STALLED: ("True", "BeyondCeiling"),
                C.ACCESS_GRANTED: ("False", "BeyondCeiling"),
                C.VAULT_REACHABLE: ("False", "VaultSealed"),
            }
        ),
        LEADS,
    )
    assert found.condition == "Stalled"


def test_an_error_comes_before_what_waits_for_it() -> None:
    found = diagnose(
        workload(
            {
                C.READY: ("False", "DataKeyLost"),
                C.IDENTITY_READY: ("Unknown", "Waiting"),
                C.KEY_READY: ("False", "DataKeyLost"),
            }
        ),
        LEADS,
    )
    assert found.condition == "KeyReady"


def test_without_an_operator_the_conditions_are_old_news() -> None:
    found = diagnose(workload({C.READY: ("False", "NoTDXNodes")}), NOBODY)
    assert found.reason == "OperatorNotRunning"
    assert "secureai check" in found.next_step


def test_a_spec_that_nobody_has_looked_at_is_not_called_ready() -> None:
    found = diagnose(workload(generation=2, observed=1), LEADS)
    assert not found.ready
    assert found.reason == "NotYetSeen"


def test_a_workload_that_is_being_deleted_names_the_vault_that_keeps_it() -> None:
    found = diagnose(workload({C.VAULT_REACHABLE: ("False", "VaultSealed")}, deleting=True), LEADS)
    assert found.reason == "VaultSealed"
    assert diagnose(workload(deleting=True), LEADS).reason == "Terminating"


def test_suspension_is_told_before_what_it_leaves_unmended() -> None:
    found = diagnose(
        workload({C.READY: ("Unknown", "Suspended"), C.VAULT_REACHABLE: ("False", "VaultSealed")}), LEADS
    )
    assert found.reason == "Suspended"


@pytest.mark.parametrize(
    ("spec", "kind", "reason"),
    [
        ({"enforcement": "Audit"}, C.NETWORK_ISOLATED, "AuditOnly"),
        ({"confidential": {"mode": "Preferred"}}, C.CONFIDENTIAL_SCHEDULABLE, "NoTDXNodes"),
    ],
)
def test_what_does_not_keep_it_from_being_ready_is_not_the_cause(
    spec: dict[str, object], kind: C, reason: str
) -> None:
    failing = {
        C.READY: ("False", "VaultSealed"),
        kind: ("False", reason),
        C.VAULT_REACHABLE: ("False", "VaultSealed"),
    }
    found = diagnose(workload(failing, spec=spec), LEADS)
    assert found.reason == "VaultSealed"
    noted = diagnose(workload({kind: ("False", reason)}, spec=spec), LEADS)
    assert noted.ready
    assert any(reason in note for note in noted.also)


def test_a_reason_of_another_version_is_passed_on_as_it_is() -> None:
    found = diagnose(
        workload({C.READY: ("False", "FromTheFuture"), C.KEY_READY: ("False", "FromTheFuture")}), LEADS
    )
    assert found.reason == "FromTheFuture"
    assert found.message == "about KeyReady"


BAD = [
    (kind, reason.name)
    for reason in REASONS.values()
    for kind in reason.conditions
    if reason.severity in (Severity.ERROR, Severity.SECURITY) and kind not in (C.READY, C.DRIFT_DETECTED)
]


@pytest.mark.parametrize(("kind", "reason"), BAD)
def test_every_reason_of_the_registry_is_found_and_has_a_next_step(kind: C, reason: str) -> None:
    state = "True" if kind is C.STALLED else "False"
    required = {"confidential": {"mode": "Required"}}
    found = diagnose(workload({C.READY: ("False", reason), kind: (state, reason)}, spec=required), LEADS)
    assert found.reason == reason
    assert found.next_step
