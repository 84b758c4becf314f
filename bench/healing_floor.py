"""The floor of healing: the operator stopped, and the leanest program that watches and puts back in its place."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

from bench.healing import measure_healing
from bench.rig import Rig
from lab import LabError
from secureai_operator import names
from tests.product import ROOT


async def measure_healing_floor(rig: Rig, *, samples: int, seed: int) -> dict[str, Any]:
    """The same attacks on the same objects as the operator healed."""
    await rig.stop_operator()
    async with _running(rig) as healer:
        return await measure_healing(rig, samples=samples, seed=seed, healer=healer)


@contextlib.asynccontextmanager
async def _running(rig: Rig) -> AsyncIterator[dict[str, int]]:
    """The floor's process, under the operator's identity."""
    kubeconfig = rig.lab.kubeconfig_for(names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT)
    process = rig.lab.process(
        "floor",
        [sys.executable, "-m", "bench.floor", str(kubeconfig)],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"},
    )
    await asyncio.to_thread(process.start)
    try:
        await asyncio.to_thread(
            rig.lab.wait_for,
            lambda: "ready" in process.log.read_text(encoding="utf-8"),
            60.0,
            "the floor to watch",
        )
        pid = process.pid
        if pid is None:
            raise LabError("the floor ended")
        yield {"floor": pid}
    finally:
        await asyncio.to_thread(process.stop)
