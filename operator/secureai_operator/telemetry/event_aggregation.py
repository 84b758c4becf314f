"""Which Kubernetes events are worth writing: duplicates are counted, floods of one object are cut off. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime

from secureai_operator.api.reasons import Reason, Severity


@dataclass(frozen=True, slots=True)
class Regarding:
    """The object that an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened so many times, from `first` to `last`."""

    regarding: Regarding
    reason: Reason
    message: str
    first: datetime
    last: datetime
    count: int = 1


@dataclass(frozen=True, slots=True)
class AggregationSettings:
    """Durations in seconds of monotonic time."""

    window: float = 300.0
    """Repeats of an event within it are counted and told once, at its end."""
    burst: int = 25
    """Different events that one object may have at once …"""
    refill: float = 30.0
    """… and the time after which it may have one more."""
    max_tracked: int = 4096
    """Windows and objects that are remembered; the oldest are forgotten first."""


@dataclass(slots=True)
class _Window:
    ends: float
    repeats: Occurrence | None = None


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


_Key = tuple[Regarding, str, str]


@dataclass(slots=True)
class Aggregation:
    """Decide of each occurrence whether it is told now, told later with a count, or not at all.

    - The first of its kind (object, reason, message) is told at once.
    - Repeats within the window are told as one, with their number, when it ends.
    - An object beyond its rate loses events; facts about security are never lost to it.

    `now` is monotonic seconds and never goes back.
    """

    settings: AggregationSettings = field(default_factory=AggregationSettings)
    suppressed: int = 0
    _windows: OrderedDict[_Key, _Window] = field(default_factory=OrderedDict)
    _buckets: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)

    def offer(self, occurrence: Occurrence, now: float) -> Occurrence | None:
        """Return the occurrence if it is to be told now."""
        key = (occurrence.regarding, occurrence.reason.name, occurrence.message)
        window = self._windows.get(key)
        if window is not None and now < window.ends:
            window.repeats = _joined(window.repeats, occurrence)
            return None
        if not self._has_token(occurrence, now):
            self.suppressed += 1
            return None
        self._open(key, now)
        # What was counted in a window that nobody came to close belongs to this one.
        missed = window.repeats if window is not None else None
        return _joined(missed, occurrence)

    def due(self, now: float) -> list[Occurrence]:
        """Return what was counted in the windows that have ended; a key with repeats gets a new window."""
        told = []
        # A window is opened at the end of the order, so the first that has not ended is the last to look at.
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if now < window.ends:
                break
            del self._windows[key]
            if window.repeats is not None:
                told.append(window.repeats)
                self._open(key, now)
        return told

    def next_due(self) -> float | None:
        """Return when the earliest window ends."""
        return next(iter(self._windows.values())).ends if self._windows else None

    def flush(self) -> list[Occurrence]:
        """Return all that was counted and not yet told, at the end."""
        told = [window.repeats for window in self._windows.values() if window.repeats is not None]
        self._windows.clear()
        return told

    def _open(self, key: _Key, now: float) -> None:
        self._windows.pop(key, None)
        self._windows[key] = _Window(now + self.settings.window)
        if len(self._windows) > self.settings.max_tracked:
            self._windows.popitem(last=False)

    def _has_token(self, occurrence: Occurrence, now: float) -> bool:
        if occurrence.reason.severity is Severity.SECURITY:
            return True
        uid, burst = occurrence.regarding.uid, float(self.settings.burst)
        bucket = self._buckets.pop(uid, None) or _Bucket(burst, now)
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) / self.settings.refill)
        bucket.at = now
        self._buckets[uid] = bucket
        if len(self._buckets) > self.settings.max_tracked:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True


def _joined(earlier: Occurrence | None, later: Occurrence) -> Occurrence:
    if earlier is None:
        return later
    return replace(earlier, last=later.last, count=earlier.count + later.count)
