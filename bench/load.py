"""How busy the whole machine was: what somebody else takes of it shows in no process of ours."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Busy:
    """CPU seconds of all processors together since the machine started, and when that was read."""

    at: float
    busy: float

    @staticmethod
    def now() -> Busy:
        return Busy(time.monotonic(), busy_seconds(Path("/proc/stat").read_text(encoding="utf-8")))

    def until_now(self, ours: float) -> dict[str, float]:
        """CPU seconds that anybody used meanwhile, and which share of all processors was others' than `ours`."""
        now = Busy.now()
        used, all_of_it = now.busy - self.busy, (now.at - self.at) * (os.cpu_count() or 1)
        return {
            "cpuSeconds": round(used, 2),
            "oursCpuSeconds": round(ours, 2),
            "othersShare": round(max(0.0, used - ours) / all_of_it, 3) if all_of_it else 0.0,
        }


def busy_seconds(stat: str) -> float:
    """Everything but idle and waiting for disks; guests are within user and nice."""
    fields = [int(value) for value in stat.splitlines()[0].split()[1:]]
    user, nice, system, _idle, _iowait, interrupt, soft_interrupt, steal = fields[:8]
    return (user + nice + system + interrupt + soft_interrupt + steal) / _TICKS
