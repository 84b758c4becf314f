"""What a Vault of the lab holds, read as its root: one object, or all of it."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

from lab import RequestFailed
from lab.vault import Vault

Json = dict[str, Any]


def found_in(vault: Vault, path: str, method: str = "GET") -> Json | None:
    """What is at the path (LIST: the names below it), or None if there is nothing."""
    try:
        found: Json = vault.request(method, path)["data"]
    except RequestFailed as error:
        if error.status == 404:
            return None
        raise
    return found


def raft(vault: Vault, method: str, what: str, body: bytes | None = None) -> bytes:
    """A snapshot of the whole Vault, or its restoration."""
    connection = http.client.HTTPConnection(urlsplit(vault.address).netloc, timeout=30)
    try:
        headers = {"X-Vault-Token": vault.root_token}
        connection.request(method, f"/v1/sys/storage/raft/{what}", body, headers)
        answer = connection.getresponse()
        assert answer.status < 300
        return answer.read()
    finally:
        connection.close()
