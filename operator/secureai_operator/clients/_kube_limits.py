"""How many requests may be under way at once, and who goes first."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from types import TracebackType

YIELD_SECONDS = 0.25
"""How long after an urgent request routine ones still hold back: a heal is two or three in a row."""


class InFlight:
    """Bound the requests under way; some places are kept for urgent ones, which also go first.

    While there are urgent ones, no more routine ones are under way than there are places kept: a server with more to do at once
    than it has processors answers all of them later. Else they may have the rest, which is a tenth faster for them.
    The API server's own fairness does the rest: there is no rate limit.
    """

    def __init__(self, limit: int, reserved: int) -> None:
        if not 0 <= reserved < limit:
            raise ValueError("some places must be left for routine requests")
        self._limit = limit
        self._routine_limit = limit - reserved
        self._yielding_limit = min(self._routine_limit, max(1, reserved))
        self._yield_until = -math.inf
        self._taken = {True: 0, False: 0}
        """By whether they are urgent."""
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}

    @property
    def taken(self) -> int:
        return sum(self._taken.values())

    def place(self, *, urgent: bool) -> Place:
        """Return a place to be held with `async with`."""
        return Place(self, urgent=urgent)

    async def take(self, *, urgent: bool) -> None:
        waiting = self._waiting[urgent]
        if urgent:
            self._yield_until = asyncio.get_running_loop().time() + YIELD_SECONDS
        if not waiting and self._is_free(urgent=urgent):
            self._taken[urgent] += 1
            return
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn  # Whoever wakes us has already counted us.
        except asyncio.CancelledError:
            if turn.cancelled():
                # Gone already if a place came free before this was told: whoever gave it back passed over us.
                with contextlib.suppress(ValueError):
                    waiting.remove(turn)
            else:
                self.give_back(urgent=urgent)
            raise

    def give_back(self, *, urgent: bool) -> None:
        self._taken[urgent] -= 1
        for kind, waiting in self._waiting.items():
            while waiting and self._is_free(urgent=kind):
                turn = waiting.popleft()
                if not turn.done():
                    self._taken[kind] += 1
                    turn.set_result(None)

    def _is_free(self, *, urgent: bool) -> bool:
        if self.taken >= self._limit:
            return False
        yields = asyncio.get_running_loop().time() < self._yield_until
        return urgent or self._taken[False] < (self._yielding_limit if yields else self._routine_limit)


class Place:
    """One request's place."""

    __slots__ = ("_limits", "_urgent")

    def __init__(self, limits: InFlight, *, urgent: bool) -> None:
        self._limits = limits
        self._urgent = urgent

    async def __aenter__(self) -> None:
        await self._limits.take(urgent=self._urgent)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._limits.give_back(urgent=self._urgent)
