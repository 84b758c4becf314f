"""Faults of what the operator sees: its watches frozen, replayed, reordered, thinned out or ended, and lists that are old.

What is done to frames is planned for each workload, so that one operator lives through many plans at once; what is done to a
whole stream happens to all workloads that it tells of.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from tests.faults.proxy import HTTP_OK, Forward, Reply, Rule, Seen, Send

CRS = SECURE_AI_WORKLOADS.plural
"""Watched by Kopf; everything else by informers of the operator's own."""
CHILDREN = ("serviceaccounts", "roles", "rolebindings", "networkpolicies", "secrets")
WATCHED = (CRS, *CHILDREN)
DELAY_SECONDS = 1.0

Json = dict[str, Any]


class Fault(Enum):
    """What becomes of the frames about one workload."""

    NONE = "none"
    FREEZE = "freeze"
    """Held, and sent in their order when it ends."""
    REORDER = "reorder"
    """Held, and sent in any order when it ends."""
    DELAY = "delay"
    """Each is late by a time of its own: later ones overtake it."""
    DROP = "drop"
    """Half of them never come; when it ends the stream expires, so that a list shows what was missed."""
    REPEAT = "repeat"
    """Each is followed by an earlier one."""
    REPLAY = "replay"
    """Passed; when it ends all of them come once more, in their order."""
    REWIND = "rewind"
    """Passed; when it ends all of them come once more, in any order."""


HOLDING = frozenset({Fault.FREEZE, Fault.REORDER})
AGAIN = frozenset({Fault.REPLAY, Fault.REWIND})


class Strike(Enum):
    """What happens to a whole stream, at once."""

    END = "end"
    """In order, as after the time that the client asked for."""
    TEAR = "tear"
    """In the middle of an event."""
    EXPIRE = "expire"
    """An ERROR event says 410."""
    REFUSE = "refuse"
    """The stream is cut, and the next request for it is answered with status 410."""
    OLD_LIST = "old list"
    """It expires, and the list that is asked for then is the one that was recorded."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The fault of one workload's frames in some streams."""

    fault: Fault = Fault.NONE
    plurals: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Frame:
    """One event, and of which workload."""

    raw: bytes = field(repr=False)
    kind: str
    workload: str


@dataclass(eq=False, slots=True)
class _Stream:
    plural: str
    send: Send
    ended: asyncio.Future[bool]

    def end(self, *, in_order: bool) -> None:
        if not self.ended.done():
            self.ended.set_result(in_order)


class Views:
    """The rule of the API server's proxy, and what decides about its watches. Requests of others go by the rule `inner`.

    Everything but `plan` and reading is to be called in the proxies' thread.
    """

    def __init__(self, inner: Rule, seed: int) -> None:
        self._inner = inner
        self._random = random.Random(seed)  # noqa: S311 - which frames are hit is no secret
        self._plans: dict[str, Plan] = {}
        self._streams: set[_Stream] = set()
        self._held: dict[tuple[str, str], list[Frame]] = {}
        self._passed: dict[tuple[str, str], list[Frame]] = {}
        self._refused: set[str] = set()
        self._lists: dict[str, Reply] = {}
        self._old: set[str] = set()
        self._late: set[asyncio.TimerHandle] = set()
        self.hits: dict[Fault | Strike, int] = dict.fromkeys((*Fault, *Strike), 0)
        """How many frames and streams were really struck."""

    def plan(self, plans: Mapping[str, Plan]) -> None:
        """From now on these workloads have these faults, and what passed before is forgotten."""
        self._passed, self._held, self._plans = {}, {}, dict(plans)

    def release(self) -> None:
        """All plans end: what was held comes, what passed comes again, what was lost is listed."""
        plans, self._plans = self._plans, {}
        # In the order of the faults, each workload's streams side by side: so it is for a watch that thaws.
        for (plural, workload), frames in list(self._held.items()):
            self._send_all(plural, frames, shuffled=plans[workload].fault is Fault.REORDER)
        for (plural, workload), frames in list(self._passed.items()):
            plan = plans.get(workload, Plan())
            if plan.fault in AGAIN and plural in plan.plurals:
                self.hits[plan.fault] += len(frames)
                self._send_all(plural, frames, shuffled=plan.fault is Fault.REWIND)
        self._held, self._passed = {}, {}
        lossy = {plural for plan in plans.values() if plan.fault is Fault.DROP for plural in plan.plurals}
        for plural in sorted(lossy):
            self.strike(plural, Strike.EXPIRE)

    def strike(self, plural: str, strike: Strike) -> None:
        """Do it to the streams of that kind that are open now."""
        for stream in [stream for stream in self._streams if stream.plural == plural]:
            self.hits[strike] += 1
            if strike is Strike.TEAR:
                stream.send(b'{"type":"MODIFIED","object":{"metadata":{"name":"ha')
            if strike in {Strike.EXPIRE, Strike.OLD_LIST}:
                stream.send(json.dumps({"type": "ERROR", "object": _expired()}).encode() + b"\n")
            stream.end(in_order=strike in {Strike.END, Strike.EXPIRE, Strike.OLD_LIST})
        if strike is Strike.REFUSE:
            self._refused.add(plural)
        if strike is Strike.OLD_LIST:
            self._old.add(plural)

    def is_watched(self, plural: str) -> bool:
        """Whether a stream of that kind is open."""
        return any(stream.plural == plural for stream in tuple(self._streams))

    def record(self) -> None:
        """Keep the lists that are asked for from now on, to serve them when they are old."""
        self._lists.clear()

    @property
    def recorded(self) -> set[str]:
        """The kinds whose lists are kept."""
        return {urlsplit(target).path.rpartition("/")[2] for target in tuple(self._lists)}

    # Lists

    def concerns(self, seen: Seen) -> bool:
        return _listed(seen) != "" or self._inner.concerns(seen)

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        plural = _listed(seen)
        if not plural:
            return await self._inner.answer(seen, forward)
        old = self._lists.get(seen.target)
        if plural in self._old and old is not None:
            self._old.discard(plural)
            return old
        reply = await forward()
        if reply.status == HTTP_OK:
            self._lists.setdefault(seen.target, reply)
        return reply

    # Watches

    def refusal(self, seen: Seen) -> Reply | None:
        plural = _plural(seen)
        if plural not in self._refused:
            return None
        self._refused.discard(plural)
        return Reply.of(410, json.dumps(_expired()).encode())

    async def relay(self, seen: Seen, frames: AsyncIterator[bytes], send: Send) -> bool:
        stream = _Stream(_plural(seen), send, asyncio.get_running_loop().create_future())
        self._streams.add(stream)
        pump = asyncio.ensure_future(self._pump(stream, frames))
        try:
            return await stream.ended
        finally:
            pump.cancel()
            self._streams.discard(stream)

    async def _pump(self, stream: _Stream, frames: AsyncIterator[bytes]) -> None:
        try:
            await self._pass_on(stream, frames)
            stream.end(in_order=True)
        except (OSError, asyncio.IncompleteReadError):
            stream.end(in_order=False)

    async def _pass_on(self, stream: _Stream, frames: AsyncIterator[bytes]) -> None:
        async for raw in frames:
            frame = _frame(raw)
            plan = self._plans.get(frame.workload, Plan())
            place = stream.plural, frame.workload
            if frame.kind in {"BOOKMARK", "ERROR"} or stream.plural not in plan.plurals:
                stream.send(raw)
                continue
            if plan.fault not in AGAIN:
                self.hits[plan.fault] += 1
            if plan.fault in HOLDING:
                self._held.setdefault(place, []).append(frame)
            elif plan.fault is Fault.DROP and self._random.random() < 0.5:
                continue
            elif plan.fault is Fault.DELAY:
                self._send_late(stream.plural, frame)
            else:
                stream.send(raw)
                passed = self._passed.setdefault(place, [])
                if plan.fault is Fault.REPEAT and passed:
                    stream.send(self._random.choice(passed).raw)
                passed.append(frame)

    def _send_late(self, plural: str, frame: Frame) -> None:
        def send() -> None:
            self._late.discard(timer)
            self._send_all(plural, [frame], shuffled=False)

        seconds = self._random.uniform(0.0, DELAY_SECONDS)
        timer = asyncio.get_running_loop().call_later(seconds, send)
        self._late.add(timer)

    def _send_all(self, plural: str, frames: list[Frame], *, shuffled: bool) -> None:
        chosen = self._random.sample(frames, len(frames)) if shuffled else frames
        for stream in self._streams:
            if stream.plural == plural:
                for frame in chosen:
                    stream.send(frame.raw)


def _plural(seen: Seen) -> str:
    return urlsplit(seen.target).path.rpartition("/")[2]


def _listed(seen: Seen) -> str:
    """The kind that a list is asked for, if it is one that may be old; or ""."""
    plural = _plural(seen)
    return plural if seen.method == "GET" and not seen.is_watch and plural in WATCHED else ""


def _frame(raw: bytes) -> Frame:
    event = json.loads(raw)
    metadata = event["object"].get("metadata", {})
    if event["object"].get("kind") == SECURE_AI_WORKLOADS.kind:
        workload = metadata.get("name", "")
    else:
        workload = (metadata.get("labels") or {}).get(names.WORKLOAD_LABEL, "")
    return Frame(raw, event["type"], workload)


def _expired() -> Json:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
