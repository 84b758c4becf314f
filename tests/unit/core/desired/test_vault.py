"""Vault: a policy that names exactly the workload's own paths, and differences that are named."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings

from secureai_operator.core.desired.vault import (
    DesiredVault,
    desired_vault,
    dns_names,
    foreign_dns_names,
    vault_differences,
)
from secureai_operator.core.facts import VaultObserved
from tests.unit.samples import CONFIG, CONNECTION, Json, key_state, specs, workload

NAME = "saw.main.team-a.llm"


def desired(spec: Json | None = None, **metadata: Any) -> DesiredVault:
    return desired_vault(workload(spec, **metadata), CONFIG, CONNECTION)


def observed(wanted: DesiredVault, **changed: Any) -> VaultObserved:
    return replace(VaultObserved(key_state(), wanted.policy, wanted.auth_role, wanted.pki_role), **changed)


def paths(policy: str) -> dict[str, str]:
    return dict(re.findall(r'path "([^"]+)" \{\n  capabilities = \[([^\]]+)\]', policy))


def differences(wanted: DesiredVault, found: VaultObserved) -> list[tuple[str, str]]:
    return [(one.kind, one.field) for one in vault_differences(wanted, found)]


def test_a_key_is_made_as_it_can_never_be_made_later() -> None:
    assert desired().derived is False
    assert desired({"keys": {"derived": True, "type": "chacha20-poly1305"}}).derived is True


def test_the_policy_grants_the_workload_s_own_paths_and_no_more() -> None:
    assert paths(desired().policy) == {
        f"saw-transit/encrypt/{NAME}": '"update"',
        f"saw-transit/decrypt/{NAME}": '"update"',
        f"saw-transit/rewrap/{NAME}": '"update"',
        f"saw-transit/datakey/plaintext/{NAME}": '"update"',
        f"saw-transit/datakey/wrapped/{NAME}": '"update"',
        f"saw-pki/sign/{NAME}": '"update"',
        "auth/token/renew-self": '"update"',
        "auth/token/revoke-self": '"update"',
        f"saw-transit/keys/{NAME}": '"read"',
    }


def test_a_signing_key_signs_and_no_certificate_needs_no_path() -> None:
    granted = paths(desired({"keys": {"type": "ed25519"}, "certificate": {"delivery": "None"}}).policy)
    assert set(granted) == {
        f"saw-transit/sign/{NAME}",
        f"saw-transit/verify/{NAME}",
        f"saw-transit/keys/{NAME}",
        "auth/token/renew-self",
        "auth/token/revoke-self",
    }


@given(specs)
@settings(max_examples=30, deadline=None)
def test_no_policy_has_a_wildcard_or_another_workload_s_path(spec: Json) -> None:
    for path in paths(desired(spec).policy):
        assert not set("*+{}") & set(path)
        assert path.endswith(f"/{NAME}") or path.startswith("auth/token/")


def test_the_role_is_bound_to_one_account_one_namespace_and_one_audience() -> None:
    role = desired().auth_role
    assert role.bound_service_account_names == ("saw-llm",)
    assert role.bound_service_account_namespaces == ("team-a",)
    assert role.audience == "vault://main/team-a/llm"
    assert role.token_policies == (NAME,)
    assert (role.token_ttl, role.token_max_ttl) == (600, 3600)
    assert role.token_no_default_policy


def test_a_token_that_lives_longer_than_an_hour_may_live_its_time() -> None:
    role = desired({"access": {"tokenTTL": "2h"}}).auth_role
    assert (role.token_ttl, role.token_max_ttl) == (7200, 7200)


def test_certificates_stay_inside_the_namespace() -> None:
    declared = [
        "llm.team-a.svc",
        "llm.team-b.svc",
        "x.llm.team-a.svc.cluster.local",
        "team-a.svc",
        "evil.com",
    ]
    item = workload({"certificate": {"dnsNames": declared}})
    assert dns_names(item) == ("llm.team-a.svc", "x.llm.team-a.svc.cluster.local")
    assert foreign_dns_names(item) == ("evil.com", "llm.team-b.svc", "team-a.svc")
    assert dns_names(workload()) == ("llm.team-a.svc",)
    assert foreign_dns_names(workload()) == ()


def test_a_namespace_whose_name_ends_like_another_gets_none_of_its_names() -> None:
    item = workload({"certificate": {"dnsNames": ["x.my-team-a.svc", "x.team-a.svc"]}})
    assert dns_names(item) == ("x.team-a.svc",)


def test_what_was_written_is_no_difference() -> None:
    wanted = desired()
    assert differences(wanted, observed(wanted)) == []


def test_what_is_missing_has_no_field() -> None:
    wanted = desired()
    assert differences(wanted, VaultObserved(None, None, None, None)) == [
        ("VaultPolicy", ""),
        ("VaultAuthRole", ""),
        ("VaultPkiRole", ""),
    ]


def test_a_key_that_may_be_deleted_and_a_changed_policy_are_differences() -> None:
    wanted = desired()
    found = observed(wanted, key=key_state(deletion_allowed=True), policy=wanted.policy + "\n")
    assert differences(wanted, found) == [("VaultKey", "deletion_allowed"), ("VaultPolicy", "policy")]


def another(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return ("foreign",) if isinstance(value, tuple) else f"{value}-x"


@pytest.mark.parametrize("which", ["auth_role", "pki_role"])
def test_every_field_of_a_role_is_compared_and_named(which: str) -> None:
    wanted = desired()
    role = getattr(wanted, which)
    for one in fields(role):
        value = getattr(role, one.name)
        changed = observed(wanted, **{which: replace(role, **{one.name: another(value)})})
        assert [field for _, field in differences(wanted, changed)] == [one.name]


def test_a_certificate_that_is_not_asked_for_is_not_missed() -> None:
    wanted = desired({"certificate": {"delivery": "None"}})
    assert wanted.pki_role is None
    assert differences(wanted, observed(wanted)) == []
