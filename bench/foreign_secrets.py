"""Secrets of others: what they cost the operator, which has no right on them but in the namespaces of workloads."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any

from bench.lean import Lean, request, send_all
from bench.memory import measure_memory
from bench.rig import Rig
from secureai_operator.api.resources import SECRETS

CONNECTIONS = 8
NAMESPACES = 10
AHEAD = 200
"""Requests that are made beforehand: all of them would take more memory than the machine has to spare."""


async def measure_foreign_secrets(
    rig: Rig, *, secrets: int, beside: int, kilobytes: int = 100
) -> dict[str, Any]:
    """So many Secrets in namespaces of their own, then more of them in the namespaces of workloads."""
    before = await measure_memory(rig)
    places = [f"bench-foreign-{number}" for number in range(NAMESPACES)]
    for namespace in places:
        await rig.create_namespace(namespace)
    seconds = await _create(rig, places, secrets, kilobytes)
    apart = await measure_memory(rig)
    theirs = sorted({namespace for namespace, _ in rig.workloads})
    await _create(rig, theirs, beside, kilobytes)
    together = await measure_memory(rig)
    return {
        "secrets": secrets,
        "kilobytes": kilobytes,
        "createdSeconds": round(seconds, 1),
        "workloads": len(rig.workloads),
        "beforeMiB": before,
        "apart": {"mib": apart, "more": round(apart - before, 2)},
        "beside": {"secrets": beside, "mib": together, "more": round(together - apart, 2)},
        "reads": {what: number for what, number in rig.counted().reads.items() if "secrets" in what},
    }


async def _create(rig: Rig, namespaces: Sequence[str], count: int, kilobytes: int) -> float:
    started = time.perf_counter()
    async with Lean(rig.lab.api_url, rig.lab.api.tls, CONNECTIONS) as lean:
        for some in _batches(creations(lean.host, namespaces, count, kilobytes * 1000), AHEAD):
            await send_all(lean, some, HTTPStatus.CREATED)
    return time.perf_counter() - started


def creations(host: str, namespaces: Sequence[str], count: int, size: int) -> Iterator[bytes]:
    """Requests that create so many Secrets, in the namespaces in turn, each with so many bytes."""
    headers = {"Host": host, "Content-Type": "application/json", "Accept": "application/json"}
    data = {"data": b64encode(b"x" * size).decode()}
    for number in range(count):
        namespace = namespaces[number % len(namespaces)]
        secret = {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "metadata": {"name": f"foreign-{number}", "namespace": namespace},
            "data": data,
        }
        yield request("POST", SECRETS.path(namespace), headers, json.dumps(secret).encode())


def _batches(requests: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    while some := list(islice(requests, size)):
        yield some
