"""Workers that take keys from a queue, run a pass each, and decide when to look again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from secureai_operator import errors
from secureai_operator.runtime.backoff import Backoff
from secureai_operator.runtime.workqueue import Lane, QueueShutDown, WorkQueue, current_lane

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)


class Outcome(StrEnum):
    """How a pass ended; the label of its metric."""

    DONE = "done"
    REQUEUED = "requeued"
    RETRY = "retry"
    WAIT_FOR_USER = "wait_for_user"
    TERMINAL = "terminal"
    DEADLINE = "deadline"
    ERROR = "error"


BACKGROUND_SHARE = 3
"""One worker in so many may be at what nobody waits for; more of them would not be faster, only in everybody's way."""
URGENT_WORKERS = 4
"""More workers than are configured, for what is urgent: else a heal waits until one of a thousand creations is over."""


def places(workers: int) -> Mapping[Lane, int]:
    """How many of them may be at work that is not urgent, and at what nobody waits for."""
    return {Lane.ROUTINE: workers, Lane.BACKGROUND: max(1, workers // BACKGROUND_SHARE)}


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """Durations in seconds."""

    workers: int = 16
    pass_deadline: float = 60.0
    """A pass that takes longer is cancelled and tried again with backoff."""
    user_retry: float = 60.0
    """How often to look whether the user has changed what was missing, in the mean; a change we watch comes sooner."""
    grace: float = 1.5
    """How long passes in flight may take to end after `stop`; then they are cancelled."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    outcome: Outcome
    again_after: float | None = None


class Controller(Generic[K]):
    """Run `reconcile(key)` for each key of the queue, and again when it asks for it or failed.

    - A number returned: look again in so many seconds. None: only when something happens.
    - errors.Retry: again with backoff, not before its `after`. errors.WaitForUser: again at a slow pace.
      errors.Terminal: not again until something happens.
    - Anything else is a bug: logged once per run of failures without its text, again with backoff.
    - A key that fails never delays another: waiting costs no worker.
    - A worker that dies ends `run`, and with it the process.
    """

    def __init__(
        self,
        name: str,
        queue: WorkQueue[K],
        reconcile: Callable[[K], Awaitable[float | None]],
        *,
        settings: ControllerSettings | None = None,
        observe: Callable[[Outcome, float], None] = lambda _outcome, _seconds: None,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self._queue = queue
        self._reconcile = reconcile
        self._settings = settings or ControllerSettings()
        self._observe = observe
        self._backoff = backoff or Backoff()
        self._stop = asyncio.Event()

    @property
    def in_flight(self) -> int:
        return self._queue.in_flight

    async def run(self) -> None:
        """Work until `stop`; raises what killed a worker."""
        async with asyncio.TaskGroup() as group:
            workers = [
                group.create_task(self._work(), name=f"{self.name}-worker-{number}")
                for number in range(self._settings.workers)
            ]
            await self._stop.wait()
            self._queue.shutdown()
            _, late = await asyncio.wait(workers, timeout=self._settings.grace)
            for worker in late:
                worker.cancel()

    def stop(self) -> None:
        """Take no more keys and end when the passes in flight have ended, or after the grace."""
        self._stop.set()

    async def _work(self) -> None:
        while True:
            try:
                key = await self._queue.get()
            except QueueShutDown:
                return
            try:
                await self._run_pass(key)
            finally:
                self._queue.done(key)
            worker = asyncio.current_task()
            if worker is not None and worker.cancelling():
                # A task group of the pass that had errors of its own raised those, and not that it was cancelled.
                raise asyncio.CancelledError

    async def _run_pass(self, key: K) -> None:
        lane = self._queue.lane_of(key)
        token = current_lane.set(lane)
        started = time.perf_counter()
        try:
            verdict = await self._verdict(key)
            # Within the lane: it tells what the pass was for.
            self._observe(verdict.outcome, time.perf_counter() - started)
        finally:
            current_lane.reset(token)
        if verdict.again_after is not None:
            self._queue.add_after(
                key, verdict.again_after, lane if verdict.outcome is Outcome.RETRY else Lane.BACKGROUND
            )

    async def _verdict(self, key: K) -> _Verdict:
        """Run the pass and map how it ended."""
        try:
            async with asyncio.timeout(self._settings.pass_deadline) as deadline:
                again_after = await self._reconcile(key)
        except errors.Retry as error:
            delay = self._backoff.next(key, error.after or 0.0)
            log.info("pass retries", extra=self._context(key, reason=error.reason, delay=round(delay, 3)))
            return _Verdict(Outcome.RETRY, delay)
        except errors.WaitForUser as error:
            log.info("pass waits for the user", extra=self._context(key, reason=error.reason))
            return _Verdict(Outcome.WAIT_FOR_USER, self._settings.user_retry * self._jitter(key))
        except errors.Terminal as error:
            self._backoff.forget(key)
            log.info("pass cannot succeed", extra=self._context(key, reason=error.reason))
            return _Verdict(Outcome.TERMINAL)
        except Exception as error:  # noqa: BLE001 -- a bug in one key's pass must not stop the other keys
            return self._failed(key, error, past_deadline=deadline.expired())
        self._backoff.forget(key)
        if again_after is None:
            return _Verdict(Outcome.DONE)
        return _Verdict(Outcome.REQUEUED, again_after)

    def _failed(self, key: K, error: Exception, *, past_deadline: bool) -> _Verdict:
        first = self._backoff.failures(key) == 0
        delay = self._backoff.next(key)
        if past_deadline:
            log.warning("pass took too long", extra=self._context(key, delay=round(delay, 3)))
            return _Verdict(Outcome.DEADLINE, delay)
        # Where it broke, without the text of the error: that may quote what a remote side sent, even a secret.
        extra = self._context(key, error=type(error).__name__, where=_frames(error), delay=round(delay, 3))
        log.log(logging.ERROR if first else logging.DEBUG, "pass failed unexpectedly", extra=extra)
        return _Verdict(Outcome.ERROR, delay)

    def _jitter(self, key: K) -> float:
        """Between 0.8 and 1.2, so that keys which wait for the same person do not come back together."""
        return 0.8 + 0.4 * (hash(key) % 1000) / 1000

    def _context(self, key: K, **fields: object) -> dict[str, object]:
        return {"controller": self.name, "key": str(key), **fields}


def _frames(error: BaseException) -> list[str]:
    """Return the innermost frames of the traceback as "file:line in function"."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno} in {code.co_qualname}")
        traceback = traceback.tb_next
    return frames[-8:]
