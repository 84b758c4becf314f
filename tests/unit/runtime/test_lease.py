"""Leadership: one leader at any time, whatever the clocks say, and a quick handover."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from secureai_operator import errors
from secureai_operator.runtime.identity import Identity, own_identity
from secureai_operator.runtime.lease import Elector, LeaseSettings

pytestmark = pytest.mark.looptime

Json = dict[str, Any]


class CompareAndSwap:
    """One cell with the semantics of an object in etcd; the real one is used in tests/integration/test_lease.py."""

    def __init__(self) -> None:
        self.cell: Json | None = None
        self.version = 0
        self.writes = 0
        self.written_at = 0.0
        self.trouble: Callable[[], Exception | None] = lambda: None

    async def _trip(self) -> None:
        await asyncio.sleep(0.005)
        if (error := self.trouble()) is not None:
            raise error

    async def read(self) -> Json | None:
        await self._trip()
        return copy.deepcopy(self.cell)

    async def create(self, spec: Json) -> Json:
        await self._trip()
        if self.cell is not None:
            raise errors.KubeConflict("x", "exists")
        return self._write(spec)

    async def replace(self, lease: Json) -> Json:
        await self._trip()
        if self.cell is None or lease["metadata"]["resourceVersion"] != str(self.version):
            raise errors.KubeConflict("x", "changed")
        return self._write(lease["spec"])

    def _write(self, spec: Json) -> Json:
        self.version += 1
        self.writes += 1
        self.written_at = asyncio.get_running_loop().time()
        self.cell = {"metadata": {"resourceVersion": str(self.version)}, "spec": copy.deepcopy(spec)}
        return copy.deepcopy(self.cell)

    @property
    def holder(self) -> str:
        return self.cell["spec"]["holderIdentity"] if self.cell else ""


POD = "1f2e3d4c-1111-4222-8333-a1b2c3d4e5f6"


class LoopClock:
    """The loop's faked time; its wall clock may be wrong by any skew."""

    def __init__(self, skew: timedelta = timedelta()) -> None:
        self.skew = skew
        self.frozen_for = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic()) + self.skew

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self.frozen_for

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def elector(store: CompareAndSwap, name: str | Identity, clock: LoopClock | None = None) -> Elector:
    identity = Identity(name) if isinstance(name, str) else name
    return Elector(store, identity, clock=clock or LoopClock(), random=lambda: 1.0)


async def until_leader(candidate: Elector, seconds: float) -> None:
    await asyncio.wait_for(candidate.wait_until_leader(), seconds)


async def finish(*pairs: tuple[Elector, asyncio.Task[None]]) -> None:
    for candidate, task in pairs:
        candidate.stop()
        await task


def start(candidate: Elector) -> asyncio.Task[None]:
    return asyncio.create_task(candidate.run())


async def test_the_first_becomes_leader_at_once() -> None:
    store = CompareAndSwap()
    first = elector(store, "one")
    task = start(first)
    await until_leader(first, 0.1)
    assert first.is_leader
    assert store.holder == "one"
    await finish((first, task))


async def test_of_many_candidates_exactly_one_leads() -> None:
    store = CompareAndSwap()
    candidates = [elector(store, str(number)) for number in range(10)]
    tasks = [start(candidate) for candidate in candidates]
    for _ in range(100):
        await asyncio.sleep(0.5)
        assert sum(candidate.is_leader for candidate in candidates) <= 1
    assert sum(candidate.is_leader for candidate in candidates) == 1
    await finish(*zip(candidates, tasks, strict=True))


async def test_stop_hands_over_in_less_than_two_seconds() -> None:
    store = CompareAndSwap()
    first, second = elector(store, "one"), elector(store, "two")
    tasks = start(first), start(second)
    await until_leader(first, 1)
    await asyncio.sleep(3.3)
    stopped = asyncio.get_running_loop().time()
    await finish((first, tasks[0]))
    assert not first.is_leader
    assert not first.lost.is_set()
    await until_leader(second, 2)
    assert asyncio.get_running_loop().time() - stopped < 2
    assert store.cell is not None
    assert store.cell["spec"]["leaseTransitions"] == 1
    await finish((second, tasks[1]))


async def test_a_leader_that_vanishes_is_replaced_after_its_duration_and_not_before() -> None:
    store = CompareAndSwap()
    first, second = elector(store, "one"), elector(store, "two")
    task = start(first)
    await until_leader(first, 1)
    standby = start(second)
    await asyncio.sleep(5)
    died = asyncio.get_running_loop().time()
    store.trouble = lambda: errors.KubeUnavailable("x", "x")  # the release does not get through either
    first.stop()
    await task
    store.trouble = lambda: None
    await until_leader(second, 20)
    assert 7.4 < asyncio.get_running_loop().time() - died < 12
    await finish((second, standby))


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_wrong_clocks_neither_steal_nor_hold_the_lease(minutes: int) -> None:
    store = CompareAndSwap()
    first, second = elector(store, "one"), elector(store, "two", LoopClock(timedelta(minutes=minutes)))
    tasks = start(first), start(second)
    for _ in range(60):
        await asyncio.sleep(1)
        assert first.is_leader
        assert not second.is_leader
    await finish((first, tasks[0]))
    await until_leader(second, 2)
    await finish((second, tasks[1]))


async def test_a_leader_that_cannot_renew_steps_down_before_a_standby_may_take_over() -> None:
    store = CompareAndSwap()
    first = elector(store, "one")
    task = start(first)
    await asyncio.sleep(21)  # many renewals later
    assert store.writes == 9
    store.trouble = lambda: errors.KubeUnavailable("x", "down")
    await first.lost.wait()
    assert asyncio.get_running_loop().time() - store.written_at < LeaseSettings().duration
    assert not first.is_leader
    await task


async def test_a_short_outage_is_survived() -> None:
    store = CompareAndSwap()
    first = elector(store, "one")
    task = start(first)
    await until_leader(first, 1)
    store.trouble = lambda: errors.KubeUnavailable("x", "down")
    await asyncio.sleep(6)
    assert first.is_leader
    store.trouble = lambda: None
    await asyncio.sleep(20)
    assert first.is_leader
    await finish((first, task))


async def test_a_lease_taken_by_another_is_lost_with_the_next_renewal() -> None:
    store = CompareAndSwap()
    first = elector(store, "one")
    task = start(first)
    await until_leader(first, 1)
    assert store.cell is not None
    store._write({**store.cell["spec"], "holderIdentity": "thief"})
    await asyncio.wait_for(first.lost.wait(), 3)
    await task
    assert store.holder == "thief"


async def test_a_write_by_somebody_else_that_keeps_the_holder_is_no_loss() -> None:
    store = CompareAndSwap()
    first = elector(store, "one")
    task = start(first)
    await until_leader(first, 1)
    assert store.cell is not None
    store._write(store.cell["spec"])
    await asyncio.sleep(20)
    assert first.is_leader
    await finish((first, task))


async def test_a_deleted_lease_is_lost() -> None:
    store = CompareAndSwap()
    first = elector(store, "one")
    task = start(first)
    await until_leader(first, 1)
    store.cell = None
    await asyncio.wait_for(first.lost.wait(), 3)
    await task


async def test_a_frozen_process_does_not_believe_that_it_leads() -> None:
    store, clock = CompareAndSwap(), LoopClock()
    first = elector(store, "one", clock)
    task = start(first)
    await until_leader(first, 1)
    clock.frozen_for = 9  # nothing ran meanwhile, not even the renewal
    assert not first.is_leader
    await asyncio.wait_for(first.lost.wait(), 3)
    await task


async def test_a_restart_under_the_same_name_goes_on_at_once() -> None:
    store = CompareAndSwap()
    await store.create({"holderIdentity": "one", "leaseDurationSeconds": 10, "leaseTransitions": 4})
    first = elector(store, "one")
    task = start(first)
    await until_leader(first, 0.1)
    assert store.cell is not None
    assert store.cell["spec"]["leaseTransitions"] == 4
    await finish((first, task))


async def test_a_container_started_again_in_its_pod_goes_on_at_once() -> None:
    store = CompareAndSwap()
    killed, restarted = (own_identity({"POD_UID": POD}) for _ in range(2))
    assert killed.holder != restarted.holder
    await store.create({"holderIdentity": killed.holder, "leaseDurationSeconds": 10, "leaseTransitions": 4})
    second = elector(store, restarted)
    task = start(second)
    await until_leader(second, 0.1)
    assert store.holder == restarted.holder
    assert store.cell is not None
    assert store.cell["spec"]["leaseTransitions"] == 5
    await finish((second, task))


async def test_of_two_that_take_themselves_for_the_same_pod_one_steps_down() -> None:
    store = CompareAndSwap()
    first, second = (elector(store, own_identity({"POD_UID": POD})) for _ in range(2))
    tasks = start(first), start(second)
    await asyncio.wait_for(first.lost.wait(), 5)
    assert second.is_leader
    await finish((first, tasks[0]), (second, tasks[1]))


@pytest.mark.parametrize("uid", ["", "a", POD.replace("1", "2"), f"{POD}_", "*"])
async def test_the_lease_of_another_pod_is_waited_for(uid: str) -> None:
    store = CompareAndSwap()
    killed = own_identity({"POD_UID": POD})
    await store.create({"holderIdentity": killed.holder, "leaseDurationSeconds": 10, "leaseTransitions": 4})
    second = elector(store, own_identity({"POD_UID": uid}))
    task = start(second)
    await asyncio.sleep(9)
    assert store.holder == killed.holder
    await finish((second, task))


async def test_a_release_whose_last_renewal_is_in_doubt_still_gets_through() -> None:
    store = CompareAndSwap()
    first = elector(store, "one")
    task = start(first)
    await until_leader(first, 1)
    assert store.cell is not None
    store._write(store.cell["spec"])  # as if a renewal had gone through without an answer
    await finish((first, task))
    assert store.holder == ""


async def test_a_standby_writes_nothing() -> None:
    store = CompareAndSwap()
    first, second = elector(store, "one"), elector(store, "two")
    tasks = start(first), start(second)
    await asyncio.sleep(25)
    assert store.writes == 10
    await finish((second, tasks[1]), (first, tasks[0]))


async def test_cancellation_gives_the_lease_back() -> None:
    store = CompareAndSwap()
    first = elector(store, "one")
    task = start(first)
    await until_leader(first, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.holder == ""
