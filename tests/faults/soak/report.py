"""What a run found, as JSON and as RESULTS.md."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.soak import sampling
from tests.faults.soak.fleet import versions_made
from tests.faults.soak.judging import judge
from tests.faults.soak.run import Soak, Struck
from tests.faults.soak.seats import Life

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
NOTES = HERE / "notes.md"
"""What limits what was not met, written by people."""
LATEST = HERE / "results" / "latest.json"
SLOPE_GOAL = 1.0
"""MiB per hour."""
RECOVERY = (
    "Recovery is from the end of the fault until every workload was right, a leader and a standby were ready, and nothing was "
    "missing or foreign in Kubernetes and Vault; it is seen at best every 0.2 s, and what was changed just before counts too."
)
TASKS_MORE, FILES_MORE = 3, 5
"""By how much tasks and files of a process at rest may differ: a connection that is open or not, a request of the probe."""

Json = dict[str, Any]


def outcome(soak: Soak, machine: Json, versions: Json, error: str = "") -> Json:
    """Everything that is worth keeping; `error` tells why a run ended early."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "versions": versions,
        "seed": soak.plan.seed,
        "minutesAsked": soak.plan.minutes,
        "minutes": round(soak.seconds / 60, 1),
        "error": error,
        "workloads": {"size": soak.plan.size, "made": soak.fleet.made},
        "changes": dict(soak.changes.made),
        "refused": dict(soak.changes.refused),
        "policyRequests": soak.changes.policy_requests,
        "keyVersions": dict(versions_made(soak.fleet.wanted.values())),
        "faults": _faults(soak.struck),
        "stuck": soak.stuck,
        "stillStuck": len(soak.still_stuck()),
        "losses": soak.losses,
        "alarms": sorted(set(soak.alarms)),
        "stable": soak.stable,
        "leaks": _leaks(soak.at_rest),
        "processes": [_process(life, soak.plan.warm_seconds) for life in soak.lives],
        "logs": judge(dict.fromkeys(life.operator.process.log for life in soak.lives), soak.windows),
    }


def verdicts(run: Json) -> list[tuple[str, str, str, bool]]:
    """Goal by goal: what, wanted, found, and whether it holds."""
    steady = _steady(run)
    slope = steady.get("slopeMiBPerHour")
    by_itself = [one for one in run["processes"] if one["cause"] == "by itself"]
    leaks, stable, logs = run["leaks"], run["stable"], run["logs"]
    unexpected = sum(sum(logs[what].values()) for what in ("notJson", "errors"))
    return [
        ("workloads that are stuck at the end", "0", str(run["stillStuck"]), run["stillStuck"] == 0),
        ("right within the patience after every fault", "all", _within(run), not run["stuck"]),
        ("keys, versions and data keys lost", "0", str(len(run["losses"])), not run["losses"]),
        ("losses that were told of and were none", "0", str(len(run["alarms"])), not run["alarms"]),
        (
            "memory of the steady leader",
            f"< {SLOPE_GOAL:g} MiB/h",
            f"{slope} MiB/h",
            slope is not None and slope < SLOPE_GOAL,
        ),
        (
            "its tasks at rest, end against warm",
            f"≤ +{TASKS_MORE}",
            _change(leaks, "tasks"),
            _more(leaks, "tasks") <= TASKS_MORE,
        ),
        (
            "its open files at rest, end against warm",
            f"≤ +{FILES_MORE}",
            _change(leaks, "files"),
            _more(leaks, "files") <= FILES_MORE,
        ),
        ("processes that ended by themselves without a cause", "0", str(len(by_itself)), not by_itself),
        (
            "a minute without a write but the Lease, at the end",
            "yes",
            _stable(stable),
            bool(stable.get("isStable")),
        ),
        ("errors in the logs that no fault explains", "0", str(unexpected), unexpected == 0),
    ]


def write(run: Json) -> None:
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    rewrite()


def rewrite() -> None:
    """Write RESULTS.md anew from the recorded run and the notes."""
    run: Json = json.loads(LATEST.read_text(encoding="utf-8"))
    RESULTS.write_text(markdown(run, NOTES.read_text(encoding="utf-8")), encoding="utf-8")


def markdown(run: Json, notes: str) -> str:
    """The whole of RESULTS.md."""
    machine = run["machine"]
    made = [
        "# Results of `make soak`",
        "",
        "Written by `make soak` from the JSON of the run, which is beside it in `results/`.",
        "",
        f"- {run['date']}, seed {run['seed']}: {run['minutes']:g} minutes of faults and changes",
        f"- {machine['processor']}, {machine['cores']} cores, {machine['memoryGiB']} GiB, kernel {machine['kernel']}",
        f"- load average at the start {machine['loadAverage']}; other work ran beside it",
        "- " + ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
        *([f"- **the run ended early**: {run['error']}"] if run["error"] else []),
        "",
        "## Goals",
        "",
        *_table(
            ("what", "goal", "found", ""),
            [(a, b, c, "met" if d else "**not met**") for a, b, c, d in verdicts(run)],
        ),
        "",
        notes.rstrip(),
        "",
        "## Faults",
        "",
        f"{sum(one['count'] for one in run['faults'])} faults. {RECOVERY}",
        "",
        *_table(
            ("fault", "times", "of a leader", "recovery, median", "longest"),
            [
                (
                    one["kind"],
                    str(one["count"]),
                    str(one["ofLeader"]),
                    _seconds(one["median"]),
                    _seconds(one["longest"]),
                )
                for one in run["faults"]
            ],
        ),
        "",
        "## Changes",
        "",
        ", ".join(f"{what}: {number}" for what, number in sorted(run["changes"].items())) + ".",
        f"{run['workloads']['size']} workloads at any time, {run['workloads']['made']} in all. "
        "Versions of the keys that were there at the end, by what made them: "
        + ", ".join(f"{what} {number}" for what, number in sorted(run["keyVersions"].items()))
        + ".",
        "",
        "## Processes",
        "",
        *_table(
            (
                "seat",
                "minutes",
                "ended by",
                "code",
                "RSS first → last, MiB",
                "slope, MiB/h",
                "tasks",
                "files",
                "threads",
            ),
            [_row(one) for one in run["processes"] if one["minutes"] >= 1 or one["cause"] == "by itself"],
        ),
        "",
        f"Of {len(run['processes'])} processes those that lived for a minute. Slopes are by least squares over a sample a "
        "minute, without the first five minutes of a process; most lived too short to have one. The steady leader's rates per "
        "second: "
        + ", ".join(f"{what} {value:g}" for what, value in _steady(run).get("rates", {}).items())
        + ".",
        "",
        "Resident memory of the steady leader by its age in minutes, MiB: " + _memory(_steady(run)) + ".",
        "",
        "## Stuck",
        "",
        *(
            [f"- {one['who']} after {one['after']}: {one['what']}" + _later(one) for one in run["stuck"]]
            or ["Nothing."]
        ),
        *([f"- lost: {one}" for one in run["losses"]]),
        *([f"- told of, and none: {one}" for one in run["alarms"]]),
        "",
        "## Logs",
        "",
        *_logs(run["logs"]),
        "",
    ]
    return "\n".join(made)


def _faults(struck: Sequence[Struck]) -> list[Json]:
    found = []
    for kind in sorted({one.fault.kind for one in struck}):
        mine = [one for one in struck if one.fault.kind == kind]
        recoveries = [one.recovery for one in mine if one.recovery is not None]
        found.append(
            {
                "kind": kind,
                "count": len(mine),
                "ofLeader": sum(one.fault.leader for one in mine),
                "late": len(mine) - len(recoveries),
                "median": round(statistics.median(recoveries), 2) if recoveries else None,
                "longest": round(max(recoveries), 2) if recoveries else None,
                "each": [
                    {
                        "at": round(one.at),
                        "seat": one.fault.seat,
                        "leader": one.fault.leader,
                        "seconds": round(one.fault.seconds, 1),
                        "recovery": None if one.recovery is None else round(one.recovery, 2),
                        "last": one.last,
                    }
                    for one in mine
                ],
            }
        )
    return found


def _leaks(at_rest: dict[str, Json]) -> Json:
    if {"warm", "end"} - at_rest.keys():
        return {}
    what = ("workloads", "tasks", "files", "threads", "rssMiB")
    return {name: {one: at_rest[name][one] for one in what} for name in ("warm", "end")}


def _process(life: Life, warm: float) -> Json:
    samples = life.samples
    last = samples[-1] if samples else {}
    return {
        "seat": life.seat,
        "minutes": round(((life.ended or life.began) - life.began) / 60, 1),
        "cause": life.cause,
        "code": life.code,
        "led": any(one["leads"] for one in samples),
        "rssFirst": samples[0]["rssMiB"] if samples else None,
        "rssLast": last.get("rssMiB"),
        "slopeMiBPerHour": sampling.slope_per_hour(samples, "rssMiB", warm),
        "tasksLast": last.get("tasks"),
        "filesLast": last.get("files"),
        "threadsLast": last.get("threads"),
        "rates": sampling.rates(samples),
        "samples": samples,
    }


def _steady(run: Json) -> Json:
    """The longest life of a leader."""
    leaders: list[Json] = [one for one in run["processes"] if one["led"]]
    return max(leaders, key=lambda one: float(one["minutes"]), default={})


def _memory(process: Json) -> str:
    return ", ".join(f"{one['age'] / 60:.0f}: {one['rssMiB']}" for one in process.get("samples", ())[::4])


def _row(one: Json) -> tuple[str, ...]:
    cells = (one["seat"], one["minutes"], one["cause"], one["code"], f"{one['rssFirst']} → {one['rssLast']}")
    more = (one["slopeMiBPerHour"], one["tasksLast"], one["filesLast"], one["threadsLast"])
    return tuple("" if cell is None else str(cell) for cell in (*cells, *more))


def _logs(logs: Json) -> list[str]:
    titles = {
        "notJson": "Lines that are no JSON",
        "errors": "Errors while no fault was near",
        "warnings": "Warnings while no fault was near",
        "errorsOfFaults": "Errors during faults and in the half minute after",
        "warningsOfFaults": "Warnings during faults and in the half minute after",
    }
    made = []
    for what, title in titles.items():
        lines = logs[what]
        made.append(f"{title}: {sum(lines.values()) if lines else 'none'}.")
        made.append("")
        made += [f"- {number} of `{line}`" for line, number in lines.items()]
        made += [""] if lines else []
    return made[:-1]


def _within(run: Json) -> str:
    late = Counter(one["after"] for one in run["stuck"])
    return "all" if not late else f"not after {len(late)} of them"


def _more(leaks: Json, what: str) -> float:
    return float(leaks["end"][what] - leaks["warm"][what]) if leaks else float("inf")


def _change(leaks: Json, what: str) -> str:
    return f"{leaks['warm'][what]} → {leaks['end'][what]}" if leaks else "not measured"


def _stable(stable: Json) -> str:
    return f"yes, after {stable['afterSeconds']:g} s" if stable.get("isStable") else "no"


def _later(one: Json) -> str:
    return (
        f" (right again at {one['rightAgainAt']} s, stuck at {one['at']} s)" if "rightAgainAt" in one else ""
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
