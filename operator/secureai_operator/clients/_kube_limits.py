"""How many requests may be under way at once, and who goes first."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class InFlight:
    """Bound the requests under way; some places are kept for urgent ones, which also go first.

    The API server's own fairness does the rest: there is no rate limit.
    """

    def __init__(self, limit: int, reserved: int) -> None:
        if not 0 <= reserved < limit:
            raise ValueError("some places must be left for routine requests")
        self._limit = limit
        self._routine_limit = limit - reserved
        self._taken = 0
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._routine: deque[asyncio.Future[None]] = deque()

    @property
    def taken(self) -> int:
        return self._taken

    def place(self, *, urgent: bool) -> Place:
        """Return a place to be held with `async with`."""
        return Place(self, urgent=urgent)

    async def take(self, *, urgent: bool) -> None:
        waiting = self._urgent if urgent else self._routine
        if not waiting and self._taken < self._bound(urgent=urgent):
            self._taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn  # Whoever wakes us has already counted us.
        except asyncio.CancelledError:
            if turn.cancelled():
                waiting.remove(turn)
            else:
                self.give_back()
            raise

    def give_back(self) -> None:
        self._taken -= 1
        for waiting, bound in ((self._urgent, self._limit), (self._routine, self._routine_limit)):
            while waiting and self._taken < bound:
                turn = waiting.popleft()
                if not turn.done():
                    self._taken += 1
                    turn.set_result(None)

    def _bound(self, *, urgent: bool) -> int:
        return self._limit if urgent else self._routine_limit


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
        self._limits.give_back()
