"""Keep a store of one kind in step with the API server: list, watch, and replace when in doubt."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from secureai_operator import errors
from secureai_operator.runtime.backoff import Backoff
from secureai_operator.runtime.store import ObjectKey, Store
from secureai_operator.runtime.watchdog import Watchdog

log = logging.getLogger(__name__)

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


class Informer(Generic[T]):
    """Hold a projection of every object of the source and tell of each difference exactly once.

    - `project` sees an object once, without `managedFields`, and only its result is kept; None means "not of interest",
      as if the object did not exist.
    - A list *replaces*: what it does not contain is gone, and that is told as (old, None).
    - An object whose projection did not change is not told of.
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
        self._listed_at = 0.0
        self._version: str | None = None
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
        """Return for how many seconds nothing came from the API server, for the health probe."""
        return asyncio.get_running_loop().time() - self.last_activity

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
            except (errors.Retry, errors.WaitForUser) as error:
                await self._pause(error.message, getattr(error, "after", None))
            except TimeoutError:
                # A watch that says nothing may be half-open: what it missed comes with the next one.
                await self._pause("the watch fell silent")
            else:
                self.problem = None
                if asyncio.get_running_loop().time() - started < 1.0:
                    await self._pause("the watch ended at once")
                else:
                    self._backoff.forget(self.name)
            self.restarts += 1

    def _resync_period(self) -> float:
        """Jittered, so that the informers do not all list in the same second."""
        return self._settings.resync * (0.9 + 0.2 * self._rng())

    async def _pause(self, problem: str, after: float | None = None) -> None:
        self.problem = problem
        delay = self._backoff.next(self.name, after or 0.0)
        log.info(
            "informer retries", extra={"informer": self.name, "problem": problem, "delay": round(delay, 3)}
        )
        await asyncio.sleep(delay)

    async def _list(self) -> None:
        """Read all pages, then drop what they did not hold."""
        seen: set[ObjectKey] = set()
        version = ""
        async with aclosing(self._source.pages()) as pages:
            async for items, version in pages:  # noqa: B007 -- the last page's version is the list's
                self._touch()
                for raw in items:
                    key = _key(raw)
                    seen.add(key)
                    self._see(key, raw, live=False)
                # A page is hundreds of objects: let urgent work in between.
                await asyncio.sleep(0)
        for key in self.store.keys_not_in(seen):
            self._vanish(key, live=False)
        self._version = version
        self._listed_at = asyncio.get_running_loop().time()
        self.synced.set()

    async def _watch(self) -> None:
        assert self._version is not None  # noqa: S101 -- narrows the type; _follow lists first
        async with (
            Watchdog(self._settings.inactivity) as watchdog,
            aclosing(self._source.events(self._version)) as events,
        ):
            async for kind, raw in events:
                watchdog.feed()
                self.last_activity = watchdog.fed_at
                self.problem = None
                if kind == "DELETED":
                    self._vanish(_key(raw), live=True)
                elif kind != "BOOKMARK":
                    self._see(_key(raw), raw, live=True)
                self._version = raw["metadata"]["resourceVersion"]

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
    return metadata.get("namespace", ""), metadata["name"]
