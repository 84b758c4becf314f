"""What is told of storms is what was measured, and a time on a machine that others used says so."""

from __future__ import annotations

from typing import Any

from bench import report, report_storm
from bench.goals import lines

SERIES = {"samples": 3, "min": 1.0, "p50": 2.0, "p90": 3.0, "p99": 4.0, "max": 5.0}


def _storm(**changes: Any) -> dict[str, Any]:
    return {
        "workloads": 1000,
        "seconds": 24.0,
        "createdSeconds": 4.0,
        "millisecondsPerWorkload": 24.0,
        "ownedObjects": 8,
        "ready": SERIES,
        "cpuMillisecondsPerSample": {"operator": 8.5, "kube-apiserver": 20.0},
        "machine": {"cpuSeconds": 48.0, "oursCpuSeconds": 47.0, "othersShare": 0.02},
        "kubernetesWritesPerCR": 10.0,
        "kubernetesReadsPerCR": 0.1,
        "vaultWritesPerCR": 5.0,
        "vaultComputationsPerCR": 1.0,
        "vaultReadsPerCR": 1.0,
        "perCR": {"create secrets": 2.0, "create events": 0.0},
        "counts": {"tooMuch": 0, "vaultErrors": {}},
        **changes,
    }


def _floor(**changes: Any) -> dict[str, Any]:
    return {
        "workloads": 1000,
        "seconds": 18.0,
        "connections": 16,
        "efficiency": 0.75,
        "cpuEfficiency": 0.8,
        "operatorSeconds": 24.0,
        "cpuMillisecondsPerSample": {"kube-apiserver": 20.0},
        "machine": {"cpuSeconds": 36.0, "oursCpuSeconds": 36.0, "othersShare": 0.0},
        "requestsPerCR": 17.0,
        "ready": SERIES,
        "secondsByConnections": {"4": 20.0, "16": 18.0},
        **changes,
    }


def _run(**results: Any) -> dict[str, Any]:
    return {
        "date": "2026-01-31T12:00:00+00:00",
        "machine": {"cores": 2, "processor": "x", "memoryGiB": 1.0, "loadAverage": [0.1]},
        "versions": {"vault": "1"},
        "fsync": True,
        "results": results,
    }


def test_goals_of_a_storm_are_met_at_their_limits_only() -> None:
    assert all(line.met for line in lines(_run(storm=_storm(), stormFloor=_floor())))
    broken: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "all Ready": ({"seconds": 25.1}, {}),
        "Kubernetes writes": ({"kubernetesWritesPerCR": 10.1}, {}),
        "Vault writes": ({"vaultWritesPerCR": 5.1}, {}),
        "429 and 5xx": ({"counts": {"tooMuch": 1, "vaultErrors": {}}}, {}),
        "efficiency": ({}, {"efficiency": 0.69}),
    }
    for what, (storm, floor) in broken.items():
        run = _run(storm=_storm(**storm), stormFloor=_floor(**floor))
        (missed,) = [line.what for line in lines(run) if not line.met]
        assert what in missed


def test_a_larger_storm_is_judged_by_its_time_per_workload_against_the_smaller_one() -> None:
    larger = _storm(workloads=5000, against={"workloads": 1000, "times": 1.16})
    (line,) = lines(_run(storm5000=larger))
    assert (line.met, line.measured, line.goal) == (False, "1.16 times", "≤ 1.15 times")


def test_a_run_of_storms_only_can_be_told() -> None:
    text = report.terminal(_run(storm=_storm(), stormFloor=_floor()))
    assert "1000 CRs of 8 objects: all created after 4 s, all Ready after 24 s" in text
    assert "2 create secrets" in text
    assert "create events" not in text, "what nobody wrote"
    assert "efficiency 0.75, of CPU time 0.8" in text
    assert "## Many at once" in "\n".join(report_storm.section(_run(storm=_storm())))
    assert report_storm.section(_run()) == []


def test_a_time_on_a_machine_that_others_used_says_so() -> None:
    busy = {"cpuSeconds": 48.0, "oursCpuSeconds": 24.0, "othersShare": 0.5}
    assert "others had 50% of the machine" in report.terminal(_run(storm=_storm(machine=busy)))
    assert "others had" not in report.terminal(_run(storm=_storm()))
