"""One trial: every scenario of a form once, on labs of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from bench.labs import fresh_rig
from bench.machine import versions
from bench.rig import Log, Rig


@dataclass(slots=True)
class Trial:
    """What a scenario measures with that makes its own labs, and what was found so far."""

    log: Log
    fsync: bool = True
    found: dict[str, Any] = field(default_factory=dict)
    """By the names of scenarios."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why a scenario has no result."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of everything that took part, once there was a lab."""

    @contextlib.asynccontextmanager
    async def fresh_rig(self) -> AsyncIterator[Rig]:
        """A new and empty lab with the product installed; no operator runs yet."""
        async with fresh_rig(self.log, self.found, fsync=self.fsync) as rig:
            if not self.versions:
                self.versions = await asyncio.to_thread(versions, rig.lab)
            yield rig
