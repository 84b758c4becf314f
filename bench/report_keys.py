"""What a run says of rotation, rewrap and choosing: nothing, if it did not measure them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def series(run: Json) -> list[tuple[str, Json]]:
    """Latencies, as they stand beside those of creating and healing."""
    found = run["results"]
    made: list[tuple[str, Json]] = []
    if "rotation" in found:
        made += [
            ("all asked for at once → rotated", found["rotation"]),
            ("  create → Ready amid rotations", found["rotation"]["newcomers"]),
        ]
    if "rewrap" in found:
        made.append(("a batch of data keys → rewrapped", found["rewrap"]["batches"]))
    return [(what, one) for what, one in made if one["samples"]]


def terminal(run: Json) -> list[str]:
    """The numbers that are no latencies."""
    return [line for line in _sentences(run) if line]


def section(run: Json) -> list[str]:
    """The part of RESULTS.md, with how it is measured."""
    sentences = _sentences(run)
    if not sentences:
        return []
    return ["## Rotation", "", *[f"- {line}" for line in sentences], "", *_METHOD, ""]


def _sentences(run: Json) -> list[str]:
    found = run["results"]
    return [
        *(_rotation(found["rotation"]) if "rotation" in found else ()),
        *(_rewrap(found["rewrap"]) if "rewrap" in found else ()),
        *(_choosing(found["choosing"]) if "choosing" in found else ()),
    ]


def _rotation(found: Json) -> list[str]:
    counts, count = found["counts"], found["rotations"]
    owned = sum(counts["owned"].values()) / count
    cpu = ", ".join(f"{name} {value:g}" for name, value in found["cpuMillisecondsPerSample"].items())
    versions = ", ".join(
        f"{number} at version {version}" for version, number in found["vaultVersions"].items()
    )
    return [
        (
            f"{found['rotated']} of {count} rotations in {found['seconds']:g} s; keys, as Vault says: {versions}; "
            f"requests that the operator's own limits held back: {found['heldBack']}"
        ),
        (
            f"each rotation: {found['kubernetesWritesPerRotation']:.2f} writes to Kubernetes ({owned:.2f} owned, "
            f"{counts['status'] / count:.2f} status, {counts['events'] / count:.2f} events) and "
            f"{found['kubernetesReadsPerRotation']:.2f} reads; Vault {found['vaultWritesPerRotation']:.2f} writes, "
            f"{found['vaultComputationsPerRotation']:.2f} requests that store nothing and "
            f"{found['vaultReadsPerRotation']:.2f} reads; and {counts['policies']} writes of the policy's status"
        ),
        f"answers by code, all in all: {_answers(counts)}",
        f"CPU time of each rotation, in milliseconds: {cpu}",
    ]


def _answers(counts: Json) -> str:
    codes = [f"{number} of {code}" for code, number in counts["troubles"].items()]
    vault = [f"{number} errors of Vault at {path}" for path, number in counts["vaultErrors"].items()]
    return ", ".join([*codes, *vault]) or "none of 409, 429 or 5xx, no error of Vault"


def _rewrap(found: Json) -> list[str]:
    floor = ", ".join(f"{count}: {rate}" for count, rate in found["floorByConnections"].items())
    cpu = ", ".join(f"{name} {value:g}" for name, value in found["cpuMillisecondsPerBatch"].items())
    return [
        (
            f"rewrap of {found['items']} data keys in batches of {found['batch']}: {found['perSecond']} per second one batch "
            f"after another, {found['perSecondAtOnce']} all at once; the floor is {found['floorPerSecond']} "
            f"(bare requests, by connections {floor})"
        ),
        f"CPU time of each batch, in milliseconds: {cpu}",
    ]


def _choosing(found: Json) -> list[str]:
    ticks = "; ".join(
        f"{count} due: {one['tick']['p50']:.2f} ({one['tick']['p99']:.2f}) and "
        f"{one['decisions']['p50']:.2f} ({one['decisions']['p99']:.2f})"
        for count, one in found["ticks"].items()
    )
    return [
        (
            f"{found['workloads']} workloads wait, p50 (p99) in milliseconds of the tick that hands out those that are due, and of "
            f"all their decisions together: {ticks}"
        ),
        (
            f"to schedule one takes {found['microsecondsToSchedule']:g} µs; a decision takes {found['microsecondsPerDecision']:g} µs "
            f"with {found['policies']} policies; asking all of them, which nobody does, would take "
            f"{found['pollingMilliseconds']:g} ms"
        ),
    ]


_METHOD = (
    "A policy in the operator's namespace selects all workloads of ten namespaces, without a limit that would hold them back; one",
    "annotation on it makes all of them due. Each key wraps one data key. Measured is from just before the annotation until the",
    "watch shows the key one version further and the data key rewrapped; from when 30 % are over, up to three new workloads of seven",
    "objects are made in the same namespaces, one at a time. Data keys are rewrapped by the operator's own client. The clock of the",
    "queue is put forward for the ticks; what they cost is real.",
)
