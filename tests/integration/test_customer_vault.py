"""The lab's second Vault: there when it is asked for, of its own in everything, and gone with the lab."""

from __future__ import annotations

import secrets
from http import HTTPStatus

import pytest

from lab import Lab, NodeSpec, RequestFailed, start_lab
from tests.integration.test_lab import executables_of, is_gone, processes_of

pytestmark = pytest.mark.integration


def test_a_lab_has_a_second_vault_only_if_it_is_asked_for_and_it_ends_with_the_lab() -> None:
    with start_lab(nodes=[NodeSpec("lonely")]) as lab:
        directory, processes = str(lab.directory), processes_of(str(lab.directory))
        assert not (lab.directory / "customer-vault").exists()
        vault = lab.customer_vault()
        assert lab.customer_vault() is vault
        # A Vault and its plugin.
        assert len(processes_of(directory) - processes) == 2
        assert {"vault", "vault-plugin-auth-kubernetes"} <= executables_of(directory)
    assert is_gone(directory)


def test_the_second_vault_shares_no_seal_token_or_audit_log_with_the_first(lab: Lab) -> None:
    vault = lab.customer_vault()
    assert vault.address != lab.vault_address
    for stranger in (lab.vault_root_token, ""):
        with pytest.raises(RequestFailed) as refused:
            vault.request("GET", "sys/mounts", token=stranger)
        assert refused.value.status == HTTPStatus.FORBIDDEN
    vault.seal()
    assert lab.vault_request("GET", "sys/mounts")["data"]
    vault.unseal()
    lab.seal_vault()
    mark = f"asked-{secrets.token_hex(4)}"
    vault.request("POST", f"sys/policies/acl/{mark}", {"policy": 'path "x" {}'})
    lab.unseal_vault()
    assert vault.audit_log is not None
    assert lab.vault_audit_log is not None
    assert mark in vault.audit_log.read_text()
    assert mark not in lab.vault_audit_log.read_text()
    vault.request("DELETE", f"sys/policies/acl/{mark}")


def test_the_second_vault_reviews_tokens_at_the_same_api_server(lab: Lab, namespace: str) -> None:
    vault, role = lab.customer_vault(), f"lab-{secrets.token_hex(4)}"
    bound = {"bound_service_account_names": "default", "bound_service_account_namespaces": namespace}
    vault.request("POST", f"auth/kubernetes/role/{role}", {**bound, "audience": "vault"})

    def login(token: str) -> str:
        body = {"role": role, "jwt": token}
        answer = vault.request("POST", "auth/kubernetes/login", body, token="")
        return str(answer["auth"]["metadata"]["service_account_namespace"])

    right = lab.token(namespace, "default", audience="vault")
    assert login(right) == namespace
    with pytest.raises(RequestFailed):
        login(lab.token(namespace, "default", audience="elsewhere"))
    # The first Vault knows nothing of this role.
    with pytest.raises(RequestFailed):
        lab.vault_request("POST", "auth/kubernetes/login", {"role": role, "jwt": right}, token="")
    vault.request("DELETE", f"auth/kubernetes/role/{role}")
