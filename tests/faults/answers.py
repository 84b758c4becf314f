"""Bad answers at one request of a workload: refused, broken, throttled, late or none, before or after the server acted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tests.faults.proxy import KUBERNETES, Forward, Reply, Rule, Seen
from tests.faults.trap import Point, Side, of_a_pass

LATE_SECONDS = 3.0


class Bad(Enum):
    """What the operator gets instead of the answer."""

    CONFLICT = 409
    THROTTLED = 429
    BROKEN = 500
    AWAY = 503
    LATE = 0
    """The right one, after a while."""
    CUT = -1
    """None: its connection is closed."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What is answered badly, at which request of a workload."""

    point: Point
    bad: Bad


class Answers:
    """The rule that answers badly where it is told to, once for each workload; all else is left to the rule `inner`."""

    def __init__(self, inner: Rule) -> None:
        self._inner = inner
        self._hits: dict[str, Hit] = {}
        self._met: dict[str, int] = {}
        self.struck: dict[str, Seen] = {}
        """The request of each workload that was answered badly."""

    def plan(self, hits: Mapping[str, Hit]) -> None:
        """From now on count the requests of these workloads."""
        self._hits, self._met, self.struck = dict(hits), dict.fromkeys(hits, 0), {}

    def concerns(self, seen: Seen) -> bool:
        return self._of(seen) != "" or self._inner.concerns(seen)

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        async def onward() -> Reply | None:
            return await self._inner.answer(seen, forward) if self._inner.concerns(seen) else await forward()

        name = self._of(seen)
        if not name:
            return await onward()
        self._met[name] += 1
        hit = self._hits[name]
        if self._met[name] != hit.point.number:
            return await onward()
        self.struck[name] = seen
        if hit.bad is Bad.LATE and hit.point.side is Side.BEFORE:
            await asyncio.sleep(LATE_SECONDS)
        reply = await onward() if hit.point.side is Side.AFTER or hit.bad is Bad.LATE else None
        if hit.bad is Bad.LATE:
            if hit.point.side is Side.AFTER:
                await asyncio.sleep(LATE_SECONDS)
            return reply
        return None if hit.bad is Bad.CUT else Reply.of(hit.bad.value, _body(seen, hit.bad))

    def _of(self, seen: Seen) -> str:
        if seen.is_watch or not of_a_pass(seen):
            return ""
        body = seen.body.decode(errors="replace")
        return next((name for name in self._hits if name in seen.target or name in body), "")


def _body(seen: Seen, bad: Bad) -> bytes:
    """As each of the two servers says it."""
    if seen.server != KUBERNETES:
        return json.dumps({"errors": ["a fault"]}).encode()
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "a fault"}
    return json.dumps({**status, "code": bad.value, "reason": bad.name.capitalize()}).encode()
