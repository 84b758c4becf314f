"""The operator at rest with all the lab's CRs: what it takes of the machine, and what it asks of the servers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.audit import OPERATOR_USER, AuditLog
from bench.rig import Rig
from lab import LabError

PROBE_SECONDS = 300.0
"""How often each CR's objects in Vault are looked at, as the operator is started here."""
HOUR = 3600
SETTLED_SECONDS = 120.0
_PASSES = "secureai_reconcile_total"
_READS = frozenset({"get", "list", "watch"})
_QUESTIONS = frozenset({"selfsubjectaccessreviews", "subjectaccessreviews", "tokenreviews"})


@dataclass(slots=True)
class Asked:
    """Requests of the operator, as the servers tell of them."""

    lease: int = 0
    reads: Counter[str] = field(default_factory=Counter)
    """Also watches that began, and questions about rights."""
    writes: Counter[str] = field(default_factory=Counter)
    vault: Counter[str] = field(default_factory=Counter)

    @property
    def kubernetes(self) -> int:
        """All but the Lease's."""
        return self.reads.total() + self.writes.total()


async def measure_idle(rig: Rig, *, seconds: float) -> dict[str, Any]:
    """For so many seconds nobody does anything; writes are extrapolated to an hour."""
    await rig.settled(deadline=SETTLED_SECONDS)
    passes = await asyncio.to_thread(rig.metric, _PASSES)
    logs = AuditLog(rig.kubernetes_audit.path), AuditLog(rig.vault_audit.path)
    before, began = rig.cpu(), time.monotonic()
    await asyncio.sleep(seconds)
    used, lasted = rig.cpu().since(before, 1)["operator"], time.monotonic() - began
    found = asked(logs[0].new_entries(), logs[1].new_entries())
    passes = await asyncio.to_thread(rig.metric, _PASSES) - passes
    if rig.operator is None or not rig.operator.process.running:
        raise LabError("the operator ended while it had nothing to do")
    return {
        "workloads": len(rig.workloads),
        **rates(found, lasted, used),
        "passes": int(passes),
        "passesOnAverage": round(len(rig.workloads) * lasted / PROBE_SECONDS),
        "lease": found.lease,
        "reads": dict(sorted(found.reads.items())),
        "writes": dict(sorted(found.writes.items())),
        "vault": dict(sorted(found.vault.items())),
    }


def rates(found: Asked, seconds: float, milliseconds: float) -> dict[str, Any]:
    """Shares and rates of what was counted in so many seconds, in which the operator ran for so many milliseconds."""
    return {
        "seconds": round(seconds, 1),
        "cpuPercent": round(milliseconds / seconds / 10, 3),
        "requestsPerSecond": round(found.kubernetes / seconds, 3),
        "writesPerHour": round(found.writes.total() * HOUR / seconds, 1),
        "leasePerSecond": round(found.lease / seconds, 3),
        "vaultPerSecond": round(found.vault.total() / seconds, 3),
    }


def asked(kubernetes: Iterable[Mapping[str, Any]], vault: Iterable[Mapping[str, Any]]) -> Asked:
    """What the operator asked for; a watch counts as it begins."""
    found = Asked()
    for entry in kubernetes:
        begins = "ResponseStarted" if entry["verb"] == "watch" else "ResponseComplete"
        if entry["user"]["username"] == OPERATOR_USER and entry["stage"] == begins:
            _count(found, entry["verb"], (entry.get("objectRef") or {}).get("resource", ""))
    for entry in vault:
        if entry["type"] == "response" and _is_operators(entry):
            found.vault[entry["request"]["operation"]] += 1
    return found


def _count(found: Asked, verb: str, resource: str) -> None:
    if resource == "leases":
        found.lease += 1
    elif verb in _READS or resource in _QUESTIONS:
        found.reads[f"{verb} {resource}".strip()] += 1
    else:
        found.writes[f"{verb} {resource}"] += 1


def _is_operators(entry: Mapping[str, Any]) -> bool:
    return str((entry.get("auth") or {}).get("display_name", "")).startswith("kubernetes")
