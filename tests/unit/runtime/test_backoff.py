"""Delays grow, are capped, are spread, and start over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator.runtime.backoff import Backoff


def always(value: float) -> Backoff:
    return Backoff(base=0.2, cap=60, random=lambda: value)


def test_the_ceiling_doubles_with_each_failure_up_to_the_cap() -> None:
    backoff = always(1.0)
    assert [backoff.next("a") for _ in range(11)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60]


def test_a_thousand_failures_do_not_overflow() -> None:
    backoff = Backoff(factor=10)
    for _ in range(1000):
        assert 0 < backoff.next("a") <= 60


def test_even_the_luckiest_draw_is_a_delay() -> None:
    assert always(0.0).next("a") == pytest.approx(0.02)


def test_keys_do_not_share_their_failures() -> None:
    backoff = always(1.0)
    backoff.next("a")
    assert backoff.next("b") == 0.2
    assert backoff.failures("a") == 1


def test_a_success_starts_over_and_leaves_nothing_behind() -> None:
    backoff = always(1.0)
    backoff.next("a")
    backoff.forget("a")
    backoff.forget("never seen")
    assert backoff.next("a") == 0.2


def test_what_the_server_asked_for_is_kept_even_above_the_cap() -> None:
    assert always(0.5).next("a", at_least=90) == pytest.approx(94.5)


def test_a_backoff_without_a_delay_is_refused() -> None:
    for base, cap, factor in ((0, 1, 2), (2, 1, 2), (1, 2, 0.5)):
        with pytest.raises(ValueError, match="backoff"):
            Backoff(base, cap, factor)


@given(attempt=st.integers(0, 10_000), draw=st.floats(0, 1))
def test_a_delay_is_between_a_tenth_of_its_ceiling_and_the_ceiling(attempt: int, draw: float) -> None:
    ceiling = min(60.0, 0.2 * 2.0 ** min(attempt, 20))
    assert ceiling * 0.0999 <= always(draw).delay(attempt) <= ceiling
