"""What a run says of a thousand CRs that are there: lost objects, crashes, handovers, memory and rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.report_storm import cpu, others

Json = dict[str, Any]


def terminal(run: Json) -> list[str]:
    return told(run["results"])


def section(run: Json) -> list[str]:
    """For RESULTS.md; nothing if the run did not measure it."""
    found = told(run["results"])
    return (
        ["## A thousand at rest, and in trouble", "", *[f"- {line}" for line in found], "", *_METHOD, ""]
        if found
        else []
    )


def told(found: Json) -> list[str]:
    """Everything as lines of text, in the order of the measurements."""
    return [line for name, tell in _TOLD.items() if name in found for line in tell(found[name])]


def series(run: Json) -> list[tuple[str, Json]]:
    found = run["results"]
    made: list[tuple[str, Json]] = []
    if "driftStorm" in found:
        made.append((f"{found['driftStorm']['objects']} deleted at once → back", found["driftStorm"]["back"]))
    if "amidStorm" in found:
        made.append(("foreign write → healed amid creations", found["amidStorm"]))
        made.append(("  of it the foreign write itself", found["amidStorm"]["foreignWriteOnly"]))
    return [(what, one) for what, one in made if one["samples"]]


def _drift_storm(one: Json) -> list[str]:
    kinds = ", ".join(f"{number} {kind}" for kind, number in one["kinds"].items())
    return [
        (
            f"{one['objects']} owned objects of {one['workloads']} CRs ({kinds}): all deleted after {one['deletedSeconds']:g} s, "
            f"all back after {one['seconds']:g} s, each by {one['ownedWritesPerHeal']:g} write to it; {one['counts']['status']} of "
            f"`status`, {one['counts']['events']} events, {one['counts']['vaultWrites']} writes to Vault{others(one['machine'])}"
        ),
        f"  CPU time per object, in milliseconds: {cpu(one['cpuMillisecondsPerSample'])}",
    ]


def _amid_storm(one: Json) -> list[str]:
    return [
        (
            f"{one['samples']} foreign writes by {one['attackers']} at a time while {one['workloads']} CRs were made in "
            f"{one['seconds']:g} s ({one['queued']['most']} of them not Ready at the first, {one['queued']['least']} at the last "
            f"one): healed in {one['p50']:g} ms (p50), {one['p99']:g} ms (p99), {one['max']:g} ms (slowest)"
        )
    ]


def _memory(process: str) -> Callable[[Json], list[str]]:
    def tell(one: Json) -> list[str]:
        former = f"with {one['formerWorkloads']}" if one["formerWorkloads"] else "without any"
        return [
            (
                f"resident memory of a process that {process} {one['workloads']} CRs: {one['mib']:g} MiB, {one['formerMiB']:g} MiB "
                f"{former}: {one['kibPerWorkload']:g} KiB for each more with its objects"
            )
        ]

    return tell


def _foreign_secrets(one: Json) -> list[str]:
    reads = ", ".join(f"{number} {what}" for what, number in one["reads"].items()) or "none"
    return [
        (
            f"{one['secrets']} Secrets of {one['kilobytes']} KB in namespaces without workloads: {one['apart']['more']:+g} MiB "
            f"({one['beforeMiB']:g} before); {one['beside']['secrets']} more in the namespaces of {one['workloads']} workloads: "
            f"{one['beside']['more']:+g} MiB. The operator never reads Secrets cluster-wide, and where workloads are it asks for its "
            f"own by their label; its reads of Secrets meanwhile: {reads}"
        )
    ]


def _recovery(one: Json) -> list[str]:
    unchanged, changed = one["unchanged"], one["changed"]
    return [
        (
            f"SIGKILL at {one['workloads']} CRs, started again at once: leads after {unchanged['ledSeconds']:g} s (what the Lease of "
            f"the killed one lasts, and the start), all verified after {unchanged['verifiedSeconds']:g} s, "
            f"{unchanged['verifiedSinceLedSeconds']:g} s after it leads; {unchanged['passes']} passes, "
            f"{unchanged['counts']['kubernetesWrites']} writes to Kubernetes and {unchanged['counts']['vaultWrites']} to Vault"
        ),
        (
            f"  {changed['deleted']} objects deleted while it was dead: back after {changed['firstHealSeconds']:g} s (the first) and "
            f"{changed['lastHealSeconds']:g} s (the last), it leads after {changed['ledSeconds']:g} s; all verified after "
            f"{changed['verifiedSeconds']:g} s"
        ),
    ]


def _takeover(one: Json) -> list[str]:
    return [f"at {one['workloads']} CRs a standby takes over"] + [
        (
            f"  {what}: holds the Lease after {found['takenSeconds']:g} s, has healed what was deleted at "
            f"{found['deletedSeconds']:g} s after {found['healedSeconds']:g} s; {found['ownedWrites']} writes to owned objects, "
            f"{found['counts']['vaultWrites']} to Vault"
        )
        for what, found in (("graceful", one["graceful"]), ("after a crash", one["crash"]))
    ]


def _idle(one: Json) -> list[str]:
    def counted(found: Mapping[str, int]) -> str:
        return ", ".join(f"{number} {what}" for what, number in found.items()) or "none"

    return [
        (
            f"idle at {one['workloads']} CRs for {one['seconds']:g} s: {one['cpuPercent']:g} % of a core, "
            f"{one['requestsPerSecond']:g} requests per second to the API server, {one['leasePerSecond']:g} of the Lease, and "
            f"{one['vaultPerSecond']:g} to Vault; {one['passes']} looks at Vault fell into this time, on average "
            f"{one['passesOnAverage']} would"
        ),
        f"  requests: {counted(one['reads'])}; writes: {counted(one['writes'])}; of Vault: {counted(one['vault'])}",
    ]


_TOLD: Mapping[str, Callable[[Json], list[str]]] = {
    "memoryGrown": _memory("made"),
    "driftStorm": _drift_storm,
    "idle": _idle,
    "takeover": _takeover,
    "recovery": _recovery,
    "memoryFound": _memory("found"),
    "amidStorm": _amid_storm,
    "memoryTwice": _memory("came to know"),
    "foreignSecrets": _foreign_secrets,
}

_METHOD = (
    "All of it on the lab of the storm, one after the other. Objects are deleted at once over 16 connections, of all kinds as often as",
    "they occur; a watch tells when each is back as it was. Amid a storm, four attackers change or delete what the former CRs own, from",
    "the first POST until the last new CR is Ready, each waiting for its heal. After a SIGKILL the process is started again at once, as",
    "a kubelet would; a CR counts as verified when Vault's audit log shows that its key was read. A takeover is measured from the signal",
    "until the standby has healed an object that was deleted when the leader acted no more. Memory is read after ten seconds of rest.",
    "Idle is measured with a look at Vault every 300 s for each CR; jitter spreads these by a fifth, so that in a minute there may be",
    "none: the numbers of looks stand beside. Writes an hour are extrapolated from the time that was measured.",
)
