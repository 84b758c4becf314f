"""Keep a store of one kind in step with the API server: list, watch, and replace when in doubt."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from secureai_operator import errors
from secureai_operator.runtime.backoff import Backoff
from secureai_operator.runtime.store import ObjectKey, Store
from secureai_operator.runtime.versions import is_older
from secureai_operator.runtime.watchdog import Watchdog

log = logging.getLogger(__name__)

_LIVED_SECONDS = 5.0
"""A watch that lived so long and then failed is no failure in a row."""
_DOUBTS = 3
"""A list that is older than what is known is asked for so often again; then the past has come back, and is believed."""

T = TypeVar("T")
Json = dict[str, Any]

OnChange = Callable[[T | None, T | None, bool], None]
"""Told (old, new, live) of each difference; `live` is False if a list and not an event showed it."""


class Source(Protocol):
    """What to list and watch: one kind in one scope."""

    def pages(self) -> AsyncGenerator[tuple[list[Json], str], None]:
        """Yield the pages of a consistent list, each with the resource version of the whole list."""
        ...

    def events(self, resource_version: str) -> AsyncGenerator[tuple[str, Json], None]:
        """Yield (type, object) since that version until the server ends it; errors.KubeExpired if it is too old."""
        ...


@dataclass(frozen=True, slots=True)
class InformerSettings:
    """Durations in seconds."""

    inactivity: float = 70.0
    """Without an event or a bookmark (one a minute) for so long, a watch is taken for dead."""
    resync: float = 600.0
    """A watch that ends after so long since the last list is followed by a list: whatever was missed is found."""
    backoff_base: float = 0.1
    backoff_cap: float = 30.0
    outage_cap: float = 4.0
    """Longest pause while the API server is away: five seconds after it is back all is known again."""
    lasting: float = 1.0
    """A watch of at least this length worked: the failures before it say nothing of the next one."""


class Informer(Generic[T]):
    """Hold a projection of every object of the source and tell of each difference exactly once.

    - `project` sees an object once, without `managedFields`, and only its result is kept; None means "not of interest",
      as if the object did not exist.
    - A list *replaces*: what it does not contain is gone, and that is told as (old, None).
    - An object whose projection did not change is not told of.
    - A watch never goes back: of one that does nothing more is believed, and a list says how things are. A list that goes
      back is asked for again.
    - Errors that may pass (errors.Retry, errors.WaitForUser) are retried with backoff and shown in `problem`; any
      other error ends `run`, and with it the process.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        project: Callable[[Json], T | None],
        owner_of: Callable[[T], Hashable | None],
        on_change: OnChange[T],
        *,
        settings: InformerSettings | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.store: Store[T] = Store(owner_of)
        self.synced = asyncio.Event()
        self.last_activity = 0.0
        self.problem: str | None = None
        self.restarts = 0
        self._source = source
        self._project = project
        self._on_change = on_change
        self._settings = settings or InformerSettings()
        self._rng = rng
        self._backoff = Backoff(self._settings.backoff_base, self._settings.backoff_cap, random=rng)
        self._outage = Backoff(self._settings.backoff_base, self._settings.outage_cap, random=rng)
        self._listed_at = 0.0
        self._version: str | None = None
        self._newest = ""
        """The latest version of anything that was seen."""
        self._doubts = 0
        self._watching_since: float | None = None
        self._run: asyncio.Task[None] | None = None
        self._stopping = False

    async def run(self) -> None:
        """List and watch until `stop`."""
        self._touch()
        if self._stopping:
            return
        self._run = asyncio.ensure_future(self._follow())
        try:
            await self._run
        except asyncio.CancelledError:
            cancelled_from_outside = (me := asyncio.current_task()) is not None and me.cancelling()
            if cancelled_from_outside or not self._stopping:
                raise

    def stop(self) -> None:
        """End `run`; the store keeps what it holds."""
        self._stopping = True
        if self._run is not None:
            self._run.cancel()

    def silent_for(self) -> float:
        """Return for how many seconds nothing came from the API server, for the health probe; 0 before `run`."""
        return asyncio.get_running_loop().time() - self.last_activity if self.last_activity else 0.0

    async def _follow(self) -> None:
        while True:
            started = asyncio.get_running_loop().time()
            try:
                if self._version is None or started - self._listed_at > self._resync_period():
                    await self._list()
                await self._watch()
            except errors.KubeExpired:
                self._version = None
                await self._pause("the watch expired")
            except errors.Retry as error:
                await self._pause(error.message, self._outage.next(self.name, error.after or 0.0))
            except errors.WaitForUser as error:
                await self._pause(error.message)
            except TimeoutError:
                # A watch that says nothing may be half-open: what it missed comes with the next one.
                await self._pause("the watch fell silent")
            else:
                self.problem = None
                if asyncio.get_running_loop().time() - started < self._settings.lasting:
                    await self._pause("the watch ended at once")
            self.restarts += 1

    def _resync_period(self) -> float:
        """Jittered, so that the informers do not all list in the same second."""
        return self._settings.resync * (0.9 + 0.2 * self._rng())

    async def _pause(self, problem: str, delay: float | None = None) -> None:
        self.problem = problem
        since, self._watching_since = self._watching_since, None
        if since is not None and asyncio.get_running_loop().time() - since > _LIVED_SECONDS:
            self._backoff.forget(self.name)
        delay = self._backoff.next(self.name) if delay is None else delay
        log.info(
            "informer retries", extra={"informer": self.name, "problem": problem, "delay": round(delay, 3)}
        )
        await asyncio.sleep(delay)

    async def _list(self) -> None:
        """Read all pages, then drop what they did not hold."""
        seen: set[ObjectKey] = set()
        version = ""
        async with aclosing(self._source.pages()) as pages:
            async for items, version in pages:
                self._touch()
                self._doubt(version)
                for raw in items:
                    key = _key(raw)
                    seen.add(key)
                    self._see(key, raw, live=False)
                # A page is hundreds of objects: let urgent work in between.
                await asyncio.sleep(0)
        for key in self.store.keys_not_in(seen):
            self._vanish(key, live=False)
        self._version = self._newest = version
        self._doubts = 0
        self._listed_at = asyncio.get_running_loop().time()
        self.synced.set()

    def _doubt(self, version: str) -> None:
        """Raise errors.KubeUnavailable for a list of that version if it is to be asked for again."""
        if is_older(version, self._newest) and self._doubts < _DOUBTS:
            self._doubts += 1
            raise errors.KubeUnavailable("KubernetesUnavailable", "the list is older than what is known")

    async def _watch(self) -> None:
        """Follow a watch until it ends; after one that lasted, however it ends, the backoff begins anew."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            await self._take_events()
        finally:
            if clock() - began >= self._settings.lasting:
                self._backoff.forget(self.name)
                self._outage.forget(self.name)

    async def _take_events(self) -> None:
        assert self._version is not None  # noqa: S101 -- narrows the type; _follow lists first
        self._watching_since = asyncio.get_running_loop().time()
        async with (
            Watchdog(self._settings.inactivity) as watchdog,
            aclosing(self._source.events(self._version)) as events,
        ):
            async for kind, raw in events:
                watchdog.feed()
                self.last_activity = watchdog.fed_at
                self.problem = None
                version = raw["metadata"]["resourceVersion"]
                if is_older(version, self._newest):
                    raise errors.KubeExpired("Retrying", "the watch went back")
                if kind == "DELETED":
                    self._vanish(_key(raw), live=True)
                elif kind != "BOOKMARK":
                    self._see(_key(raw), raw, live=True)
                self._version = self._newest = version

    def _see(self, key: ObjectKey, raw: Json, *, live: bool) -> None:
        raw["metadata"].pop("managedFields", None)
        new = self._projection(key, raw)
        if new is None:
            self._vanish(key, live=live)
            return
        old = self.store.set(key, new)
        if old != new:
            self._on_change(old, new, live)

    def _projection(self, key: ObjectKey, raw: Json) -> T | None:
        """Return the projection; an object that breaks it counts as absent and harms nobody else."""
        try:
            return self._project(raw)
        except Exception as error:  # noqa: BLE001 -- anything an object of a stranger may provoke
            extra = {
                "informer": self.name,
                "namespace": key[0],
                "object": key[1],
                "error": type(error).__name__,
            }
            log.error("object cannot be read", extra=extra)  # noqa: TRY400 -- a traceback could quote the object
            return None

    def _vanish(self, key: ObjectKey, *, live: bool) -> None:
        old = self.store.remove(key)
        if old is not None:
            self._on_change(old, None, live)

    def _touch(self) -> None:
        self.last_activity = asyncio.get_running_loop().time()


def _key(raw: Json) -> ObjectKey:
    metadata = raw["metadata"]
    # One copy of the namespace's name for all keys, and not the one that came with each object.
    return sys.intern(metadata.get("namespace", "")), metadata["name"]
