"""A deadline that moves on with every sign of life."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

_COARSE = 1.0
"""The deadline moves at most once in so many seconds: a busy stream must not pay for a timer per event."""


class Watchdog:
    """Raise TimeoutError in the body once nobody fed it for so many seconds (at most one less)."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self.fed_at = self._loop.time()
        self._moved_at = self.fed_at

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._timeout.reschedule(self.fed_at + self._seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._timeout.__aexit__(kind, error, traceback)

    def feed(self) -> None:
        """Note a sign of life."""
        self.fed_at = self._loop.time()
        if self.fed_at - self._moved_at >= min(_COARSE, self._seconds / 10):
            self._moved_at = self.fed_at
            self._timeout.reschedule(self.fed_at + self._seconds)
