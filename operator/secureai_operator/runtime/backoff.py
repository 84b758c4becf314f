"""How long to wait before the next try: exponential, capped, with full jitter."""

from __future__ import annotations

import random as _random
from collections.abc import Callable, Hashable

_MAX_EXPONENT = 32


class Backoff:
    """Delays per key that double with each failure up to a cap, and start over after a success.

    Full jitter: the delay is uniform between nothing and the doubled base, so that keys that failed together do not come
    back together. A floor of a tenth keeps a lucky draw from being no delay at all.
    """

    def __init__(
        self,
        base: float = 0.2,
        cap: float = 60.0,
        factor: float = 2.0,
        random: Callable[[], float] = _random.random,
    ) -> None:
        if not (base > 0 and cap >= base and factor >= 1):
            raise ValueError("a backoff needs 0 < base <= cap and a factor of at least 1")
        self._base = base
        self._cap = cap
        self._factor = factor
        self._random = random
        self._failures: dict[Hashable, int] = {}

    def delay(self, attempt: int) -> float:
        """Return the jittered delay after so many failures, counted from 0, in seconds."""
        ceiling = min(self._cap, self._base * self._factor ** min(attempt, _MAX_EXPONENT))
        return ceiling * (0.1 + 0.9 * self._random())

    def next(self, key: Hashable, at_least: float = 0.0) -> float:
        """Count one more failure of the key and return the delay before its next try, in seconds.

        What a server asked for with `at_least` is kept even above the cap, with up to a tenth on top so that not
        everybody returns at the same moment.
        """
        attempt = self._failures.get(key, 0)
        self._failures[key] = attempt + 1
        return max(self.delay(attempt), at_least * (1.0 + 0.1 * self._random()))

    def forget(self, key: Hashable) -> None:
        """Start over: the key succeeded or is gone."""
        self._failures.pop(key, None)

    def failures(self, key: Hashable) -> int:
        return self._failures.get(key, 0)
