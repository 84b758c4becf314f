"""The table of what can be measured: the functions that scenarios.yaml names, and one trial over them."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from bench.amid_storm import measure_amid_storm
from bench.choosing import measure_choosing
from bench.creation import FULL, FULL_OBJECTS, MINIMAL, MINIMAL_OBJECTS, measure_creation
from bench.drift_storm import measure_drift_storm
from bench.foreign_secrets import measure_foreign_secrets
from bench.healing import measure_healing
from bench.healing_floor import measure_healing_floor
from bench.idle import measure_idle
from bench.memory import measure_memory
from bench.memory_slope import measure_memory_slope
from bench.passes import measure_passes
from bench.peers.cert_manager import measure_cert_manager
from bench.peers.external_secrets import measure_external_secrets
from bench.peers.kopf_peer import measure_kopf
from bench.peers.ours import measure_ours, measure_ours_secret
from bench.peers.vso import measure_vso
from bench.plan import Form, Plan, Scenario, by_lab
from bench.recovery import measure_recovery
from bench.rewrap import measure_rewrap
from bench.rig import Rig
from bench.rotation import measure_rotation
from bench.storm import measure_storm
from bench.storm_floor import measure_storm_floor
from bench.takeover import measure_takeover
from bench.trial import Trial

Found = dict[str, Any]


async def _empty(rig: Rig) -> Found:
    await rig.ensure_operator()
    return {"mib": await measure_memory(rig)}


async def _creation(rig: Rig, *, samples: int, namespaces: int) -> Found:
    await rig.ensure_operator()
    return await measure_creation(rig, "full", FULL, FULL_OBJECTS, samples=samples, namespaces=namespaces)


async def _minimal(rig: Rig, *, samples: int, namespaces: int) -> Found:
    await rig.ensure_operator()
    return await measure_creation(
        rig, "minimal", MINIMAL, MINIMAL_OBJECTS, samples=samples, namespaces=namespaces
    )


async def _memory(rig: Rig) -> Found:
    """After `empty` and what made workloads on the same lab."""
    empty, full, count = rig.found["empty"]["mib"], await measure_memory(rig), len(rig.workloads)
    return {
        "emptyMiB": empty,
        "fullMiB": full,
        "workloads": count,
        "kibPerWorkload": round((full - empty) * 1024 / count, 1),
    }


async def _healing(rig: Rig, *, samples: int, seed: int) -> Found:
    await rig.ensure_operator()
    return await measure_healing(rig, samples=samples, seed=seed, healer={})


async def _rewrap(rig: Rig) -> Found:
    await rig.ensure_operator()
    return await measure_rewrap(rig)


async def _rotation(rig: Rig, *, rotations: int) -> Found:
    await rig.ensure_operator()
    return await measure_rotation(rig, rotations=rotations)


async def _storm(rig: Rig, **parameters: Any) -> Found:
    await rig.ensure_operator()
    return await measure_storm(rig, **parameters)


def _led(measure: Callable[..., Awaitable[Found]]) -> Callable[..., Awaitable[Found]]:
    """The measurement, of an operator that leads and is at rest as it begins."""

    async def measured(rig: Rig, **parameters: Any) -> Found:
        await rig.ensure_operator()
        return await measure(rig, **parameters)

    return measured


async def _choosing(_: Trial, *, seed: int) -> Found:
    # It has a loop of its own, whose clock it puts forward.
    return await asyncio.to_thread(measure_choosing, seed)


ON_A_LAB: Mapping[str, Callable[..., Awaitable[Found]]] = {
    "empty": _empty,
    "creation": _creation,
    "memory": _memory,
    "healing": _healing,
    "minimal": _minimal,
    "passes": measure_passes,
    "floor": measure_healing_floor,
    "rewrap": _rewrap,
    "rotation": _rotation,
    "storm": _storm,
    "memorySlope": _led(measure_memory_slope),
    "driftStorm": _led(measure_drift_storm),
    "idle": _led(measure_idle),
    "recovery": _led(measure_recovery),
    "takeover": _led(measure_takeover),
    "amidStorm": _led(measure_amid_storm),
    "foreignSecrets": _led(measure_foreign_secrets),
    "peerOurs": measure_ours,
    "peerKopf": measure_kopf,
    "peerOursSecret": measure_ours_secret,
    "peerVso": measure_vso,
    "peerCertManager": measure_cert_manager,
    "peerExternalSecrets": measure_external_secrets,
}
"""Called with the Rig and the parameters."""

WITHOUT_A_LAB: Mapping[str, Callable[..., Awaitable[Found]]] = {
    "choosing": _choosing,
    "stormFloor": measure_storm_floor,
}
"""Called with the Trial and the parameters: they need no lab, or make their own."""


def unknown(plan: Plan) -> list[str]:
    """Functions that scenarios.yaml names and no table has."""
    known = {*ON_A_LAB, *WITHOUT_A_LAB}
    return sorted({scenario.function for scenario in plan.scenarios} - known)


async def run(trial: Trial, scenarios: Collection[Scenario], form: Form) -> Trial:
    """Measure all of them, each in the state of its lab that the one before left.

    One that fails ends its lab, with those that would have followed there, and no others: a run takes hours.
    """
    for group in by_lab(scenarios):
        try:
            await _run_group(trial, group, form)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other labs know nothing of it
            missing = [scenario.name for scenario in group if scenario.name not in trial.found]
            trial.failed |= dict.fromkeys(missing, _told(error))
            trial.log(f"FAILED: {missing[0]}: {_told(error)}\n{''.join(traceback.format_exception(error))}")
    return trial


async def _run_group(trial: Trial, group: Sequence[Scenario], form: Form) -> None:
    if group[0].function in WITHOUT_A_LAB:
        for scenario in group:
            await _measured(trial, WITHOUT_A_LAB[scenario.function], trial, scenario, form)
        return
    async with trial.fresh_rig() as rig:
        for scenario in group:
            await _measured(trial, ON_A_LAB[scenario.function], rig, scenario, form)


def _told(error: Exception) -> str:
    first = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first}"


async def _measured(
    trial: Trial, measure: Callable[..., Awaitable[Found]], on: Trial | Rig, scenario: Scenario, form: Form
) -> None:
    parameters = scenario.parameters(form)
    told = ", ".join(f"{name} {value}" for name, value in parameters.items())
    trial.log(f"{scenario.name}{f' ({told})' if told else ''}")
    trial.found[scenario.name] = await measure(on, **parameters)
