"""What `secureai keys` shows of a fleet and of one key, as tables and lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from secureai_operator.cli.key_views import KeyView, RecordView, Versions, VersionState, number
from secureai_operator.cli.output import Cell, Mark, Table, Word, age, duration, moment, string

COLUMNS = (
    "WORKLOAD",
    "TYPE",
    "CUSTODY",
    "LATEST",
    "AGE",
    "DECRYPTS",
    "IN USE",
    "POLICY",
    "NEXT",
    "STATE",
)
_STATES = {
    VersionState.CURRENT: Mark.GOOD,
    VersionState.OLD: Mark.PLAIN,
    VersionState.RETIRED: Mark.QUIET,
    VersionState.DESTROYED: Mark.QUIET,
}


def fleet(keys: Sequence[KeyView], now: datetime, *, everywhere: bool) -> Table:
    """A row for each key."""
    return Table([_fleet_row(key, now, everywhere=everywhere) for key in keys], COLUMNS)


def _fleet_row(key: KeyView, now: datetime, *, everywhere: bool) -> tuple[Cell, ...]:
    workload = key.workload
    return (
        f"{workload.namespace}/{workload.name}" if everywhere else workload.name,
        key.type,
        key.custody,
        f"v{key.latest}" if key.latest else "-",
        age(key.latest_made, now),
        f"v{key.minimum}+" if key.latest else "-",
        f"v{key.oldest_in_use}+" if key.oldest_in_use else "-",
        key.policy or "-",
        next_rotation(key, now),
        state(key),
    )


def state(key: KeyView) -> Word:
    """The reason of RotationOnTrack; a sign says the same as the colour."""
    return Word(f"{key.state.text} !", key.state.mark) if key.needs_attention else key.state


def next_rotation(key: KeyView, now: datetime) -> Cell:
    at = key.next_time
    if at is None:
        return "-"
    left = int((at - now).total_seconds())
    return f"in {duration(left)}" if left > 0 else Word(f"due {duration(-left)} ago", Mark.WARNING)


def next_time(key: KeyView, now: datetime) -> Cell:
    """When the next rotation is, and how far that is away."""
    at, soon = string(key.rotation, "nextTime"), next_rotation(key, now)
    return Word(f"{at} ({soon.text})", soon.mark) if isinstance(soon, Word) else f"{at} ({soon})"


def facts(key: KeyView, now: datetime) -> Iterator[tuple[str, Cell]]:
    """The lines above the tables of one key."""
    yield "Key", f"v{key.latest} {key.type} ({key.custody})" if key.latest else "there is none yet"
    if key.latest:
        in_use = f"; oldest in use v{key.oldest_in_use}" if key.oldest_in_use else "; no data key is known"
        yield "Decrypts", f"from v{key.minimum}{in_use}"
    yield "Policy", key.policy or "none selects it"
    if key.phase != "Idle":
        yield "Rotation", phase(key)
    if key.next_time is not None:
        yield "Next", next_time(key, now)
    yield from _retiring(key)
    track = key.on_track
    if track is not None and track.message:
        yield "Why", track.message
    if track is not None and track.known is not None and key.needs_attention:
        yield "Do", track.known.next_step


def phase(key: KeyView) -> Word:
    """How far the rotation is, from which version to which, and why."""
    trigger = string(key.rotation, "trigger")
    first, target = number(key.rotation, "fromVersion"), number(key.rotation, "target")
    versions = f" v{first} \u2192 v{target}" if target else ""
    asked = string(key.rotation, "requestId") if trigger == "Manual" else ""
    said = f"{key.phase}{versions}{f' ({trigger})' if trigger else ''}"
    return Word(
        said + (f", request {asked}" if asked else ""), Mark.PROGRESS if key.under_way else Mark.PLAIN
    )


def _retiring(key: KeyView) -> Iterator[tuple[str, Cell]]:
    """What retires, when, and what keeps it from it."""
    rotation = key.rotation
    for one in key.retirements:
        at = "at once" if one.emergency or one.at is None else f"not before {_seconds(one.at)}"
        kept = "" if one.emergency else _kept(key, one.below)
        yield "Retiring", f"versions below v{one.below} {at}{kept}"
    if number(rotation, "raising"):
        until = string(rotation, "canaryUntil")
        tried = f"versions below v{number(rotation, 'raising')} decrypt no more, on trial until {until}"
        yield "On trial", Word(tried, Mark.PROGRESS)
    if rotation.get("retirementHeld"):
        yield "Held", Word("decrypts failed as versions retired: none retires until asked for", Mark.WARNING)


def _kept(key: KeyView, below: int) -> str:
    if key.keep is None:
        return "" if not key.policy else "; its policy's keepVersions could not be read"
    first = max(key.latest - key.keep + 1, 1)
    return f"; v{first} and later stay (keepVersions)" if first < below else ""


def versions(key: KeyView, now: datetime) -> Table:
    rows = [_version_row(one, now) for one in reversed(key.versions)]
    return Table(rows, ("VERSION", "STATE", "AGE", "RETIRES", "WRAPS"))


def _version_row(one: Versions, now: datetime) -> tuple[Cell, ...]:
    retires = "-" if one.retires is None else _seconds(one.retires)
    return (
        one.label,
        Word(one.state.value, _STATES[one.state]),
        age(one.made, now),
        retires,
        ", ".join(one.users) or "-",
    )


def history(key: KeyView) -> Table:
    rows = [_history_row(one) for one in reversed(key.history)]
    return Table(rows, ("FROM", "TO", "TRIGGER", "STARTED", "TOOK", "DATA KEYS", "RESULT"))


def _history_row(one: RecordView) -> tuple[Cell, ...]:
    mark = Mark.WARNING if one.trigger in ("Emergency", "External") else Mark.PLAIN
    known = one.started is not None and one.finished is not None
    took = max(int((one.finished - one.started).total_seconds()), 0) if known else None  # type: ignore[operator]
    return (
        f"v{one.from_version}",
        f"v{one.to_version}",
        Word(one.trigger, mark),
        "-" if one.started is None else _seconds(one.started),
        "-" if took is None else duration(took),
        str(one.items),
        one.result,
    )


def emergency(key: KeyView) -> Iterator[Cell | Table]:
    """The last emergency rotation with the time of each step."""
    found = key.emergency
    if not found:
        return
    finished = string(found, "finishedAt")
    end = f"finished {finished}" if finished else "under way"
    yield Word(
        f"Emergency {string(found, 'requestId')}: started {string(found, 'startedAt')}, {end}",
        Mark.PLAIN if finished else Mark.ERROR,
    )
    rows: list[tuple[Cell, ...]] = []
    for one in found.get("steps") or ():
        skipped = string(one, "skipped")
        word = Word("skipped", Mark.WARNING) if skipped else Word("done", Mark.GOOD)
        took = f"{number(one, 'milliseconds')} ms"
        rows.append((string(one, "step"), word, string(one, "at"), took, skipped))
    yield Table(rows, ("STEP", "RESULT", "AT", "TOOK", "WHY"))


def data_keys(key: KeyView, now: datetime) -> Iterator[Cell]:
    """The last rotation of the data keys themselves."""
    found = key.data_key_rotation
    if not found:
        return
    restarted = string(found, "restartedAt")
    made = age(moment(string(found, "madeAt")), now)
    end = "consumers restarted" if restarted else "consumers not restarted yet"
    yield Word(
        f"Data keys {string(found, 'requestId')}: made {made} ago, {end}",
        Mark.PLAIN if restarted else Mark.PROGRESS,
    )
    for label, names in (("restarted", found.get("restarted")), ("restart yourself", found.get("left"))):
        if names:
            yield f"  {label}: {', '.join(names)}"


def _seconds(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
