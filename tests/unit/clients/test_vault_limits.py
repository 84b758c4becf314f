"""The token bucket and the circuit breaker, with a clock that stands still until told."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator.clients._vault_limits import Breaker, TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def breaker(clock: Clock, threshold: int = 3) -> Breaker:
    return Breaker(clock, threshold=threshold, shortest=1.0, longest=4.0, jitter=lambda: 0.5)


# Token bucket


def test_a_burst_goes_at_once_and_the_rest_at_the_rate(clock: Clock) -> None:
    bucket = TokenBucket(rate=10, burst=3, clock=clock)
    waits = [bucket.reserve() for _ in range(6)]
    assert waits == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3])


def test_rest_fills_the_bucket_and_no_more_than_that(clock: Clock) -> None:
    bucket = TokenBucket(rate=10, burst=3, clock=clock)
    for _ in range(3):
        bucket.reserve()
    clock.now += 3600
    assert [bucket.reserve() for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])


def test_an_urgent_call_never_waits_and_the_others_pay(clock: Clock) -> None:
    bucket = TokenBucket(rate=10, burst=1, clock=clock)
    bucket.reserve()
    assert bucket.reserve(urgent=True) == 0
    assert bucket.reserve() == pytest.approx(0.2)


def test_whoever_would_wait_too_long_is_sent_away_and_takes_no_place(clock: Clock) -> None:
    bucket = TokenBucket(rate=1, burst=1, clock=clock)
    assert [bucket.reserve(patience=2) for _ in range(5)] == [0, 1, 2, None, None]
    clock.now += 1
    assert bucket.reserve(patience=2) == pytest.approx(2)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_bucket_that_lets_nothing_through_is_refused(clock: Clock, rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        TokenBucket(rate, burst, clock)


@given(
    rate=st.floats(1, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=80),
)
def test_in_no_stretch_of_time_do_more_pass_than_burst_and_rate_allow(
    rate: float, burst: int, pauses: list[float]
) -> None:
    clock = Clock()
    bucket = TokenBucket(rate, burst, clock)
    passed = []
    for pause in pauses:
        clock.now += pause
        wait = bucket.reserve(patience=1e9)
        assert wait is not None
        passed.append(clock.now + wait)
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(passed))
    for start in range(len(passed)):
        for end in range(start, len(passed)):
            assert end - start + 1 <= burst + rate * (passed[end] - passed[start]) + 1e-3


# Breaker


def test_single_failures_between_successes_open_nothing(clock: Clock) -> None:
    subject = breaker(clock)
    for _ in range(10):
        subject.failed("VaultTimeout")
        subject.failed("VaultTimeout")
        subject.succeeded()
    assert subject.refusal() is None
    assert subject.reason == ""


def test_failures_in_a_row_open_it_with_their_reason(clock: Clock) -> None:
    subject = breaker(clock)
    for _ in range(3):
        subject.failed("VaultTimeout")
    refusal = subject.refusal()
    assert refusal is not None
    assert refusal.reason == "VaultTimeout"
    assert refusal.after == pytest.approx(1.0)


def test_what_vault_says_itself_opens_it_at_once(clock: Clock) -> None:
    subject = breaker(clock)
    subject.failed("VaultSealed", certain=True)
    assert subject.reason == "VaultSealed"
    assert subject.refusal() is not None


def test_after_the_pause_one_caller_is_let_through_and_no_second(clock: Clock) -> None:
    subject = breaker(clock)
    subject.failed("VaultSealed", certain=True)
    clock.now += 1.01
    assert subject.refusal() is None
    assert all(subject.refusal() is not None for _ in range(100))


def test_a_trial_that_never_ends_does_not_keep_it_shut(clock: Clock) -> None:
    subject = breaker(clock)
    subject.failed("VaultSealed", certain=True)
    clock.now += 1.01
    assert subject.refusal() is None
    clock.now += 1.01
    assert subject.refusal() is None


def test_a_success_closes_it_for_everybody(clock: Clock) -> None:
    subject = breaker(clock)
    subject.failed("VaultSealed", certain=True)
    subject.succeeded()
    assert all(subject.refusal() is None for _ in range(100))


def test_pauses_grow_to_the_longest_and_start_again_after_a_success(clock: Clock) -> None:
    subject = breaker(clock)
    pauses = []
    for _ in range(5):
        subject.failed("VaultUnreachable", certain=True)
        refusal = subject.refusal()
        assert refusal is not None
        pauses.append(refusal.after)
        clock.now += refusal.after + 0.01
        assert subject.refusal() is None
    assert pauses == pytest.approx([1, 2, 4, 4, 4])

    subject.succeeded()
    subject.failed("VaultUnreachable", certain=True)
    refusal = subject.refusal()
    assert refusal is not None
    assert refusal.after == pytest.approx(1)


def test_a_pause_that_vault_asks_for_is_kept_within_reason(clock: Clock) -> None:
    subject = breaker(clock, threshold=1)
    subject.failed("VaultRateLimited", pause=3.0)
    refusal = subject.refusal()
    assert refusal is not None
    assert refusal.after == pytest.approx(3)
    subject.failed("VaultRateLimited", pause=3600.0)
    refusal = subject.refusal()
    assert refusal is not None
    assert refusal.after == pytest.approx(4)
