"""What is said about a workload is true, of this generation, and in words that are registered for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureai_operator import errors
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.conditions import condition
from secureai_operator.api.reasons import REASONS
from secureai_operator.api.vault_types import VaultHealth, VaultStatus
from secureai_operator.api.workload_status import Condition, SecureAIWorkloadStatus
from secureai_operator.controllers.assessment import KEY_AWAITED_SECONDS, Found, assess
from secureai_operator.controllers.kubernetes_side import Outcome
from secureai_operator.controllers.vault_side import VaultOutcome, vault_verdict
from secureai_operator.controllers.workload_status import failed_status, next_status
from secureai_operator.controllers.workloads import stored
from secureai_operator.core.desired.keys import key_awaited_verdict
from secureai_operator.core.facts import ClusterFacts, Facts, Workload
from secureai_operator.core.status import CONCERNS, Assessment
from secureai_operator.core.verdict import bad
from tests.unit.controllers.findings import (
    DATA_KEY,
    HEALTHY,
    NOT_ASKED,
    SICK,
    all_good,
    drift,
    facts_of,
    found_for,
    vault_outcome,
)
from tests.unit.samples import CUSTOMERS, NOW, Json, certificate, facts, key_state, pod, specs, workload

Pass = tuple[Workload, Found, Facts]


def after(
    item: Workload, found: Found, known: Facts | None = None, minutes: int = 0
) -> SecureAIWorkloadStatus:
    known = known or facts()
    return next_status(item, found, known, assess(item, found, known), NOW + timedelta(minutes=minutes))


def said(status: SecureAIWorkloadStatus, kind: C) -> tuple[str, str]:
    found = condition(status.conditions, kind)
    assert found is not None
    return found.status, found.reason


def message(status: SecureAIWorkloadStatus, kind: C) -> str:
    found = condition(status.conditions, kind)
    assert found is not None
    return found.message


def ready_workload(spec: Json | None = None) -> Workload:
    item = workload(spec)
    return replace(item, status=after(item, all_good(item)))


@st.composite
def passes(draw: st.DrawFn) -> Pass:
    """A workload with whatever past, what a pass found of it, and the facts."""
    item = workload(draw(specs), generation=draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(0, 2))):
        earlier = draw(facts_of())
        before = draw(found_for(item, earlier))
        item = replace(
            item, status=after(item, before, earlier), generation=item.generation + draw(st.integers(0, 1))
        )
    known = draw(facts_of())
    return item, draw(found_for(item, known)), known


# Whatever is found --------------------------------------------------------------------------------------------


@given(passes())
@settings(max_examples=80, deadline=None)
def test_every_condition_is_there_once_and_its_reason_is_registered_for_it(one: Pass) -> None:
    item, found, known = one
    conditions = after(item, found, known).conditions
    assert [entry.type for entry in conditions] == [kind.value for kind in C]
    for entry in conditions:
        assert C(entry.type) in REASONS[entry.reason].conditions, (entry.type, entry.reason)
        assert len(entry.message) <= 1024


@given(passes())
@settings(max_examples=80, deadline=None)
def test_ready_is_true_only_for_this_generation_and_with_nothing_unknown(one: Pass) -> None:
    item, found, known = one
    status = after(item, found, known)
    assert status.observed_generation == item.generation
    if said(status, C.READY)[0] != "True":
        return
    gates = {C.IDENTITY_READY, C.KEY_READY, C.CERTIFICATE_READY, C.ACCESS_GRANTED}
    if item.spec.enforcement == "Enforce":
        gates |= {C.NETWORK_ISOLATED, C.PODS_BOUND}
    if item.spec.confidential.mode == "Required":
        gates.add(C.CONFIDENTIAL_SCHEDULABLE)
    for kind in gates:
        entry = condition(status.conditions, kind)
        assert entry is not None
        assert entry.status == "True"
        assert entry.observed_generation == item.generation


@given(passes())
@settings(max_examples=80, deadline=None)
def test_the_same_findings_a_minute_later_change_nothing(one: Pass) -> None:
    item, found, known = one
    status = after(item, found, known)
    again = replace(item, status=status)
    assert after(again, found, known, minutes=1) == status


@given(passes(), st.integers(1, 100))
@settings(max_examples=40, deadline=None)
def test_a_transition_time_moves_only_with_its_status(one: Pass, minutes: int) -> None:
    item, found, known = one
    for entry in after(item, found, known, minutes).conditions:
        before = condition(item.status.conditions, C(entry.type))
        if before is not None and before.status == entry.status:
            assert entry.last_transition_time == before.last_transition_time


@given(passes())
@settings(max_examples=50, deadline=None)
def test_a_key_that_was_recorded_stays_recorded_whatever_happens(one: Pass) -> None:
    """Or a lost key would look like one that never was, and be made anew."""
    item, found, known = one
    before, new = item.status, after(item, found, known)
    if before.key is not None and before.key.created_at is not None:
        assert new.key is not None
        assert new.key.created_at == before.key.created_at
    assert len(new.data_keys) >= len(before.data_keys)


@given(passes())
@settings(max_examples=50, deadline=None)
def test_pods_may_start_only_with_all_that_they_are_given(one: Pass) -> None:
    item, found, known = one
    status = after(item, found, known)
    if found.suspended or found.terminating or status.binding is None or not status.binding.ready:
        return
    if found.place is not None and found.place.verdict.status == "Unknown":
        assert status.binding == item.status.binding
        return
    for kind in (C.IDENTITY_READY, C.KEY_READY, C.CERTIFICATE_READY, C.ACCESS_GRANTED):
        state, reason = said(status, kind)
        if reason == "CustomerLocked":
            assert item.status.binding is not None
            assert item.status.binding.ready
        else:
            # What driftPolicy Warn leaves standing stops no pods either.
            assert state == "True" or reason in ("KeyExposed", "DriftReported")


@given(passes())
@settings(max_examples=50, deadline=None)
def test_stalled_and_reconciling_are_never_both_true(one: Pass) -> None:
    item, found, known = one
    status = after(item, found, known)
    assert (said(status, C.STALLED)[0], said(status, C.RECONCILING)[0]) != ("True", "True")
    if said(status, C.READY)[0] == "True":
        assert said(status, C.STALLED)[0] == said(status, C.RECONCILING)[0] == "False"


# One by one ---------------------------------------------------------------------------------------------------


def test_everything_good_is_ready() -> None:
    status = ready_workload().status
    assert said(status, C.READY) == ("True", "AllReady")
    assert said(status, C.VAULT_REACHABLE) == ("True", "VaultHealthy")
    assert said(status, C.DRIFT_DETECTED) == ("False", "NoDrift")
    assert status.binding is not None
    assert status.binding.ready
    assert status.key is not None
    assert status.key.created_at == "2026-01-31T12:00:00Z"
    assert status.certificate is not None
    assert status.certificate.serial == "1f"


@pytest.mark.parametrize("sick", SICK)
def test_while_vault_cannot_be_asked_the_last_good_state_stays(sick: Any) -> None:
    item = ready_workload()
    found = replace(
        all_good(item), vault=None, health=sick, vault_error=errors.VaultUnavailable(sick.reason, "x")
    )
    status = after(item, found)
    assert said(status, C.VAULT_REACHABLE) == ("False", sick.reason)
    assert said(status, C.READY) == ("True", "AllReady")
    assert said(status, C.KEY_READY) == ("True", "KeyAvailable")


@pytest.mark.parametrize("sick", SICK)
def test_a_vault_that_goes_away_amid_a_look_leaves_the_last_good_state(sick: Any) -> None:
    item = ready_workload()
    failure = vault_verdict(errors.VaultUnavailable(sick.reason, "x"))
    cut = vault_outcome(item, key_state(), failures={C.IDENTITY_READY: failure, C.KEY_READY: failure})
    found = replace(all_good(item), vault=cut, health=sick)
    status = after(item, found)
    assert said(status, C.VAULT_REACHABLE) == ("False", sick.reason)
    assert said(status, C.IDENTITY_READY)[0] == "True"
    assert said(status, C.READY) == ("True", "AllReady")
    # One request that failed while Vault answers is told.
    assert said(after(item, replace(found, health=HEALTHY)), C.IDENTITY_READY) == ("False", sick.reason)


def test_while_the_keys_secret_cannot_be_written_that_is_said_each_time_though_the_key_was_not_looked_at() -> (
    None
):
    """The first time the key's last state is known from the condition; its place is taken by the failure from then on."""
    item = ready_workload()
    refused = bad(reasons.KUBERNETES_UNAVAILABLE, "Secret saw-llm-keys could not be written yet")
    found = replace(
        all_good(item),
        vault=replace(vault_outcome(item, key_state()), key=None),
        secrets=Outcome(failures={C.KEY_READY: refused}),
    )
    status = after(item, found)
    assert said(status, C.KEY_READY) == ("False", "KubernetesUnavailable")
    assert after(replace(item, status=status), found, minutes=1) == status


def test_a_spec_that_was_never_verified_has_no_last_good_state() -> None:
    item = replace(ready_workload(), generation=2)
    found = replace(all_good(item), vault=None, vault_error=errors.VaultUnavailable("VaultSealed", "x"))
    status = after(item, found)
    assert said(status, C.KEY_READY) == ("False", "VaultSealed")
    assert said(status, C.IDENTITY_READY) == ("False", "VaultSealed")
    assert said(status, C.READY) == ("False", "VaultSealed")
    assert said(status, C.RECONCILING) == ("True", "Retrying")


def test_a_vault_that_was_never_asked_is_not_called_healthy() -> None:
    item = workload()
    found = replace(all_good(item), vault=None, health=NOT_ASKED)
    assert said(after(item, found), C.VAULT_REACHABLE) == ("Unknown", "Progressing")
    found = replace(found, vault_error=errors.KubeUnavailable("KubernetesUnavailable", "x"))
    assert said(after(item, found), C.VAULT_REACHABLE) == ("Unknown", "Progressing")
    assert said(after(item, replace(found, health=HEALTHY)), C.VAULT_REACHABLE)[0] == "True"


def test_a_certificate_for_other_names_is_none_for_this_spec() -> None:
    item = replace(
        workload({"certificate": {"dnsNames": ["new.team-a.svc"]}}, generation=2),
        status=ready_workload().status,
    )
    found = replace(
        all_good(item), certificate_failure=bad(reasons.VAULT_TIMEOUT, reasons.VAULT_TIMEOUT.meaning)
    )
    assert said(after(item, found), C.CERTIFICATE_READY) == ("False", "VaultTimeout")
    found = replace(found, certificate=certificate(dns_names=frozenset({"new.team-a.svc"})))
    assert said(after(item, found), C.CERTIFICATE_READY)[0] == "True"


def test_a_renewal_that_waits_leaves_the_valid_certificate_good_until_it_expires() -> None:
    item = ready_workload()
    waiting = replace(all_good(item), certificate_failure=bad(reasons.VAULT_TIMEOUT))
    status = after(item, waiting)
    assert said(status, C.CERTIFICATE_READY) == ("True", "CertificateIssued")
    assert "tried again" in message(status, C.CERTIFICATE_READY)
    expired = replace(waiting, certificate=certificate(not_after=int(NOW.timestamp())))
    assert said(after(item, expired), C.CERTIFICATE_READY) == ("False", "CertificateExpired")


def test_names_of_another_namespace_are_refused() -> None:
    item = workload({"certificate": {"dnsNames": ["llm.team-b.svc"]}})
    status = after(item, all_good(item))
    assert said(status, C.CERTIFICATE_READY) == ("False", "InvalidSpec")
    assert said(status, C.STALLED) == ("True", "InvalidSpec")


def test_nothing_that_needs_vault_is_called_good_while_the_keys_are_refused() -> None:
    item = workload({"keys": {"custody": "hold-your-own-key"}})
    found = replace(all_good(item), keys=bad(reasons.CUSTODY_MISMATCH, terminal=True), certificate=None)
    status = after(item, found)
    assert said(status, C.KEY_READY) == ("False", "CustodyMismatch")
    assert said(status, C.IDENTITY_READY) == ("False", "Waiting")
    assert said(status, C.CERTIFICATE_READY) == ("False", "Waiting")
    assert said(status, C.STALLED) == ("True", "CustodyMismatch")
    assert status.vault is None


def test_a_signing_key_with_data_keys_is_stalled_by_its_reason() -> None:
    item = workload({"keys": {"type": "ed25519", "dataKeys": [{"name": "model"}]}})
    found = replace(all_good(item), keys=bad(reasons.KEY_TYPE_CANNOT_WRAP, "only signs", terminal=True))
    status = after(item, found)
    for kind in (C.KEY_READY, C.READY):
        assert said(status, kind) == ("False", "KeyTypeCannotWrap")
    assert said(status, C.STALLED) == ("True", "KeyTypeCannotWrap")


def test_a_lost_key_is_stalled_and_its_record_stays() -> None:
    item = ready_workload()
    found = replace(all_good(item), vault=vault_outcome(item, None))
    status = after(item, found)
    assert said(status, C.READY) == ("False", "KeyLost")
    assert said(status, C.STALLED) == ("True", "KeyLost")
    assert status.key == item.status.key
    assert status.binding is not None
    assert not status.binding.ready


def test_an_exposed_key_is_told_and_its_pods_go_on() -> None:
    item = ready_workload()
    found = replace(all_good(item), vault=vault_outcome(item, key_state(exportable=True)))
    status = after(item, found)
    assert said(status, C.KEY_READY) == ("False", "KeyExposed")
    assert status.binding is not None
    assert status.binding.ready


def test_a_data_key_of_another_key_is_lost() -> None:
    item = ready_workload()
    stray = DATA_KEY.model_copy(update={"wrapped": "vault:v9:" + "A" * 24})
    found = replace(all_good(item), vault=vault_outcome(item, key_state(), data_keys=(stray,)))
    status = after(item, found)
    assert said(status, C.KEY_READY) == ("False", "DataKeyLost")
    assert said(status, C.READY) == ("False", "DataKeyLost")


def test_a_connection_that_is_not_configured_names_those_that_are() -> None:
    item = workload({"vault": {"connection": "prod"}})
    status = after(item, Found(place=all_good(item).place, connections=("default", "eu")))
    assert said(status, C.VAULT_REACHABLE) == ("False", "ConnectionNotConfigured")
    assert said(status, C.STALLED) == ("True", "ConnectionNotConfigured")
    assert "default, eu" in message(status, C.STALLED)


def test_pods_of_another_workload_are_left_alone() -> None:
    item = ready_workload()
    found = replace(all_good(item), claimed=bad(reasons.PODS_CLAIMED_TWICE, "old is older", terminal=True))
    status = after(item, found)
    assert said(status, C.PODS_BOUND) == ("False", "PodsClaimedTwice")
    assert said(status, C.NETWORK_ISOLATED) == ("False", "Waiting")
    assert said(status, C.READY) == ("False", "PodsClaimedTwice")
    assert status.binding is None


def test_escaped_pods_are_counted_and_the_first_is_named() -> None:
    pods = (pod("a"), *(pod(f"b{number:02}", "it has no identity token") for number in range(12)))
    item = workload()
    status = after(item, all_good(item), facts(pods=pods))
    assert said(status, C.PODS_BOUND) == ("False", "PodsUnbound")
    assert "12 of 13" in message(status, C.PODS_BOUND)
    assert "b00" in message(status, C.PODS_BOUND)
    assert status.pods is not None
    assert (status.pods.bound, status.pods.unbound, len(status.pods.unbound_names)) == (1, 12, 10)


def test_under_audit_nothing_is_claimed_and_nothing_blocks() -> None:
    item = workload({"enforcement": "Audit"})
    status = after(item, all_good(item), facts(pods=(pod("a", "it does not run as ServiceAccount saw-llm"),)))
    assert said(status, C.NETWORK_ISOLATED) == ("False", "AuditOnly")
    assert said(status, C.PODS_BOUND) == ("False", "AuditOnly")
    assert "1 of 1" in message(status, C.PODS_BOUND)
    assert said(status, C.READY) == ("True", "AllReady")
    assert status.binding is not None
    assert not status.binding.enforce


@pytest.mark.parametrize(("mode", "ready"), [("Required", "False"), ("Preferred", "True"), ("Off", "True")])
def test_a_place_that_there_is_not_blocks_only_who_requires_it(mode: str, ready: str) -> None:
    item = workload({"confidential": {"mode": mode}})
    known = facts(cluster=ClusterFacts(known=True))
    assert said(after(item, all_good(item, known), known), C.READY)[0] == ready


def test_a_cluster_that_is_not_known_keeps_what_pods_were_given() -> None:
    item = ready_workload({"confidential": {"mode": "Required"}})
    known = facts(cluster=ClusterFacts())
    assert after(item, all_good(item, known), known).binding == item.status.binding
    fresh = workload({"confidential": {"mode": "Required"}})
    assert after(fresh, all_good(fresh, known), known).binding is None


# A Vault that its owner may lock ------------------------------------------------------------------------------

LOCKS = ["VaultSealed", "VaultForbidden", "VaultLoginFailed"]
OUTAGES = ["VaultUnreachable", "VaultTimeout", "VaultRateLimited", "VaultNotInitialized", "VaultMountMissing"]


def owned(item: Workload, reason: str = "", *, told_by: str = "error") -> Found:
    """A pass over a workload whose key is in its customer's Vault, with that trouble; "" for none."""
    found = replace(all_good(item), connection=CUSTOMERS)
    if not reason:
        return found
    if told_by == "health":
        # The look was not due: what was seen last is still there.
        status = VaultStatus.SEALED if reason == "VaultSealed" else VaultStatus.DENIED
        return replace(found, health=VaultHealth(status, 0.0, reason))
    return replace(found, vault=None, vault_error=errors.VaultUnavailable(reason, "x"))


def owned_workload() -> Workload:
    item = workload({"keys": {"custody": "hold-your-own-key"}, "vault": {"connection": "customer-a"}})
    return replace(item, status=after(item, owned(item)))


@pytest.mark.parametrize("told_by", ["error", "health"])
@pytest.mark.parametrize("reason", LOCKS)
def test_a_customer_who_locks_their_key_is_no_outage(reason: str, told_by: str) -> None:
    item = owned_workload()
    assert said(item.status, C.READY) == ("True", "AllReady")
    status = after(item, owned(item, reason, told_by=told_by))
    for kind in (C.VAULT_REACHABLE, C.KEY_READY, C.READY):
        assert said(status, kind) == ("False", "CustomerLocked")
        assert ("unseal" in message(status, kind)) is (reason == "VaultSealed")
        assert ("role and policy" in message(status, kind)) is (reason != "VaultSealed")
        assert "customer-a" in message(status, kind)
    assert said(status, C.STALLED) == ("False", "Settled")
    # All else stays as it last was, and pods may start as they could.
    for kind in (C.IDENTITY_READY, C.CERTIFICATE_READY, C.NETWORK_ISOLATED, C.ACCESS_GRANTED):
        assert said(status, kind)[0] == "True", kind
    for part in ("key", "data_keys", "vault", "certificate", "binding"):
        assert getattr(status, part) == getattr(item.status, part), part
    back = after(replace(item, status=status), owned(item), minutes=1)
    assert said(back, C.READY) == ("True", "AllReady")


@pytest.mark.parametrize("reason", OUTAGES)
def test_an_outage_of_a_customer_s_vault_is_an_outage(reason: str) -> None:
    item = owned_workload()
    status = after(item, owned(item, reason))
    assert said(status, C.VAULT_REACHABLE) == ("False", reason)
    assert said(status, C.READY) == ("True", "AllReady")


@pytest.mark.parametrize("reason", LOCKS)
def test_the_platform_s_vault_is_never_called_locked_by_a_customer(reason: str) -> None:
    item = ready_workload()
    found = replace(all_good(item), vault=None, vault_error=errors.VaultUnavailable(reason, "x"))
    status = after(item, found)
    assert said(status, C.VAULT_REACHABLE) == ("False", reason)
    assert "CustomerLocked" not in {entry.reason for entry in status.conditions}


def test_refusals_in_other_words_change_nothing_in_status() -> None:
    """A login that fails and a token that is refused take turns: each change would be a write."""
    item = owned_workload()
    status = after(item, owned(item, "VaultForbidden"))
    assert after(replace(item, status=status), owned(item, "VaultLoginFailed"), minutes=1) == status


@pytest.mark.parametrize("told_by", ["error", "health"])
def test_a_lock_outlasts_an_outage(told_by: str) -> None:
    """Or pods could not start while it lasts: what is not known would count as lost."""
    item = owned_workload()
    item = replace(item, status=after(item, owned(item, "VaultSealed")))
    away = owned(item, "VaultUnreachable")
    if told_by == "health":
        away = replace(owned(item), health=SICK[0])
    status = after(item, away, minutes=1)
    assert said(status, C.VAULT_REACHABLE) == ("False", "VaultUnreachable")
    assert said(status, C.KEY_READY) == ("False", "CustomerLocked")
    assert status.binding == item.status.binding


def test_what_was_never_made_in_a_locked_vault_waits_for_the_customer() -> None:
    item = workload({"keys": {"custody": "hold-your-own-key"}, "vault": {"connection": "customer-a"}})
    found = replace(owned(item, "VaultLoginFailed"), certificate=None)
    status = after(item, found)
    for kind in (C.IDENTITY_READY, C.KEY_READY, C.CERTIFICATE_READY, C.READY):
        assert said(status, kind) == ("False", "CustomerLocked"), kind
    assert said(status, C.RECONCILING) == ("True", "Retrying")
    assert status.binding is not None
    assert not status.binding.ready


def test_a_lost_key_in_a_vault_that_is_then_locked_lets_no_pod_start() -> None:
    item = owned_workload()
    item = replace(item, status=after(item, replace(owned(item), vault=vault_outcome(item, None))))
    status = after(item, owned(item, "VaultSealed"))
    assert status.binding is not None
    assert not status.binding.ready


def test_a_single_thing_that_the_customer_refuses_is_theirs_too() -> None:
    item = owned_workload()
    found = owned(item)
    assert found.vault is not None
    found.vault.failures[C.IDENTITY_READY] = vault_verdict(errors.VaultDenied("VaultForbidden", "x"))
    status = after(item, found)
    assert said(status, C.IDENTITY_READY) == ("False", "CustomerLocked")
    assert said(status, C.KEY_READY) == ("True", "KeyAvailable")
    assert said(status, C.VAULT_REACHABLE) == ("True", "VaultHealthy")


# A key that the customer is to bring --------------------------------------------------------------------------


def awaiting(item: Workload) -> Found:
    verdict = key_awaited_verdict(item, "saw.main.team-a.llm")
    return replace(all_good(item), vault=VaultOutcome(key=verdict))


def test_a_key_that_is_awaited_is_neither_a_failure_nor_an_end() -> None:
    item = workload({"keys": {"custody": "customer-managed"}})
    found = awaiting(item)
    status = after(item, found)
    assert said(status, C.KEY_READY) == ("False", "AwaitingKeyMaterial")
    assert said(status, C.READY) == ("False", "AwaitingKeyMaterial")
    assert said(status, C.STALLED) == ("False", "Settled")
    for kind in (C.IDENTITY_READY, C.CERTIFICATE_READY, C.NETWORK_ISOLATED, C.VAULT_REACHABLE):
        assert said(status, kind)[0] == "True"
    assert status.vault is not None
    assert status.key is None
    assert status.binding is not None
    assert not status.binding.ready
    assert not found.has_failed


def test_a_key_that_is_awaited_is_looked_for_every_now_and_then() -> None:
    item = workload({"keys": {"custody": "customer-managed"}})
    found = awaiting(item)
    assert found.retry_after == KEY_AWAITED_SECONDS
    # What asks for less, and what failed, are not held up by it.
    found.kubernetes.retry_after = 5.0
    assert found.retry_after == 5.0
    found.kubernetes.retry_after = 0.0
    found.kubernetes.failures[C.NETWORK_ISOLATED] = bad(reasons.KUBERNETES_UNAVAILABLE)
    assert found.retry_after == 0.0
    assert all_good(item).retry_after == 0.0


# Drift --------------------------------------------------------------------------------------------------------


def test_a_heal_is_told_and_remembered() -> None:
    item = ready_workload()
    found = all_good(item)
    found.kubernetes.drift = drift()
    status = after(item, found)
    assert said(status, C.DRIFT_DETECTED) == ("False", "DriftHealed")
    assert "Role saw-llm: rules" in message(status, C.DRIFT_DETECTED)
    assert status.last_drift == drift()
    later = after(replace(item, status=status), all_good(item), minutes=9)
    assert later == status


def test_drift_that_stands_is_told_once_with_the_time_it_was_seen() -> None:
    item = ready_workload({"driftPolicy": "Warn"})
    found = all_good(item)
    found.kubernetes.drift = drift(action="Reported")
    status = after(item, found)
    assert said(status, C.DRIFT_DETECTED) == ("True", "DriftReported")
    seen_again = all_good(item)
    seen_again.kubernetes.drift = found.kubernetes.drift.model_copy(update={"time": "2026-02-01T00:00:00Z"})
    assert after(replace(item, status=status), seen_again, minutes=9) == status


def test_what_was_left_as_somebody_else_made_it_is_not_called_true() -> None:
    item = ready_workload({"driftPolicy": "Warn"})
    found = all_good(item)
    found.kubernetes.drift = drift("NetworkPolicy", "", "Reported")
    found.kubernetes.standing[C.NETWORK_ISOLATED] = "NetworkPolicy saw-llm-allow: deleted"
    status = after(item, found)
    for kind in (C.NETWORK_ISOLATED, C.READY):
        assert said(status, kind) == ("False", "DriftReported")
        assert "saw-llm-allow: deleted" in message(status, kind)
    # Nobody is working on it, and pods that start go on starting.
    assert said(status, C.RECONCILING) == ("False", "Settled")
    assert status.binding is not None
    assert status.binding.ready


def test_drift_in_vault_that_stands_is_not_forgotten_while_vault_is_down() -> None:
    item = ready_workload({"driftPolicy": "Warn"})
    found = all_good(item)
    assert found.vault is not None
    found.vault.drift = drift("VaultPolicy", "policy", "Reported")
    item = replace(item, status=after(item, found))
    down = replace(
        all_good(item),
        vault=None,
        health=SICK[0],
        vault_error=errors.VaultUnavailable("VaultUnreachable", "x"),
    )
    status = after(item, down, minutes=1)
    assert said(status, C.DRIFT_DETECTED) == ("True", "DriftReported")
    back = after(replace(item, status=status), all_good(item), minutes=2)
    assert said(back, C.DRIFT_DETECTED) == ("False", "NoDrift")


def test_an_object_that_something_keeps_changing_is_named() -> None:
    item = ready_workload()
    found = all_good(item)
    found.kubernetes.contended = "Role saw-llm"
    status = after(item, found)
    assert said(status, C.DRIFT_DETECTED) == ("True", "DriftContended")
    assert "Role saw-llm" in message(status, C.DRIFT_DETECTED)


# Nothing looked at --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "reason"), [(Found(suspended=True), "Suspended"), (Found(terminating=True), "Terminating")]
)
def test_what_was_not_looked_at_keeps_its_word_and_its_generation(found: Found, reason: str) -> None:
    item = replace(ready_workload(), generation=7)
    status = next_status(item, found, None, assess(item, found, None), NOW)
    assert said(status, C.READY)[0] != "True"
    assert said(status, C.READY)[1] == reason
    for kind in CONCERNS:
        assert condition(status.conditions, kind) == condition(item.status.conditions, kind)
    assert status.key == item.status.key
    assert status.binding == item.status.binding


def test_a_condition_of_another_version_is_not_repeated() -> None:
    strange = Condition(
        type="KeyReady", status="True", reason="Novel", last_transition_time="2026-01-31T12:00:00Z"
    )
    item = workload(status=SecureAIWorkloadStatus(conditions=(strange,)))
    found = replace(all_good(item), vault=None)
    assert said(after(item, found), C.KEY_READY) == ("Unknown", "Progressing")


# Summary ------------------------------------------------------------------------------------------------------


def test_every_cause_of_a_concern_may_also_be_ready_s() -> None:
    """Or Ready would say Progressing of something that waits for a person."""
    quiet = {reasons.AUDIT_ONLY, reasons.PLACEMENT_OFF}
    for reason in REASONS.values():
        gating = set(CONCERNS) - {C.ROTATION_ON_TRACK}
        if set(reason.conditions) & gating and reason.severity != "Good" and reason not in quiet:
            assert C.READY in reason.conditions, reason.name


def test_the_terminal_cause_comes_before_what_waits_for_it() -> None:
    item = workload()
    found = all_good(item)
    found.kubernetes.failures[C.IDENTITY_READY] = bad(reasons.KUBERNETES_UNAVAILABLE, "not yet")
    found.access = bad(reasons.BEYOND_CEILING, "get secrets", terminal=True)
    status = after(item, found)
    assert said(status, C.READY) == ("False", "BeyondCeiling")
    assert message(status, C.READY) == "AccessGranted: get secrets"


def test_a_message_is_cut_to_what_the_schema_holds() -> None:
    item = workload()
    found = replace(all_good(item), access=bad(reasons.BEYOND_CEILING, "x" * 5000, terminal=True))
    assert all(len(entry.message) <= 1024 for entry in after(item, found).conditions)


@pytest.mark.parametrize("reason", [reasons.INVALID_SPEC, reasons.INTERNAL_ERROR])
def test_a_workload_that_cannot_be_looked_at_says_so_in_registered_words(reason: reasons.Reason) -> None:
    raw = {
        "metadata": {
            "name": "llm",
            "namespace": "team-a",
            "uid": "u",
            "resourceVersion": "1",
            "generation": 3,
        },
        "spec": {},
    }
    _, status = failed_status(stored(raw), reason, "spec.x: is wrong", NOW)
    assert said(status, C.READY) == ("False", reason.name)
    assert said(status, C.STALLED) == ("True", reason.name)
    for entry in status.conditions:
        assert C(entry.type) in REASONS[entry.reason].conditions, (entry.type, entry.reason)


def test_an_assessment_needs_every_concern() -> None:
    item = workload()
    found = all_good(item)
    assessment = assess(item, found, facts())
    assert isinstance(assessment, Assessment)
    assert set(assessment.concerns) == set(CONCERNS)
