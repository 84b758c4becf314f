"""Gauges of objects that come and go, from one small record per object instead of a metric object per series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from prometheus_client import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

Facts = TypeVar("Facts")
Place = tuple[str, str]
"""Namespace and name."""
Series = Iterable[tuple[Mapping[str, str], float]]
"""Further labels and the value of each series; none for what is not known."""


@dataclass(frozen=True, slots=True)
class Gauge(Generic[Facts]):
    """One family, and how its series are read from a record."""

    name: str
    documentation: str
    series: Callable[[Facts], Series]


class ObjectGauges(Collector, Generic[Facts]):
    """The gauges of all objects of a kind. An object that goes takes its series along.

    `set` and `remove` belong to the event loop; `collect` may run in another thread.
    """

    def __init__(self, gauges: Iterable[Gauge[Facts]]) -> None:
        self._gauges = tuple(gauges)
        self._facts: dict[Place, Facts] = {}

    def set(self, namespace: str, name: str, facts: Facts) -> None:
        self._facts[namespace, name] = facts

    def remove(self, namespace: str, name: str) -> None:
        self._facts.pop((namespace, name), None)

    def clear(self) -> None:
        """Forget all objects: a replica that no longer leads knows nothing of them."""
        self._facts.clear()

    def __len__(self) -> int:
        return len(self._facts)

    def collect(self) -> Iterator[Metric]:
        # One C call under the interpreter's lock: what it returns does not change under the reader.
        facts = tuple(self._facts.items())
        for gauge in self._gauges:
            family = Metric(gauge.name, gauge.documentation, "gauge")
            family.samples = cast("list[Sample]", _Samples(gauge, facts))
            yield family


class _Samples(Generic[Facts]):
    """The samples of one family, made while they are written: a hundred thousand at once would cost 50 MB."""

    def __init__(self, gauge: Gauge[Facts], facts: tuple[tuple[Place, Facts], ...]) -> None:
        self._gauge = gauge
        self._facts = facts

    def __iter__(self) -> Iterator[Sample]:
        for (namespace, name), facts in self._facts:
            for labels, value in self._gauge.series(facts):
                yield Sample(self._gauge.name, {"namespace": namespace, "name": name, **labels}, value)


def known(read: Callable[[Facts], float | None]) -> Callable[[Facts], Series]:
    """One series with the value, or none while it is not known."""

    def series(facts: Facts) -> Series:
        value = read(facts)
        if value is not None:
            yield {}, float(value)

    return series
