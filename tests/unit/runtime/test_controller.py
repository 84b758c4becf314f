"""How passes end, when the next one comes, and how the workers stop."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from secureai_operator import errors
from secureai_operator.runtime.backoff import Backoff
from secureai_operator.runtime.controller import Controller, ControllerSettings, Outcome
from secureai_operator.runtime.workqueue import Lane, WorkQueue, current_lane

pytestmark = pytest.mark.looptime

Reconcile = Callable[[str], Awaitable[float | None]]
SENTINEL = "s3cr3t-sentinel"


class Bench:
    """A running controller with what it observed, at the loop's (faked) time."""

    def __init__(self, reconcile: Reconcile, settings: ControllerSettings) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self.outcomes: list[Outcome] = []
        self.lanes: list[Lane] = []
        self.passes: list[tuple[str, float]] = []
        self._reconcile = reconcile
        self.controller = Controller(
            "test",
            self.queue,
            self._pass,
            settings=settings,
            observe=self._observe,
            backoff=Backoff(base=1, cap=8, random=lambda: 1.0),
        )

    def _observe(self, outcome: Outcome, _seconds: float) -> None:
        self.outcomes.append(outcome)
        self.lanes.append(current_lane.get())

    async def _pass(self, key: str) -> float | None:
        self.passes.append((key, asyncio.get_running_loop().time()))
        return await self._reconcile(key)

    def times(self, key: str) -> list[float]:
        return [round(at, 3) for name, at in self.passes if name == key]


@asynccontextmanager
async def running(reconcile: Reconcile, **settings: float) -> AsyncIterator[Bench]:
    options = {"workers": 2, "pass_deadline": 10.0, "user_retry": 60.0, "grace": 1.0, **settings}
    bench = Bench(reconcile, ControllerSettings(**options))  # type: ignore[arg-type]
    task = asyncio.create_task(bench.controller.run())
    try:
        yield bench
    finally:
        bench.controller.stop()
        await task


def failing(error: Exception, times: int = 10**6) -> Reconcile:
    failures: Counter[str] = Counter()

    async def reconcile(key: str) -> None:
        failures[key] += 1
        if failures[key] <= times:
            raise error

    return reconcile


async def test_a_pass_that_returns_nothing_is_done() -> None:
    async with running(failing(errors.Retry("x", "x"), times=0)) as bench:
        bench.queue.add("a")
        await asyncio.sleep(1000)
        assert bench.outcomes == [Outcome.DONE]


async def test_a_pass_that_returns_seconds_comes_again_after_them() -> None:
    async def every_five(_: str) -> float:
        return 5.0

    async with running(every_five) as bench:
        bench.queue.add("a")
        await asyncio.sleep(16)
        assert bench.times("a") == [0, 5, 10, 15]
        assert set(bench.outcomes) == {Outcome.REQUEUED}


async def test_retry_comes_again_with_backoff_and_starts_over_after_a_success() -> None:
    results: list[errors.Retry | None] = [
        *[errors.Retry("x", "x")] * 3,
        None,
        errors.Retry("x", "x"),
        None,
    ]

    async def reconcile(_: str) -> None:
        if (error := results.pop(0)) is not None:
            raise error

    async with running(reconcile) as bench:
        bench.queue.add("a")
        await asyncio.sleep(100)
        bench.queue.add("a")
        await asyncio.sleep(100)
        assert bench.times("a") == [0, 1, 3, 7, 100, 101]
        assert bench.outcomes == [Outcome.RETRY] * 3 + [Outcome.DONE, Outcome.RETRY, Outcome.DONE]


async def test_retry_does_not_come_before_the_time_that_was_asked_for() -> None:
    async with running(failing(errors.Retry("x", "x", after=20), times=1)) as bench:
        bench.queue.add("a")
        await asyncio.sleep(100)
        assert bench.times("a")[1] == 22  # with the jitter on top


async def test_a_retried_pass_keeps_its_lane() -> None:
    lanes: list[Lane] = []

    async def reconcile(_: str) -> None:
        lanes.append(current_lane.get())
        if len(lanes) == 1:
            raise errors.KubeConflict("x", "x")

    async with running(reconcile) as bench:
        bench.queue.add("a", Lane.URGENT)
        await asyncio.sleep(10)
        bench.queue.add("a")
        await asyncio.sleep(10)
    assert lanes == [Lane.URGENT, Lane.URGENT, Lane.ROUTINE]
    assert bench.lanes == lanes, "who counts passes is told what each was for"


async def test_waiting_for_the_user_is_slow_and_does_not_grow() -> None:
    async with running(failing(errors.WaitForUser("x", "x"))) as bench:
        bench.queue.add("a")
        await asyncio.sleep(600)
        gaps = [after - before for before, after in pairwise(bench.times("a"))]
        assert len(gaps) >= 7
        assert all(48 <= gap <= 72 for gap in gaps)


async def test_a_terminal_error_waits_for_an_event() -> None:
    async with running(failing(errors.Terminal("x", "x"), times=1)) as bench:
        bench.queue.add("a")
        await asyncio.sleep(10_000)
        assert bench.outcomes == [Outcome.TERMINAL]
        bench.queue.add("a")
        await asyncio.sleep(1)
        assert bench.outcomes == [Outcome.TERMINAL, Outcome.DONE]


async def test_an_unexpected_error_is_logged_once_without_its_text_and_backs_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with running(failing(RuntimeError(SENTINEL), times=4)) as bench:
        bench.queue.add("a")
        await asyncio.sleep(100)
        assert bench.times("a") == [0, 1, 3, 7, 15]
    (record,) = [found for found in caplog.records if found.levelno >= logging.ERROR]
    assert record.error == "RuntimeError"  # type: ignore[attr-defined]
    assert any("failing.<locals>.reconcile" in frame for frame in record.where)  # type: ignore[attr-defined]
    assert SENTINEL not in "".join(str(vars(found)) for found in caplog.records)


async def test_a_pass_past_its_deadline_is_cancelled_and_tried_again() -> None:
    async def never(_: str) -> None:
        await asyncio.Event().wait()

    async with running(never) as bench:
        bench.queue.add("a")
        await asyncio.sleep(11.5)
        assert bench.times("a") == [0, 11]
        assert bench.outcomes == [Outcome.DEADLINE]


async def test_a_timeout_inside_a_pass_is_not_the_deadline() -> None:
    async with running(failing(TimeoutError(), times=1)) as bench:
        bench.queue.add("a")
        await asyncio.sleep(5)
        assert bench.outcomes == [Outcome.ERROR, Outcome.DONE]


async def test_a_failing_key_delays_no_other() -> None:
    async def reconcile(key: str) -> None:
        if key.startswith("broken"):
            raise errors.Retry("x", "x")

    async with running(reconcile) as bench:
        for number in range(50):
            bench.queue.add(f"broken-{number}")
        await asyncio.sleep(2)
        bench.queue.add("fine")
        await asyncio.sleep(0.001)
        assert bench.times("fine") == [2]


async def test_no_more_passes_run_at_once_than_there_are_workers() -> None:
    most = 0

    async def reconcile(_: str) -> None:
        nonlocal most
        most = max(most, bench.controller.in_flight)
        await asyncio.sleep(1)

    async with running(reconcile, workers=3) as bench:
        for number in range(10):
            bench.queue.add(str(number))
        await asyncio.sleep(20)
    assert most == 3
    assert len(bench.outcomes) == 10


async def test_stop_lets_the_passes_in_flight_finish_and_starts_no_more() -> None:
    finished = []

    async def reconcile(key: str) -> None:
        await asyncio.sleep(0.5)
        finished.append(key)

    async with running(reconcile) as bench:
        for key in ("a", "b", "c", "d"):
            bench.queue.add(key)
        await asyncio.sleep(0.1)
    assert sorted(finished) == ["a", "b"]
    assert asyncio.get_running_loop().time() == 0.5


async def test_stop_does_not_wait_longer_than_the_grace() -> None:
    cancelled = asyncio.Event()

    async def reconcile(_: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with running(reconcile) as bench:
        bench.queue.add("a")
        await asyncio.sleep(0.1)
    assert cancelled.is_set()
    assert asyncio.get_running_loop().time() == pytest.approx(1.1)


async def test_a_worker_that_dies_ends_the_controller() -> None:
    queue: WorkQueue[str] = WorkQueue()

    def observe(_outcome: Outcome, _seconds: float) -> None:
        raise MemoryError

    controller = Controller("test", queue, failing(errors.Retry("x", "x"), times=0), observe=observe)
    queue.add("a")
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(controller.run(), 5)
    assert caught.value.subgroup(MemoryError)


async def test_a_pass_that_fails_as_it_is_cancelled_does_not_keep_its_worker_alive() -> None:
    """A task group raises its own errors and forgets that it was cancelled; without the Lease a process would never end."""
    queue: WorkQueue[str] = WorkQueue()

    async def refuses() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise errors.Retry("Retrying", "this process does not lead any more") from None

    async def reconcile(_: str) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(refuses())

    task = asyncio.create_task(Controller("test", queue, reconcile).run())
    queue.add("a")
    await asyncio.sleep(0.1)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=60)
    assert done, "the worker lives on"
    assert task.cancelled()
