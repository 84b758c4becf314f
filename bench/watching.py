"""One watch per kind, and futures for what it will show. A poll would cost the machine more than what it measures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from secureai_operator import errors
from secureai_operator.api.resources import Resource
from secureai_operator.clients.kube import AioKube

Json = dict[str, Any]
Place = tuple[str, str, str]
"""Plural, namespace, name."""
Shows = Callable[[str, Json], bool]
"""Whether an event (type, object) is what is waited for."""


@dataclass(slots=True)
class Watcher:
    """What the API server tells of some kinds."""

    kube: AioKube
    resources: tuple[Resource, ...]
    label_selector: str | None = None
    latest: dict[Place, Json] = field(default_factory=dict)
    """The objects as last told."""
    _waits: dict[Place, tuple[Shows, asyncio.Future[float]]] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        for resource in self.resources:
            version = await self._list(resource)
            self._tasks.append(asyncio.create_task(self._follow(resource, version)))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def expect(self, place: Place, shows: Shows) -> asyncio.Future[float]:
        """The time (perf_counter) at which the watch tells of it."""
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waits[place] = (shows, future)
        return future

    async def _list(self, resource: Resource) -> str:
        version = ""
        async for items, version in self.kube.list_pages(resource, label_selector=self.label_selector):  # noqa: B007
            for item in items:
                metadata = item["metadata"]
                self.latest[resource.plural, metadata["namespace"], metadata["name"]] = item
        return version

    async def _follow(self, resource: Resource, version: str) -> None:
        while True:
            events = self.kube.watch(resource, resource_version=version, label_selector=self.label_selector)
            try:
                async for kind, item in events:
                    version = item["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        self._saw(resource.plural, kind, item)
            except errors.KubeExpired:
                version = await self._list(resource)

    def _saw(self, plural: str, kind: str, item: Json) -> None:
        metadata = item["metadata"]
        place = (plural, metadata["namespace"], metadata["name"])
        wait = self._waits.get(place)
        if wait is not None and not wait[1].done() and wait[0](kind, item):
            wait[1].set_result(time.perf_counter())
            del self._waits[place]
        if kind == "DELETED":
            self.latest.pop(place, None)
        else:
            self.latest[place] = item
