"""Resident memory of the operator at rest."""

from __future__ import annotations

import asyncio

from bench.rig import Rig
from bench.samples import resident_mib

IDLE_SECONDS = 10.0


async def measure_memory(rig: Rig) -> float:
    """MiB after so many seconds in which there was nothing to do."""
    await rig.settled()
    await asyncio.sleep(IDLE_SECONDS)
    return resident_mib(rig.operator_pid)
