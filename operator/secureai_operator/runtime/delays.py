"""Due times of many keys on one timer of the event loop."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

K = TypeVar("K")


class _Ordered(Protocol):
    def __lt__(self, other: Self, /) -> bool: ...


P = TypeVar("P", bound=_Ordered)

AT_ONCE = 250
"""How many keys one tick hands out, about a millisecond: of ten thousand that are due at once nobody else has to wait for all."""
_SLACK = 64
"""How many outdated heap entries are tolerated before they are swept out."""


class Delays(Generic[K, P]):
    """Call `fire(key, priority)` when a key is due; a key has one due time, the earliest asked for.

    When a key is asked for twice, the lower (stronger) priority of the two counts.
    """

    def __init__(self, fire: Callable[[K, P], None]) -> None:
        self._fire = fire
        self._due: dict[K, tuple[float, int, P]] = {}
        # Entries are (due, serial, key); an entry whose serial is no longer the key's own is outdated.
        self._heap: list[tuple[float, int, K]] = []
        self._serial = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def schedule(self, key: K, seconds: float, priority: P) -> None:
        due = asyncio.get_running_loop().time() + seconds
        known = self._due.get(key)
        if known is not None:
            earliest, serial, strongest = known
            priority = min(strongest, priority)
            if earliest <= due:
                self._due[key] = (earliest, serial, priority)
                return
        self._serial += 1
        self._due[key] = (due, self._serial, priority)
        heapq.heappush(self._heap, (due, self._serial, key))
        self._sweep()
        self._arm()

    def cancel(self, key: K) -> None:
        if self._due.pop(key, None) is not None:
            self._sweep()

    def clear(self) -> None:
        self._due.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_current(self, entry: tuple[float, int, K]) -> bool:
        known = self._due.get(entry[2])
        return known is not None and known[1] == entry[1]

    def _sweep(self) -> None:
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._heap = [entry for entry in self._heap if self._is_current(entry)]
            heapq.heapify(self._heap)

    def _arm(self) -> None:
        """Have one timer, set to the earliest due time."""
        while self._heap and not self._is_current(self._heap[0]):
            heapq.heappop(self._heap)
        if not self._heap:
            return
        due = self._heap[0][0]
        if self._timer is not None:
            if self._timer.when() <= due:
                return  # It fires early, finds nothing due and is set anew: cheaper than a new timer for each add.
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._fire_due)

    def _fire_due(self) -> None:
        self._timer = None
        now, left = asyncio.get_running_loop().time(), AT_ONCE
        while left and self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            if self._is_current(entry):
                left -= 1
                _, _, priority = self._due.pop(entry[2])
                self._fire(entry[2], priority)
        # What is left of them is due already: its timer fires in the next round of the loop.
        self._arm()
