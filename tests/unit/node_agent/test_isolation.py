"""Which pods are cut, how often, and until when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from ipaddress import ip_address
from typing import Any

import pytest

from secureai_operator import names
from secureai_operator.node_agent.flows import Address, Flow
from secureai_operator.node_agent.isolation import Isolation, Pace, QuarantinedPod, quarantined, still_there

ADDRESS = ip_address("10.0.0.7")
POD = QuarantinedPod("team", "llm-0", "uid-0", frozenset({ADDRESS}))
FURTHER = QuarantinedPod("team", "llm-1", "uid-1", frozenset({ip_address("10.0.0.8")}))


def pod(
    label: str | None = "", *, host: bool = False, phase: str = "Running", **status: Any
) -> dict[str, Any]:
    labels = {} if label is None else {names.QUARANTINE_LABEL: label}
    return {
        "metadata": {"namespace": "team", "name": "llm-0", "uid": "uid-0", "labels": labels},
        "spec": {"hostNetwork": True} if host else {},
        "status": {"phase": phase, "podIP": "10.0.0.7", **status},
    }


def test_a_pod_is_cut_by_the_label_alone_whatever_its_value() -> None:
    for value in ("", "true", "false", "suspected"):
        assert quarantined(pod(value)) == POD
    assert quarantined(pod(None)) is None


def test_all_addresses_of_a_pod_are_cut() -> None:
    found = quarantined(pod(podIPs=[{"ip": "10.0.0.7"}, {"ip": "fd00::7"}]))
    assert found is not None
    assert found.addresses == {ADDRESS, ip_address("fd00::7")}


def test_the_node_is_never_cut_off_by_a_pod_that_shares_its_address() -> None:
    assert quarantined(pod(host=True)) is None


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_not_cut_for_its_address_may_be_anothers(phase: str) -> None:
    assert quarantined(pod(phase=phase)) is None


def test_a_pod_without_an_address_has_nothing_to_cut_yet() -> None:
    assert quarantined(pod(podIP=None)) is None
    assert quarantined({**pod(), "status": {}}) is None


class Kernel:
    """Stands where the kernel's table is: what it was asked, and the flows that it has."""

    def __init__(self, *flows: Flow) -> None:
        self.has = list(flows)
        self.asked: list[frozenset[Address]] = []
        self.back: list[Flow] = []
        self.released = True
        self.event = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def cut(self, addresses: Collection[Address]) -> list[Flow]:
        self.asked.append(frozenset(addresses))
        found = [flow for flow in self.has if flow.addresses & frozenset(addresses)]
        self.has = [flow for flow in self.has if flow not in found]
        self.loop.call_soon_threadsafe(self.event.set)
        return found

    def bring_back(self, flows: Iterable[Flow]) -> int:
        self.back += flows
        self.loop.call_soon_threadsafe(self.event.set)
        return len(self.back)

    async def is_released(self, _: QuarantinedPod) -> bool:
        self.loop.call_soon(self.event.set)
        return self.released

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self.event.clear()
                await self.event.wait()

    async def more(self, count: int) -> None:
        wanted = len(self.asked) + count
        await self.until(lambda: len(self.asked) >= wanted)


def flow(*ends: str, port: int = 1) -> Flow:
    whole = ((1, bytes((port,))),)
    return Flow(frozenset(map(ip_address, ends)), 2, whole, whole)


@contextlib.asynccontextmanager
async def running(pace: Pace, *flows: Flow) -> AsyncIterator[tuple[Isolation, Kernel]]:
    kernel = Kernel(*flows)
    isolation = Isolation(kernel, kernel.is_released, pace)
    task = asyncio.create_task(isolation.run())
    try:
        yield isolation, kernel
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


EAGER = Pace(eager=0.001, eager_for=60, calm=0.001)
CALM = Pace(eager=0.001, eager_for=0, calm=0.001)


async def test_it_is_cut_at_once_and_again_and_again_while_the_cni_may_still_let_packets_through() -> None:
    async with running(Pace(eager=0.001, eager_for=60, calm=3600)) as (isolation, kernel):
        isolation.changed(None, POD, True)
        await kernel.more(5)
    assert set(kernel.asked) == {frozenset({ADDRESS})}


async def test_later_it_is_cut_now_and_then_for_as_long_as_the_label_is_there() -> None:
    async with running(Pace(eager=3600, eager_for=0, calm=0.001)) as (isolation, kernel):
        isolation.changed(None, POD, True)
        await kernel.more(5)


async def test_a_further_pod_is_cut_without_waiting_for_the_next_look() -> None:
    async with running(Pace(eager=3600, eager_for=60, calm=3600)) as (isolation, kernel):
        isolation.changed(None, POD, True)
        await kernel.more(1)
        isolation.changed(None, FURTHER, True)
        await kernel.more(1)
    assert kernel.asked[-1] == POD.addresses | FURTHER.addresses


async def test_a_released_pod_is_left_alone() -> None:
    async with running(EAGER) as (isolation, kernel):
        isolation.changed(None, POD, True)
        isolation.changed(None, FURTHER, True)
        await kernel.more(2)
        isolation.changed(POD, None, True)
        # One look may have been under way.
        await kernel.more(2)
        assert kernel.asked[-1] == FURTHER.addresses


async def test_what_a_pod_had_from_before_is_brought_back_when_it_is_released() -> None:
    before, others = flow("10.0.0.7", "10.0.0.1"), flow("10.0.0.1", "10.0.0.2", port=2)
    async with running(EAGER, before, others) as (isolation, kernel):
        isolation.changed(None, POD, True)
        await kernel.more(2)
        assert kernel.has == [others]
        isolation.changed(POD, None, True)
        await kernel.until(lambda: kernel.back)
    assert kernel.back == [before]


async def test_a_connection_that_is_seen_again_is_brought_back_once_as_it_was_first() -> None:
    first = flow("10.0.0.7", "10.0.0.1")
    async with running(EAGER, first) as (isolation, kernel):
        isolation.changed(None, POD, True)
        await kernel.more(2)
        kernel.has.append(Flow(first.addresses, 2, ((12, b"another id"),), first.whole))
        await kernel.more(2)
        isolation.changed(POD, None, True)
        await kernel.until(lambda: kernel.back)
    assert kernel.back == [first]


async def test_what_comes_up_later_is_cut_and_not_brought_back() -> None:
    async with running(CALM, flow("10.0.0.7", "10.0.0.1")) as (isolation, kernel):
        isolation.changed(None, POD, True)
        await kernel.more(2)
        isolation.changed(POD, None, True)
        isolation.changed(None, FURTHER, True)
        await kernel.until(lambda: kernel.asked[-1] == FURTHER.addresses)
    assert (kernel.has, kernel.back) == ([], [])


async def test_nothing_of_a_pod_that_is_gone_is_brought_back_for_its_address_may_be_anothers() -> None:
    async with running(EAGER, flow("10.0.0.7", "10.0.0.1")) as (isolation, kernel):
        kernel.released = False
        isolation.changed(None, POD, True)
        await kernel.more(2)
        isolation.changed(POD, None, True)
        isolation.changed(None, FURTHER, True)
        await kernel.until(lambda: kernel.asked[-1] == FURTHER.addresses)
    assert kernel.back == []


async def test_a_pod_that_is_replaced_by_one_of_its_name_leaves_nothing_to_bring_back() -> None:
    # As a StatefulSet does it whose template carries the label.
    other = QuarantinedPod("team", "llm-0", "uid-9", frozenset({ip_address("10.0.0.9")}))
    async with running(EAGER, flow("10.0.0.7", "10.0.0.1")) as (isolation, kernel):
        isolation.changed(None, POD, True)
        await kernel.more(2)
        kernel.released = False
        isolation.changed(POD, other, True)
        await kernel.until(lambda: kernel.asked[-1] == other.addresses)
        kernel.released = True
        isolation.changed(other, None, True)
        isolation.changed(None, FURTHER, True)
        await kernel.until(lambda: kernel.asked[-1] == FURTHER.addresses)
    assert kernel.back == []


async def test_a_connection_to_a_pod_that_is_quarantined_too_is_not_brought_back() -> None:
    between, other = flow("10.0.0.7", "10.0.0.8"), flow("10.0.0.7", "10.0.0.1", port=2)
    async with running(EAGER, between, other) as (isolation, kernel):
        isolation.changed(None, POD, True)
        isolation.changed(None, FURTHER, True)
        await kernel.more(2)
        isolation.changed(POD, None, True)
        await kernel.until(lambda: kernel.back)
    assert kernel.back == [other]


@pytest.mark.parametrize(
    ("change", "there"),
    [
        ({}, True),
        ({"uid": "another"}, False),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, False),
        ({"labels": {names.QUARANTINE_LABEL: ""}}, False),
    ],
)
def test_released_is_the_same_pod_running_without_the_label(change: dict[str, Any], there: bool) -> None:
    live = pod(None)
    live["metadata"] |= change
    assert still_there(live, POD) is there
    assert not still_there(pod(None, phase="Failed"), POD)


async def test_a_kernel_that_refuses_ends_the_agent() -> None:
    class Refusing(Kernel):
        def cut(self, _: Collection[Address]) -> list[Flow]:
            raise PermissionError

    kernel = Refusing()
    isolation = Isolation(kernel, kernel.is_released)
    isolation.changed(None, POD, True)
    with pytest.raises(PermissionError):
        await asyncio.wait_for(isolation.run(), 5)
