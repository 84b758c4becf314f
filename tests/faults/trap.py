"""Counts the requests of each workload, and holds one at its point until told what becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from tests.faults.proxy import KUBERNETES, Forward, Reply, Seen


class Side(Enum):
    """On which side of the server's work a request is held."""

    BEFORE = "before"
    """The server never hears of it, if the operator is killed meanwhile."""
    AFTER = "after"
    """The server has done and answered it; the operator does not know."""


@dataclass(frozen=True, slots=True)
class Point:
    """The request of that number (from 1) since the workload is watched, on that side; of those alike if `what` says which."""

    number: int
    side: Side
    what: str = ""


Kind = Callable[[Seen], bool]


def is_event(seen: Seen) -> bool:
    path, _, _ = seen.target.partition("?")
    return seen.server == KUBERNETES and seen.method == "POST" and path.endswith("/events")


def of_a_pass(seen: Seen) -> bool:
    """Everything but events, which are told in the background, one after the other: a held one holds up all others."""
    return not is_event(seen)


@dataclass(slots=True)
class _Gate:
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: bool = False

    async def passed(self) -> bool:
        """Whether what waits here goes on, once that is decided."""
        await self.opened.wait()
        return self.go_on


@dataclass(slots=True)
class _Watched:
    point: Point | None
    kind: Kind
    meant: Kind
    gate: _Gate
    sent: list[Seen] = field(default_factory=list)
    met: int = 0
    stands: bool = False
    reached: bool = False

    def note(self, seen: Seen) -> Point | None:
        """Count it; the point, if this is it."""
        self.sent.append(seen)
        self.met += self.meant(seen)
        is_it = self.point is not None and self.meant(seen) and self.met >= self.point.number
        return self.point if is_it else None


class Trap:
    """The rule of both proxies.

    - Of a workload that has reached its point nothing that it sends after that arrives.
    - `drop` is for an operator that was killed: what was held before its point is never sent on.
    - `let_go` is for one that lives: what was held is sent on, or answered.
    - After either of them nothing is watched until `watch` is called again.
    """

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._names: dict[str, str] = {}
        self._gate = _Gate()
        self._last = time.monotonic()

    def watch(
        self,
        workload: str,
        point: Point | None = None,
        *,
        also: Iterable[str] = (),
        kind: Kind = of_a_pass,
        meant: Kind = lambda _: True,
    ) -> None:
        """From now on count what names the workload, or one of `also`; hold it at the point, which is one of those `meant`."""
        self._watched[workload] = _Watched(point, kind, meant, self._gate)
        self._names.update(dict.fromkeys((workload, *also), workload))
        self._last = time.monotonic()

    def sent(self, workload: str) -> list[Seen]:
        """The counted requests of the workload, in the order in which they came, up to its point."""
        return list(self._watched[workload].sent)

    def has_reached(self, workload: str) -> bool:
        """Whether the workload stands at its point."""
        return self._watched[workload].reached

    def standing(self) -> list[str]:
        """The workloads that stand at their points."""
        return [name for name, watched in self._watched.items() if watched.reached]

    def quiet_for(self) -> float:
        """Seconds since a request of a watched workload came."""
        return time.monotonic() - self._last

    def drop(self) -> None:
        self._open(go_on=False)

    def let_go(self) -> None:
        self._open(go_on=True)

    def _open(self, *, go_on: bool) -> None:
        gate, self._gate = self._gate, _Gate()
        self._watched, self._names = {}, {}
        gate.go_on = go_on
        gate.opened.set()

    def concerns(self, seen: Seen) -> bool:
        return self._of(seen) is not None

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        self._last = time.monotonic()
        watched = self._of(seen)
        if watched is None or not watched.kind(seen):
            return await forward()
        if watched.stands:
            return await forward() if await watched.gate.passed() else None
        point = watched.note(seen)
        if point is None:
            return await forward()
        # At once, not when the reply is here: what is sent meanwhile would come after this point.
        watched.stands = True
        reply = None if point.side is Side.BEFORE else await forward()
        watched.reached = True
        if not await watched.gate.passed():
            return None
        return reply or await forward()

    def _of(self, seen: Seen) -> _Watched | None:
        if "watch=" in seen.target:
            return None
        body = seen.body.decode(errors="replace")
        # A copy: names are added from another thread.
        for name, workload in tuple(self._names.items()):
            if name in seen.target or name in body:
                return self._watched.get(workload)
        return None
