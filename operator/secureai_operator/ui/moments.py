"""The past of one workload, and what is due, as moments in one order: what status and Events tell of. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from secureai_operator.api.reasons import REASONS, Severity
from secureai_operator.cli.key_views import KeyView, RecordView, number
from secureai_operator.cli.output import Mark, moment, string
from secureai_operator.cli.workloads import ConditionView, WorkloadView
from secureai_operator.ui.source import Detail, EventView

MAX_MOMENTS = 200
_LOUD = frozenset({"Emergency", "External"})
"""Triggers of rotations that nobody planned."""


@dataclass(frozen=True)
class Moment:
    """Something that happened, or will; `kind` says who tells it."""

    at: datetime
    kind: str
    what: str
    text: str = ""
    mark: Mark = Mark.PLAIN


def past(detail: Detail) -> tuple[Moment, ...]:
    """What happened, the latest first, as far as it is known; not more than `MAX_MOMENTS`."""
    # Nothing of it is to come, also where this machine's clock is behind.
    return tuple(sorted(_all(detail), key=lambda one: one.at, reverse=True)[:MAX_MOMENTS])


def due(detail: Detail) -> tuple[Moment, ...]:
    """What is to come, the next first."""
    key, workload = detail.key, detail.workload
    certificate = workload.status.get("certificate") or {}
    coming = (
        (key.next_time, "Rotation", "the key rotates"),
        (moment(string(certificate, "renewalTime")), "Certificate", "is renewed"),
        (moment(string(certificate, "notAfter")), "Certificate", "ends, unless it is renewed"),
        *((one.retires, "Key", f"{one.label} retires") for one in key.versions),
    )
    found = [Moment(at, kind, what) for at, kind, what in coming if at and at > detail.at]
    return tuple(sorted(found, key=lambda one: one.at))


def _all(detail: Detail) -> Iterator[Moment]:
    workload = detail.workload
    if workload.created is not None:
        yield Moment(workload.created, "Workload", "created")
    for condition in workload.conditions:
        yield from _transition(condition)
    yield from drifts(workload)
    yield from rotations(detail.key)
    yield from emergencies(detail.key)
    yield from _data_keys(detail.key)
    for event in detail.events or ():
        yield from _event(event)


def _transition(one: ConditionView) -> Iterator[Moment]:
    if one.since is not None:
        yield Moment(
            one.since, "Condition", f"{one.type} became {one.status}: {one.reason}", one.message, one.mark
        )


def drifts(workload: WorkloadView) -> Iterator[Moment]:
    """The last change by somebody else; status keeps one."""
    drift = workload.status.get("lastDrift") or {}
    at = moment(string(drift, "time"))
    if at is None:
        return
    field, action = string(drift, "field"), string(drift, "action")
    what = f"{string(drift, 'kind')}/{string(drift, 'name')} " + (
        f"differed in {field}" if field else "was deleted"
    )
    yield Moment(at, "Drift", what, action, Mark.GOOD if action == "Healed" else Mark.WARNING)


def rotations(key: KeyView) -> Iterator[Moment]:
    """The rotations that the status remembers, and the one that is under way."""
    for record in key.history:
        at = record.finished or record.started
        if at is not None:
            yield Moment(
                at,
                "Rotation",
                _rotated(record),
                _rewrapped(record),
                Mark.WARNING if record.trigger in _LOUD else Mark.GOOD,
            )
    started = moment(string(key.rotation, "plannedAt"))
    if key.under_way and started is not None:
        versions = f"v{number(key.rotation, 'fromVersion')} \u2192 v{number(key.rotation, 'target')}"
        yield Moment(started, "Rotation", f"{versions} is under way: {key.phase}", "", Mark.PROGRESS)


def _rotated(record: RecordView) -> str:
    adopted = ", done by others and adopted" if record.result == "Adopted" else ""
    return f"{record.trigger} v{record.from_version} \u2192 v{record.to_version}{adopted}"


def _rewrapped(record: RecordView) -> str:
    return f"{record.items} data key{'' if record.items == 1 else 's'} rewrapped"


def emergencies(key: KeyView) -> Iterator[Moment]:
    """The last emergency: its start, its steps, its end."""
    found = key.emergency
    request = string(found, "requestId")
    yield from _at(found, "startedAt", "Emergency", f"{request} began", mark=Mark.ERROR)
    for step in found.get("steps") or ():
        skipped = string(step, "skipped")
        mark = Mark.WARNING if skipped else Mark.GOOD
        words = f"{string(step, 'step')}{' was skipped' if skipped else ''}"
        yield from _at(step, "at", "Emergency", words, mark=mark, text=skipped)
    yield from _at(found, "finishedAt", "Emergency", f"{request} is over", mark=Mark.GOOD)


def _data_keys(key: KeyView) -> Iterator[Moment]:
    found = key.data_key_rotation
    request = string(found, "requestId")
    yield from _at(found, "madeAt", "Data keys", f"new ones were made for {request}", mark=Mark.PLAIN)
    names = ", ".join(str(one) for one in found.get("restarted") or ())
    yield from _at(
        found, "restartedAt", "Data keys", "what reads them was restarted", mark=Mark.GOOD, text=names
    )


def _event(event: EventView) -> Iterator[Moment]:
    if event.at is None:
        return
    known = REASONS.get(event.reason)
    bad = known is not None and known.severity in (Severity.ERROR, Severity.SECURITY)
    mark = Mark.ERROR if bad else Mark.WARNING if event.warning else Mark.PLAIN
    times = f" ({event.count} times)" if event.count > 1 else ""
    yield Moment(
        event.at, f"Event of {event.writer or 'somebody'}", f"{event.reason}{times}", event.message, mark
    )


def _at(
    source: Mapping[str, Any], field: str, kind: str, what: str, *, mark: Mark, text: str = ""
) -> Iterator[Moment]:
    at = moment(string(source, field))
    if at is not None:
        yield Moment(at.astimezone(UTC), kind, what, text, mark)
