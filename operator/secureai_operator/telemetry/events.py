"""Kubernetes events: what happened to a workload, for `kubectl describe`. Telling never delays or breaks a pass."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from secureai_operator import errors, names
from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.reasons import Reason, Severity
from secureai_operator.telemetry.event_aggregation import (
    Aggregation,
    AggregationSettings,
    Occurrence,
    Regarding,
)
from secureai_operator.telemetry.redaction import redacted

log = logging.getLogger(__name__)

CreateEvent = Callable[[str, dict[str, Any]], Awaitable[object]]
"""Create a core/v1 Event (namespace, manifest); raises errors.OperatorError."""

MESSAGE_MAX = 1024
"""The API server's limit for an event's message. Source: Kubernetes, core/v1 Event validation."""

_NORMAL = frozenset({Severity.GOOD, Severity.PROGRESS})


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Durations in seconds, rates per second."""

    queue: int = 1000
    reserved_for_security: int = 100
    per_second: float = 20.0
    burst: int = 50
    attempts: int = 3
    request_deadline: float = 5.0
    aggregation: AggregationSettings = field(default_factory=AggregationSettings)


class EventRecorder:
    """Write events in the background, each at most once; under load drop some, and count what was dropped.

    - `record` never waits and never raises.
    - Security events have room in the queue that nothing else may take.
    - `on_result` hears created, suppressed (a flood of one object), dropped (the queue was full) or failed.
    - After `close` nothing is taken in any more.
    """

    def __init__(
        self,
        create_event: CreateEvent,
        *,
        instance: str,
        settings: EventSettings | None = None,
        on_result: Callable[[str], None] = lambda _result: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._create = create_event
        self._instance = instance
        self._settings = settings or EventSettings()
        self._on_result = on_result
        self._now = now
        self._rng = rng
        self._aggregation = Aggregation(self._settings.aggregation)
        self._queue: asyncio.Queue[Occurrence] = asyncio.Queue(self._settings.queue)
        self._woken = asyncio.Event()
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._tokens = float(self._settings.burst)
        self._filled_at = 0.0

    def record(self, regarding: Regarding, reason: Reason, message: str) -> None:
        """Tell that `reason` is true of the object; `message` is for people and holds no secret."""
        if self._closing:
            self._on_result("dropped")
            return
        moment = self._now()
        text = redacted(message)[:MESSAGE_MAX]
        suppressed = self._aggregation.suppressed
        told = self._aggregation.offer(Occurrence(regarding, reason, text, moment, moment), self._time())
        if told is not None:
            self._enqueue(told)
        elif self._aggregation.suppressed > suppressed:
            self._on_result("suppressed")
        # Also for a repeat: the end of its window is a new time to wake up at.
        self._woken.set()

    async def run(self) -> None:
        """Write what is recorded until `close`, or until cancelled."""
        while not (self._closing and self._queue.empty()):
            for occurrence in self._aggregation.due(self._time()):
                self._enqueue(occurrence)
            if self._queue.empty():
                self._idle.set()
                await self._sleep_until_needed()
                continue
            await self._take_turn()
            await self._write(self._queue.get_nowait())
        self._idle.set()

    async def close(self, deadline: float = 0.5) -> None:
        """Take nothing in any more, write what there is within the deadline, and end `run`."""
        if not self._closing:
            self._closing = True
            for occurrence in self._aggregation.flush():
                self._enqueue(occurrence)
        self._woken.set()
        try:
            async with asyncio.timeout(deadline):
                await self._idle.wait()
        except TimeoutError:
            while not self._queue.empty():
                self._queue.get_nowait()
                self._on_result("dropped")

    def _enqueue(self, occurrence: Occurrence) -> None:
        room = self._settings.queue - self._queue.qsize()
        if occurrence.reason.severity is not Severity.SECURITY:
            room -= self._settings.reserved_for_security
        if room <= 0:
            self._on_result("dropped")
            return
        self._queue.put_nowait(occurrence)
        self._idle.clear()

    async def _sleep_until_needed(self) -> None:
        if self._closing:
            return
        self._woken.clear()
        due = self._aggregation.next_due()
        try:
            async with asyncio.timeout_at(due):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _take_turn(self) -> None:
        """Wait for the token bucket; at the end of the process nobody waits for a rate."""
        while not self._closing:
            now, rate = self._time(), self._settings.per_second
            self._tokens = min(float(self._settings.burst), self._tokens + (now - self._filled_at) * rate)
            self._filled_at = now
            if self._tokens >= 1.0:
                self._tokens -= 1.0
                return
            await asyncio.sleep((1.0 - self._tokens) / rate)

    async def _write(self, occurrence: Occurrence) -> None:
        manifest = event_manifest(occurrence, self._instance)
        for attempt in range(1, self._settings.attempts + 1):
            try:
                async with asyncio.timeout(self._settings.request_deadline):
                    await self._create(occurrence.regarding.namespace, manifest)
            except (errors.KubeConflict, errors.KubeInvalid, errors.WaitForUser) as error:
                # A conflict means that an earlier attempt did arrive; the others never will.
                self._give_up(occurrence, error.reason, written=isinstance(error, errors.KubeConflict))
                return
            except (errors.OperatorError, TimeoutError) as error:
                if attempt == self._settings.attempts or self._closing:
                    self._give_up(occurrence, getattr(error, "reason", "Timeout"), written=False)
                    return
                await asyncio.sleep(min(2.0, 0.1 * 2**attempt) * (0.5 + self._rng()))
            else:
                self._on_result("created")
                return

    def _give_up(self, occurrence: Occurrence, reason: str, *, written: bool) -> None:
        self._on_result("created" if written else "failed")
        if not written:
            extra = {
                "namespace": occurrence.regarding.namespace,
                "workload": occurrence.regarding.name,
                "told": occurrence.reason.name,
                "reason": reason,
            }
            log.warning("event could not be written", extra=extra)

    def _time(self) -> float:
        return asyncio.get_running_loop().time()


def event_manifest(occurrence: Occurrence, instance: str) -> dict[str, Any]:
    """Return the core/v1 Event; its name depends on the occurrence alone, so a repeated write cannot double it."""
    regarding = occurrence.regarding
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": _event_name(occurrence), "namespace": regarding.namespace},
        "involvedObject": {
            "apiVersion": regarding.api_version,
            "kind": regarding.kind,
            "namespace": regarding.namespace,
            "name": regarding.name,
            "uid": regarding.uid,
        },
        "reason": occurrence.reason.name,
        "message": occurrence.message,
        "type": "Normal" if occurrence.reason.severity in _NORMAL else "Warning",
        "count": occurrence.count,
        "firstTimestamp": rfc3339(occurrence.first),
        "lastTimestamp": rfc3339(occurrence.last),
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": names.FIELD_MANAGER,
        "reportingInstance": instance,
    }


def _event_name(occurrence: Occurrence) -> str:
    parts = (
        occurrence.regarding.uid,
        occurrence.reason.name,
        occurrence.message,
        occurrence.first.isoformat(),
    )
    digest = hashlib.sha256("\x00".join(parts).encode()).hexdigest()
    return f"{occurrence.regarding.name}.{digest[:16]}"
