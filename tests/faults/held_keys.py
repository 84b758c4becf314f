"""Workloads' keys in one Vault as its administrator sees them, and the data keys that they wrap."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from lab.vault import LocalVault
from secureai_operator import names
from secureai_operator.api.resources import SECRETS
from tests.fixtures_operator import Workloads
from tests.integration.vault_identity import TRANSIT, vault_name
from tests.integration.vault_reads import found_in

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HeldKeys:
    """Those of one namespace."""

    vault: LocalVault
    workloads: Workloads
    namespace: str

    def of(self, name: str) -> Json | None:
        """The key, or None if there is none."""
        return found_in(self.vault, f"{TRANSIT}/keys/{self._path(name)}")

    def versions(self, name: str) -> Json:
        """When each version was made that can decrypt: another time under the same number is another key."""
        return dict((self.of(name) or {}).get("keys", {}))

    def plaintexts(self, name: str) -> dict[str, str]:
        """The data keys of the Secret, decrypted. Compared, never printed."""
        secret = self.workloads.find(SECRETS, self.namespace, names.keys_secret(name)) or {"data": {}}
        wrapped = {entry: base64.b64decode(value).decode() for entry, value in secret["data"].items()}
        if not wrapped:
            return {}
        batch = [{"ciphertext": value} for value in wrapped.values()]
        answer = self.vault.request("POST", f"{TRANSIT}/decrypt/{self._path(name)}", {"batch_input": batch})
        results = answer["data"]["batch_results"]
        return {entry: result["plaintext"] for entry, result in zip(wrapped, results, strict=True)}

    def destroy(self, name: str) -> None:
        """As somebody does who may change the key's configuration: allow its deletion, and delete it."""
        self.vault.request("POST", f"{TRANSIT}/keys/{self._path(name)}/config", {"deletion_allowed": True})
        self.vault.request("DELETE", f"{TRANSIT}/keys/{self._path(name)}")

    def rotate(self, name: str) -> None:
        self.vault.request("POST", f"{TRANSIT}/keys/{self._path(name)}/rotate", {})

    def raise_minimum(self, name: str, to: int) -> None:
        self.vault.request(
            "POST", f"{TRANSIT}/keys/{self._path(name)}/config", {"min_decryption_version": to}
        )

    def _path(self, name: str) -> str:
        return vault_name(self.namespace, name)
