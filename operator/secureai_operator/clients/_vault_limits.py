"""What keeps the operator from hurting a Vault: a token bucket and a circuit breaker. No I/O, no tasks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]


class TokenBucket:
    """`burst` requests at once, then `rate` per second, in the order of asking.

    A caller reserves its place and is told how long to wait for it, so a thousand callers cost a thousand
    timers and no queue. An urgent caller does not wait; the others pay for it.
    """

    def __init__(self, rate: float, burst: int, clock: Clock) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError("rate and burst must be positive")
        self._gap = 1.0 / rate
        self._tolerance = (burst - 1) * self._gap
        self._clock = clock
        self._next = clock()

    def reserve(self, *, urgent: bool = False, patience: float = 30.0) -> float | None:
        """Seconds to wait before sending, or None if that would be more than `patience`."""
        now = self._clock()
        due = max(self._next, now)
        wait = max(0.0, due - self._tolerance - now)
        if urgent:
            wait = 0.0
        elif wait > patience:
            return None
        self._next = due + self._gap
        return wait


@dataclass(frozen=True)
class Refusal:
    """Why the breaker is open, and for how many seconds at least."""

    reason: str
    after: float


class Breaker:
    """Fails calls fast while Vault cannot answer them; lets a single one through to find out.

    Opens after `threshold` failures in a row, or at once on one that leaves no doubt. Each failed attempt
    doubles the pause up to `longest`; every pause is jittered, so many operators do not knock together.
    """

    def __init__(
        self,
        clock: Clock,
        threshold: int = 3,
        shortest: float = 0.25,
        longest: float = 2.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._threshold = threshold
        self._shortest = shortest
        self._longest = longest
        self._jitter = jitter
        self._failures = 0
        self._pause = shortest
        self._reason = ""
        self._open_until: float | None = None

    @property
    def reason(self) -> str:
        """Why it is open, or "" while it is closed."""
        return self._reason if self._open_until is not None else ""

    def refusal(self) -> Refusal | None:
        """None: go ahead. While open, that is said to one caller per pause."""
        if self._open_until is None:
            return None
        now = self._clock()
        if now < self._open_until:
            return Refusal(self._reason, self._open_until - now)
        self._open_until = now + self._jittered(self._pause)
        return None

    def succeeded(self) -> None:
        self._failures = 0
        self._pause = self._shortest
        self._open_until = None
        self._reason = ""

    def failed(self, reason: str, *, certain: bool = False, pause: float | None = None) -> None:
        """`certain`: Vault itself said so (sealed); `pause`: it said for how long."""
        self._failures += 1
        was_open = self._open_until is not None
        if not (certain or was_open or self._failures >= self._threshold):
            return
        if was_open:
            self._pause = min(self._pause * 2, self._longest)
        self._reason = reason
        self._open_until = self._clock() + self._jittered(max(self._pause, min(pause or 0.0, self._longest)))

    def _jittered(self, seconds: float) -> float:
        return seconds * (0.8 + 0.4 * self._jitter())
