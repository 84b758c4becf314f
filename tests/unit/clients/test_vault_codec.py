"""Values and Vault's JSON: what was written compares equal to what is read."""

from __future__ import annotations

from typing import Any

import pytest

from secureai_operator.api.vault_types import AuthRole, PkiRole
from secureai_operator.clients import _vault_codec as codec


def auth_role(**changes: Any) -> AuthRole:
    fields: dict[str, Any] = {
        "bound_service_account_names": ("saw-llm",),
        "bound_service_account_namespaces": ("team-a",),
        "audience": "vault://c/team-a/llm",
        "token_policies": ("saw.c.team-a.llm",),
        "token_ttl": 600,
        "token_max_ttl": 3600,
    }
    return AuthRole(**{**fields, **changes})


def test_order_repetition_and_case_make_no_difference() -> None:
    assert auth_role(token_policies=("B", "a", "b")) == auth_role(token_policies=("a", "b"))
    assert PkiRole(allowed_domains=("B.svc", "a.svc"), ttl=1, max_ttl=1) == PkiRole(("a.svc", "b.svc"), 1, 1)


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [(2592000, 2592000), ("3600", 3600), ("600s", 600), (0, 0), (None, 0), ("", 0), (1.0, 1)],
)
def test_durations_are_seconds(raw: object, seconds: int) -> None:
    assert codec.seconds(raw) == seconds


def test_a_policy_without_the_default_one_is_written_as_text_that_a_pattern_can_hold() -> None:
    body = codec.auth_role_body(auth_role())
    assert body["token_policies"] == "saw.c.team-a.llm"
    assert body["bound_service_account_names"] == "saw-llm"


def test_every_field_of_a_role_that_we_never_use_is_stated_when_we_write() -> None:
    body = codec.auth_role_body(auth_role())
    assert set(codec._AUTH_NEVER) <= set(body)
    assert set(codec._PKI_ALWAYS) <= set(codec.pki_role_body(PkiRole(("x",), 1, 1)))


def test_a_field_that_a_newer_vault_does_not_answer_is_not_drift() -> None:
    read = codec.auth_role({"token_policies": ["a"], "bound_service_account_names": ["b"]})
    assert read.foreign == ()


def test_versions_of_asymmetric_keys_have_their_time() -> None:
    state = codec.key_state(
        {
            "type": "ecdsa-p256",
            "latest_version": 2,
            "min_decryption_version": 1,
            "min_encryption_version": 0,
            "keys": {
                "1": {"creation_time": "1970-01-01T00:01:00Z"},
                "2": {"creation_time": "1970-01-01T00:02:00.123456789Z"},
            },
        }
    )
    assert dict(state.versions) == {1: 60, 2: 120}


@pytest.mark.parametrize("data", [{}, {"type": "x"}, {"type": "x", "latest_version": "many"}])
def test_an_answer_that_is_no_key_is_an_error_and_no_key(data: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        codec.key_state(data)


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        (b'{"errors":[]}', True),
        (b'{"errors":["no handler for route"]}', False),
        (b"", False),
        (b"<html>", False),
        (b"[]", False),
    ],
)
def test_only_a_404_of_vaults_own_without_errors_is_a_missing_thing(body: bytes, missing: bool) -> None:
    assert codec.has_errors(body) is not missing
