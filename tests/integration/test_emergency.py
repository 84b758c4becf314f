"""An emergency rotation on a real Vault: access gone first, everything made anew, access back last."""

from __future__ import annotations

from functools import partial

import pytest

from lab import Lab, RequestFailed
from secureai_operator import names
from secureai_operator.api.resources import SECRETS
from tests.fixtures_operator import SharedOperator, Workloads, eventually
from tests.integration.rotations import MODEL, Json, Keys
from tests.integration.vault_identity import Identity, pod_token, vault_name

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

OVER_SECONDS = 60.0
STEPS = [
    "AccessWithdrawn",
    "KeyRotated",
    "DataKeysRewrapped",
    "MinimumRaised",
    "CertificateReissued",
    "IdentityReplaced",
    "PodsRestarted",
    "AccessRestored",
]


def over(keys: Keys, request: str) -> Json | None:
    emergency: Json = keys.status.get("emergency") or {}
    return emergency if emergency.get("requestId") == request and emergency.get("finishedAt") else None


def test_everything_is_made_anew_and_what_was_stolen_is_worth_nothing(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace, keys=MODEL)
    keys, name = Keys(lab, workloads, namespace), vault_name(namespace)
    stolen_jwt = pod_token(lab, namespace)
    stolen = Identity.login(lab, name, stolen_jwt)
    old = stolen.encrypt(name, b"of long ago")
    before, serial = keys.plaintexts(keys.secret()), keys.status["certificate"]["serial"]
    keys.annotate(rotate_emergency="incident-7")
    emergency = eventually(lab, lambda: over(keys, "incident-7"), OVER_SECONDS, "the emergency to be over")
    assert [step["step"] for step in emergency["steps"]] == STEPS
    assert not [step for step in emergency["steps"] if step.get("skipped")]
    assert keys.key["latest_version"] == 2
    assert keys.key["min_decryption_version"] == 2
    assert keys.status["certificate"]["serial"] != serial
    assert keys.plaintexts(keys.secret()) == before
    workloads.wait_ready(namespace)
    with pytest.raises(RequestFailed):
        Identity.of(lab, namespace).decrypt(name, old)
    # Not even now, with access restored: the token that was logged in before stays dead, and so does the account's own.
    with pytest.raises(RequestFailed) as refused:
        stolen.encrypt(name, b"again")
    assert refused.value.status == 403
    with pytest.raises(RequestFailed):
        Identity.login(lab, name, stolen_jwt)
    renewed = Identity.of(lab, namespace)
    assert renewed.decrypt(name, renewed.encrypt(name, b"new")) == b"new"
    workloads.wait_event(namespace, "llm", "EmergencyStarted", contains="incident-7")
    workloads.wait_event(namespace, "llm", "EmergencyFinished", contains="incident-7")


def test_an_emergency_on_the_day_of_another_waits_for_no_trial_of_it(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    """The minimum of the first one is on trial for a day; the second one's has to rise now."""
    workloads.ready(namespace, keys=MODEL)
    keys = Keys(lab, workloads, namespace)
    before = keys.plaintexts(keys.secret())
    for number, request in enumerate(("incident-11", "incident-12"), start=2):
        keys.annotate(rotate_emergency=request)
        emergency = eventually(lab, partial(over, keys, request), OVER_SECONDS, f"{request} to be over")
        assert [step["step"] for step in emergency["steps"]] == STEPS
        assert keys.key["latest_version"] == keys.key["min_decryption_version"] == number
    assert keys.plaintexts(keys.secret()) == before
    workloads.wait_ready(namespace)


def test_access_is_gone_while_it_is_under_way_and_stays_gone_until_it_can_go_on(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    """A data key's Secret that nobody can write holds it up at the proof; the intruder's token is worth nothing meanwhile."""
    workloads.ready(namespace, keys=MODEL)
    keys, name = Keys(lab, workloads, namespace), vault_name(namespace)
    intruder = Identity.of(lab, namespace)
    text = intruder.encrypt(name, b"seen")
    quota = "sys/quotas/rate-limit/hold"
    lab.vault_request(
        "POST", quota, {"rate": 0.01, "interval": "60s", "path": f"saw-transit/keys/{name}/rotate"}
    )
    try:
        keys.annotate(rotate_emergency="incident-8")
        workloads.wait_condition(namespace, "llm", "IdentityReady", "False", "AccessWithdrawn")
        with pytest.raises(RequestFailed) as refused:
            intruder.decrypt(name, text)
        assert refused.value.status == 403
    finally:
        lab.vault_request("DELETE", quota)
    eventually(lab, lambda: over(keys, "incident-8"), OVER_SECONDS, "the emergency to be over")
    workloads.wait_ready(namespace)


def test_an_emergency_is_resumed_by_the_next_operator(
    lab: Lab, workloads: Workloads, namespace: str, operator: SharedOperator
) -> None:
    workloads.ready(namespace, keys=MODEL)
    keys = Keys(lab, workloads, namespace)
    keys.annotate(rotate_emergency="incident-9")
    eventually(lab, lambda: keys.status.get("emergency") or None, 10, "the emergency to begin")
    operator.kill()
    operator.start()
    emergency = eventually(
        lab, lambda: over(keys, "incident-9"), OVER_SECONDS + 15, "the emergency to be over"
    )
    assert [step["step"] for step in emergency["steps"]] == STEPS
    assert keys.key["latest_version"] == 2


def test_what_cannot_be_done_is_said_and_the_rest_is_done(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace, certificate={"delivery": "None"})
    keys = Keys(lab, workloads, namespace)
    keys.annotate(rotate_emergency="incident-10")
    emergency = eventually(lab, lambda: over(keys, "incident-10"), OVER_SECONDS, "the emergency to be over")
    skipped = {step["step"]: step["skipped"] for step in emergency["steps"] if step.get("skipped")}
    assert set(skipped) == {"MinimumRaised", "CertificateReissued"}
    assert keys.key["latest_version"] == 2
    assert keys.key["min_decryption_version"] == 1
    assert workloads.find(SECRETS, namespace, names.tls_secret("llm")) is None


def test_a_key_that_may_have_left_vault_is_turned_all_the_same(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    """Nobody has its next version yet: that is the day for which an emergency is there."""
    workloads.ready(namespace, keys=MODEL)
    keys = Keys(lab, workloads, namespace)
    lab.vault_request("POST", f"saw-transit/keys/{vault_name(namespace)}/config", {"exportable": True})
    workloads.wait_condition(namespace, "llm", "KeyReady", "False", "KeyExposed")
    keys.annotate(rotate_emergency="incident-11")
    eventually(lab, lambda: over(keys, "incident-11"), OVER_SECONDS, "the emergency to be over")
    assert keys.key["latest_version"] == 2
    assert keys.key["min_decryption_version"] == 2
    workloads.wait_condition(namespace, "llm", "KeyReady", "False", "KeyExposed")


def test_access_is_withdrawn_although_the_key_is_lost(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    name = vault_name(namespace)
    intruder = Identity.of(lab, namespace)
    lab.vault_request("POST", f"saw-transit/keys/{name}/config", {"deletion_allowed": True})
    lab.vault_request("DELETE", f"saw-transit/keys/{name}")
    workloads.wait_condition(namespace, "llm", "KeyReady", "False", "KeyLost")
    Keys(lab, workloads, namespace).annotate(rotate_emergency="incident-12")
    workloads.wait_condition(namespace, "llm", "IdentityReady", "False", "AccessWithdrawn")
    with pytest.raises(RequestFailed) as refused:
        intruder.request("POST", "auth/token/renew-self", {})
    assert refused.value.status == 403
