"""What a Vault must hold, as text and values; what it then enforces is asked of a real one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureai_operator.api.vault_setup import AclPolicy, PathRule, Setting
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.core.bootstrap import (
    BootstrapSpec,
    bootstrap_items,
    destroy_rules,
    needed_capabilities,
    render_hcl,
    routine_policy_name,
    routine_rules,
)

CONNECTION = VaultConnection(
    name="default",
    address="https://vault.example",
    role="secureai-operator",
    token_file="/token",
    policy_prefix="saw.prod.",
)
SPEC = BootstrapSpec(CONNECTION)


def test_rules_are_rendered_as_vault_reads_them() -> None:
    rule = PathRule("a/+", ("create", "update"), {"x": (), "y": (False, "*,*")}, {"z": ("",)})
    assert render_hcl([rule]) == (
        'path "a/+" {\n'
        '  capabilities = ["create", "update"]\n'
        "  allowed_parameters = {\n"
        '    "x" = []\n'
        '    "y" = [false, "*,*"]\n'
        "  }\n"
        "  denied_parameters = {\n"
        '    "z" = [""]\n'
        "  }\n"
        "}\n"
    )


def test_the_same_connection_gives_the_same_text() -> None:
    assert render_hcl(routine_rules(CONNECTION)) == render_hcl(routine_rules(replace(CONNECTION)))


def test_the_routine_identity_is_outside_of_what_it_may_write() -> None:
    assert not routine_policy_name(SPEC).startswith(CONNECTION.policy_prefix)
    assert not CONNECTION.role.startswith(CONNECTION.policy_prefix)


@pytest.mark.parametrize(
    "verb", ["decrypt", "encrypt", "plaintext", "export", "backup", "trim", "import", "restore"]
)
def test_no_identity_has_a_path_that_uses_or_loses_key_material(verb: str) -> None:
    rules = (*routine_rules(CONNECTION), *destroy_rules(CONNECTION))
    assert not [rule.path for rule in rules if verb in rule.path]


def test_no_rule_reaches_beyond_its_prefix_or_asks_for_more_than_it_needs() -> None:
    for rule in (*routine_rules(CONNECTION), *destroy_rules(CONNECTION)):
        assert "sudo" not in rule.capabilities
        assert "list" not in rule.capabilities
        assert not rule.path.endswith("*") or rule.path.endswith(f"/{CONNECTION.policy_prefix}*")


def test_every_needed_path_is_granted_by_some_rule() -> None:
    patterns = [rule.path for rule in routine_rules(CONNECTION)]

    def is_covered(path: str) -> bool:
        return any(_matches(pattern, path) for pattern in patterns)

    assert all(is_covered(path) for path in needed_capabilities(CONNECTION))


def test_a_missing_api_server_leaves_the_login_method_alone() -> None:
    paths = [item.path for item in bootstrap_items(SPEC) if isinstance(item, Setting)]
    assert "auth/kubernetes/config" not in paths
    hosted = replace(SPEC, kubernetes_host="https://10.0.0.1", reviewer_jwt="s3cr3t")
    paths = [item.path for item in bootstrap_items(hosted) if isinstance(item, Setting)]
    assert "auth/kubernetes/config" in paths


def test_no_secret_shows_in_what_is_to_be_made() -> None:
    hosted = replace(SPEC, kubernetes_host="https://10.0.0.1", reviewer_jwt="s3cr3t")
    assert "s3cr3t" not in repr(hosted)
    assert "s3cr3t" not in repr(bootstrap_items(hosted))


def test_the_destroying_policy_is_made_only_if_its_role_is_configured() -> None:
    destroying = replace(SPEC, connection=replace(CONNECTION, destroy_role="destroyer"))
    policies = {item.policy for item in bootstrap_items(destroying) if isinstance(item, AclPolicy)}
    assert policies == {"secureai-operator.prod", "destroyer.prod"}
    policies = {item.policy for item in bootstrap_items(SPEC) if isinstance(item, AclPolicy)}
    assert policies == {"secureai-operator.prod"}


def _matches(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    ours, theirs = pattern.split("/"), path.split("/")
    return len(ours) == len(theirs) and all(a in ("+", b) for a, b in zip(ours, theirs, strict=True))
