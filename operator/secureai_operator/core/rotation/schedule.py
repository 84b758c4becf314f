"""When a key rotates: a pure answer from the policy's schedule, the last rotation and the clock.

Nothing is remembered but when the key last rotated. A scheduled time counts if it is later than that, so of several
missed ones the latest runs, once, and a restart at any instant gives the same answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from secureai_operator.api import reasons
from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.model import seconds
from secureai_operator.api.rotation import Schedule
from secureai_operator.api.rotation import Window as WindowSpec
from secureai_operator.api.rotation_status import Trigger
from secureai_operator.core.rotation.occurrences import Cron, Every, Occurrences, cron_problem
from secureai_operator.core.verdict import Verdict, bad

_ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NotYet:
    """The rotation may start at `next_time`, not before."""

    next_time: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """The rotation of the time `scheduled` may start now."""

    scheduled: datetime
    trigger: Trigger = Trigger.SCHEDULED


@dataclass(frozen=True, slots=True)
class Missed:
    """The rotation of `scheduled` could not start within the starting deadline; the next one may at `next_time`."""

    scheduled: datetime
    next_time: datetime | None
    message: str


@dataclass(frozen=True, slots=True)
class Never:
    """The schedule names no time any more."""


Answer = NotYet | Due | Missed | Never


@dataclass(frozen=True, slots=True)
class Window:
    """Open for `length` from each of `starts`; closed at its end."""

    starts: Cron
    length: timedelta

    def opening(self, at: datetime) -> datetime | None:
        """The first instant at or after `at` at which it is open."""
        last = self.starts.latest(at)
        if last is not None and at < last + self.length:
            return at
        return self.starts.following(at)


@dataclass(frozen=True, slots=True)
class Timetable:
    """A schedule that can be asked: exactly one of `cron` and `interval` is set."""

    cron: Cron | None
    interval: timedelta | None
    jitter: timedelta
    starting_deadline: timedelta | None
    windows: tuple[Window, ...]

    def occurrences(self, rotated: datetime, ruled_since: datetime) -> tuple[Occurrences, datetime]:
        """The scheduled times, and the instant after which they count."""
        if self.cron is not None:
            return self.cron, max(rotated, ruled_since)
        period = self.interval or timedelta(days=36500)
        return Every(max(rotated + period, ruled_since), period), _ALWAYS

    def opening(self, at: datetime) -> datetime | None:
        """The first instant at or after `at` inside a window; `at` itself if there are no windows."""
        if not self.windows:
            return at
        openings = (window.opening(at) for window in self.windows)
        return min((opening for opening in openings if opening is not None), default=None)


def timetable(schedule: Schedule, windows: Sequence[WindowSpec]) -> Timetable | Verdict:
    """The schedule made ready to be asked, or why it names no time at which a rotation could start."""
    problem = _problem(schedule, windows)
    if problem is not None:
        return bad(reasons.INVALID_SPEC, problem, terminal=True)
    zone = ZoneInfo(schedule.time_zone)
    return Timetable(
        cron=None if schedule.cron is None else Cron(schedule.cron, zone),
        interval=_time(schedule.interval),
        jitter=_time(schedule.jitter) or timedelta(),
        starting_deadline=_time(schedule.starting_deadline),
        windows=tuple(
            Window(Cron(window.start, zone), timedelta(seconds=seconds(window.duration)))
            for window in windows
        ),
    )


def _problem(schedule: Schedule, windows: Sequence[WindowSpec]) -> str | None:
    """What the API server's rules let through, or an older API server did."""
    try:
        ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"spec.schedule.timeZone: {schedule.time_zone} is no IANA time zone that the operator knows"
    if (schedule.cron is None) == (schedule.interval is None):
        return "spec.schedule: set exactly one of cron and interval"
    if schedule.cron is not None:
        if problem := cron_problem(schedule.cron):
            return f"spec.schedule.cron: {problem}"
        if not schedule.cron.split()[0].isdigit():
            return (
                "spec.schedule.cron: a key rotates at most once an hour; the first field must be one minute"
            )
    for place, window in enumerate(windows):
        if problem := cron_problem(window.start):
            return f"spec.windows[{place}].start: {problem}"
    return None


def _time(duration: str | None) -> timedelta | None:
    return None if duration is None else timedelta(seconds=seconds(duration))


def spread(uid: str) -> float:
    """The workload's own place in the jitter, from 0 to below 1: always the same, and even over a fleet."""
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:6]) / 2**48


def due(
    table: Timetable, *, rotated: datetime, ruled_since: datetime, spread: float, now: datetime
) -> Answer:
    """Whether the key may rotate now, or when.

    `rotated` is when it last did, by whomever (see `record.last_rotation`); `ruled_since` is when this schedule began to
    rule the workload: nothing was due before. The deadline counts from the first instant at which a window let the
    rotation start, its jitter included.
    """
    occurrences, floor = table.occurrences(rotated, ruled_since)
    delay = timedelta(seconds=int(table.jitter.total_seconds() * spread))
    scheduled = _latest(occurrences, now - delay, floor)
    if scheduled is None:
        return _not_yet(_next_start(table, occurrences, max(floor, now - delay), delay))
    first, possible = table.opening(scheduled + delay), table.opening(now)
    if first is None or possible is None:
        return Never()
    if table.starting_deadline is None or possible - first <= table.starting_deadline:
        return Due(scheduled) if possible == now else NotYet(possible)
    return Missed(
        scheduled,
        _next_start(table, occurrences, scheduled, delay),
        f"the rotation of {rfc3339(scheduled)} could have started at {rfc3339(first)} and did not within "
        "spec.schedule.startingDeadline",
    )


def _latest(occurrences: Occurrences, at: datetime, floor: datetime) -> datetime | None:
    found = occurrences.latest(at)
    return found if found is not None and found > floor else None


def _next_start(
    table: Timetable, occurrences: Occurrences, after: datetime, delay: timedelta
) -> datetime | None:
    scheduled = occurrences.following(after)
    return None if scheduled is None else table.opening(scheduled + delay)


def _not_yet(start: datetime | None) -> Answer:
    return Never() if start is None else NotYet(start)
