"""A customer who brings a key of their own, with exactly the rights in Vault that docs/key-custody.md gives them."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, replace
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from lab import Lab, RequestFailed
from secureai_operator.api.workload import KeyType
from secureai_operator.cli.key_import import wrapping_key
from secureai_operator.cli.key_target import Target
from secureai_operator.clients.key_material import new_material
from secureai_operator.clients.key_wrapping import WrappedKey, wrapped
from secureai_operator.clients.vault_user import VaultUser

DOCUMENT = (Path(__file__).parents[2] / "docs" / "key-custody.md").read_text()

Json = dict[str, Any]


@dataclass(frozen=True)
class Customer:
    """Who brings the key: their token has the policy of the document, and nothing else."""

    lab: Lab
    mount: str
    name: str
    token: str
    vault: VaultUser

    def target(self, key_type: KeyType = KeyType.AES256_GCM96, **changes: Any) -> Target:
        return replace(Target(self.mount, self.name, key_type), **changes)

    def wrapped(self, key_type: KeyType, material: bytearray) -> WrappedKey:
        return wrapped(key_type, material, wrapping_key(self.vault, self.mount))

    def key(self) -> Json | None:
        """The key as Vault's administrator reads it."""
        return key_in_vault(self.lab, self.mount, self.name)

    def latest_version(self) -> int:
        return int((self.key() or {"latest_version": 0})["latest_version"])

    def use(self, operation: str, **body: Any) -> Json:
        """An operation with the key, as the workload would do it."""
        done: Json = self.lab.vault_request("POST", f"{self.mount}/{operation}/{self.name}", body)["data"]
        return done


def key_in_vault(lab: Lab, mount: str, name: str) -> Json | None:
    try:
        found: Json = lab.vault_request("GET", f"{mount}/keys/{name}")["data"]
    except RequestFailed as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return None
    return found


def new_mount(lab: Lab) -> str:
    """A transit mount with a wrapping key of its own, as another Vault would have."""
    path = f"transit-{secrets.token_hex(3)}"
    lab.vault_request("POST", f"sys/mounts/{path}", {"type": "transit"})
    return path


def policy_of_the_document(mount: str, name: str) -> str:
    (hcl,) = re.findall(r"```hcl\n(.*?)```", DOCUMENT.split("### From nothing to a key")[0], re.DOTALL)
    return str(hcl).replace("saw-transit/", f"{mount}/").replace("NAME", name)


def a_token(lab: Lab, mount: str, name: str) -> str:
    policy = f"customer-{secrets.token_hex(4)}"
    lab.vault_request("PUT", f"sys/policies/acl/{policy}", {"policy": policy_of_the_document(mount, name)})
    made = lab.vault_request("POST", "auth/token/create", {"policies": [policy], "no_default_policy": True})
    return str(made["auth"]["client_token"])


@cache
def material_of(key_type: KeyType) -> bytes:
    """Made once: RSA keys take their time."""
    return bytes(new_material(key_type))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
