"""A run as text: the table on the terminal, RESULTS.md, and the README's section. All of it from the recorded JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bench import report_fleet, report_keys, report_peers, report_storm
from bench.goals import Line, lines
from bench.rig import COMPONENTS

Json = dict[str, Any]

BENCH = Path(__file__).parent
README = BENCH.parent / "README.md"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
_SHARES = ("min", "p50", "p90", "p99", "max")


def terminal(run: Json) -> str:
    """Readable without colour and in a narrow window."""
    made = [*_head(run), ""]
    goals = lines(run)
    width = max((len(line.what) for line in goals), default=0)
    for line in goals:
        verdict = "met" if line.met else "NOT MET"
        spread = f"  ({line.spread})" if line.spread else ""
        made.append(f"{line.what:<{width}}  {line.goal:>9}  {line.measured:>12}  {verdict}{spread}")
    made.append("")
    rows = _series(run)
    width = max((len(what) for what, _ in rows), default=0)
    made.append(f"{'milliseconds':<{width}} {'n':>5} " + " ".join(f"{share:>8}" for share in _SHARES))
    made += [
        f"{what:<{width}} {one['samples']:>5} " + " ".join(f"{one[share]:>8.1f}" for share in _SHARES)
        for what, one in rows
    ]
    made += [
        "",
        *report_storm.terminal(run),
        *report_fleet.terminal(run),
        *report_keys.terminal(run),
        *report_peers.terminal(run),
    ]
    return "\n".join(made)


def results(run: Json) -> str:
    """The whole of RESULTS.md."""
    made = [
        "# Results of `make bench`",
        "",
        "Written by `make bench` from the JSON of the run, which is beside it in `results/`. Nothing here is a test: numbers",
        "depend on the machine, and on what else runs there.",
        "",
        *[f"- {part}" for part in _head(run)],
        "",
        "## Goals",
        "",
        *_goals(lines(run)),
        "",
        *_analysis(lines(run)),
        "## Latencies",
        "",
        *_latencies(_series(run)),
        "",
        "Healing, by kind and by what was done to it:",
        "",
        *_latencies(
            [
                (f"{what}{suffix}", one)
                for what, one in run["results"]["healing"]["byKind"].items()
                for suffix, one in (("", one), (" (floor)", run["results"]["floor"]["byKind"].get(what)))
                if one
            ]
        ),
        "",
        "## CPU time per sample, in milliseconds",
        "",
        *_cpu(run),
        "",
        "Of everything that shares the cores: also of what the processes do anyway, such as heartbeats of nodes and leases.",
        "",
        "## Writes",
        "",
        *_writes(run),
        "",
        *report_storm.section(run),
        *report_fleet.section(run),
        *report_keys.section(run),
        *report_peers.section(run),
        "## How it is measured",
        "",
        *_METHOD,
        "",
    ]
    return "\n".join(made)


def readme_section(run: Json) -> str:
    """What stands between the markers of the README."""
    found = run["results"]
    made = [
        *_goals(lines(run)),
        "",
        (
            f"{_machine(run)}. The floor, measured in the same run: the leanest program that watches and puts back heals at "
            f"{found['floor']['p50']:g} ms (p50) and {found['floor']['p99']:g} ms (p99)."
        ),
        "How it is measured, with all percentiles, CPU time and writes: [bench/RESULTS.md](bench/RESULTS.md).",
    ]
    return "\n".join(made)


def write(run: Json) -> None:
    """Bring RESULTS.md and the README in line with the run."""
    (BENCH / "RESULTS.md").write_text(results(run), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    section = f"{BEGIN}\n{readme_section(run)}\n{END}"
    README.write_text(
        re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: section, text, flags=re.DOTALL),
        encoding="utf-8",
    )


def _machine(run: Json) -> str:
    machine = run["machine"]
    load = machine["loadAverage"][0]
    return (
        f"{machine['cores']} cores ({machine['processor']}) for everything, {machine['memoryGiB']:g} GiB, "
        f"load average {load:g} at the start, {run['date'][:10]}"
    )


def _head(run: Json) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    writes = "etcd writes durably (fsync)" if run["fsync"] else "etcd writes without fsync"
    return [_machine(run), f"{writes}; Vault on raft storage", versions, *_trials(run)]


def _trials(run: Json) -> list[str]:
    count = len(run.get("trials", ()))
    if count <= 1:
        return []
    return [
        f"{count} trials: each number is their median, with the smallest, the largest and the standard deviation"
    ]


def _goals(goals: list[Line]) -> list[str]:
    return [
        "| | goal | measured | |",
        "|---|---|---|---|",
        *[
            f"| {line.what} | {line.goal} | {line.measured}{f' ({line.spread})' if line.spread else ''} | "
            f"{'met' if line.met else '**not met**'} |"
            for line in goals
        ],
    ]


def _analysis(goals: list[Line]) -> list[str]:
    """What limits each goal that is missed."""
    told = list(dict.fromkeys(line.analysis for line in goals if not line.met and line.analysis))
    return ["What limits those that are not met:", "", *[f"- {text}" for text in told], ""] if told else []


def _series(run: Json) -> list[tuple[str, Json]]:
    """What was measured of these; a run may hold a part of them."""
    series: list[tuple[str, Json | None]] = [
        ("create → Ready, 7 owned objects", _part(run, "creation")),
        ("  of it the first of a namespace", _part(run, "creation", "firstOfNamespace")),
        ("  of it the others", _part(run, "creation", "others")),
        ("  of it the POST itself", _part(run, "creation", "postOnly")),
        ("create → Ready, 4 owned objects", _part(run, "minimal")),
        ("foreign write → healed", _part(run, "healing")),
        ("  of it the foreign write itself", _part(run, "healing", "foreignWriteOnly")),
        ("the floor: watch and put back", _part(run, "floor")),
        ("  of it the foreign write itself", _part(run, "floor", "foreignWriteOnly")),
    ]
    return [
        *[(what, one) for what, one in series if one],
        *report_storm.series(run),
        *report_fleet.series(run),
        *report_keys.series(run),
    ]


def _part(run: Json, *path: str) -> Json | None:
    found = run["results"]
    for name in path:
        found = found.get(name, {})
    return found or None


def _latencies(series: list[tuple[str, Json]]) -> list[str]:
    return [
        "| milliseconds | n | min | p50 | p90 | p99 | max |",
        "|---|---|---|---|---|---|---|",
        *[
            f"| {what.strip()} | {one['samples']} | "
            + " | ".join(f"{one[share]:.1f}" for share in _SHARES)
            + " |"
            for what, one in series
        ],
    ]


def _cpu(run: Json) -> list[str]:
    found = run["results"]
    names = ("operator", "floor", *COMPONENTS, "bench")
    parts = (
        ("create, 7 objects", "creation"),
        ("create, 4 objects", "minimal"),
        ("heal", "healing"),
        ("heal by the floor", "floor"),
        ("1,000 at once", "storm"),
        ("the floor of 1,000 at once", "stormFloor"),
        ("5,000 at once", "storm5000"),
        ("10,000 at once", "storm10000"),
        ("restore, 1,000 deleted at once", "driftStorm"),
        ("rotate", "rotation"),
    )
    return [
        "| | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
        *[
            f"| {what} | "
            + " | ".join(f"{found[part]['cpuMillisecondsPerSample'].get(name, ''):}" for name in names)
            + " |"
            for what, part in parts
            if part in found
        ],
    ]


def _writes(run: Json) -> list[str]:
    found = run["results"]
    memory = found["memory"]
    per_heal = found["healing"]["counts"]
    samples = found["healing"]["samples"]
    return [
        f"- create, 7 owned objects: {_counts(found['creation'])}",
        f"- create, 4 owned objects: {_counts(found['minimal'])}",
        (
            f"- each heal: {found['healing']['ownedWritesPerHeal']:g} write to the object; beside it "
            f"{per_heal['status'] / samples:.2f} of `status.lastDrift` and {per_heal['events'] / samples:.2f} events, "
            f"which nobody waits for; {per_heal['vaultWrites']} certificates were signed anew in {samples} heals"
        ),
        f"- requests that the API server forbade: {sum(found[part]['counts']['forbidden'] for part in ('creation', 'minimal', 'healing'))}",
        (
            f"- resident memory: {memory['emptyMiB']:g} MiB without CRs, {memory['fullMiB']:g} MiB with {memory['workloads']} "
            f"({memory['kibPerWorkload']:g} KiB each)"
        ),
    ]


def _counts(one: Json) -> str:
    counts, samples = one["counts"], one["samples"]
    owned = sum(counts["owned"].values()) / samples
    return (
        f"{owned:g} owned, {counts['finalizer'] / samples:g} finalizer, {counts['status'] / samples:g} status, "
        f"{counts['events'] / samples:g} events; Vault {one['vaultWritesPerCR']:g} writes and "
        f"{sum(counts['vaultComputations'].values()) / samples:g} requests that store nothing; "
        f"and {counts['namespace']} RoleBindings for the namespaces"
    )


_METHOD = (
    "- A lab of the real thing: etcd, API server, controller manager, scheduler, Vault with its kubernetes auth, simulated",
    "  nodes. The operator runs under its own ServiceAccount with the RBAC and the admission policies of `manifests/base`.",
    "- The load generator is one asyncio process with kept-alive connections. It learns of results from a watch, it never polls.",
    "  It shares the cores, and its CPU time is in the table.",
    "- Create: from just before the POST until the watch shows Ready=True for that generation. One at a time, over ten new",
    "  namespaces; the first CR of each counts like any other although its namespace has to be opened for it.",
    "- Heal: from just before the foreign request until the watch shows the object as it was. All owned kinds in turn, changed or",
    "  deleted at random from a fixed seed, over all workloads, one at a time. A lost certificate is signed anew by Vault.",
    "- The floor heals the same objects on the same lab with the operator stopped: it remembers what it saw and puts it back.",
    "- Writes are counted by the servers themselves, in their audit logs. The Lease is left out.",
    "- A second pass: every CR twice, with a look at Vault, while nothing differs.",
)
