"""What a pass without a difference and a restart of the operator write: nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.rig import Rig
from lab import wait_until

PROBE_SECONDS = 3
"""Vault is looked at so often while passes without a difference are counted."""
_PASSES = "secureai_reconcile_total"
DEADLINE = 180.0


async def measure_passes(rig: Rig) -> dict[str, Any]:
    """Restart the operator and count; then let every CR have two more passes, with a look at Vault each, and count."""
    total = len(rig.workloads)
    await rig.settled()
    await rig.stop_operator()
    rig.counted()
    await rig.start_operator(vaultProbeSeconds=PROBE_SECONDS)
    await _until_passes(rig, total)
    restart = rig.counted()
    restart_passes = await asyncio.to_thread(rig.metric, _PASSES)
    await _until_passes(rig, restart_passes + 2 * total)
    second = rig.counted()
    passes = await asyncio.to_thread(rig.metric, _PASSES)
    return {
        "workloads": total,
        "restart": {"passes": int(restart_passes), **restart.as_json()},
        "second": {"passes": int(passes - restart_passes), **second.as_json()},
    }


async def _until_passes(rig: Rig, wanted: float) -> None:
    async def done() -> bool:
        return await asyncio.to_thread(rig.metric, _PASSES) >= wanted

    await wait_until(done, DEADLINE, f"{wanted:g} passes")
    await asyncio.sleep(1)
