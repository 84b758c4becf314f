"""Metrics of each workload, from one small record per workload instead of a metric object per series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from prometheus_client import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

_STATUS = {"True": 1.0, "False": 0.0}


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """What the metrics say of one workload."""

    conditions: tuple[tuple[str, str], ...]
    """(type, status), with the status True, False or Unknown."""
    key_version: int = 0
    certificate_not_after: float | None = None
    """Unix time."""


Workload = tuple[str, str]
_Values = Callable[[WorkloadFacts], Iterable[tuple[Mapping[str, str], float]]]


class WorkloadMetrics(Collector):
    """The gauges of all workloads. A workload that goes takes its series along.

    `set` and `remove` belong to the event loop; `collect` may run in another thread.
    """

    def __init__(self) -> None:
        self._facts: dict[Workload, WorkloadFacts] = {}

    def set(self, namespace: str, name: str, facts: WorkloadFacts) -> None:
        self._facts[namespace, name] = facts

    def remove(self, namespace: str, name: str) -> None:
        self._facts.pop((namespace, name), None)

    def clear(self) -> None:
        """Forget all workloads: a replica that no longer leads knows nothing of them."""
        self._facts.clear()

    def __len__(self) -> int:
        return len(self._facts)

    def collect(self) -> Iterator[Metric]:
        # One C call under the interpreter's lock: what it returns does not change under the reader.
        facts = tuple(self._facts.items())
        yield _gauge(
            "secureai_workload_condition",
            "Conditions of the workloads: 1 for True, 0 for False, -1 for Unknown.",
            facts,
            _conditions,
        )
        yield _gauge(
            "secureai_key_latest_version",
            "Latest version of the workload's key in Vault.",
            facts,
            _key_version,
        )
        yield _gauge(
            "secureai_certificate_not_after_timestamp_seconds",
            "End of validity of the workload's certificate, in unix time.",
            facts,
            _not_after,
        )


def _conditions(facts: WorkloadFacts) -> Iterator[tuple[Mapping[str, str], float]]:
    for kind, status in facts.conditions:
        yield {"type": kind}, _STATUS.get(status, -1.0)


def _key_version(facts: WorkloadFacts) -> Iterator[tuple[Mapping[str, str], float]]:
    if facts.key_version > 0:
        yield {}, float(facts.key_version)


def _not_after(facts: WorkloadFacts) -> Iterator[tuple[Mapping[str, str], float]]:
    if facts.certificate_not_after is not None:
        yield {}, facts.certificate_not_after


class _Samples:
    """The samples of one family, made while they are written: a hundred thousand at once would cost 50 MB."""

    def __init__(self, name: str, facts: tuple[tuple[Workload, WorkloadFacts], ...], values: _Values) -> None:
        self._name = name
        self._facts = facts
        self._values = values

    def __iter__(self) -> Iterator[Sample]:
        for (namespace, name), facts in self._facts:
            for labels, value in self._values(facts):
                yield Sample(self._name, {"namespace": namespace, "name": name, **labels}, value)


def _gauge(
    name: str, documentation: str, facts: tuple[tuple[Workload, WorkloadFacts], ...], values: _Values
) -> Metric:
    family = Metric(name, documentation, "gauge")
    family.samples = cast("list[Sample]", _Samples(name, facts, values))
    return family
