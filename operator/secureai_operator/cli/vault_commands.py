"""The bootstrap of a Vault as commands for people who type or review them. Pure; no secret is ever in them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from secureai_operator.api.vault_setup import AclPolicy, Mount, RootAuthority, Setting, SetupItem

_END = "END_OF_INPUT"
_HEADER = """\
#!/bin/sh
# Prepares a Vault for the SecureAI operator, with the rights of VAULT_TOKEN at VAULT_ADDR.
# `secureai vault bootstrap --apply` does the same, compares first and may be repeated.
set -eu
"""


def script(items: Sequence[SetupItem]) -> str:
    """A shell script that sets up an empty Vault."""
    return "\n".join([_HEADER, *(f"# {item.name}\n{command(item)}" for item in items)])


def command(item: SetupItem) -> str:
    match item:
        case Mount():
            return _mount(item)
        case Setting():
            return _setting(item)
        case AclPolicy():
            return _with_input(f"vault policy write {shlex.quote(item.policy)} -", item.hcl)
        case RootAuthority():
            fields = {
                "common_name": item.common_name,
                "ttl": f"{item.ttl_seconds}s",
                "key_type": "ec",
                "key_bits": 256,
                "max_path_length": 0,
            }
            return _write(f"{item.mount}/root/generate/internal", fields)


def as_json(items: Sequence[SetupItem]) -> list[dict[str, Any]]:
    """The items for programs; of secrets only the names."""
    return [_json_item(item) for item in items]


def _json_item(item: SetupItem) -> dict[str, Any]:
    if isinstance(item, Setting):
        return {
            "kind": "Setting",
            "name": item.name,
            "path": item.path,
            "fields": dict(item.fields),
            "secretFields": sorted(item.secret),
        }
    return {"kind": type(item).__name__, "name": item.name, **asdict(item)}


def _mount(item: Mount) -> str:
    table, _, path = item.path.rpartition("/")
    kind, path = ("auth", path) if table == "auth" else ("secrets", item.path)
    longest = f" -max-lease-ttl={item.max_lease_seconds}s" if item.max_lease_seconds else ""
    description = shlex.quote(item.description)
    return f"vault {kind} enable -path={shlex.quote(path)} -description={description}{longest} {item.type}\n"


def _setting(item: Setting) -> str:
    secrets = "".join(
        f'# {name} is a secret: add it to the input, as "{name}": "..."\n' for name in sorted(item.secret)
    )
    return secrets + _write(item.path, item.fields)


def _write(path: str, fields: Mapping[str, Any]) -> str:
    return _with_input(f"vault write {shlex.quote(path)} -", json.dumps(dict(fields), indent=2))


def _with_input(line: str, text: str) -> str:
    return f"{line} <<'{_END}'\n{text.rstrip()}\n{_END}\n"
