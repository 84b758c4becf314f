"""Informers of one kind in a changing set of namespaces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Generic, TypeVar

from secureai_operator.runtime.informer import Informer
from secureai_operator.runtime.store import ObjectKey

T = TypeVar("T")


class InformerSet(Generic[T]):
    """One informer per wanted namespace, for kinds that may not be listed in the whole cluster.

    A namespace can be wanted and unwanted at any time. An informer that dies ends `run`, as if there were only one.
    """

    def __init__(self, name: str, make: Callable[[str], Informer[T]]) -> None:
        self.name = name
        self._make = make
        self._informers: dict[str, Informer[T]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Run the informers of all wanted namespaces until `stop`."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for namespace, informer in self._informers.items():
                self._start(group, namespace, informer)
            try:
                await self._stopped.wait()
            finally:
                self._group = None
                for informer in self._informers.values():
                    informer.stop()

    def stop(self) -> None:
        self._stopped.set()

    def ensure(self, namespace: str) -> Informer[T]:
        """Want the namespace; its informer starts if it is new."""
        informer = self._informers.get(namespace)
        if informer is None:
            informer = self._informers[namespace] = self._make(namespace)
            if self._group is not None:
                self._start(self._group, namespace, informer)
        return informer

    def discard(self, namespace: str) -> None:
        """Want the namespace no more; what was known of it is dropped and not told of."""
        informer = self._informers.pop(namespace, None)
        if informer is not None:
            informer.stop()

    @property
    def namespaces(self) -> frozenset[str]:
        return frozenset(self._informers)

    def __iter__(self) -> Iterator[Informer[T]]:
        return iter(tuple(self._informers.values()))

    def __len__(self) -> int:
        """Return how many objects are known."""
        return sum(len(informer.store) for informer in self._informers.values())

    def synced(self, namespace: str) -> bool:
        """Whether everything in the namespace is known; False for one that is not wanted."""
        informer = self._informers.get(namespace)
        return informer is not None and informer.synced.is_set()

    def get(self, key: ObjectKey) -> T | None:
        informer = self._informers.get(key[0])
        return None if informer is None else informer.store.get(key)

    def owned(self, owner: Hashable) -> Mapping[ObjectKey, T]:
        """Return what the owner has in all wanted namespaces."""
        found: dict[ObjectKey, T] = {}
        for informer in self._informers.values():
            found.update(informer.store.owned(owner))
        return found

    def owned_in(self, namespace: str, owner: Hashable) -> Mapping[ObjectKey, T]:
        """Return what the owner has in one namespace, without a look at the others."""
        informer = self._informers.get(namespace)
        return {} if informer is None else informer.store.owned(owner)

    def silent_for(self) -> float:
        """Return the silence of the most silent informer in seconds, for the health probe."""
        return max((informer.silent_for() for informer in self._informers.values()), default=0.0)

    def _start(self, group: asyncio.TaskGroup, namespace: str, informer: Informer[T]) -> None:
        group.create_task(informer.run(), name=f"{self.name}/{namespace}")
