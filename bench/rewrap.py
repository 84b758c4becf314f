"""Data keys moved to a new version in batches, by the operator's own client; and the same by requests that do nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from bench.rig import Rig
from bench.samples import summary
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.clients.vault import HvacVault

ITEMS = 20_000
BATCH = 500
"""What the operator moves at once (core/rotation/situation.py)."""
WRAPPED_BYTES = 32
AT_ONCE = (1, 2, 4, 8)
"""Connections by which the floor is tried; the best counts."""


async def measure_rewrap(rig: Rig) -> dict[str, Any]:
    """One batch after another, as one workload's rotation goes; all at once, as many go; and the floor."""
    connection = rig.product.vault_connection()
    name = f"{connection.policy_prefix}bench.rewrap"
    batches = await asyncio.to_thread(_wrapped, rig, connection, name)
    vault = HvacVault(connection, {})
    try:
        await vault.rewrap(name, batches[0])  # Logs in, and opens a connection.
        before = rig.cpu()
        one_by_one, each = await _one_by_one(vault, name, batches)
        cpu = rig.cpu().since(before, len(batches))
        started = time.perf_counter()
        await asyncio.gather(*(vault.rewrap(name, batch) for batch in batches))
        at_once = time.perf_counter() - started
    finally:
        await vault.close()
    floor = {
        str(count): _rate(await asyncio.to_thread(_floor, rig, connection, name, batches, count))
        for count in AT_ONCE
    }
    return {
        "items": ITEMS,
        "batch": BATCH,
        "perSecond": _rate(one_by_one),
        "perSecondAtOnce": _rate(at_once),
        "floorPerSecond": max(floor.values()),
        "floorByConnections": floor,
        "batches": summary(each),
        "cpuMillisecondsPerBatch": cpu,
    }


def _rate(seconds: float) -> int:
    return round(ITEMS / seconds)


def _wrapped(rig: Rig, connection: VaultConnection, name: str) -> list[list[str]]:
    """A key whose version 1 wraps so many data keys, and which has rotated since."""
    mount, request = connection.transit_mount, rig.lab.vault_request
    request("POST", f"{mount}/keys/{name}", {"type": "aes256-gcm96"})
    batches = []
    for _ in range(ITEMS // BATCH):
        items = [{"plaintext": base64.b64encode(os.urandom(WRAPPED_BYTES)).decode()} for _ in range(BATCH)]
        answer = request("POST", f"{mount}/encrypt/{name}", {"batch_input": items})
        batches.append([str(item["ciphertext"]) for item in answer["data"]["batch_results"]])
    request("POST", f"{mount}/keys/{name}/rotate", {})
    return batches


async def _one_by_one(
    vault: HvacVault, name: str, batches: Sequence[Sequence[str]]
) -> tuple[float, list[float]]:
    each = []
    started = time.perf_counter()
    for batch in batches:
        begun = time.perf_counter()
        rewrapped = await vault.rewrap(name, batch)
        each.append(time.perf_counter() - begun)
        if not all(wrapped.startswith("vault:v2:") for wrapped in rewrapped):
            raise RuntimeError("a data key was not moved to version 2")
    return time.perf_counter() - started, each


def _floor(
    rig: Rig, connection: VaultConnection, name: str, batches: Sequence[Sequence[str]], count: int
) -> float:
    """The same bodies, made beforehand, over so many kept-alive connections; the answers are read and not looked at."""
    path = f"/v1/{connection.transit_mount}/rewrap/{name}"
    bodies = [
        json.dumps({"batch_input": [{"ciphertext": wrapped} for wrapped in batch]}).encode()
        for batch in batches
    ]

    def send(share: Sequence[bytes]) -> None:
        line = HTTPConnection(urlsplit(connection.address).netloc, timeout=30)
        for body in share:
            line.request("POST", path, body, {"X-Vault-Token": rig.lab.vault_root_token})
            answer = line.getresponse()
            answer.read()
            if answer.status != 200:  # noqa: PLR2004 - OK
                raise RuntimeError(f"Vault answers {answer.status}")
        line.close()

    started = time.perf_counter()
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(send, [bodies[first::count] for first in range(count)]))
    return time.perf_counter() - started
