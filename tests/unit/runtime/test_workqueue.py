"""The clauses of the work queue's contract, one by one and in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import looptime
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from secureai_operator.runtime.delays import AT_ONCE
from secureai_operator.runtime.workqueue import ROUTINE_SHARE, Lane, QueueShutDown, WorkQueue

pytestmark = pytest.mark.looptime

KEYS = st.sampled_from("abcde")
LANES = st.sampled_from(Lane)


@pytest.fixture
def queue() -> Iterator[WorkQueue[str]]:
    made: WorkQueue[str] = WorkQueue()
    yield made
    made.shutdown()


async def drain(queue: WorkQueue[str]) -> list[str]:
    """Take and finish everything that waits now."""
    taken = []
    while queue.depth():
        taken.append(await queue.get())
        queue.done(taken[-1])
    return taken


async def test_repeated_adds_coalesce(queue: WorkQueue[str]) -> None:
    for _ in range(3):
        queue.add("a")
    assert await drain(queue) == ["a"]


async def test_an_add_while_processing_guarantees_one_more_pass(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a")
    assert queue.depth() == 0  # not before the running pass has ended
    queue.done("a")
    assert await drain(queue) == ["a"]


async def test_urgent_work_goes_first(queue: WorkQueue[str]) -> None:
    queue.add("routine")
    queue.add("urgent", Lane.URGENT)
    assert await drain(queue) == ["urgent", "routine"]


async def test_an_urgent_add_upgrades_a_queued_routine_one(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("b")
    queue.add("b", Lane.URGENT)
    queue.add("b", Lane.ROUTINE)
    assert queue.depth(Lane.URGENT) == 1
    assert await drain(queue) == ["b", "a"]


async def test_an_urgent_add_while_processing_makes_the_next_pass_urgent(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a", Lane.URGENT)
    queue.add("a", Lane.ROUTINE)
    queue.done("a")
    assert await queue.get() == "a"
    assert queue.lane_of("a") is Lane.URGENT


async def test_routine_work_is_not_starved_by_urgent_work(queue: WorkQueue[str]) -> None:
    queue.add("routine")
    for number in range(3 * ROUTINE_SHARE):
        queue.add(f"urgent-{number}", Lane.URGENT)
    assert "routine" in (await drain(queue))[:ROUTINE_SHARE]


async def test_what_nobody_waits_for_comes_last_and_is_not_starved(queue: WorkQueue[str]) -> None:
    queue.add("background", Lane.BACKGROUND)
    queue.add("routine")
    queue.add("urgent", Lane.URGENT)
    assert await drain(queue) == ["urgent", "routine", "background"]
    queue.add("background", Lane.BACKGROUND)
    for number in range(2 * ROUTINE_SHARE):
        queue.add(f"r{number}")
    assert (await drain(queue)).index("background") < ROUTINE_SHARE


async def test_only_so_many_background_passes_run_at_a_time() -> None:
    queue: WorkQueue[str] = WorkQueue({Lane.BACKGROUND: 2})
    for key in "abc":
        queue.add(key, Lane.BACKGROUND)
    taken = [await queue.get(), await queue.get()]
    third = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert not third.done()
    # The others find a place all the same.
    queue.add("routine")
    assert await asyncio.wait_for(third, 1) == "routine"
    fourth = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert not fourth.done()
    queue.done(taken[0])
    assert await asyncio.wait_for(fourth, 1) == "c"
    queue.shutdown()


async def test_urgent_work_finds_a_worker_however_much_else_there_is() -> None:
    queue: WorkQueue[str] = WorkQueue({Lane.ROUTINE: 2, Lane.BACKGROUND: 1})
    for number in range(2):
        queue.add(f"background-{number}", Lane.BACKGROUND)
    for number in range(2):
        queue.add(f"routine-{number}")
    taken = [await queue.get(), await queue.get()]
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(1)
    assert taken == ["routine-0", "routine-1"]
    assert not any(task.done() for task in waiting)
    queue.add("urgent", Lane.URGENT)
    await asyncio.sleep(1)
    assert [task.result() for task in waiting if task.done()] == ["urgent"]
    # The end of an urgent pass makes no place for others; that of a routine one does, also for what is weaker.
    queue.done("urgent")
    await asyncio.sleep(1)
    assert sum(task.done() for task in waiting) == 1
    queue.done(taken[0])
    await asyncio.sleep(1)
    assert sorted(task.result() for task in waiting) == ["background-0", "urgent"]
    queue.shutdown()


async def test_a_background_key_that_somebody_asks_for_leaves_its_lane() -> None:
    queue: WorkQueue[str] = WorkQueue({Lane.BACKGROUND: 1})
    queue.add("a", Lane.BACKGROUND)
    queue.add("b", Lane.BACKGROUND)
    assert await queue.get() == "a"
    queue.add("b")
    assert await asyncio.wait_for(queue.get(), 1) == "b"
    assert queue.lane_of("b") is Lane.ROUTINE
    queue.shutdown()


async def test_a_delayed_add_comes_when_it_is_due(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 15)
    assert await queue.get() == "a"
    assert asyncio.get_running_loop().time() == 15


async def test_the_earliest_of_several_delays_wins(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 20)
    queue.add_after("a", 5)
    queue.add_after("a", 10)
    assert queue.delayed == 1
    assert await queue.get() == "a"
    assert asyncio.get_running_loop().time() == 5
    queue.done("a")
    await asyncio.sleep(30)
    assert queue.depth() == 0


async def test_a_delay_never_hides_an_immediate_add(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 100)
    queue.add("a")
    assert await queue.get() == "a"
    assert asyncio.get_running_loop().time() == 0


async def test_an_immediate_add_does_not_cancel_a_delay(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 10)
    queue.add("a")
    assert await drain(queue) == ["a"]
    assert await queue.get() == "a"
    assert asyncio.get_running_loop().time() == 10


async def test_no_delay_is_an_immediate_add(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 0)
    queue.add_after("b", -5, Lane.URGENT)
    assert await drain(queue) == ["b", "a"]


async def test_forget_drops_the_delay_and_never_an_add(queue: WorkQueue[str]) -> None:
    queue.add_after("gone", 5)
    queue.forget("gone")
    queue.add("kept")
    queue.forget("kept")
    assert await drain(queue) == ["kept"]
    await asyncio.sleep(10)
    assert queue.depth() == 0


async def test_a_key_whose_delay_passes_while_it_runs_is_looked_at_again(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add_after("a", 5)
    await asyncio.sleep(10)
    queue.done("a")
    assert await drain(queue) == ["a"]


async def test_ten_thousand_delays_share_one_timer(queue: WorkQueue[str]) -> None:
    before = len(asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]
    for number in range(10_000):
        queue.add_after(str(number), 300 + number % 7)
    assert len(asyncio.get_running_loop()._scheduled) <= before + 1  # type: ignore[attr-defined]
    await asyncio.sleep(300)
    for _ in range(1 + 10_000 // AT_ONCE):
        await asyncio.sleep(0)
    assert queue.depth() == len(range(0, 10_000, 7))


async def test_many_that_are_due_at_once_are_handed_out_in_parts_and_none_is_late(
    queue: WorkQueue[str],
) -> None:
    for number in range(3 * AT_ONCE):
        queue.add_after(f"k{number}", 5.0)
    await asyncio.sleep(5.0)
    await asyncio.sleep(0)
    assert 0 < queue.depth() < 3 * AT_ONCE
    for _ in range(4):
        await asyncio.sleep(0)
    assert queue.depth() == 3 * AT_ONCE


async def test_rescheduling_leaves_no_heap_behind(queue: WorkQueue[str]) -> None:
    for number in range(10_000, 0, -1):
        queue.add_after("a", number)
    assert len(queue._delays._heap) < 200


async def test_a_cancelled_getter_passes_its_wakeup_on(queue: WorkQueue[str]) -> None:
    first, second = (asyncio.ensure_future(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    queue.add("a")  # wakes the first
    first.cancel()
    assert await asyncio.wait_for(second, 1) == "a"


async def test_a_cancelled_waiter_is_not_woken(queue: WorkQueue[str]) -> None:
    first, second = (asyncio.ensure_future(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    queue.add("a")
    assert await asyncio.wait_for(second, 1) == "a"


async def test_a_waiter_that_was_cancelled_and_passed_over_ends_as_cancelled(queue: WorkQueue[str]) -> None:
    first, second = (asyncio.ensure_future(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    queue.add("a")  # passes over the first, which has not run since
    assert await asyncio.wait_for(second, 1) == "a"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_shutdown_wakes_every_getter_and_hands_out_nothing(queue: WorkQueue[str]) -> None:
    getters = [asyncio.ensure_future(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.shutdown()
    queue.add("a")
    queue.add_after("a", 1)
    results = await asyncio.gather(*getters, return_exceptions=True)
    assert [type(result) for result in results] == [QueueShutDown] * 3
    with pytest.raises(QueueShutDown):
        await queue.get()


async def test_a_pass_in_flight_may_end_after_shutdown(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.shutdown()
    queue.done("a")
    assert queue.in_flight == queue.depth() == 0


async def test_the_oldest_age_is_that_of_the_first_in_its_lane(queue: WorkQueue[str]) -> None:
    assert queue.oldest_age(Lane.URGENT) == 0
    queue.add("a")
    await asyncio.sleep(3)
    queue.add("b", Lane.URGENT)
    await asyncio.sleep(2)
    assert queue.oldest_age(Lane.ROUTINE) == 5
    assert queue.oldest_age(Lane.URGENT) == 2


async def test_workers_never_process_the_same_key_concurrently(queue: WorkQueue[str]) -> None:
    running: set[str] = set()
    passes = 0

    async def work() -> None:
        nonlocal passes
        while True:
            key = await queue.get()
            assert key not in running
            running.add(key)
            await asyncio.sleep(0.01)
            running.remove(key)
            passes += 1
            queue.done(key)

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(8)]
        for number in range(500):
            queue.add(f"key-{number % 5}", Lane(number % 2))
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        for worker in workers:
            worker.cancel()
    assert passes > 100


class WorkQueueMachine(RuleBasedStateMachine):
    """Any sequence of calls against a plain model: sets of keys and a list of due times."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop(start=0)
        self.queue: WorkQueue[str] = WorkQueue()
        self.queued: dict[str, Lane] = {}
        self.running: dict[str, Lane] = {}
        self.again: dict[str, Lane] = {}
        self.due: dict[str, tuple[float, Lane]] = {}
        self.passed_over = 0

    def in_loop(self, call: Callable[[], None]) -> None:
        async def body() -> None:
            call()

        self.loop.run_until_complete(body())

    def expect(self, key: str, lane: Lane) -> None:
        target = self.again if key in self.running else self.queued
        target[key] = min(lane, target.get(key, lane))

    @rule(key=KEYS, lane=LANES)
    def add(self, key: str, lane: Lane) -> None:
        self.in_loop(lambda: self.queue.add(key, lane))
        self.expect(key, lane)

    @rule(key=KEYS, lane=LANES, halves=st.integers(1, 20))
    def add_after(self, key: str, lane: Lane, halves: int) -> None:
        self.in_loop(lambda: self.queue.add_after(key, halves / 2, lane))
        due = self.loop.time() + halves / 2
        known = self.due.get(key, (due, lane))
        self.due[key] = (min(known[0], due), min(known[1], lane))

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.in_loop(lambda: self.queue.forget(key))
        self.due.pop(key, None)

    @rule(quarters=st.integers(1, 40))
    def time_passes(self, quarters: int) -> None:
        self.loop.run_until_complete(asyncio.sleep(quarters / 4))
        # A timer and a sleep of the same moment may run in either order; one more round settles it.
        self.loop.run_until_complete(asyncio.sleep(0))
        for key, (due, lane) in sorted(self.due.items(), key=lambda item: item[1][0]):
            if due <= self.loop.time():
                del self.due[key]
                self.expect(key, lane)

    @precondition(lambda self: self.queued)
    @rule()
    def take(self) -> None:
        key = self.loop.run_until_complete(asyncio.wait_for(self.queue.get(), 1))
        assert key in self.queued
        assert key not in self.running
        lane = self.queued.pop(key)
        urgent_waits = Lane.URGENT in self.queued.values()
        routine_waits = Lane.ROUTINE in self.queued.values()
        if lane is Lane.ROUTINE:
            assert not urgent_waits or self.passed_over <= ROUTINE_SHARE
            self.passed_over = 0
        elif routine_waits:
            self.passed_over += 1
            assert self.passed_over < 2 * ROUTINE_SHARE
        self.running[key] = lane
        assert self.queue.lane_of(key) is lane

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.in_loop(lambda: self.queue.done(key))
        del self.running[key]
        if key in self.again:
            self.queued[key] = self.again.pop(key)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        assert self.queue.depth(Lane.URGENT) == list(self.queued.values()).count(Lane.URGENT)
        assert self.queue.depth(Lane.ROUTINE) == list(self.queued.values()).count(Lane.ROUTINE)
        assert self.queue.in_flight == len(self.running)
        assert self.queue.delayed == len(self.due)

    def teardown(self) -> None:
        async def finish_and_drain() -> list[str]:
            for key in self.running:
                self.queue.done(key)
            return await drain(self.queue)

        expected = set(self.queued) | set(self.again)
        assert set(self.loop.run_until_complete(finish_and_drain())) == expected
        self.in_loop(self.queue.shutdown)
        self.loop.close()


TestWorkQueueMachine = WorkQueueMachine.TestCase
TestWorkQueueMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
