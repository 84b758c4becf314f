"""The goals, and what a run says of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One goal: what was asked for, what was measured, and whether that is enough."""

    what: str
    goal: str
    measured: str
    met: bool


def lines(run: Json) -> list[Line]:
    """In the order of the goals."""
    found = run["results"]
    return [
        *_creation(found["creation"]),
        *_creation(found["minimal"]),
        *_healing(found["healing"]),
        *_writes(found),
        _memory(found["memory"]),
    ]


def all_met(run: Json) -> bool:
    return all(line.met for line in lines(run))


def _creation(found: Json) -> list[Line]:
    what = f"one CR of {found['ownedObjects']} objects, create → Ready, {found['samples']} samples"
    return [_at_most(what, found, "p50", 100), _at_most(what, found, "p99", 400)]


def _healing(found: Json) -> list[Line]:
    what = f"foreign write → healed, {found['samples']} samples"
    writes = found["ownedWritesPerHeal"]
    return [
        _at_most(what, found, "p50", 15),
        _at_most(what, found, "p99", 50),
        Line("writes to the object per heal", "1", f"{writes:g}", writes == 1),
    ]


def _writes(found: Json) -> list[Line]:
    made = []
    for kind in ("creation", "minimal"):
        one = found[kind]
        limit, count = one["ownedObjects"] + 2, one["kubernetesWritesPerCR"]
        what = f"Kubernetes writes until Ready, {one['ownedObjects']} owned objects"
        made.append(Line(what, f"≤ {limit}", f"{count:g}", count <= limit))
    vault = max(found["creation"]["vaultWritesPerCR"], found["minimal"]["vaultWritesPerCR"])
    made.append(Line("Vault writes until Ready", "≤ 5", f"{vault:g}", vault <= 5))  # noqa: PLR2004
    for part, what in (("second", "a second pass"), ("restart", "a restart of the operator")):
        one = found["passes"][part]
        count = (one["kubernetesWrites"] + one["namespace"], one["vaultWrites"])
        made.append(
            Line(
                f"writes of {what} ({one['passes']} passes)",
                "0 and 0",
                f"{count[0]} and {count[1]}",
                count == (0, 0),
            )
        )
    return made


def _memory(found: Json) -> Line:
    empty = found["emptyMiB"]
    return Line("resident memory without CRs", "≤ 95 MiB", f"{empty:g} MiB", empty <= 95)  # noqa: PLR2004


def _at_most(what: str, found: Json, share: str, limit: float) -> Line:
    return Line(f"{what}, {share}", f"≤ {limit:g} ms", f"{found[share]:g} ms", found[share] <= limit)
