"""What tests of rotation ask of one workload's key, in Kubernetes and in Vault."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import KEY_ROTATION_POLICIES, SECRETS
from tests.fixtures_operator import Workloads, eventually
from tests.integration.vault_identity import TRANSIT, vault_name

Json = dict[str, Any]

MODEL = {"dataKeys": [{"name": "model"}, {"name": "prompts"}]}
ROTATED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Keys:
    """What a test asks of the key of one workload, in Kubernetes and in Vault."""

    lab: Lab
    workloads: Workloads
    namespace: str
    name: str = "llm"

    @property
    def status(self) -> Json:
        found: Json = self.workloads.get(self.namespace, self.name).get("status", {})
        return found

    @property
    def rotation(self) -> Json:
        found: Json = self.status.get("rotation") or {}
        return found

    @property
    def key(self) -> Json:
        path = f"{TRANSIT}/keys/{vault_name(self.namespace, self.name)}"
        found: Json = self.lab.vault_request("GET", path)["data"]
        return found

    def annotate(self, **annotations: str) -> None:
        prefixed = {f"{names.GROUP}/{name.replace('_', '-')}": value for name, value in annotations.items()}
        self.workloads.patch(self.namespace, self.name, {"metadata": {"annotations": prefixed}})

    def secret(self) -> dict[str, str]:
        secret = self.workloads.find(SECRETS, self.namespace, names.keys_secret(self.name))
        data = {} if secret is None else secret.get("data") or {}
        return {name: base64.b64decode(value).decode() for name, value in data.items()}

    def plaintexts(self, wrapped: Mapping[str, str]) -> dict[str, bytes]:
        """The data keys in clear, as root: that they are still the same is what matters."""
        path = f"{TRANSIT}/decrypt/{vault_name(self.namespace, self.name)}"
        return {
            name: binascii.a2b_base64(
                self.lab.vault_request("POST", path, {"ciphertext": text})["data"]["plaintext"]
            )
            for name, text in wrapped.items()
        }

    def wait_version(self, version: int, deadline: float = ROTATED_SECONDS) -> Json:
        """The rotation's status once the key and everything it wraps is at that version."""

        def turned() -> Json | None:
            status = self.status
            rotation: Json = status.get("rotation") or {}
            is_over = rotation.get("phase") in ("Observing", "Retired")
            versions = {one["keyVersion"] for one in status.get("dataKeys") or ()}
            there = {text.split(":")[1] for text in self.secret().values()} <= {f"v{version}"}
            fits = status["key"]["latestVersion"] == version and versions <= {version} and there
            return rotation if is_over and fits else None

        return eventually(self.lab, turned, deadline, f"version {version} of {self.namespace}/{self.name}")

    def wait_rotation(self, deadline: float = ROTATED_SECONDS, **wanted: Any) -> Json:
        def fits() -> Json | None:
            rotation = self.rotation
            return rotation if wanted.items() <= rotation.items() else None

        return eventually(self.lab, fits, deadline, f"rotation of {self.namespace}/{self.name} {wanted}")


def policy(lab: Lab, namespace: str, name: str = "policy", /, **spec: Any) -> Json:
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "KeyRotationPolicy",
        "metadata": {"name": name},
        "spec": {"selector": {}, "schedule": {"interval": "720h"}, **spec},
    }
    return lab.api.request("POST", KEY_ROTATION_POLICIES.path(namespace), body)


def policy_status(workloads: Workloads, namespace: str, name: str = "policy") -> Json:
    found = workloads.find(KEY_ROTATION_POLICIES, namespace, name)
    status: Json = (found or {}).get("status") or {}
    return status


def wait_policy(workloads: Workloads, namespace: str, name: str = "policy", **wanted: Any) -> Json:
    """The policy's status once it says all of that."""

    def fits() -> Json | None:
        status = policy_status(workloads, namespace, name)
        return status if wanted.items() <= status.items() else None

    return eventually(workloads.lab, fits, ROTATED_SECONDS, f"policy {namespace}/{name} {wanted}")
