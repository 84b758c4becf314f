"""What is told of a thousand CRs is what was measured, and each goal is missed just beyond its limit."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bench import report, report_fleet
from bench.goals import lines

SERIES = {"samples": 90, "min": 1.0, "p50": 2.0, "p90": 3.0, "p99": 500.0, "max": 501.0}
COUNTS = {
    "kubernetesWrites": 0,
    "namespace": 0,
    "vaultWrites": 0,
    "status": 0,
    "events": 0,
    "tooMuch": 0,
    "vaultErrors": {},
}
MEMORY = {"formerWorkloads": 0, "formerMiB": 95.0, "workloads": 1000, "mib": 106.7, "kibPerWorkload": 12.0}
QUIET = {"cpuSeconds": 9.0, "oursCpuSeconds": 9.0, "othersShare": 0.0}

RESULTS: dict[str, Any] = {
    "memoryGrown": {**MEMORY},
    "memoryFound": {**MEMORY},
    "memoryTwice": {**MEMORY, "formerWorkloads": 1000, "workloads": 2000},
    "driftStorm": {
        "objects": 1000,
        "workloads": 1000,
        "kinds": {"roles": 400, "secrets": 600},
        "deletedSeconds": 5.0,
        "seconds": 15.0,
        "back": SERIES,
        "ownedWritesPerHeal": 1.0,
        "cpuMillisecondsPerSample": {"operator": 3.0},
        "machine": QUIET,
        "counts": COUNTS,
    },
    "idle": {
        "workloads": 1000,
        "seconds": 60.0,
        "cpuPercent": 1.0,
        "requestsPerSecond": 0.2,
        "leasePerSecond": 0.4,
        "vaultPerSecond": 3.0,
        "writesPerHour": 0.0,
        "passes": 7,
        "passesOnAverage": 200,
        "reads": {"watch roles": 1},
        "writes": {},
        "vault": {"read": 9},
    },
    "recovery": {
        "workloads": 1000,
        "unchanged": {
            "ledSeconds": 2.0,
            "verifiedSeconds": 15.0,
            "verifiedSinceLedSeconds": 13.0,
            "passes": 1000,
            "counts": COUNTS,
        },
        "changed": {
            "deleted": 10,
            "firstHealSeconds": 3.0,
            "lastHealSeconds": 4.0,
            "ledSeconds": 2.5,
            "verifiedSeconds": 16.0,
            "ownedWrites": 10,
        },
    },
    "takeover": {
        "workloads": 1000,
        **{
            how: {
                "deletedSeconds": 0.1,
                "takenSeconds": 0.5,
                "healedSeconds": seconds,
                "ownedWrites": 1,
                "counts": COUNTS,
            }
            for how, seconds in (("graceful", 2.0), ("crash", 12.0))
        },
    },
    "amidStorm": {
        "workloads": 1000,
        "attackers": 4,
        "seconds": 30.0,
        **SERIES,
        "foreignWriteOnly": SERIES,
        "queued": {"most": 1000, "least": 3},
    },
    "foreignSecrets": {
        "secrets": 10000,
        "kilobytes": 100,
        "workloads": 1000,
        "beforeMiB": 100.0,
        "apart": {"mib": 105.0, "more": 5.0},
        "beside": {"secrets": 1000, "mib": 110.0, "more": 5.0},
        "reads": {},
    },
}


def _run(results: dict[str, Any]) -> dict[str, Any]:
    return {
        "date": "2026-01-31T12:00:00+00:00",
        "machine": {"cores": 2, "processor": "x", "memoryGiB": 1.0, "loadAverage": [0.1]},
        "versions": {"vault": "1"},
        "fsync": True,
        "results": results,
    }


def test_every_goal_is_met_at_its_limit() -> None:
    assert [line.what for line in lines(_run(RESULTS)) if not line.met] == []


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ("driftStorm.deletedSeconds", 5.1, "time that took"),
        ("driftStorm.seconds", 15.1, "all back"),
        ("driftStorm.ownedWritesPerHeal", 1.001, "until it is back"),
        ("driftStorm.counts.tooMuch", 1, "429 and 5xx"),
        ("amidStorm.p99", 500.1, "being made"),
        ("memoryGrown.formerMiB", 95.1, "with none"),
        ("memoryGrown.kibPerWorkload", 12.1, "that made them"),
        ("memoryFound.kibPerWorkload", 12.1, "that found them"),
        ("memoryTwice.kibPerWorkload", 12.1, "beyond 1000"),
        ("foreignSecrets.apart.more", 5.1, "in the cluster"),
        ("foreignSecrets.beside.more", 5.1, "namespaces of workloads"),
        ("recovery.changed.firstHealSeconds", 3.1, "the first of 10"),
        ("recovery.unchanged.verifiedSeconds", 15.1, "all verified"),
        ("recovery.unchanged.counts.namespace", 1, "nothing had changed"),
        ("recovery.unchanged.counts.vaultWrites", 1, "nothing had changed"),
        ("recovery.changed.ownedWrites", 11, "deleted meanwhile: writes"),
        ("takeover.graceful.healedSeconds", 2.1, "graceful: signal"),
        ("takeover.crash.healedSeconds", 12.1, "after a crash: signal"),
        ("takeover.crash.ownedWrites", 2, "one object deleted meanwhile"),
        ("idle.cpuPercent", 1.1, "share of a core"),
        ("idle.requestsPerSecond", 0.21, "requests to the API server"),
        ("idle.writesPerHour", 60, "writes an hour"),
    ],
)
def test_each_goal_is_missed_just_beyond_its_limit(path: str, value: float, what: str) -> None:
    changed = copy.deepcopy(RESULTS)
    *before, last = path.split(".")
    part = changed
    for name in before:
        part = part[name]
    part[last] = value
    (missed,) = [line.what for line in lines(_run(changed)) if not line.met]
    assert what in missed


def test_every_measurement_is_told_with_its_numbers() -> None:
    text = report.terminal(_run(RESULTS))
    for told in (
        "1000 owned objects of 1000 CRs (400 roles, 600 secrets): all deleted after 5 s, all back after 15 s",
        "90 foreign writes by 4 at a time while 1000 CRs were made in 30 s (1000 of them not Ready",
        "resident memory of a process that made 1000 CRs: 106.7 MiB, 95 MiB without any: 12 KiB",
        "7 looks at Vault fell into this time, on average 200 would",
        "leads after 2 s",
        "back after 3 s (the first) and 4 s (the last)",
        "graceful: holds the Lease after 0.5 s, has healed what was deleted at 0.1 s after 2 s",
        "in the namespaces of 1000 workloads: +5 MiB",
    ):
        assert told in text


def test_each_measurement_can_stand_alone_and_none_is_told_of_that_was_not_made() -> None:
    for name, one in RESULTS.items():
        (first, *_) = report_fleet.told({name: one})
        assert first in "\n".join(report_fleet.section(_run({name: one})))
        assert report.terminal(_run({name: one}))
    assert report_fleet.section(_run({})) == []


def test_foreign_writes_that_found_no_time_amid_a_storm_have_no_percentiles() -> None:
    none = {**RESULTS["amidStorm"], "samples": 0, "foreignWriteOnly": {"samples": 0}}
    assert report_fleet.series(_run({"amidStorm": none})) == []
