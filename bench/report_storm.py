"""What a run says of storms: many CRs at once, and the floor that the same requests have."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

NAMES = ("storm", "storm5000", "storm10000")
FLOOR = "stormFloor"
OTHERS = 0.1
"""Above this share of the machine that somebody else had, times say little."""


def terminal(run: Json) -> list[str]:
    return told(run["results"])


def section(run: Json) -> list[str]:
    """For RESULTS.md; nothing if the run did not measure it."""
    found = told(run["results"])
    return ["## Many at once", "", *[f"- {line}" for line in found], "", *_METHOD, ""] if found else []


def told(found: Json) -> list[str]:
    """Everything as lines of text."""
    made = []
    for name in NAMES:
        if name in found:
            made += _storm(found[name])
    if FLOOR in found:
        made += _floor(found[FLOOR])
    return made


def series(run: Json) -> list[tuple[str, Json]]:
    found = run["results"]
    rows = [
        (f"{found[name]['workloads']} at once → Ready", found[name]["ready"])
        for name in NAMES
        if name in found
    ]
    if FLOOR in found:
        rows.append((f"  the floor of {found[FLOOR]['workloads']} at once", found[FLOOR]["ready"]))
    return rows


def _storm(one: Json) -> list[str]:
    count = one["workloads"]
    per_cr = ", ".join(f"{number:g} {what}" for what, number in one["perCR"].items() if number)
    return [
        (
            f"{count} CRs of {one['ownedObjects']} objects: all created after {one['createdSeconds']:g} s, all Ready after "
            f"{one['seconds']:g} s, {one['millisecondsPerWorkload']:g} ms each{others(one['machine'])}"
        ),
        f"  CPU time per CR, in milliseconds: {cpu(one['cpuMillisecondsPerSample'])}",
        (
            f"  per CR, as the servers count: {one['kubernetesWritesPerCR']:g} writes to Kubernetes and "
            f"{one['kubernetesReadsPerCR']:g} reads; Vault {one['vaultWritesPerCR']:g} writes, "
            f"{one['vaultComputationsPerCR']:g} requests that store nothing and {one['vaultReadsPerCR']:g} reads"
        ),
        f"  by verb: {per_cr}",
    ]


def _floor(one: Json) -> list[str]:
    tried = ", ".join(f"{count}: {seconds:g} s" for count, seconds in one["secondsByConnections"].items())
    return [
        (
            f"the floor of {one['workloads']} CRs: {one['seconds']:g} s by {one['connections']} connections to each server "
            f"({tried}), {one['requestsPerCR']:g} requests for each CR; the operator takes {one['operatorSeconds']:g} s: "
            f"efficiency {one['efficiency']:g}, of CPU time {one['cpuEfficiency']:g}{others(one['machine'])}"
        ),
        f"  CPU time per CR, in milliseconds: {cpu(one['cpuMillisecondsPerSample'])}",
    ]


def cpu(milliseconds: Json) -> str:
    """Of each process, and of all together."""
    total = sum(milliseconds.values())
    return ", ".join(f"{name} {value:g}" for name, value in milliseconds.items()) + f"; together {total:.1f}"


def others(machine: Json) -> str:
    """The warning without which a time on a shared machine misleads."""
    if machine["othersShare"] <= OTHERS:
        return ""
    return f" (others had {machine['othersShare']:.0%} of the machine meanwhile)"


_METHOD = (
    "All CRs are POSTed at once by an asyncio client of raw requests over 16 connections, into 20 new namespaces; measured is from",
    "just before the first POST until a watch shows the last of them Ready for its generation. For the floor a proxy records what the",
    "operator sends for each CR on a lab of its own, in a run that is not timed. That is sent again into an empty lab with durable",
    "writes by the same client, under the operator's identity, with the CRs' new uids and versions: each CR's requests in the order that",
    "the operator kept (what was under way together is sent together), all CRs at once. What no CR causes alone (watches, lists, the",
    "Lease, questions about rights) is left out, and so are requests that were refused or sent twice. Both are watched in the same way.",
)
