"""The time axis of the picture of key versions: its ends, and ticks where people expect them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = 86400
_STEPS = (
    60,
    300,
    900,
    1800,
    3600,
    3 * 3600,
    6 * 3600,
    12 * 3600,
    _DAY,
    2 * _DAY,
    4 * _DAY,
    7 * _DAY,
    14 * _DAY,
)
_MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 600, 1200, 6000)
_MONTH = 30.44 * _DAY
_TICK_WIDTH = 70
"""Room that a label needs, in pixels."""
_FUTURE = 0.35
"""What lies ahead has at most this part of the room that lies behind."""
_SHORTEST = timedelta(hours=1)


@dataclass(frozen=True)
class Tick:
    """A line of the grid; `below` is the larger unit, where that changes."""

    x: float
    label: str
    below: str = ""


@dataclass(frozen=True)
class Axis:
    """Maps instants from `start` to `end` onto pixels from `left` to `right`."""

    start: datetime
    end: datetime
    left: float
    right: float

    def x(self, at: datetime) -> float:
        """Where an instant is; one outside is at the edge."""
        part = (at - self.start) / (self.end - self.start)
        return round(self.left + min(max(part, 0.0), 1.0) * (self.right - self.left), 1)

    def shows(self, at: datetime) -> bool:
        return self.start <= at <= self.end

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """As many as have room, at round times."""
        moments, unit = self._round_times()
        found: list[Tick] = []
        context = ""
        for at in moments:
            label, larger = _label(at, unit)
            found.append(Tick(self.x(at), label, larger if larger != context else ""))
            context = larger
        return tuple(found)

    def _round_times(self) -> tuple[Sequence[datetime], str]:
        length = (self.end - self.start).total_seconds()
        room = max(int((self.right - self.left) // _TICK_WIDTH), 1)
        step = next((one for one in _STEPS if length / one <= room), None)
        if step is not None:
            unit = "day" if step >= _DAY else "time"
            return tuple(self._every(step)), unit
        months = next((one for one in _MONTH_STEPS if length / (one * _MONTH) <= room), _MONTH_STEPS[-1])
        return tuple(self._months(months)), "year" if months >= len(_MONTHS) else "month"

    def _every(self, step: int) -> Iterator[datetime]:
        origin = _MONDAY if step % (7 * _DAY) == 0 else EPOCH
        passed = (self.start - origin) // timedelta(seconds=step)
        at = origin + timedelta(seconds=step) * passed
        while at <= self.end:
            if at >= self.start:
                yield at
            at += timedelta(seconds=step)

    def _months(self, step: int) -> Iterator[datetime]:
        month = self.start.year * 12 + self.start.month - 1
        month -= month % step
        while month // 12 <= min(self.end.year, MAXYEAR - 1):
            at = datetime(max(month // 12, 1), month % 12 + 1, 1, tzinfo=UTC)
            if self.shows(at):
                yield at
            month += step


def axis(
    past: Sequence[datetime], future: Sequence[datetime], now: datetime, left: float, right: float
) -> Axis:
    """From before the first of `past` to behind the last of `future`, as far as that leaves room for what was."""
    start = min([*past, now - _SHORTEST])
    behind = now - start
    end = min(max([*future, now]), now + behind * _FUTURE)
    return Axis(start - behind * 0.02, end + behind * 0.03, left, right)


def day(at: datetime) -> str:
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def stamp(at: datetime) -> str:
    """The instant in words, to the minute."""
    return f"{day(at)} {at:%H:%M} UTC"


def _label(at: datetime, unit: str) -> tuple[str, str]:
    month = _MONTHS[at.month - 1]
    return {
        "time": (f"{at:%H:%M}", f"{at.day} {month} {at.year}"),
        "day": (f"{at.day} {month}", str(at.year)),
        "month": (month, str(at.year)),
        "year": (str(at.year), ""),
    }[unit]
