"""A workload's own identity in Vault, as its pods have it: the projected token, and what it opens."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from lab import Lab
from secureai_operator import names

CLUSTER = "main"
TRANSIT, PKI, AUTH = "saw-transit", "saw-pki", "kubernetes"


def vault_name(namespace: str, workload: str = "llm") -> str:
    return names.vault_name(CLUSTER, namespace, workload)


def pod_token(lab: Lab, namespace: str, workload: str = "llm") -> str:
    """What the kubelet projects into the pod."""
    account = names.service_account(workload)
    return lab.token(namespace, account, names.audience(CLUSTER, namespace, workload), seconds=600)


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """Requests with a workload's Vault token."""

    lab: Lab
    token: str
    auth: dict[str, Any]

    @classmethod
    def login(cls, lab: Lab, role: str, jwt: str) -> Identity:
        answer = lab.vault_request("POST", f"auth/{AUTH}/login", {"role": role, "jwt": jwt}, token="")
        return cls(lab, answer["auth"]["client_token"], answer["auth"])

    @classmethod
    def of(cls, lab: Lab, namespace: str, workload: str = "llm") -> Identity:
        return cls.login(lab, vault_name(namespace, workload), pod_token(lab, namespace, workload))

    def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return self.lab.vault_request(method, path, body, token=self.token)

    def encrypt(self, key: str, plaintext: bytes) -> str:
        body = {"plaintext": base64.b64encode(plaintext).decode()}
        return str(self.request("POST", f"{TRANSIT}/encrypt/{key}", body)["data"]["ciphertext"])

    def decrypt(self, key: str, ciphertext: str) -> bytes:
        answer = self.request("POST", f"{TRANSIT}/decrypt/{key}", {"ciphertext": ciphertext})
        return base64.b64decode(answer["data"]["plaintext"])
