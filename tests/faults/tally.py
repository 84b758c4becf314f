"""How many crash points were really struck in this session: an operator was killed while a workload stood there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

WANTED = 150


class Tally:
    """Points by sweep."""

    def __init__(self) -> None:
        self._points: Counter[str] = Counter()

    def struck(self, workloads: Iterable[str]) -> None:
        """The operator was killed while these stood at their points."""
        self._points.update(workload.rpartition("-")[0] for workload in workloads)

    @property
    def total(self) -> int:
        return self._points.total()

    @property
    def sweeps(self) -> frozenset[str]:
        return frozenset(self._points)

    def __str__(self) -> str:
        each = ", ".join(f"{sweep} {count}" for sweep, count in sorted(self._points.items()))
        return f"crash points struck: {self.total} ({each})"


TALLY = Tally()
