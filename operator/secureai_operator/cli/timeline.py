"""The picture of a fleet's key versions and rotations, laid out: where everything is, and what it says. Pure.

A row for each workload. The period in which a version was the current one is a bar; bars of a row never overlap. While an
old version still decrypts, a line runs on from its bar to now: the older, the lower. So what is not retired is seen at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from secureai_operator.cli.key_views import KeyView, RecordView, Versions, VersionState
from secureai_operator.cli.output import Mark, age, duration
from secureai_operator.cli.timeline_axis import EPOCH, Axis, axis, stamp

MAX_ROWS = 500
WIDTH, LEFT, RIGHT = 1200, 222, 196
BAR = 15
LANE = 6
LANES = 5
"""Lines below a bar; what is older shares the last."""
AXIS_ROWS = 14
"""With more rows the axis is repeated below."""
BELOW, BELOW_WITH_AXIS = 16, 44
_ROW, _GROUP, _TOP = 46, 30, 132
_ABOVE = 14
_NARROWEST = 2.0


@dataclass(frozen=True)
class Bar:
    """The time in which a version, or several of which nothing more is known, was the current one."""

    x: float
    width: float
    label: str
    state: VersionState
    text: str
    cut: bool = False
    """It began before the picture does."""


@dataclass(frozen=True)
class Line:
    """An old version that still decrypts, from the end of its bar to now; `until` is its planned retirement."""

    x: float
    end: float
    lane: int
    text: str
    until: float | None = None
    cut: bool = False
    """The end of its bar is before the picture begins."""


@dataclass(frozen=True)
class Pin:
    """A rotation; `trigger` is its form, and "" that of one to come."""

    x: float
    trigger: str
    text: str
    beyond: bool = False
    """It is later than the picture goes."""
    late: bool = False
    """It should have been before now."""


@dataclass(frozen=True)
class Row:
    """A workload: what is drawn, and what is written beside it."""

    y: float
    height: float
    namespace: str
    name: str
    note: str
    version: str
    state: str
    mark: Mark
    text: str
    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()
    pins: tuple[Pin, ...] = ()

    @property
    def bar_y(self) -> float:
        return self.y + _ABOVE


@dataclass(frozen=True)
class Group:
    """The heading of a namespace."""

    y: float
    name: str


@dataclass(frozen=True)
class Timeline:
    """The whole picture; sizes are in pixels."""

    axis: Axis
    now: datetime
    top: float
    height: float
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    title: str
    summary: str
    left_out: int = 0
    states: tuple[VersionState, ...] = field(default_factory=tuple)
    """Those that occur."""


@dataclass(frozen=True)
class Reign:
    """From when to when versions were the current ones; `about` if the beginning is not known."""

    versions: Versions
    begin: datetime
    end: datetime
    about: bool


def timeline(
    keys: Sequence[KeyView], now: datetime, since: timedelta | None = None, limit: int = MAX_ROWS
) -> Timeline:
    """The picture of these keys at `now`; with more than `limit` those come first that need attention."""
    shown = _chosen(keys, limit)
    reigns = [reigns_of(key, now) for key in shown]
    scale = _axis(shown, reigns, now, since)
    several = len({key.workload.namespace for key in shown}) > 1
    rows: list[Row] = []
    groups: list[Group] = []
    y, before = float(_TOP), None
    for key, of_key in zip(shown, reigns, strict=True):
        if several and key.workload.namespace != before:
            groups.append(Group(y, key.workload.namespace))
            y, before = y + _GROUP, key.workload.namespace
        rows.append(_row(key, of_key, scale, now, y))
        y += rows[-1].height
    drawn = {one.versions.state for of_key in reigns for one in of_key}
    return Timeline(
        axis=scale,
        now=now,
        top=_TOP,
        height=y + (BELOW_WITH_AXIS if len(rows) > AXIS_ROWS else BELOW),
        rows=tuple(rows),
        groups=tuple(groups),
        title=_title(shown, several=several),
        summary=summary(shown, now),
        left_out=len(keys) - len(shown),
        states=tuple(state for state in VersionState if state in drawn),
    )


def summary(keys: Sequence[KeyView], now: datetime) -> str:
    """What the picture shows, in a sentence, for those who do not see it."""
    if not keys:
        return "no keys"
    bad = sum(key.needs_attention for key in keys)
    made = [key.latest_made for key in keys if key.latest_made is not None]
    coming = [key.next_time for key in keys if key.next_time is not None and key.next_time > now]
    parts = [
        f"{len(keys)} key{'' if len(keys) == 1 else 's'}",
        f"{bad} need{'s' if bad == 1 else ''} attention" if bad else "none needs attention",
    ]
    if made:
        parts.append(f"the oldest latest version is {age(min(made), now)} old")
    if coming:
        parts.append(f"the next rotation is in {duration(int((min(coming) - now).total_seconds()))}")
    return "; ".join(parts)


def reigns_of(key: KeyView, now: datetime) -> tuple[Reign, ...]:
    """When each version was the current one: in order, without gaps and without overlap, none later than now.

    A beginning that status does not tell is put evenly between those that it does.
    """
    versions = key.versions
    begins = _filled([None if one.made is None else _sane(one.made, now) for one in versions], now)
    ends = [*begins[1:], now] if begins else []
    return tuple(
        Reign(one, begin, end, about=one.made is None)
        for one, begin, end in zip(versions, begins, ends, strict=True)
    )


def _sane(at: datetime, now: datetime) -> datetime:
    """Not later than now, and not so early that there is nothing before it to reckon with."""
    return min(max(at, EPOCH), now)


def _filled(known: Sequence[datetime | None], now: datetime) -> list[datetime]:
    """The instants, never falling, with the unknown ones spread evenly in between."""
    found: list[datetime] = []
    for place, at in enumerate(known):
        floor = found[-1] if found else None
        guess = _between(floor, known[place:], now) if at is None else at
        found.append(guess if floor is None else max(guess, floor))
    return found


def _between(floor: datetime | None, following: Sequence[datetime | None], now: datetime) -> datetime:
    """The first of the unknown instants that follow, up to the next known one; it cannot be told from that without `floor`."""
    steps, until = next(
        ((place, at) for place, at in enumerate(following) if at is not None), (len(following), now)
    )
    start = until if floor is None else min(floor, until)
    return start + (until - start) / (steps + 1)


def _chosen(keys: Sequence[KeyView], limit: int) -> list[KeyView]:
    """All, or those that need attention and as many others as there is room for, by namespace and name."""
    urgent = sorted(keys, key=lambda key: (not key.needs_attention, *_order(key)))
    return sorted(urgent[:limit], key=_order)


def _order(key: KeyView) -> tuple[str, str]:
    return key.workload.namespace, key.workload.name


def _axis(
    keys: Sequence[KeyView], reigns: Sequence[Sequence[Reign]], now: datetime, since: timedelta | None
) -> Axis:
    """Far enough back for all rotations that are known: a key that never rotated does not stretch it."""
    future = [at for key in keys for at in (key.next_time, *(one.retires for one in key.versions)) if at]
    if since is None:
        rotations = [one.begin for of_key in reigns for one in of_key[1:]]
        past = _with_first_reigns(reigns, rotations) or [one.begin for of_key in reigns for one in of_key]
    else:
        past = [now - since]
    return axis(past, future, now, LEFT, WIDTH - RIGHT)


def _with_first_reigns(reigns: Sequence[Sequence[Reign]], rotations: Sequence[datetime]) -> list[datetime]:
    """The rotations, and as much of what was before them as does not make them small."""
    if not rotations:
        return []
    first, last = min(rotations), max(rotations)
    earlier = first - max((last - first) * 0.15, timedelta(minutes=10))
    return [*rotations, max(min(one.begin for of_key in reigns for one in of_key), earlier)]


def _row(key: KeyView, reigns: Sequence[Reign], scale: Axis, now: datetime, y: float) -> Row:
    lines = tuple(_lines(key, reigns, scale, now))
    workload = key.workload
    depth = max((line.lane for line in lines), default=0)
    version = f"v{key.latest} \u00b7 {age(key.latest_made, now)}" if key.latest else "no key"
    return Row(
        y=y,
        height=max(_ROW, _ABOVE + BAR + 6 + depth * LANE + 8),
        namespace=workload.namespace,
        name=workload.name,
        note=_note(key),
        version=version,
        state=words(key.state.text),
        mark=key.state.mark,
        text=_row_text(key, now),
        bars=tuple(_bars(key, reigns, scale)),
        lines=lines,
        pins=tuple(_pins(key, scale, now)),
    )


def _bars(key: KeyView, reigns: Sequence[Reign], scale: Axis) -> Iterator[Bar]:
    """Cut at the picture's edge; a bar that would be too narrow to see takes the pixels from its neighbour."""
    edges = [scale.x(one.begin) for one in reigns] + ([scale.x(reigns[-1].end)] if reigns else [])
    for place in range(len(edges) - 2, -1, -1):
        edges[place] = max(min(edges[place], edges[place + 1] - _NARROWEST), scale.left)
    for one, (begin, end) in zip(reigns, pairwise(edges), strict=True):
        if end > begin:
            yield Bar(
                begin,
                round(end - begin, 1),
                one.versions.label,
                one.versions.state,
                _bar_text(key, one),
                cut=one.begin < scale.start,
            )


def _lines(key: KeyView, reigns: Sequence[Reign], scale: Axis, now: datetime) -> Iterator[Line]:
    old = [one for one in reigns if one.versions.state is VersionState.OLD]
    for lane, one in enumerate(reversed(old), start=1):
        retires = one.versions.retires
        yield Line(
            x=scale.x(one.end),
            end=scale.x(now),
            lane=min(lane, LANES),
            text=_bar_text(key, one),
            until=None if retires is None or retires <= now else scale.x(retires),
            cut=one.end < scale.start,
        )


def _pins(key: KeyView, scale: Axis, now: datetime) -> Iterator[Pin]:
    made = {one.first: one.made for one in key.versions if one.made is not None}
    for record in key.history:
        at = made.get(record.to_version) or record.started
        if at is not None and scale.shows(at):
            yield Pin(scale.x(min(at, now)), record.trigger, _pin_text(record))
    if key.next_time is not None:
        beyond = key.next_time > scale.end
        late = key.next_time < now
        said = (
            f"rotation due since {stamp(key.next_time)}" if late else f"next rotation {stamp(key.next_time)}"
        )
        yield Pin(scale.x(max(key.next_time, now)), "", said, beyond=beyond, late=late)


def _bar_text(key: KeyView, one: Reign) -> str:
    versions = one.versions
    current = versions.state is VersionState.CURRENT
    begin = f"{'about ' if one.about else ''}{stamp(one.begin)}"
    parts = [
        f"{key.workload.namespace}/{key.workload.name} {versions.label}: {versions.state}",
        f"current since {begin}" if current else f"current from {begin} to {stamp(one.end)}",
    ]
    if versions.users:
        parts.append(f"wraps {', '.join(versions.users)}")
    if versions.retires is not None:
        parts.append(f"retires {stamp(versions.retires)}")
    return "; ".join(parts)


def _pin_text(record: RecordView) -> str:
    when = "" if record.started is None else f", {stamp(record.started)}"
    adopted = ", done by others and adopted" if record.result == "Adopted" else ""
    versions = f"v{record.from_version} \u2192 v{record.to_version}"
    return f"{record.trigger} rotation {versions}{when}; data keys rewrapped: {record.items}{adopted}"


def _note(key: KeyView) -> str:
    namespace, _, name = key.policy.partition("/")
    policy = name if namespace == key.workload.namespace else key.policy
    custody = "" if key.custody == "service-managed" else f" \u00b7 {key.custody}"
    return (policy or "no policy") + custody


def _row_text(key: KeyView, now: datetime) -> str:
    message = "" if key.on_track is None else f": {key.on_track.message}"
    if not key.latest:
        return f"{key.workload.namespace}/{key.workload.name}: no key yet"
    return (
        f"{key.workload.namespace}/{key.workload.name}: version {key.latest}, {age(key.latest_made, now)} old, "
        f"decrypts from version {key.minimum}; {key.state.text}{message}"
    )


def _title(keys: Sequence[KeyView], *, several: bool) -> str:
    if len(keys) == 1:
        return f"Key versions of {keys[0].workload.namespace}/{keys[0].workload.name}"
    if several or not keys:
        return "Key versions and rotations"
    return f"Key versions and rotations in {keys[0].workload.namespace}"


def words(reason: str) -> str:
    """A reason such as RotationScheduled as words: Rotation scheduled."""
    spaced = "".join(f" {sign.lower()}" if sign.isupper() else sign for sign in reason).strip()
    return spaced[:1].upper() + spaced[1:]
