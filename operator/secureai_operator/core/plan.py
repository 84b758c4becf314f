"""Plan: from desired objects and live children to the writes between them. No difference, no write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from secureai_operator.core.desired.objects import DesiredObject
from secureai_operator.core.drift import Child, differing_parts, needs_replacement


@dataclass(frozen=True, slots=True)
class Create:
    """The object is not there."""

    desired: DesiredObject


@dataclass(frozen=True, slots=True)
class Apply:
    """The object differs in `parts`."""

    desired: DesiredObject
    live: Child
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replace:
    """The object differs in something that cannot be changed: delete and create."""

    desired: DesiredObject
    live: Child
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """The workload owns the object and no longer wants it."""

    live: Child


Step = Create | Apply | Replace | Delete


def plan(desired: Iterable[DesiredObject], live: Mapping[tuple[str, str], Child]) -> Iterator[Step]:
    """The steps from `live`, the workload's children by (kind, name), to `desired`."""
    wanted = {(item.resource.kind, item.name): item for item in desired}
    for place, item in wanted.items():
        child = live.get(place)
        if child is None:
            yield Create(item)
            continue
        parts = differing_parts(child.kind, item.digest, child.digest)
        if needs_replacement(parts):
            yield Replace(item, child, parts)
        elif parts:
            yield Apply(item, child, parts)
    for place, child in live.items():
        if place not in wanted:
            yield Delete(child)
