"""The bound of requests under way, and who goes first at it."""

from __future__ import annotations

import asyncio

import pytest

from secureai_operator.clients._kube_limits import InFlight

pytestmark = pytest.mark.looptime


class Requests:
    """Requests that take a second each, with their order and how many ran at once."""

    def __init__(self, limits: InFlight) -> None:
        self.limits = limits
        self.started: list[str] = []
        self.most = 0

    async def send(self, name: str, *, urgent: bool) -> None:
        async with self.limits.place(urgent=urgent):
            self.started.append(name)
            self.most = max(self.most, self.limits.taken)
            await asyncio.sleep(1)


async def test_no_more_run_at_once_than_the_limit() -> None:
    requests = Requests(InFlight(4, 1))
    await asyncio.gather(*(requests.send(str(n), urgent=n % 2 == 0) for n in range(40)))
    assert requests.most == 4
    assert len(requests.started) == 40
    assert requests.limits.taken == 0


async def test_routine_requests_leave_places_for_urgent_ones() -> None:
    requests = Requests(InFlight(4, 2))
    routine = [asyncio.create_task(requests.send(f"r{n}", urgent=False)) for n in range(10)]
    await asyncio.sleep(0.5)
    assert requests.limits.taken == 2
    urgent = asyncio.create_task(requests.send("u", urgent=True))
    await asyncio.sleep(0.01)
    assert requests.started[-1] == "u"
    await asyncio.gather(*routine, urgent)


async def test_urgent_requests_overtake_waiting_routine_ones() -> None:
    requests = Requests(InFlight(2, 1))
    tasks = [asyncio.create_task(requests.send(f"u{n}", urgent=True)) for n in range(2)]
    await asyncio.sleep(0.1)
    tasks += [asyncio.create_task(requests.send("routine", urgent=False))]
    tasks += [asyncio.create_task(requests.send("late-urgent", urgent=True))]
    await asyncio.gather(*tasks)
    assert requests.started.index("late-urgent") < requests.started.index("routine")


async def test_a_cancelled_waiter_takes_no_place() -> None:
    requests = Requests(InFlight(1, 0))
    first = asyncio.create_task(requests.send("first", urgent=False))
    await asyncio.sleep(0.1)
    waiting = asyncio.create_task(requests.send("never", urgent=False))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.wait([first, waiting])
    await asyncio.wait_for(requests.send("next", urgent=False), 2)
    assert requests.started == ["first", "next"]


async def test_a_waiter_cancelled_as_its_turn_comes_gives_it_to_the_next() -> None:
    requests = Requests(InFlight(1, 0))
    await requests.limits.take(urgent=False)
    doomed, heir = (asyncio.create_task(requests.send(name, urgent=False)) for name in ("doomed", "heir"))
    await asyncio.sleep(0.1)
    requests.limits.give_back(urgent=False)  # counts the doomed one in
    doomed.cancel()
    await asyncio.wait([doomed, heir], timeout=5)
    assert requests.started == ["heir"]
    assert requests.limits.taken == 0


async def test_routine_requests_hold_back_while_there_are_urgent_ones_and_not_longer() -> None:
    requests = Requests(InFlight(10, 2))
    routine = [asyncio.create_task(requests.send(f"r{n}", urgent=False)) for n in range(30)]
    await asyncio.sleep(0.5)
    assert requests.limits.taken == 8
    urgent = asyncio.create_task(requests.send("u0", urgent=True))
    await asyncio.sleep(0.4)
    second = asyncio.create_task(requests.send("u1", urgent=True))
    await asyncio.sleep(0.2)
    # The eight are over: two came after them, beside the two that are urgent.
    assert (len(requests.started), requests.limits.taken) == (12, 4)
    await asyncio.gather(urgent, second)
    await asyncio.sleep(1)
    assert requests.limits.taken == 8
    await asyncio.gather(*routine)


async def test_routine_requests_get_on_however_many_are_urgent() -> None:
    requests = Requests(InFlight(10, 2))
    urgent = [asyncio.create_task(requests.send(f"u{n}", urgent=True)) for n in range(6)]
    await asyncio.gather(requests.send("r0", urgent=False), requests.send("r1", urgent=False))
    assert all(task.done() for task in urgent)
    assert requests.most == 8


async def test_a_waiter_that_was_passed_over_as_it_was_cancelled_is_cancelled() -> None:
    limits = InFlight(2, 1)
    await limits.take(urgent=False)
    waiting = asyncio.create_task(limits.take(urgent=False))
    await asyncio.sleep(0)
    waiting.cancel()
    limits.give_back(urgent=False)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert limits.taken == 0


def test_a_limit_that_leaves_nothing_for_routine_requests_is_refused() -> None:
    with pytest.raises(ValueError, match="routine"):
        InFlight(4, 4)
