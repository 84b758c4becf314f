"""Values of a strategy without a test around them: as many as wanted, and the same ones every time."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

T = TypeVar("T")


def drawn(values: st.SearchStrategy[T], count: int, number: int) -> list[T]:
    """So many values of the strategy; the same for the same number."""
    found: list[T] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(values)
    def collect(value: T) -> None:
        found.append(value)

    collect()
    return found
