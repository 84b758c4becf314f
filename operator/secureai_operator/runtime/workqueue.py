"""The queue of keys to look at: deduplicated, one pass per key at a time, urgent work first."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Mapping
from contextvars import ContextVar
from enum import IntEnum
from types import MappingProxyType
from typing import Generic, TypeVar

from secureai_operator.runtime.delays import Delays

K = TypeVar("K")

ROUTINE_SHARE = 8
"""Every so many gets take work of the next lane although a stronger one waits, so that nothing starves."""


class Lane(IntEnum):
    """Which work goes first; the lower value wins."""

    URGENT = 0
    """Drift, and what cannot wait for a thousand others."""
    ROUTINE = 1
    """What somebody asked for and waits for."""
    BACKGROUND = 2
    """What is due, and what a start lists: nobody waits for a single one of them."""


current_lane: ContextVar[Lane] = ContextVar("current_lane", default=Lane.ROUTINE)
"""The lane of the pass that runs in this context; clients may let urgent requests go first."""


NO_LIMITS: Mapping[Lane, int] = MappingProxyType({})


class QueueShutDown(Exception):
    """The queue was shut down: there is nothing more to get."""


class WorkQueue(Generic[K]):
    """Serialize each key while different keys run concurrently.

    - Adds of a queued key coalesce; the most urgent lane wins.
    - An add while the key is being processed guarantees one more pass after `done`.
    - Urgent keys go before routine ones and these before what is in the background, each lane in order of arrival; under
      lasting load of one lane every eighth pass is still one of the next lane that has any, and every sixty-fourth
      one of the last.
    - A delayed add holds one due time per key, the earliest, and never hides or delays an immediate add.
      All keys together use one timer of the loop.
    - `forget` drops the due time only: what was added at once is always looked at.
    - At most `at_once[lane]` passes of that lane and of weaker ones run at a time: stronger ones find a worker free, and the servers.
    - After `shutdown` nothing is handed out or taken in any more, even if keys are queued: whoever comes next lists
      everything anyway.
    """

    def __init__(self, at_once: Mapping[Lane, int] = NO_LIMITS) -> None:
        self._at_once = at_once
        self._lanes: tuple[OrderedDict[K, float], ...] = tuple(OrderedDict() for _ in Lane)
        self._running: dict[K, Lane] = {}
        self._again: dict[K, Lane] = {}
        self._delays: Delays[K, Lane] = Delays(self.add)
        self._getters: deque[asyncio.Future[None]] = deque()
        self._gets = 0
        self._shut_down = False

    def add(self, key: K, lane: Lane = Lane.ROUTINE) -> None:
        """Have the key looked at as soon as its lane allows."""
        if self._shut_down:
            return
        if key in self._running:
            self._again[key] = min(lane, self._again.get(key, lane))
        else:
            self._enqueue(key, lane)

    def add_after(self, key: K, seconds: float, lane: Lane = Lane.ROUTINE) -> None:
        """Have the key looked at in so many seconds, or earlier if that was already asked for."""
        if self._shut_down:
            return
        if seconds <= 0:
            self.add(key, lane)
        else:
            self._delays.schedule(key, seconds, lane)

    def forget(self, key: K) -> None:
        """Drop the due time of the key; a queued or running pass and its successor stay."""
        self._delays.cancel(key)

    async def get(self) -> K:
        """Wait for a key and start its pass, which ends with `done`; raises QueueShutDown."""
        while not self._shut_down and not self._open_lanes():
            await self._wait_for_an_add()
        if self._shut_down:
            raise QueueShutDown
        lane = self._next_lane()
        key, _ = self._lanes[lane].popitem(last=False)
        self._running[key] = lane
        return key

    def done(self, key: K) -> None:
        """End the pass of the key; starts the one more pass that was asked for meanwhile."""
        lane = self._running.pop(key)
        again = self._again.pop(key, None)
        if again is not None and not self._shut_down:
            self._enqueue(key, again)
        freed = min((limited for limited in self._at_once if limited <= lane), default=None)
        if freed is not None and any(self._lanes[waiting] for waiting in Lane if waiting >= freed):
            # Whoever asked while all of their places were taken waits for one of them.
            self._wake_one_getter()

    def lane_of(self, key: K) -> Lane:
        """Return the lane that the running pass of the key came from."""
        return self._running[key]

    def shutdown(self) -> None:
        """Stop handing out keys; passes in flight may still end with `done`."""
        self._shut_down = True
        self._delays.clear()
        while self._getters:
            self._wake_one_getter()

    def depth(self, lane: Lane | None = None) -> int:
        """Return how many keys wait, in one lane or in all."""
        return sum(map(len, self._lanes)) if lane is None else len(self._lanes[lane])

    def oldest_age(self, lane: Lane) -> float:
        """Return for how many seconds the first key of the lane has been waiting; 0 if none waits."""
        waiting = self._lanes[lane]
        return asyncio.get_running_loop().time() - next(iter(waiting.values())) if waiting else 0.0

    @property
    def in_flight(self) -> int:
        return len(self._running)

    @property
    def delayed(self) -> int:
        return len(self._delays)

    def _enqueue(self, key: K, lane: Lane) -> None:
        if any(key in self._lanes[stronger] for stronger in Lane if stronger <= lane):
            return
        for weaker in self._lanes[lane + 1 :]:
            weaker.pop(key, None)
        self._lanes[lane][key] = asyncio.get_running_loop().time()
        self._wake_one_getter()

    def _next_lane(self) -> Lane:
        self._gets += 1
        waiting = self._open_lanes()
        if self._gets % (ROUTINE_SHARE * ROUTINE_SHARE) == 0:
            return waiting[-1]
        return waiting[min(1, len(waiting) - 1)] if self._gets % ROUTINE_SHARE == 0 else waiting[0]

    def _open_lanes(self) -> list[Lane]:
        """The lanes that a pass can come from now, the strongest first."""
        full = [
            limited
            for limited, places in self._at_once.items()
            if sum(1 for lane in self._running.values() if lane >= limited) >= places
        ]
        return [lane for lane in Lane if self._lanes[lane] and not any(lane >= limited for limited in full)]

    async def _wait_for_an_add(self) -> None:
        getter = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        try:
            await getter
        except asyncio.CancelledError:
            if getter.cancelled():
                # It may have been passed over already by somebody who wanted to wake one.
                with contextlib.suppress(ValueError):
                    self._getters.remove(getter)
            else:
                self._wake_one_getter()  # It was woken for a key that it will not take: the next one must.
            raise

    def _wake_one_getter(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return
