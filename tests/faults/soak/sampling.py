"""What a process takes, once a minute, and whether that grows: the slope by least squares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.samples import Cpu, resident_mib
from lab import LabError
from tests.faults.soak.seats import Life

SECONDS = 60.0
WARM_SECONDS = 300.0
"""A process this young is still filling its caches, and no part of a slope."""
LEAST = 5
"""Samples below which nothing is said of a slope."""

Json = dict[str, Any]


def sample(life: Life, now: float, workloads: int) -> Json | None:
    """One sample, or None if the process has just ended or does not answer."""
    try:
        process = Path(f"/proc/{life.pid}")
        threads = next(
            int(line.split()[1])
            for line in (process / "status").read_text(encoding="utf-8").splitlines()
            if line.startswith("Threads:")
        )
        metrics = life.metrics()
        found: Json = {
            "at": round(now, 1),
            "age": round(now - life.began, 1),
            "workloads": workloads,
            "rssMiB": resident_mib(life.pid),
            "files": len(list((process / "fd").iterdir())),
            "threads": threads,
            "cpuSeconds": round(Cpu.now({"operator": life.pid}).seconds["operator"], 1),
        }
    except (OSError, ValueError, StopIteration, LabError):
        return None
    if not metrics:
        return None
    return {
        **found,
        "leads": metrics["secureai_leader"] == 1,
        "tasks": int(metrics["secureai_tasks"]),
        "queue": int(metrics["secureai_workqueue_depth"]),
        "kubernetesRequests": int(metrics.get("secureai_kubernetes_requests_total", 0)),
        "vaultRequests": int(metrics.get("secureai_vault_requests_total", 0)),
        "passes": int(metrics.get("secureai_reconcile_total", 0)),
    }


def slope_per_hour(samples: Iterable[Json], what: str, warm: float = WARM_SECONDS) -> float | None:
    """How much `what` grows in an hour, by least squares over the samples of a process that is warm."""
    points = [(one["at"] / 3600, float(one[what])) for one in samples if one["age"] >= warm]
    if len(points) < LEAST:
        return None
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope: float = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return round(slope, 2)


def rates(samples: Sequence[Json]) -> Json:
    """Requests, passes and CPU per second between the first and the last sample."""
    if len(samples) < 2:
        return {}
    first, last = samples[0], samples[-1]
    seconds = last["at"] - first["at"]
    counted = ("kubernetesRequests", "vaultRequests", "passes", "cpuSeconds")
    return {what: round((last[what] - first[what]) / seconds, 3) for what in counted}
