"""Questions to the API server are asked one after another, and none keeps the process from ending."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from secureai_operator.clients.kube_user import KubeUser
from secureai_operator.clients.kubeconfig import KubeAccess
from secureai_operator.ui.reading import ClusterSource, OneAtATime
from secureai_operator.ui.troubles import Unanswered


@pytest.fixture
def dead() -> Iterator[ClusterSource]:
    """A source on a cluster that nobody answers for, of one namespace."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        server = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with contextlib.closing(ClusterSource(KubeUser(KubeAccess(server, "team-a")), "team-a")) as source:
            yield source


@pytest.mark.parametrize(
    ("namespace", "status", "title"),
    [
        ("team-b", 404, "Not shown here"),
        ("../secrets", 404, "Not shown here"),
        ("team-a", 503, "The API server does not answer"),
    ],
)
async def test_why_a_workload_is_not_shown(
    dead: ClusterSource, namespace: str, status: int, title: str
) -> None:
    with pytest.raises(Unanswered) as told:
        await dead.workload(namespace, "llm")
    assert (told.value.trouble.status, told.value.trouble.title) == (status, title)


@pytest.mark.parametrize(
    ("namespace", "name"), [("..", "llm"), ("a/b", "llm"), ("team-a", ".."), ("team-a", "a?b")]
)
async def test_a_name_that_is_none_reaches_no_cluster(namespace: str, name: str) -> None:
    source = ClusterSource(KubeUser(KubeAccess("http://127.0.0.1:1", "default")), None)
    with pytest.raises(Unanswered) as told:
        await source.workload(namespace, name)
    source.close()
    assert told.value.trouble.title == "Not found"


async def test_a_fleet_that_is_not_answered_is_a_trouble(dead: ClusterSource) -> None:
    with pytest.raises(Unanswered) as told:
        await dead.fleet()
    assert told.value.trouble.message == "list secureaiworkloads: no answer (ConnectionRefusedError)"


async def test_calls_run_in_their_order_and_never_together() -> None:
    running, seen = threading.Lock(), []
    line = OneAtATime(lambda: None)

    def call(number: int) -> int:
        assert running.acquire(blocking=False)
        time.sleep(0.01)
        seen.append(number)
        running.release()
        return number

    found = await asyncio.gather(*(line.ask(lambda number=number: call(number)) for number in range(8)))  # type: ignore[misc]
    line.close()
    assert found == seen == list(range(8))


async def test_an_error_is_raised_where_it_is_waited_for_and_ends_nothing() -> None:
    line = OneAtATime(lambda: None)

    def fails() -> None:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        await line.ask(fails)
    assert await line.ask(lambda: 7) == 7
    line.close()


async def test_too_many_that_wait_are_told_so() -> None:
    line, go, begun = OneAtATime(lambda: None), threading.Event(), threading.Event()

    def call() -> bool:
        begun.set()
        return go.wait(10)

    waiting = [asyncio.ensure_future(line.ask(call))]
    await asyncio.to_thread(begun.wait, 10)
    waiting += [asyncio.ensure_future(line.ask(call)) for _ in range(16)]
    await asyncio.sleep(0)
    with pytest.raises(Unanswered):
        await line.ask(lambda: 7)
    go.set()
    assert all(await asyncio.gather(*waiting))
    assert await line.ask(lambda: 7) == 7
    line.close()


async def test_one_that_nobody_waits_for_any_more_is_not_asked() -> None:
    line, go, asked = OneAtATime(lambda: None), threading.Event(), threading.Event()
    first = asyncio.ensure_future(line.ask(lambda: go.wait(10)))
    second = asyncio.ensure_future(line.ask(asked.set))
    await asyncio.sleep(0.05)
    second.cancel()
    await asyncio.sleep(0)
    go.set()
    assert await first
    assert await line.ask(lambda: 7) == 7
    assert not asked.is_set()
    line.close()


def test_the_end_waits_for_nobody() -> None:
    line, hung = OneAtATime(lambda: None), threading.Event()

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.ask(lambda: hung.wait(30)), 0.05)

    start = time.monotonic()
    asyncio.run(ask())
    line.close()
    assert time.monotonic() - start < 5
    assert all(one.daemon for one in threading.enumerate() if one.name == "secureai-ui")
    hung.set()


def test_at_the_end_the_connection_is_closed() -> None:
    closed = threading.Event()
    OneAtATime(closed.set).close()
    assert closed.is_set()
