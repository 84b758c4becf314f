"""What an informer keeps and tells, on a scripted source and faked time.

The same contract against a real API server is in tests/integration/test_informer.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from secureai_operator import errors
from secureai_operator.runtime.informer import Informer, InformerSettings
from secureai_operator.runtime.informer_set import InformerSet

pytestmark = pytest.mark.looptime

Json = dict[str, Any]
Told = tuple[str | None, str | None, bool]
Step = Json | Exception | float | None
"""An event's object, an error, seconds of silence, or the end of the watch."""

GONE = errors.KubeExpired("x", "expired")
DOWN = errors.KubeUnavailable("x", "down")


def thing(name: str, version: int, digest: str, owner: str = "o", kind: str = "MODIFIED") -> Json:
    metadata = {
        "namespace": "ns",
        "name": name,
        "resourceVersion": str(version),
        "managedFields": [{"a": "b"}],
    }
    return {"metadata": metadata, "digest": digest, "owner": owner, "kind": kind}


class Script:
    """Lists and watches that happen one after the other; after the last one nothing happens any more."""

    def __init__(self, lists: list[list[list[Json]] | Exception], watches: list[list[Step]]) -> None:
        self.lists = lists
        self.watches = watches
        self.list_times: list[float] = []
        self.watched_from: list[tuple[float, str]] = []
        self.versions: list[str] = []
        """Of the lists, one after the other; 100 where there is none."""
        self.open = 0

    async def pages(self) -> AsyncGenerator[tuple[list[Json], str], None]:
        self.list_times.append(asyncio.get_running_loop().time())
        listing = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(listing, Exception):
            raise listing
        version = self.versions.pop(0) if self.versions else "100"
        for page in listing:
            yield [{**item, "metadata": dict(item["metadata"])} for item in page], version

    async def events(self, resource_version: str) -> AsyncGenerator[tuple[str, Json], None]:
        self.watched_from.append((round(asyncio.get_running_loop().time(), 3), resource_version))
        self.open += 1
        try:
            for step in self.watches.pop(0) if self.watches else [10.0**6]:
                if step is None:
                    return
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step["kind"], step
        finally:
            self.open -= 1


def project(raw: Json) -> tuple[str, str] | None:
    assert "managedFields" not in raw["metadata"]
    if raw["digest"] == "broken":
        raise KeyError("s3cr3t-sentinel")
    return None if raw["digest"] == "ignored" else (raw["digest"], raw["owner"])


def make(
    script: Script, told: list[Told], settings: InformerSettings | None = None
) -> Informer[tuple[str, str]]:
    def on_change(old: tuple[str, str] | None, new: tuple[str, str] | None, live: bool) -> None:
        told.append((old and old[0], new and new[0], live))

    return Informer(
        "things", script, project, lambda value: value[1], on_change, settings=settings, rng=lambda: 0.5
    )


@asynccontextmanager
async def running(informer: Informer[tuple[str, str]]) -> AsyncIterator[None]:
    task = asyncio.create_task(informer.run())
    try:
        await informer.synced.wait()
        await asyncio.sleep(0.01)
        yield
    finally:
        informer.stop()
        await task


async def observed(
    script: Script, seconds: float = 60, check: Callable[[Informer[tuple[str, str]]], None] = lambda _: None
) -> list[Told]:
    """Run the script for a while and return what was told."""
    told: list[Told] = []
    informer = make(script, told)
    async with running(informer):
        await asyncio.sleep(seconds)
        check(informer)
    return told


async def test_all_pages_are_known_when_it_is_synced() -> None:
    def check(informer: Informer[tuple[str, str]]) -> None:
        assert set(informer.store.owned("o")) == {("ns", "a"), ("ns", "b")}

    told = await observed(Script([[[thing("a", 1, "x")], [thing("b", 2, "y")]]], []), check=check)
    assert told == [(None, "x", False), (None, "y", False)]


async def test_events_are_told_as_live_with_what_was_before() -> None:
    script = Script(
        [[[thing("a", 1, "x")]]],
        [[thing("a", 101, "y"), thing("b", 102, "z", kind="ADDED"), thing("a", 103, "y", kind="DELETED")]],
    )
    assert await observed(script, 0.5) == [
        (None, "x", False),
        ("x", "y", True),
        (None, "z", True),
        ("y", None, True),
    ]


async def test_an_event_that_changes_nothing_of_interest_is_not_told() -> None:
    script = Script([[[thing("a", 1, "x")]]], [[thing("a", 101, "x"), thing("b", 102, "y", kind="DELETED")]])
    assert await observed(script, 0.5) == [(None, "x", False)]


async def test_an_object_that_is_of_interest_no_more_is_told_as_gone() -> None:
    script = Script([[[thing("a", 1, "x")]]], [[thing("a", 101, "ignored")]])
    assert await observed(script, 0.5) == [(None, "x", False), ("x", None, True)]


async def test_an_object_that_breaks_the_projection_harms_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    script = Script([[[thing("a", 1, "broken"), thing("b", 2, "y")]]], [[thing("c", 101, "z", kind="ADDED")]])
    assert await observed(script, 0.5) == [(None, "y", False), (None, "z", True)]
    assert "s3cr3t-sentinel" not in "".join(str(vars(record)) for record in caplog.records)


async def test_after_an_expired_watch_a_list_replaces_and_the_vanished_are_told() -> None:
    script = Script(
        [[[thing("a", 1, "x"), thing("b", 2, "y")]], [[thing("a", 1, "x"), thing("c", 3, "z")]]],
        [[2.0, GONE]],
    )
    told = await observed(script)
    assert told[2:] == [(None, "z", False), ("y", None, False)]
    assert len(script.list_times) == 2


async def test_a_list_that_expires_half_way_is_begun_again() -> None:
    told: list[Told] = []
    script = Script([GONE, [[thing("a", 1, "x")]]], [])
    informer = make(script, told)
    async with running(informer):
        assert told == [(None, "x", False)]


async def test_a_watch_that_ends_goes_on_from_the_last_version_without_a_list() -> None:
    bookmark = {"metadata": {"resourceVersion": "250"}, "kind": "BOOKMARK"}
    script = Script([[[]]], [[thing("a", 200, "x", kind="ADDED"), 30.0, bookmark, 30.0, None]])
    await observed(script, 100)
    assert len(script.list_times) == 1
    assert [version for _, version in script.watched_from] == ["100", "250"]


async def test_a_lost_connection_is_retried_with_growing_delays() -> None:
    script = Script([[[]]], [[DOWN]] * 6)
    await observed(script, 100)
    starts = [at for at, _ in script.watched_from]
    gaps = [after - before for before, after in pairwise(starts)]
    assert gaps == sorted(gaps)
    assert gaps[0] < 0.2
    assert gaps[-1] > 1
    assert len(script.list_times) == 1


async def test_nobody_waits_long_once_the_api_server_is_back() -> None:
    script = Script([[[]]], [[DOWN]] * 60)
    await observed(script, 100)
    gaps = [after - before for (before, _), (after, _) in pairwise(script.watched_from)]
    assert len(gaps) > 20
    assert max(gaps) <= 4


async def test_failures_before_a_watch_that_worked_slow_nothing_down() -> None:
    worked: list[Any] = [30.0, DOWN]
    script = Script([[[]]], [[DOWN], [DOWN], [DOWN], [DOWN], worked, worked, worked, worked])
    await observed(script, 200)
    ended = [at + 30 for at, _ in script.watched_from[4:8]]
    again = [at for at, _ in script.watched_from[5:9]]
    assert max(after - before for before, after in zip(ended, again, strict=True)) < 0.2


async def test_a_watch_that_ends_at_once_every_time_is_not_a_hot_loop() -> None:
    script = Script([[[]]], [[None]] * 50)
    await observed(script, 60)
    assert len(script.watched_from) < 15


async def test_a_silent_watch_is_taken_for_dead() -> None:
    script = Script([[[]]], [[1000.0]])
    await observed(script, 75)
    assert [round(at) for at, _ in script.watched_from] == [0, 70]


async def test_bookmarks_keep_a_quiet_watch_alive() -> None:
    bookmark = {"metadata": {"resourceVersion": "250"}, "kind": "BOOKMARK"}
    script = Script([[[]]], [[60.0, bookmark, 60.0, bookmark, 60.0, bookmark, 1000.0]])
    await observed(script, 200)
    assert len(script.watched_from) == 1


async def test_what_was_missed_is_found_by_the_periodic_list() -> None:
    bookmark = {"metadata": {"resourceVersion": "9"}, "kind": "BOOKMARK"}
    script = Script(
        [[[thing("ghost", 1, "x")]], [[]]],
        [[*(step for _ in range(13) for step in (50.0, bookmark)), None]],
    )
    told = await observed(script, 700)
    assert told == [(None, "x", False), ("x", None, False)]


async def test_a_missing_right_is_shown_and_retried() -> None:
    forbidden = errors.KubeForbidden("OperatorForbidden", "list things: 403 Forbidden")
    told: list[Told] = []
    informer = make(Script([forbidden, forbidden, [[thing("a", 1, "x")]]], []), told)
    task = asyncio.create_task(informer.run())
    await asyncio.sleep(0.01)
    assert informer.problem == "list things: 403 Forbidden"
    assert not informer.synced.is_set()
    await informer.synced.wait()
    informer.stop()
    await task
    assert told == [(None, "x", False)]


async def test_a_problem_is_over_with_the_next_sign_of_life() -> None:
    def check(informer: Informer[tuple[str, str]]) -> None:
        assert informer.problem is None
        assert informer.restarts == 1
        assert informer.silent_for() < 60

    script = Script([[[]]], [[DOWN], [1.0, thing("a", 101, "x"), 1000.0]])
    await observed(script, 10, check)


async def test_a_defect_ends_the_informer() -> None:
    def on_change(_old: object, _new: object, _live: bool) -> None:
        raise ZeroDivisionError

    informer = Informer("x", Script([[[thing("a", 1, "x")]]], []), project, lambda value: value[1], on_change)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(informer.run(), 5)


async def test_stop_closes_the_watch() -> None:
    script = Script([[[]]], [])
    informer = make(script, [])
    async with running(informer):
        assert script.open == 1
    assert script.open == 0
    await asyncio.wait_for(informer.run(), 1)  # stays stopped


async def test_a_set_follows_the_wanted_namespaces() -> None:
    scripts = {name: Script([[[thing("a", 1, name)]]], []) for name in ("one", "two", "three")}
    told: list[Told] = []
    informers = InformerSet("things", lambda namespace: make(scripts[namespace], told))
    informers.ensure("one")
    task = asyncio.create_task(informers.run())
    await asyncio.sleep(0.01)
    informers.ensure("two")
    assert informers.ensure("two") is informers.ensure("two")
    await asyncio.sleep(0.01)

    assert informers.synced("one")
    assert informers.synced("two")
    assert not informers.synced("three")
    assert len(informers) == 2
    informers.discard("one")
    await asyncio.sleep(0.01)
    assert scripts["one"].open == 0
    assert informers.namespaces == {"two"}
    assert not informers.synced("one")
    assert [new for _, new, _ in told] == ["one", "two"]

    informers.stop()
    await asyncio.wait_for(task, 1)
    assert scripts["two"].open == 0


async def test_an_informer_that_dies_ends_its_set() -> None:
    informers = InformerSet("things", lambda _: make(Script([ZeroDivisionError()], []), []))
    task = asyncio.create_task(informers.run())
    await asyncio.sleep(0.01)
    informers.ensure("one")
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(task, 1)
    assert caught.value.subgroup(ZeroDivisionError)


async def test_a_watch_that_goes_back_is_not_believed_and_a_list_says_how_things_are() -> None:
    """A replay: the object is there as it was listed, whatever is told of it once more."""
    script = Script(
        [[[thing("a", 90, "x")]], [[thing("a", 90, "x")]]],
        [[thing("a", 60, "old"), thing("a", 60, "old", kind="DELETED")]],
    )
    told = await observed(script)
    assert told == [(None, "x", False)]
    assert len(script.list_times) == 2


async def test_what_is_told_twice_is_told_on_once() -> None:
    again = thing("b", 101, "y", kind="ADDED")
    script = Script([[[]]], [[again, again, 1000.0]])
    assert await observed(script) == [(None, "y", True)]
    assert len(script.list_times) == 1


async def test_a_list_that_is_older_than_what_is_known_is_asked_for_again() -> None:
    script = Script(
        [[[]], [[]], [[thing("a", 101, "x", kind="ADDED")]]], [[thing("a", 101, "x", kind="ADDED"), GONE]]
    )
    script.versions = ["100", "50", "101"]
    told = await observed(script)
    assert told == [(None, "x", True)]
    assert [version for _, version in script.watched_from] == ["100", "101"]


async def test_a_past_that_stays_is_believed_in_the_end() -> None:
    script = Script([[[thing("a", 1, "x")]], [[]]], [[GONE]])
    script.versions = ["100", *["50"] * 9]
    assert await observed(script) == [(None, "x", False), ("x", None, False)]
    assert [version for _, version in script.watched_from] == ["100", "50"]


async def test_watches_that_lived_and_then_expired_are_no_failures_in_a_row() -> None:
    script = Script([[[]]], [[30.0, GONE]] * 12)
    await observed(script, 400)
    assert all(after - before < 31 for before, after in pairwise(script.list_times[:12]))
