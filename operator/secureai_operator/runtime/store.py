"""What is known of the live objects of one kind: small projections, found by name and by owner."""

from __future__ import annotations

from collections.abc import Callable, Hashable, ItemsView, Mapping, ValuesView
from typing import Generic, TypeVar

T = TypeVar("T")

ObjectKey = tuple[str, str]
"""Namespace ("" for a cluster-scoped object) and name."""


class Store(Generic[T]):
    """Hold one value per object and an index by owner; nothing outlives its object.

    Only the informer that fills it writes to it.
    """

    def __init__(self, owner_of: Callable[[T], Hashable | None]) -> None:
        self._owner_of = owner_of
        self._values: dict[ObjectKey, T] = {}
        self._by_owner: dict[Hashable, tuple[ObjectKey, ...]] = {}
        """Most have one or two objects of a kind: a dictionary for each would be as large as what is kept of the object."""

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: ObjectKey) -> bool:
        return key in self._values

    def get(self, key: ObjectKey) -> T | None:
        return self._values.get(key)

    def owned(self, owner: Hashable) -> Mapping[ObjectKey, T]:
        """Return what the owner has; empty if nothing."""
        return {key: self._values[key] for key in self._by_owner.get(owner, ())}

    def values(self) -> ValuesView[T]:
        return self._values.values()

    def items(self) -> ItemsView[ObjectKey, T]:
        return self._values.items()

    def keys_not_in(self, seen: set[ObjectKey]) -> list[ObjectKey]:
        """Return the keys of what is held but was not seen."""
        return [key for key in self._values if key not in seen]

    def set(self, key: ObjectKey, value: T) -> T | None:
        """Hold the value and return the one before."""
        before = self.remove(key)
        self._values[key] = value
        owner = self._owner_of(value)
        if owner is not None:
            self._by_owner[owner] = (*self._by_owner.get(owner, ()), key)
        return before

    def remove(self, key: ObjectKey) -> T | None:
        """Hold nothing under the key and return what was held."""
        before = self._values.pop(key, None)
        if before is not None:
            owner = self._owner_of(before)
            if owner is not None:
                siblings = tuple(other for other in self._by_owner[owner] if other != key)
                if siblings:
                    self._by_owner[owner] = siblings
                else:
                    del self._by_owner[owner]
        return before
