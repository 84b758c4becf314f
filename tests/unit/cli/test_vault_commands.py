"""What `vault bootstrap` prints can be read, run, and never holds a secret."""

from __future__ import annotations

import json
import subprocess

from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.cli.vault_commands import as_json, script
from secureai_operator.core.bootstrap import BootstrapSpec, bootstrap_items

SECRET = "eyJhbGciOi-the-reviewers-token"
SPEC = BootstrapSpec(
    VaultConnection("default", "https://vault.example.org:8200", "secureai-operator", "/token"),
    kubernetes_host="https://kubernetes.example.org",
    reviewer_jwt=SECRET,
)


def test_every_item_becomes_a_command() -> None:
    items = bootstrap_items(SPEC)
    text = script(items)
    assert all(f"# {item.name}\n" in text for item in items)
    assert "vault secrets enable -path=saw-transit" in text
    assert "vault auth enable -path=kubernetes" in text
    assert "vault policy write secureai-operator.default -" in text


def test_the_script_is_a_shell_script() -> None:
    done = subprocess.run(
        ["/bin/sh", "-n"],
        input=script(bootstrap_items(SPEC)),
        text=True,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_secrets_are_named_and_never_printed() -> None:
    items = bootstrap_items(SPEC)
    printed = script(items) + json.dumps(as_json(items))
    assert SECRET not in printed
    assert "token_reviewer_jwt is a secret" in printed
    assert '"secretFields": ["token_reviewer_jwt"]' in printed
