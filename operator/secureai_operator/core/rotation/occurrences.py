"""Occurrences: the instants that a cron expression or an interval names, forwards and backwards.

Cron is read off the clock on the wall: each wall time that the expression names happens exactly once. One that the
clock skips happens as the clock has jumped; one that the clock shows twice happens the first time. So instants follow
wall times without ever going back, whatever a zone does to its offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_SECOND = timedelta(seconds=1)


class Occurrences(Protocol):
    """Instants in order, in UTC, of whole seconds."""

    def latest(self, at: datetime) -> datetime | None:
        """The last one at or before `at`."""

    def following(self, after: datetime) -> datetime | None:
        """The first one after `after`."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression of five fields, by the clock of one zone."""

    expression: str
    zone: ZoneInfo

    def latest(self, at: datetime) -> datetime | None:
        local = at.astimezone(self.zone)
        # In the second of two equal hours all that was left of the first has happened, though the wall shows less.
        repeated = _offset(local.replace(fold=0)) - _offset(local.replace(fold=1))
        start = _wall(local) + max(repeated, timedelta()) + _SECOND
        instants = (self._instant(wall) for wall in self._walls(start, reverse=True))
        return next((instant for instant in instants if instant <= at), None)

    def following(self, after: datetime) -> datetime | None:
        start = _wall(after.astimezone(self.zone))
        instants = (self._instant(wall) for wall in self._walls(start))
        return next((instant for instant in instants if instant > after), None)

    def _walls(self, start: datetime, *, reverse: bool = False) -> Iterator[datetime]:
        # Without a zone, so that the library leaves what a zone does to us: it follows one of the crons there are,
        # in which a time asked for in the second of two equal hours can lie before the asking.
        return CronSim(self.expression, start, reverse=reverse)

    def _instant(self, wall: datetime) -> datetime:
        local = wall.replace(tzinfo=self.zone)
        instant = local.astimezone(UTC)
        if _wall(instant.astimezone(self.zone)) == wall:
            return instant
        return self._jump(before=local.replace(fold=1).astimezone(UTC), after=instant)

    def _jump(self, before: datetime, after: datetime) -> datetime:
        """The first instant after the clock jumped, known to be in (before, after]."""
        offset = _offset(after.astimezone(self.zone))
        low, high = int(before.timestamp()), int(after.timestamp())
        while high - low > 1:
            middle = (low + high) // 2
            jumped = _offset(datetime.fromtimestamp(middle, self.zone)) == offset
            low, high = (low, middle) if jumped else (middle, high)
        return datetime.fromtimestamp(high, UTC)


@dataclass(frozen=True, slots=True)
class Every:
    """From `first` on, each `period`."""

    first: datetime
    period: timedelta

    def latest(self, at: datetime) -> datetime | None:
        return None if at < self.first else self.first + (at - self.first) // self.period * self.period

    def following(self, after: datetime) -> datetime | None:
        before = self.latest(after)
        return self.first if before is None else before + self.period


def cron_problem(expression: str) -> str | None:
    """Why there is no instant that the expression names, or None."""
    try:
        simulation = CronSim(expression, datetime(2024, 1, 1))  # noqa: DTZ001 - wall times, see above
    except CronSimError:
        return f"{expression} is not five fields of cron, or names days that no month has"
    return None if next(simulation, None) else f"{expression} never comes"


def _wall(local: datetime) -> datetime:
    return local.replace(tzinfo=None, microsecond=0, fold=0)


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()
