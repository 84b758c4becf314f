"""What each CR with its owned objects costs in resident memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.memory import measure_memory
from bench.rig import Rig


async def measure_memory_slope(rig: Rig, *, against: str) -> dict[str, Any]:
    """The operator at rest, with the lab's CRs; `against` names a former measurement, of none of them or of fewer."""
    return slope(rig.found[against], await measure_memory(rig), len(rig.workloads))


def slope(before: Mapping[str, Any], mib: float, workloads: int) -> dict[str, Any]:
    """MiB, and KiB per CR that came since; against none it takes in what a process loads with its first CR and keeps."""
    former = before.get("workloads", 0)
    return {
        "formerWorkloads": former,
        "formerMiB": before["mib"],
        "workloads": workloads,
        "mib": mib,
        "kibPerWorkload": round((mib - before["mib"]) * 1024 / (workloads - former), 2),
    }
