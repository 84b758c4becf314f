"""Latencies and CPU time, and what is said of them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest sample that is not below `share` of all (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def summary(seconds: list[float]) -> dict[str, Any]:
    """Percentiles in milliseconds."""
    if not seconds:
        return {"samples": 0}
    shares = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    found = {name: round(percentile(seconds, share) * 1000, 2) for name, share in shares.items()}
    return {"samples": len(seconds), **found}


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds of each process so far."""

    seconds: Mapping[str, float]

    @staticmethod
    def now(pids: Mapping[str, int]) -> Cpu:
        return Cpu({name: _cpu_seconds(pid) for name, pid in pids.items()})

    def since(self, before: Cpu, count: int) -> dict[str, float]:
        """Milliseconds per sample of each process."""
        return {
            name: round((seconds - before.seconds[name]) / max(1, count) * 1000, 2)
            for name, seconds in self.seconds.items()
        }

    def total_since(self, before: Cpu) -> float:
        """Seconds of all processes together."""
        return sum(seconds - before.seconds[name] for name, seconds in self.seconds.items())


def _cpu_seconds(pid: int) -> float:
    # The name of the process stands in parentheses and may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise ValueError(f"process {pid} says nothing of its memory")
