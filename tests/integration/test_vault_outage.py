"""Vault away, sealed, hung, refusing, limiting, emptied: named in time, borne without harm, over when it is over."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import NETWORK_POLICIES, SECRETS
from tests.fixtures_operator import SharedOperator, Workloads
from tests.integration.audits import Audit
from tests.integration.outages import (
    Outage,
    hung,
    limited,
    lose_key,
    moved,
    revoke_operators_tokens,
    sealed,
    stopped,
    without_policy,
    without_role,
)
from tests.integration.vault_identity import PKI, TRANSIT, vault_name
from tests.integration.vault_reads import found_in
from tests.product import Product

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

NAMED_SECONDS = 30.0
"""For the outage and for its end, on a busy machine."""
LOGIN_SECONDS = 40.0
"""After a login, another one is due only some seconds later: until then the outage has the name VaultForbidden."""
HUNG_SECONDS = 40.0
"""A hang is known only after a timeout, and told by a pass after it."""

MODEL = {"dataKeys": [{"name": "model"}]}
CONCERNS = ("IdentityReady", "KeyReady", "CertificateReady")

OUTAGES = [
    pytest.param(stopped, "VaultUnreachable", NAMED_SECONDS, id="stopped"),
    pytest.param(sealed, "VaultSealed", NAMED_SECONDS, id="sealed"),
    pytest.param(hung, "VaultTimeout", HUNG_SECONDS, id="hung"),
    pytest.param(without_policy, "VaultForbidden", NAMED_SECONDS, id="no-policy"),
    pytest.param(without_role, "VaultLoginFailed", LOGIN_SECONDS, id="no-role"),
    pytest.param(moved, "VaultMountMissing", HUNG_SECONDS, id="moved"),
    pytest.param(limited, "VaultRateLimited", HUNG_SECONDS, id="limited"),
]


def up(operator: SharedOperator) -> float:
    return operator.telemetry.metric("secureai_vault_up", connection="default")


@pytest.fixture
def team(workloads: Workloads, namespace: str) -> str:
    """A namespace with one workload that is Ready."""
    workloads.ready(namespace, keys=MODEL)
    return namespace


@pytest.mark.parametrize(("outage", "reason", "deadline"), OUTAGES)
def test_an_outage_is_named_borne_and_over_in_time(
    lab: Lab,
    workloads: Workloads,
    team: str,
    product: Product,
    operator: SharedOperator,
    outage: Outage,
    reason: str,
    deadline: float,
) -> None:
    before = workloads.get(team)["status"]
    with outage(lab, product):
        workloads.wait_condition(team, "llm", "VaultReachable", "False", reason, deadline)
        if outage not in (limited, moved):  # a Vault with one mount that is not served is up
            lab.wait_for(lambda: up(operator) == 0, NAMED_SECONDS, "secureai_vault_up to be 0")

        # Kubernetes heals meanwhile, the Secret of wrapped data keys too: nothing of Vault is needed for it.
        workloads.delete(team, names.allow_policy("llm"), NETWORK_POLICIES)
        workloads.delete(team, names.keys_secret("llm"), SECRETS)
        workloads.wait_object(NETWORK_POLICIES, team, names.allow_policy("llm"))
        workloads.wait_object(SECRETS, team, names.keys_secret("llm"))

        # The last good state stays.
        status = workloads.get(team)["status"]
        for kind in ("Ready", *CONCERNS):
            assert workloads.condition(team, "llm", kind)["status"] == "True", kind
        for part in ("key", "dataKeys", "vault", "certificate", "binding"):
            assert status[part] == before[part]
    workloads.wait_condition(team, "llm", "VaultReachable", "True", deadline=NAMED_SECONDS)
    workloads.wait_ready(team)
    lab.wait_for(lambda: up(operator) == 1, NAMED_SECONDS, "secureai_vault_up to be 1")


def test_a_failing_login_keeps_its_reason(
    lab: Lab, workloads: Workloads, team: str, product: Product
) -> None:
    """Every change of the reason would be a write to the status of every workload."""
    with without_role(lab, product):
        workloads.wait_condition(team, "llm", "VaultReachable", "False", "VaultLoginFailed", LOGIN_SECONDS)
        audit, start = Audit(lab), time.monotonic()
        lab.wait_for(lambda: time.monotonic() - start > 8, 30, "eight seconds of it")
        # The first pass after the health check may tell it in the health check's words.
        assert len(audit.kube_writes(team)) <= 1


def test_a_revoked_token_is_replaced_by_a_new_login(lab: Lab, workloads: Workloads, team: str) -> None:
    assert revoke_operators_tokens(lab.vault) >= 1
    workloads.respec(team, keys={"dataKeys": [{"name": "model"}, {"name": "more"}]})
    workloads.wait_ready(team, deadline=NAMED_SECONDS)


def test_what_is_declared_while_vault_is_down_is_made_when_it_is_back(
    lab: Lab, workloads: Workloads, team: str, product: Product
) -> None:
    with stopped(lab, product):
        workloads.wait_condition(team, "llm", "VaultReachable", "False", "VaultUnreachable")
        workloads.create(team, "new", keys=MODEL)
        workloads.respec(team, certificate={"dnsNames": [f"other.{team}.svc"]})
        workloads.wait_condition(team, "new", "Ready", "False")
        workloads.wait_condition(team, "new", "KeyReady", "False", "VaultUnreachable")
        workloads.wait_condition(team, "new", "NetworkIsolated", "True")
        assert workloads.get(team, "new")["status"]["binding"]["ready"] is False
        # Ready is never kept for a spec that was not carried out.
        workloads.wait_condition(team, "llm", "CertificateReady", "False")
        workloads.wait_condition(team, "llm", "Ready", "False")
    workloads.wait_ready(team, "new", deadline=NAMED_SECONDS)
    workloads.wait_ready(team, "llm", deadline=NAMED_SECONDS)


def test_an_operator_that_starts_without_vault_heals_and_catches_up(
    lab: Lab, workloads: Workloads, team: str, product: Product, operator: SharedOperator
) -> None:
    operator.stop()
    with stopped(lab, product):
        operator.start()
        workloads.wait_condition(team, "llm", "VaultReachable", "False", "VaultUnreachable", 15)
        workloads.delete(team, names.quarantine_policy("llm"), NETWORK_POLICIES)
        workloads.wait_object(NETWORK_POLICIES, team, names.quarantine_policy("llm"))
        assert workloads.condition(team, "llm", "Ready")["status"] == "True"
    workloads.wait_condition(team, "llm", "VaultReachable", "True", deadline=NAMED_SECONDS)


# How little it asks meanwhile


class Doorkeeper:
    """Listens where Vault was, hangs up at once, and counts who came."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._socket = socket.create_server((parts.hostname or "", parts.port or 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.came: list[float] = []

    def _serve(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.came.append(time.monotonic())
            visitor.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone does not wake a thread that waits in accept.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=5)


def test_a_fleet_does_not_storm_a_vault_that_is_down(
    lab: Lab, workloads: Workloads, namespace: str, product: Product
) -> None:
    fleet = [f"w{number}" for number in range(12)]
    for name in fleet:
        workloads.create(namespace, name)
    for name in fleet:
        workloads.wait_ready(namespace, name)
    with stopped(lab, product), Doorkeeper(lab.vault_address) as door:
        lab.wait_for(lambda: len(door.came) >= 4, 60, "the operator to come a few times")
        first = door.came[0]
        for name in fleet:  # everybody has a reason to ask Vault
            workloads.respec(namespace, name, certificate={"ttl": "2h"})
        lab.wait_for(lambda: door.came[-1] - first > 6, 60, "six seconds of it")
        seconds, came = door.came[-1] - first, len(door.came)
    assert came <= 3 * seconds + 6, f"{came} connections in {seconds:.1f} s"


def test_a_sealed_vault_is_not_asked_for_anything_but_its_health(
    lab: Lab, workloads: Workloads, team: str, product: Product
) -> None:
    with sealed(lab, product):
        workloads.wait_condition(team, "llm", "VaultReachable", "False", "VaultSealed")
        audit = Audit(lab)
        workloads.respec(team, certificate={"ttl": "2h"})
        workloads.wait_condition(team, "llm", "CertificateReady", "True")
        assert audit.vault() == []


def test_a_vault_that_limits_is_not_asked_faster_than_it_answers(
    lab: Lab, workloads: Workloads, team: str, product: Product
) -> None:
    with limited(lab, product):
        workloads.wait_condition(team, "llm", "VaultReachable", "False", "VaultRateLimited", HUNG_SECONDS)
        audit = Audit(lab)
        start = time.monotonic()
        lab.wait_for(lambda: time.monotonic() - start > 5, 30, "five seconds of it")
        asked = audit.vault(TRANSIT)
    assert len(asked) <= 15, asked


# The key


def key(lab: Lab, name: str) -> dict[str, Any] | None:
    return found_in(lab.vault, f"{TRANSIT}/keys/{name}")


def test_a_lost_key_is_named_and_never_made_anew(
    lab: Lab, workloads: Workloads, team: str, operator: SharedOperator
) -> None:
    name = vault_name(team)
    before = operator.telemetry.metric("secureai_security_events_total", reason="KeyLost")
    wrapped = workloads.get(team)["status"]["dataKeys"]
    lose_key(lab, name)
    workloads.wait_condition(team, "llm", "KeyReady", "False", "KeyLost")
    workloads.wait_condition(team, "llm", "Ready", "False", "KeyLost")
    workloads.wait_condition(team, "llm", "Stalled", "True", "KeyLost")
    workloads.wait_event(team, "llm", "KeyLost")
    assert operator.telemetry.metric("secureai_security_events_total", reason="KeyLost") == before + 1

    # Neither a changed spec nor another operator makes one; what is wrapped stays as it is.
    workloads.respec(team, keys={"dataKeys": [{"name": "model"}, {"name": "more"}]})
    workloads.wait_condition(team, "llm", "KeyReady", "False", "KeyLost")
    operator.restart()
    audit = Audit(lab)
    lab.wait_for(lambda: len([r for r in audit.vault(name) if "/keys/" in r.path]) >= 2, 60, "two looks")
    workloads.wait_condition(team, "llm", "KeyReady", "False", "KeyLost")
    assert key(lab, name) is None
    assert workloads.get(team)["status"]["dataKeys"] == wrapped
    assert workloads.find(SECRETS, team, names.keys_secret("llm")) is not None

    workloads.delete(team)
    workloads.wait_gone(team)


def test_a_replaced_key_is_not_taken_for_the_old_one(lab: Lab, workloads: Workloads, team: str) -> None:
    name = vault_name(team)
    first = key(lab, name)
    assert first is not None
    # Vault tells when a version was made in whole seconds.
    lab.wait_for(lambda: time.time() > int(first["keys"]["1"]) + 1.1, 30, "another second")
    lose_key(lab, name)
    lab.vault_request("POST", f"{TRANSIT}/keys/{name}", {"type": "aes256-gcm96"})
    workloads.wait_condition(team, "llm", "KeyReady", "False", "KeyReplaced")
    workloads.wait_condition(team, "llm", "Stalled", "True", "KeyReplaced")
    workloads.wait_event(team, "llm", "KeyReplaced")


def test_a_key_of_another_type_is_not_used(lab: Lab, workloads: Workloads, namespace: str) -> None:
    lab.vault_request("POST", f"{TRANSIT}/keys/{vault_name(namespace)}", {"type": "chacha20-poly1305"})
    workloads.create(namespace)
    workloads.wait_condition(namespace, "llm", "KeyReady", "False", "ImmutableFieldDrift")
    assert workloads.get(namespace)["status"]["binding"]["ready"] is False


def test_a_data_key_that_no_version_wraps_is_lost(
    lab: Lab, workloads: Workloads, team: str, operator: SharedOperator
) -> None:
    """Vault was restored from an older backup, say; here the status is what was changed."""
    operator.stop()
    forged = [
        {**item, "wrapped": item["wrapped"].replace("vault:v1:", "vault:v7:")}
        for item in workloads.get(team)["status"]["dataKeys"]
    ]
    path = f"/apis/{names.API_VERSION}/namespaces/{team}/secureaiworkloads/llm/status"
    lab.api.request("PATCH", path, {"status": {"dataKeys": forged}}, "application/merge-patch+json")
    operator.start()
    workloads.wait_condition(team, "llm", "KeyReady", "False", "DataKeyLost")
    workloads.delete(team)


def test_what_vault_will_never_accept_is_no_outage(lab: Lab, workloads: Workloads, namespace: str) -> None:
    """The CA ends before the certificate would: all else is made, and the condition says who refused."""
    before = lab.vault_request("GET", f"{PKI}/config/issuers")["data"]["default"]
    body = {"common_name": "short-lived", "ttl": "10m", "key_type": "ec"}
    short = lab.vault_request("POST", f"{PKI}/root/rotate/internal", body)["data"]["issuer_id"]
    lab.vault_request("POST", f"{PKI}/config/issuers", {"default": short})
    try:
        workloads.create(namespace)
        workloads.wait_condition(namespace, "llm", "CertificateReady", "False", "VaultRejected")
        workloads.wait_condition(namespace, "llm", "KeyReady", "True")
        workloads.wait_condition(namespace, "llm", "VaultReachable", "True")
    finally:
        lab.vault_request("POST", f"{PKI}/config/issuers", {"default": before})
        lab.vault_request("DELETE", f"{PKI}/issuer/{short}")
    workloads.wait_ready(namespace, deadline=30)
