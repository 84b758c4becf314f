"""Who holds the key: a customer who runs a Vault of their own and may lock it, one who brings the key, and key types."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import Lab, RequestFailed
from lab.vault import Vault
from secureai_operator import names
from secureai_operator.api.resources import NETWORK_POLICIES, SECRETS
from secureai_operator.api.vault_setup import Outcome
from secureai_operator.api.workload import ENCRYPTING_KEY_TYPES, KeyType
from secureai_operator.cli.exits import OK
from secureai_operator.cli.main import main
from secureai_operator.clients.key_wrapping import HASH_FUNCTION, WrappingKey, wrapped
from secureai_operator.core.bootstrap import BootstrapSpec, routine_policy_name
from tests.fixtures_operator import HEAL_SECONDS, SharedOperator, Workloads, stop_shared_operator
from tests.integration.outages import revoke_operators_tokens
from tests.integration.vault_identity import AUTH, TRANSIT, Identity, pod_token, vault_name
from tests.integration.vault_reads import found_in
from tests.product import Product

pytestmark = pytest.mark.integration

CUSTOMER = "customer-a"
OWNED = {"custody": "hold-your-own-key", "dataKeys": [{"name": "model"}]}
BROUGHT = {"custody": "customer-managed", "dataKeys": [{"name": "model"}]}

LOGIN_SECONDS = 40.0
"""After a login, another one is due only some seconds later."""
MADE_SECONDS = 60.0
"""For a workload whose key is an RSA key of 4096 bits, on a machine that does much else."""
NOTICED_SECONDS = 60.0
"""An imported key is looked for every fifteen seconds."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer with a Vault of their own, in which the operator works too."""

    vault: Vault
    config: Path
    policy: str
    """Name of the operator's policy there."""

    def bootstrap(self, *flags: str) -> int:
        """As the customer prepares their Vault: with their own token, by the operator's configuration."""
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("VAULT_ADDR", self.vault.address)
            environment.setenv("VAULT_TOKEN", self.vault.root_token)
            return main(
                ["vault", "bootstrap", "--config", str(self.config), "--connection", CUSTOMER, *flags]
            )


@pytest.fixture(scope="module")
def customer(lab: Lab, product: Product) -> Customer:
    vault = lab.customer_vault()
    settings = product.base_settings()
    platform = settings["connections"]["default"]
    settings["connections"][CUSTOMER] = {**platform, "address": vault.address, "customerHeld": True}
    config = lab.directory / "custody.yaml"
    config.write_text(yaml.safe_dump(settings))
    found = Customer(vault, config, routine_policy_name(BootstrapSpec(product.vault_connection())))
    assert found.bootstrap("--apply") == OK
    return found


@pytest.fixture(scope="module")
def operated(
    request: pytest.FixtureRequest, product: Product, customer: Customer
) -> Iterator[SharedOperator]:
    """An operator with a connection to each Vault, which it looks at as seldom as it does by default."""
    stop_shared_operator(request.session)
    running = SharedOperator(product, yaml.safe_load(customer.config.read_text()))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def team(operated: SharedOperator, namespace: str) -> str:
    operated.ensure_running()
    return namespace


def owned(workloads: Workloads, namespace: str, name: str = "llm", **keys: Any) -> Json:
    workloads.create(namespace, name, vault={"connection": CUSTOMER}, keys={**OWNED, **keys})
    return workloads.wait_ready(namespace, name)


def login(lab: Lab, vault: Vault, namespace: str) -> str:
    """The workload's own token in the customer's Vault."""
    body = {"role": vault_name(namespace), "jwt": pod_token(lab, namespace)}
    return str(vault.request("POST", f"auth/{AUTH}/login", body, token="")["auth"]["client_token"])


def resync(workloads: Workloads, namespace: str, name: str = "llm") -> None:
    """Have the operator look at once."""
    change = {"metadata": {"annotations": {names.RESYNC_ANNOTATION: secrets.token_hex(4)}}}
    workloads.patch(namespace, name, change)


# hold-your-own-key


@contextlib.contextmanager
def sealed(customer: Customer) -> Iterator[None]:
    customer.vault.seal()
    try:
        yield
    finally:
        customer.vault.unseal()


@contextlib.contextmanager
def without_role(customer: Customer) -> Iterator[None]:
    customer.vault.request("DELETE", f"auth/{AUTH}/role/secureai-operator")
    revoke_operators_tokens(customer.vault)
    try:
        yield
    finally:
        assert customer.bootstrap("--apply") == OK


@contextlib.contextmanager
def without_policy(customer: Customer) -> Iterator[None]:
    customer.vault.request("DELETE", f"sys/policies/acl/{customer.policy}")
    try:
        yield
    finally:
        assert customer.bootstrap("--apply") == OK


Lock = Callable[[Customer], contextlib.AbstractContextManager[None]]


def test_a_customer_s_vault_is_prepared_as_any_other(
    customer: Customer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fixture prepared it: what is compared now is as it should be."""
    capsys.readouterr()
    assert customer.bootstrap("--dry-run", "-o", "json") == OK
    assert {item["outcome"] for item in json.loads(capsys.readouterr().out)} == {Outcome.UNCHANGED.value}


@pytest.mark.parametrize(
    ("lock", "says", "deadline"),
    [
        pytest.param(sealed, "unseal", HEAL_SECONDS, id="sealed"),
        pytest.param(without_role, "role and policy", LOGIN_SECONDS, id="no-role"),
        pytest.param(without_policy, "role and policy", HEAL_SECONDS, id="no-policy"),
    ],
)
def test_a_customer_locks_and_unlocks_their_key(
    lab: Lab, workloads: Workloads, customer: Customer, team: str, lock: Lock, says: str, deadline: float
) -> None:
    workloads.ready(team, "platform", keys={"dataKeys": [{"name": "model"}]})
    before = owned(workloads, team)["status"]
    untouched = workloads.get(team, "platform")
    with lock(customer):
        found = workloads.wait_condition(team, "llm", "KeyReady", "False", "CustomerLocked", deadline)
        assert says in found["message"]
        for kind in ("VaultReachable", "Ready"):
            workloads.wait_condition(team, "llm", kind, "False", "CustomerLocked")

        # Kubernetes heals meanwhile, the Secret of wrapped data keys too.
        workloads.delete(team, names.allow_policy("llm"), NETWORK_POLICIES)
        workloads.delete(team, names.keys_secret("llm"), SECRETS)
        workloads.wait_object(NETWORK_POLICIES, team, names.allow_policy("llm"))
        workloads.wait_object(SECRETS, team, names.keys_secret("llm"))

        status = workloads.get(team)["status"]
        for kind in ("IdentityReady", "CertificateReady", "NetworkIsolated", "AccessGranted"):
            assert workloads.condition(team, "llm", kind)["status"] == "True", kind
        assert workloads.condition(team, "llm", "Stalled")["status"] == "False"
        for part in ("key", "dataKeys", "vault", "certificate", "binding"):
            assert status[part] == before[part], part
        assert status["binding"]["ready"] is True
    workloads.wait_ready(team, deadline=HEAL_SECONDS)
    workloads.wait_condition(team, "llm", "VaultReachable", "True")
    assert workloads.get(team, "platform") == untouched

    token = login(lab, customer.vault, team)
    wrapped_key = {"ciphertext": before["dataKeys"][0]["wrapped"]}
    answer = customer.vault.request("POST", f"{TRANSIT}/decrypt/{vault_name(team)}", wrapped_key, token=token)
    assert len(base64.b64decode(answer["data"]["plaintext"])) == 32


def test_a_lock_outlasts_the_operator_and_what_is_declared_meanwhile_is_made_after_it(
    workloads: Workloads, customer: Customer, team: str, operated: SharedOperator
) -> None:
    before = owned(workloads, team)["status"]
    with sealed(customer):
        workloads.wait_condition(team, "llm", "KeyReady", "False", "CustomerLocked")
        operated.restart()
        workloads.create(team, "new", vault={"connection": CUSTOMER}, keys=OWNED)
        for kind in ("IdentityReady", "KeyReady", "CertificateReady", "Ready"):
            workloads.wait_condition(team, "new", kind, "False", "CustomerLocked")
        workloads.wait_condition(team, "new", "NetworkIsolated", "True")
        assert workloads.get(team, "new")["status"]["binding"]["ready"] is False
        workloads.wait_condition(team, "llm", "KeyReady", "False", "CustomerLocked")
        assert workloads.get(team)["status"]["binding"] == before["binding"]
    workloads.wait_ready(team, "llm", deadline=HEAL_SECONDS)
    workloads.wait_ready(team, "new")


def test_a_customer_s_vault_that_is_away_is_an_outage(
    workloads: Workloads, customer: Customer, team: str
) -> None:
    owned(workloads, team)
    customer.vault.stop()
    try:
        workloads.wait_condition(team, "llm", "VaultReachable", "False", "VaultUnreachable")
        assert workloads.condition(team, "llm", "Ready")["status"] == "True"
        # Where it comes back sealed, its owner has to come too.
        customer.vault.start(unseal=False)
        workloads.wait_condition(team, "llm", "VaultReachable", "False", "CustomerLocked")
        # A lock is not forgotten while the Vault is away again.
        customer.vault.stop()
        workloads.wait_condition(team, "llm", "VaultReachable", "False", "VaultUnreachable")
        assert workloads.condition(team, "llm", "KeyReady")["reason"] == "CustomerLocked"
        assert workloads.get(team)["status"]["binding"]["ready"] is True
    finally:
        customer.vault.start()
    workloads.wait_ready(team, deadline=HEAL_SECONDS)


def test_a_customer_s_vault_is_for_keys_that_the_customer_holds(workloads: Workloads, team: str) -> None:
    workloads.create(team, vault={"connection": CUSTOMER})
    found = workloads.wait_condition(team, "llm", "KeyReady", "False", "CustodyMismatch")
    assert CUSTOMER in found["message"]
    workloads.wait_condition(team, "llm", "Stalled", "True", "CustodyMismatch")


# customer-managed


def bring_key(
    lab: Lab, namespace: str, key_type: KeyType = KeyType.AES256_GCM96, *, derived: bool = False
) -> None:
    """Import new key material as the workload's key, as its customer does."""
    pem = lab.vault_request("GET", f"{TRANSIT}/wrapping_key")["data"]["public_key"]
    ciphertext = wrapped(key_type, bytearray(secrets.token_bytes(32)), WrappingKey.from_pem(pem.encode()))
    body = {
        "type": key_type.value,
        "ciphertext": ciphertext.ciphertext,
        "hash_function": HASH_FUNCTION,
        "derived": derived,
    }
    lab.vault_request("POST", f"{TRANSIT}/keys/{vault_name(namespace)}/import", body)


def key_in_vault(lab: Lab, namespace: str) -> Json | None:
    return found_in(lab.vault, f"{TRANSIT}/keys/{vault_name(namespace)}")


def test_a_key_that_the_customer_is_to_bring_is_awaited_and_used(
    lab: Lab, workloads: Workloads, team: str
) -> None:
    workloads.create(team, keys=BROUGHT)
    found = workloads.wait_condition(team, "llm", "KeyReady", "False", "AwaitingKeyMaterial")
    assert found["message"] == (
        f"import version 1 of key {vault_name(team)} of type aes256-gcm96 (secureai key import)"
    )
    # All else is made as usual, and nobody is told that it failed or can never work.
    for kind in ("IdentityReady", "CertificateReady", "NetworkIsolated", "VaultReachable"):
        workloads.wait_condition(team, "llm", kind, "True")
    workloads.wait_condition(team, "llm", "Ready", "False", "AwaitingKeyMaterial")
    assert workloads.condition(team, "llm", "Stalled")["status"] == "False"
    workloads.wait_event(team, "llm", "AwaitingKeyMaterial")
    assert key_in_vault(lab, team) is None
    assert workloads.get(team)["status"]["binding"]["ready"] is False

    bring_key(lab, team)
    workloads.wait_ready(team, deadline=NOTICED_SECONDS)
    status = workloads.get(team)["status"]
    assert status["key"]["imported"] is True
    assert status["key"]["latestVersionAt"] == status["key"]["createdAt"]
    identity, key = Identity.of(lab, team), vault_name(team)
    assert identity.decrypt(key, identity.encrypt(key, b"weights")) == b"weights"
    assert len(identity.decrypt(key, status["dataKeys"][0]["wrapped"])) == 32


def test_a_key_that_was_brought_is_seen_at_once_if_somebody_asks(
    lab: Lab, workloads: Workloads, team: str
) -> None:
    derived = {"derived": True, "dataKeys": [{"name": "model", "context": "tenant-42"}]}
    workloads.create(team, keys={**BROUGHT, **derived})
    workloads.wait_condition(team, "llm", "KeyReady", "False", "AwaitingKeyMaterial")
    bring_key(lab, team, derived=True)
    resync(workloads, team)
    workloads.wait_ready(team, deadline=HEAL_SECONDS)


def test_a_brought_key_that_is_gone_is_lost_and_not_awaited(
    lab: Lab, workloads: Workloads, team: str
) -> None:
    workloads.create(team, keys=BROUGHT)
    workloads.wait_condition(team, "llm", "KeyReady", "False", "AwaitingKeyMaterial")
    bring_key(lab, team)
    resync(workloads, team)
    workloads.wait_ready(team, deadline=HEAL_SECONDS)
    key = f"{TRANSIT}/keys/{vault_name(team)}"
    lab.vault_request("POST", f"{key}/config", {"deletion_allowed": True})
    lab.vault_request("DELETE", key)
    resync(workloads, team)
    workloads.wait_condition(team, "llm", "KeyReady", "False", "KeyLost")
    assert key_in_vault(lab, team) is None


def test_a_key_of_another_origin_than_declared_is_not_used(lab: Lab, workloads: Workloads, team: str) -> None:
    lab.vault_request("POST", f"{TRANSIT}/keys/{vault_name(team)}", {"type": "aes256-gcm96"})
    workloads.create(team, keys=BROUGHT)
    found = workloads.wait_condition(team, "llm", "KeyReady", "False", "ImmutableFieldDrift")
    assert "was made by Vault" in found["message"]
    assert workloads.get(team)["status"]["binding"]["ready"] is False


def test_a_key_that_was_brought_where_vault_should_make_it_is_not_used(
    lab: Lab, workloads: Workloads, team: str
) -> None:
    bring_key(lab, team)
    workloads.create(team)
    found = workloads.wait_condition(team, "llm", "KeyReady", "False", "ImmutableFieldDrift")
    assert "was imported" in found["message"]


# Types and derivation


@pytest.mark.parametrize("key_type", KeyType)
def test_a_key_of_every_type_is_made_and_used(
    lab: Lab, workloads: Workloads, team: str, key_type: KeyType
) -> None:
    encrypts = key_type in ENCRYPTING_KEY_TYPES
    data_keys = [{"name": "model"}] if encrypts else []
    workloads.create(team, keys={"type": key_type.value, "dataKeys": data_keys})
    status = workloads.wait_ready(team, deadline=MADE_SECONDS)["status"]
    assert status["key"]["type"] == key_type.value
    identity, key = Identity.of(lab, team), vault_name(team)
    if encrypts:
        assert len(identity.decrypt(key, status["dataKeys"][0]["wrapped"])) == 32
        return
    message = base64.b64encode(b"a statement").decode()
    signed = identity.request("POST", f"{TRANSIT}/sign/{key}", {"input": message})["data"]["signature"]
    checked = identity.request("POST", f"{TRANSIT}/verify/{key}", {"input": message, "signature": signed})
    assert checked["data"]["valid"] is True


def test_only_with_its_context_is_a_data_key_of_a_derived_key_unwrapped(
    lab: Lab, workloads: Workloads, team: str
) -> None:
    data_keys = [{"name": "model", "context": "tenant-42"}, {"name": "other", "context": "tenant-43"}]
    keys = {"derived": True, "dataKeys": data_keys}
    status = workloads.ready(team, keys=keys)["status"]
    assert [(one["name"], one["context"]) for one in status["dataKeys"]] == [
        ("model", "tenant-42"),
        ("other", "tenant-43"),
    ]
    identity, key = Identity.of(lab, team), vault_name(team)

    def unwrapped(context: str | None) -> bytes:
        body = {"ciphertext": status["dataKeys"][0]["wrapped"]}
        if context is not None:
            body["context"] = base64.b64encode(context.encode()).decode()
        answer = identity.request("POST", f"{TRANSIT}/decrypt/{key}", body)
        return base64.b64decode(answer["data"]["plaintext"])

    assert len(unwrapped("tenant-42")) == 32
    for wrong in ("tenant-43", "", None):
        with pytest.raises(RequestFailed) as refused:
            unwrapped(wrong)
        assert refused.value.status == 400

    # Made again under its name, the workload takes them over by the same contexts.
    workloads.delete(team)
    workloads.wait_gone(team)
    again = workloads.ready(team, keys=keys)["status"]
    assert again["dataKeys"] == status["dataKeys"]
