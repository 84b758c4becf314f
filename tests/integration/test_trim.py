"""Destroying versions: off by default, an identity of its own, only what has retired, and never what is in use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab import Lab, RequestFailed
from tests.fixtures_operator import Workloads, eventually, logged, stop_shared_operator
from tests.integration.rotations import MODEL, Keys, policy
from tests.integration.vault_identity import TRANSIT, vault_name
from tests.product import Product

pytestmark = pytest.mark.integration

RETIRES = {"after": "1s", "keepVersions": 1, "canary": "1s", "trim": True}


@pytest.fixture(scope="module")
def retiring(lab: Lab, product: Product, request: pytest.FixtureRequest) -> Iterator[None]:
    """An operator whose connection names a role that may destroy versions."""
    stop_shared_operator(request.session)
    connections: dict[str, Any] = product.base_settings()["connections"]
    connections["default"]["retireRole"] = "secureai-retire"
    product.bootstrap_vault(connections=connections)
    operator = product.start_operator(connections=connections, vaultProbeSeconds=2)
    lab.wait_for(lambda: logged(operator, "leading"), 30, "the operator to lead")
    yield
    operator.stop()


@pytest.mark.usefixtures("retiring")
def test_retired_versions_are_destroyed_where_policy_and_platform_say_so(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace, keys=MODEL)
    keys = Keys(lab, workloads, namespace)
    before = keys.plaintexts(keys.secret())
    policy(lab, namespace, retire=RETIRES)
    keys.annotate(rotate="first")
    eventually(
        lab, lambda: keys.key.get("min_available_version") == 2 or None, 20, "version 1 to be destroyed"
    )
    assert keys.plaintexts(keys.secret()) == before
    workloads.wait_event(namespace, "llm", "VersionsDestroyed", contains="below 2")
    keys.annotate(rotate="second")
    eventually(
        lab, lambda: keys.key.get("min_available_version") == 3 or None, 20, "version 2 to be destroyed"
    )
    assert keys.plaintexts(keys.secret()) == before
    workloads.wait_ready(namespace)


@pytest.mark.usefixtures("retiring")
def test_what_keep_versions_keeps_is_not_destroyed(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, keys=MODEL)
    keys = Keys(lab, workloads, namespace)
    policy(lab, namespace, retire=RETIRES | {"keepVersions": 2})
    for version in (2, 3):
        keys.annotate(rotate=f"to-{version}")
        keys.wait_version(version)
    eventually(
        lab, lambda: keys.key.get("min_available_version") == 2 or None, 20, "version 1 to be destroyed"
    )
    assert keys.key["min_decryption_version"] == 2


def test_the_retiring_identity_can_destroy_versions_and_nothing_else(lab: Lab, product: Product) -> None:
    connections: dict[str, Any] = product.base_settings()["connections"]
    connections["default"]["retireRole"] = "secureai-retire"
    product.bootstrap_vault(connections=connections)
    token = lab.token("secureai-system", "secureai-operator", audience="vault")
    login = {"role": "secureai-retire", "jwt": token}
    answer = lab.vault_request("POST", "auth/kubernetes/login", login, token="")
    retirer, name = answer["auth"]["client_token"], vault_name("team-x")
    key = f"{TRANSIT}/keys/{name}"
    lab.vault_request("POST", key, {"type": "aes256-gcm96"})
    forbidden: tuple[tuple[str, str, Any], ...] = (
        ("GET", key, None),
        ("DELETE", key, None),
        ("POST", f"{key}/rotate", {}),
        ("POST", f"{key}/config", {"min_decryption_version": 1}),
        ("POST", f"{TRANSIT}/decrypt/{name}", {"ciphertext": "vault:v1:AAAA"}),
        ("POST", f"{TRANSIT}/rewrap/{name}", {"ciphertext": "vault:v1:AAAA"}),
        ("GET", f"sys/policies/acl/{name}", None),
    )
    for method, path, body in forbidden:
        with pytest.raises(RequestFailed) as refused:
            lab.vault_request(method, path, body, token=retirer)
        assert refused.value.status == 403, path
    # Vault's own rule, not a missing right: both minimums have to be there first.
    with pytest.raises(RequestFailed) as refused:
        lab.vault_request("POST", f"{key}/trim", {"min_available_version": 1}, token=retirer)
    assert refused.value.status != 403
