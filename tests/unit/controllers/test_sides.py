"""What tells drift from progress, in both halves, and what a failed write says: pure decisions of the shell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from secureai_operator import errors
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.reasons import REASONS
from secureai_operator.api.vault_types import SignedCertificate
from secureai_operator.api.workload_status import DriftStatus, SecureAIWorkloadStatus
from secureai_operator.clients.kube import ScopedKube
from secureai_operator.controllers.children import Children, as_child
from secureai_operator.controllers.data_keys_side import data_key_verdict
from secureai_operator.controllers.kubernetes_side import (
    _CONCERNS,
    OWNED,
    Outcome,
    Side,
    _drift_of,
    _may_heal,
    kube_verdict,
)
from secureai_operator.controllers.memory import CONTENTION_LIMIT, Memory
from secureai_operator.controllers.vault_side import (
    NewCertificate,
    VaultOutcome,
    _is_foreign,
    _report,
    next_look,
    standing,
    vault_verdict,
)
from secureai_operator.core.desired.keys import key_status
from secureai_operator.core.desired.vault import VaultDifference
from secureai_operator.core.drift import digest
from secureai_operator.core.facts import Workload
from secureai_operator.core.plan import Apply, Create, Delete
from tests.unit.controllers.findings import (
    DATA_KEY,
    KUBE_ERRORS,
    VAULT_ERRORS,
    all_good,
    drift,
    vault_side,
)
from tests.unit.controllers.test_assessment import after, ready_workload
from tests.unit.samples import NOW, key_state, live, made_for, workload

ACCOUNT = made_for(workload())[0]
PLACE = ("ServiceAccount", "saw-llm")
CREATE = Create(ACCOUNT)
APPLY = Apply(ACCOUNT, as_child(live(ACCOUNT)), ("automountServiceAccountToken",))
POLICY = VaultDifference("VaultPolicy", "saw.main.team-a.llm", "policy")


def side(item: Workload, memory: Memory | None = None, told: list[DriftStatus] | None = None) -> Side:
    return Side(
        kube=cast("ScopedKube", None),
        children=Children(),
        workload=item,
        memory=memory or Memory(item.uid),
        now=NOW,
        on_drift=lambda _, found: told.append(found) if told is not None else None,
    )


def not_ready(item: Workload) -> SecureAIWorkloadStatus:
    found = all_good(item)
    found.kubernetes.failures[C.IDENTITY_READY] = kube_verdict(KUBE_ERRORS[1], PLACE)
    return after(item, found)


# Kubernetes ---------------------------------------------------------------------------------------------------


def test_what_a_new_workload_needs_is_no_drift() -> None:
    assert _drift_of(side(workload()), CREATE, PLACE) is None


def test_what_was_whole_before_a_restart_and_is_not_now_is_drift() -> None:
    item = ready_workload()
    found = _drift_of(side(item), CREATE, PLACE)
    assert found is not None
    assert (found.kind, found.name, found.field) == ("ServiceAccount", "saw-llm", "")
    found = _drift_of(side(item), APPLY, PLACE)
    assert found is not None
    assert found.field == "automountServiceAccountToken"


def test_what_failed_before_a_restart_is_no_drift() -> None:
    item = workload()
    assert _drift_of(side(replace(item, status=not_ready(item))), CREATE, PLACE) is None


def test_what_a_new_generation_asks_for_is_no_drift() -> None:
    assert _drift_of(side(replace(ready_workload(), generation=2)), CREATE, PLACE) is None


def test_what_we_wrote_ourselves_and_differs_now_is_drift_whatever_status_says() -> None:
    memory = Memory("uid-1", applied={PLACE: digest(ACCOUNT.manifest)})
    assert _drift_of(side(workload(), memory), APPLY, PLACE) is not None
    memory.applied[PLACE] = b"what another spec wanted"
    assert _drift_of(side(ready_workload(), memory), APPLY, PLACE) is None


def test_what_is_no_longer_wanted_is_no_drift() -> None:
    assert _drift_of(side(ready_workload()), Delete(as_child(live(ACCOUNT))), PLACE) is None


def test_what_cannot_be_deleted_has_its_concern() -> None:
    assert set(_CONCERNS) == set(OWNED)
    assert _CONCERNS["RoleBinding"] is C.ACCESS_GRANTED


def test_drift_that_was_left_standing_is_drift_still_after_a_restart() -> None:
    item = ready_workload({"driftPolicy": "Warn"})
    found = all_good(item)
    found.kubernetes.standing[C.IDENTITY_READY] = "ServiceAccount saw-llm: deleted"
    item = replace(item, status=after(item, found))
    assert _drift_of(side(item), CREATE, PLACE) is not None
    assert _is_foreign(vault_side(item), POLICY)


def test_under_warn_drift_is_told_once_and_left_alone() -> None:
    told: list[DriftStatus] = []
    one = side(ready_workload({"driftPolicy": "Warn"}), told=told)
    for _ in range(3):
        outcome = Outcome()
        assert not _may_heal(one, drift(), PLACE, C.ACCESS_GRANTED, outcome)
        assert outcome.drift is not None
        assert outcome.drift.action == "Reported"
        assert outcome.reported == {(*PLACE, "rules")}
        assert outcome.standing == {C.ACCESS_GRANTED: "ServiceAccount saw-llm: rules"}
    assert [found.action for found in told] == ["Reported"]


def test_a_fight_slows_down_and_is_named() -> None:
    one = side(ready_workload())
    outcome = Outcome()
    for _ in range(CONTENTION_LIMIT):
        assert _may_heal(one, drift(), PLACE, C.ACCESS_GRANTED, outcome)
        one.memory.healed(PLACE)
    assert not _may_heal(one, drift(), PLACE, C.ACCESS_GRANTED, outcome)
    assert outcome.contended == "ServiceAccount saw-llm"
    assert outcome.retry_after > 0


@pytest.mark.parametrize("error", KUBE_ERRORS, ids=lambda error: type(error).__name__)
def test_a_failed_write_names_the_object_and_quotes_nobody(error: errors.OperatorError) -> None:
    said = type(error)(error.reason, "hunter2" if error.reason != "NameConflict" else "ours")
    verdict = kube_verdict(said, PLACE)
    assert verdict.status == "False"
    assert "hunter2" not in verdict.message
    for kind in (C.IDENTITY_READY, C.ACCESS_GRANTED, C.NETWORK_ISOLATED, C.KEY_READY, C.CERTIFICATE_READY):
        assert kind in verdict.reason.conditions


# Vault --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "whole_for", "foreign"),
    [
        (workload(), -1, False),
        (ready_workload(), -1, True),
        (replace(ready_workload(), generation=2), -1, False),
        (workload(), 1, True),
        (replace(ready_workload(), generation=2), 1, False),
        (replace(ready_workload(), generation=2), 2, True),
    ],
)
def test_only_what_was_whole_for_this_spec_can_have_been_changed(
    item: Workload, whole_for: int, *, foreign: bool
) -> None:
    memory = Memory(item.uid, vault_generation=whole_for)
    side = vault_side(item, memory)
    memory.vault_seal = side.desired.seal
    assert _is_foreign(side, POLICY) is foreign


def test_what_an_emergency_wants_otherwise_is_nobody_s_drift() -> None:
    """Its policy denies: under driftPolicy Warn the withdrawal would be reported, and never be made."""
    item = replace(ready_workload(), generation=2)
    memory = Memory(item.uid, vault_generation=2, vault_seal="what was wanted before")
    assert not _is_foreign(vault_side(item, memory), POLICY)


def test_a_write_that_failed_is_done_again_and_is_nobody_s_drift() -> None:
    """Under driftPolicy Warn it would be reported for ever instead."""
    item = workload({"driftPolicy": "Warn"})
    found = all_good(item)
    assert found.vault is not None
    found.vault.failures[C.IDENTITY_READY] = vault_verdict(VAULT_ERRORS[0])
    item = replace(item, status=after(item, found))
    assert item.status.vault is not None
    memory = Memory(item.uid, vault=cast("Any", object()))
    assert not _is_foreign(vault_side(item, memory), POLICY)
    assert _is_foreign(vault_side(item, memory), VaultDifference("VaultKey", "x", "deletion_allowed"))


def test_drift_in_vault_is_told_once_under_warn() -> None:
    one = vault_side(ready_workload({"driftPolicy": "Warn"}))
    for _ in range(2):
        outcome = VaultOutcome()
        _report(one, drift("VaultPolicy", "policy"), outcome)
        assert outcome.reported == {("VaultPolicy", "saw-llm", "policy")}
        assert outcome.drift is not None
        assert outcome.drift.action == "Reported"
    assert len(one.memory.reported) == 1
    assert standing(one.memory) == {C.IDENTITY_READY: "VaultPolicy saw-llm: policy"}


def test_the_time_of_a_key_s_making_is_recorded_once() -> None:
    first = key_status(workload(), key_state(versions={2: 100, 3: 200}, latest_version=3))
    assert first.created_at == "1970-01-01T00:01:40Z"
    item = workload(status=SecureAIWorkloadStatus(key=first))
    assert key_status(item, key_state(versions={3: 200}, latest_version=3)).created_at == first.created_at
    assert key_status(workload(), key_state(versions={})).created_at is None


def test_the_key_s_versions_and_origin_are_recorded() -> None:
    found = key_state(
        versions={2: 100, 3: 200}, latest_version=3, min_decryption_version=2, min_available_version=2
    )
    status = key_status(workload({"keys": {"custody": "customer-managed"}}), replace(found, imported=True))
    assert (status.latest_version, status.min_decryption_version, status.min_available_version) == (3, 2, 2)
    assert status.latest_version_at == "1970-01-01T00:03:20Z"
    assert status.imported
    assert not key_status(workload(), found).imported
    assert key_status(workload(), key_state(versions={})).latest_version_at is None


@pytest.mark.parametrize("error", VAULT_ERRORS, ids=lambda error: error.reason)
def test_a_failed_call_is_told_in_the_registry_s_words(error: errors.OperatorError) -> None:
    verdict = vault_verdict(type(error)(error.reason, "hunter2"))
    assert verdict.reason is REASONS[error.reason]
    assert verdict.message == verdict.reason.meaning
    for kind in (C.IDENTITY_READY, C.KEY_READY, C.CERTIFICATE_READY):
        assert kind in verdict.reason.conditions


def test_an_error_of_another_kind_is_not_taken_for_good() -> None:
    assert vault_verdict(errors.Retry("Novel", "x")).status == "False"


@pytest.mark.parametrize(("wrapped", "lost"), [("vault:v1:", False), ("vault:v2:", True), ("plain", True)])
def test_a_data_key_must_be_wrapped_by_a_version_that_there_is(wrapped: str, *, lost: bool) -> None:
    item = ready_workload()
    key = DATA_KEY.model_copy(update={"wrapped": wrapped + "A" * 24})
    verdict = data_key_verdict(VaultOutcome(key_status=item.status.key, data_keys=(key,)))
    assert (verdict is not None) is lost
    if verdict is not None:
        assert verdict.reason is reasons.DATA_KEY_LOST
        assert "A" * 24 not in verdict.message


def test_a_new_certificate_is_never_printed() -> None:
    new = NewCertificate(SignedCertificate("CERT", "CA", "1", 1), "-----BEGIN PRIVATE KEY-----")
    assert "PRIVATE" not in f"{new} {new!r} {[new]}"


def test_looks_at_vault_spread_by_a_fifth_either_way() -> None:
    looks = [next_look(300, spread / 10) for spread in range(11)]
    assert looks == sorted(looks)
    assert 119 < looks[-1] - looks[0] < 121
