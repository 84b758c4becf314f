"""How near the operator comes to the floor of a storm: record what it sends, replay that into empty labs, compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.recording import Key, Recording, recorded
from bench.replay import measure_replay
from bench.rig import Rig
from bench.storm import NAMESPACES, measure_storm, prepare_namespaces
from bench.trial import Trial
from secureai_operator.api.resources import SECURE_AI_WORKLOADS


async def measure_storm_floor(
    trial: Trial, *, workloads: int, connections: Sequence[int], storm: str = "storm"
) -> dict[str, Any]:
    """The best time of all numbers of connections, against that of the trial's storm of as many CRs.

    Efficiency is the floor's time by the operator's; of CPU time, which others on the machine hardly change, it is that of
    all processes. Without a storm in this trial one is made first.
    """
    operator = trial.found.get(storm)
    if operator is None or operator["workloads"] != workloads:
        async with trial.fresh_rig() as rig:
            await rig.ensure_operator()
            operator = await measure_storm(rig, workloads=workloads)
    recording, uids = await _recorded(trial, workloads)
    floors = {}
    for count in connections:
        trial.log(f"replaying over {count} connections")
        async with trial.fresh_rig() as rig:
            await rig.wait_for_garbage_collector()
            await prepare_namespaces(rig, "storm", workloads, NAMESPACES)
            floors[str(count)] = await measure_replay(rig, recording, uids, connections=count)
    best = min(floors, key=lambda count: floors[count]["seconds"])
    return {
        "workloads": workloads,
        "seconds": floors[best]["seconds"],
        "connections": int(best),
        "efficiency": round(floors[best]["seconds"] / operator["seconds"], 3),
        "cpuEfficiency": round(_cpu(floors[best]) / _cpu(operator), 3),
        "operatorSeconds": operator["seconds"],
        "operatorCpuMillisecondsPerSample": operator["cpuMillisecondsPerSample"],
        "cpuMillisecondsPerSample": floors[best]["cpuMillisecondsPerSample"],
        "machine": floors[best]["machine"],
        "requestsPerCR": floors[best]["requestsPerCR"],
        "ready": floors[best]["ready"],
        "secondsByConnections": {count: found["seconds"] for count, found in floors.items()},
    }


def _cpu(found: Mapping[str, Any]) -> float:
    return float(sum(found["cpuMillisecondsPerSample"].values()))


async def _recorded(trial: Trial, workloads: int) -> tuple[Recording, dict[Key, str]]:
    """What the operator sent for each CR, and the CRs' uids, which stand in it."""
    async with trial.fresh_rig() as rig:
        with recorded(rig) as (recorder, settings):
            await rig.start_operator(**settings)
            await rig.ensure_operator()
            trial.log("recording what the operator sends")
            await measure_storm(rig, workloads=workloads)
            uids = await _uids(rig)
            await rig.stop_operator()
    missing = uids.keys() ^ recorder.recording.workloads.keys()
    if missing:
        raise RuntimeError(f"{len(missing)} CRs were not recorded")
    return recorder.recording, uids


async def _uids(rig: Rig) -> dict[Key, str]:
    found = {}
    async for items, _ in rig.kube.list_pages(SECURE_AI_WORKLOADS):
        for item in items:
            metadata = item["metadata"]
            found[metadata["namespace"], metadata["name"]] = metadata["uid"]
    return found
