"""The fleet as rows: what is counted, sought, filtered and sorted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property

from secureai_operator.api.condition_types import ConditionType
from secureai_operator.cli.key_views import KeyView, number
from secureai_operator.cli.output import Mark, Word, age, moment, string
from secureai_operator.cli.status import certificate_text
from secureai_operator.cli.why import Diagnosis, diagnose
from secureai_operator.cli.workloads import WorkloadView
from secureai_operator.ui.source import Fleet

PAGE_ROWS = 1000
RECENT = timedelta(days=1)
"""Drift that was healed counts for so long."""
_TEXT_MAX, _NAME_MAX, _PAGES_MAX = 100, 63, 1000
_NUMBER = re.compile(r"[0-9]{1,4}")
_LATEST = datetime.max.replace(tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class Shown(StrEnum):
    """Which workloads are shown; the value is the word in the address."""

    ALL = ""
    NOT_READY = "not-ready"
    PROGRESS = "in-progress"
    READY = "ready"
    DRIFT = "drift"
    QUARANTINE = "quarantine"
    ROTATION = "rotation"
    CERTIFICATE = "certificate"


SHOWN_AS: Mapping[Shown, str] = {
    Shown.ALL: "All",
    Shown.NOT_READY: "Not Ready",
    Shown.PROGRESS: "In progress",
    Shown.READY: "Ready",
    Shown.DRIFT: "Drift in the last day",
    Shown.QUARANTINE: "Quarantined pods",
    Shown.ROTATION: "Rotation needs attention",
    Shown.CERTIFICATE: "Certificate late",
}


class Order(StrEnum):
    """What comes first; the value is the word in the address."""

    WORST = ""
    NAME = "name"
    KEY = "key"
    CERTIFICATE = "certificate"
    DRIFT = "drift"


@dataclass(frozen=True)
class Query:
    """What the reader asked for."""

    text: str = ""
    namespace: str = ""
    shown: Shown = Shown.ALL
    order: Order = Order.WORST
    page: int = 1

    @classmethod
    def of(cls, words: Mapping[str, str]) -> Query:
        """The question in an address; what makes no sense there asks for nothing."""
        page = words.get("page", "")
        return cls(
            text=words.get("q", "").strip()[:_TEXT_MAX],
            namespace=words.get("ns", "").strip()[:_NAME_MAX],
            shown=next((one for one in Shown if one.value == words.get("state")), Shown.ALL),
            order=next((one for one in Order if one.value == words.get("sort")), Order.WORST),
            page=min(max(int(page), 1), _PAGES_MAX) if _NUMBER.fullmatch(page) else 1,
        )

    def words(self) -> dict[str, str]:
        """As an address has it; what is as usual is left out."""
        said = {
            "q": self.text,
            "ns": self.namespace,
            "state": self.shown.value,
            "sort": self.order.value,
            "page": str(self.page) if self.page > 1 else "",
        }
        return {name: value for name, value in said.items() if value}

    def but(self, *, shown: Shown | None = None, order: Order | None = None, page: int = 1) -> Query:
        """The same question but for one answer; it begins on its first page."""
        return replace(
            self,
            shown=self.shown if shown is None else shown,
            order=self.order if order is None else order,
            page=page,
        )


@dataclass(frozen=True)
class Row:
    """One workload of the fleet at `at`."""

    key: KeyView
    cause: Diagnosis
    at: datetime

    @property
    def workload(self) -> WorkloadView:
        return self.key.workload

    @property
    def state(self) -> Word:
        return self.workload.state

    @cached_property
    def certificate_end(self) -> datetime | None:
        return moment(string(self.workload.status, "certificate", "notAfter"))

    @cached_property
    def certificate(self) -> Word | None:
        """How long it still lives; None if there is none."""
        found = self.workload.status.get("certificate")
        return certificate_text(found, self.at) if found else None

    @cached_property
    def drifted(self) -> datetime | None:
        """When somebody else last changed what the operator owns."""
        return moment(string(self.workload.status, "lastDrift", "time"))

    @property
    def drift(self) -> Word | None:
        """The last drift; what still stands is bad, what was healed is worth a look while it is recent."""
        found = self.workload.status.get("lastDrift")
        if not found:
            return None
        words = f"{string(found, 'kind')} {string(found, 'action').lower()} {age(self.drifted, self.at)} ago"
        detected = self.workload.condition(ConditionType.DRIFT_DETECTED)
        contended = detected is not None and detected.mark is Mark.ERROR
        if self._differs and (contended or string(found, "action") != "Healed"):
            return Word(words, Mark.ERROR)
        return Word(words, Mark.WARNING if Shown.DRIFT in self.concerns else Mark.QUIET)

    @property
    def quarantined(self) -> int:
        return number(self.workload.status, "pods", "quarantined")

    @property
    def _differs(self) -> bool:
        found = self.workload.condition(ConditionType.DRIFT_DETECTED)
        return found is not None and not found.holds

    @cached_property
    def concerns(self) -> frozenset[Shown]:
        """The questions to which this workload belongs."""
        return frozenset(self._concerns())

    def _concerns(self) -> Iterator[Shown]:
        yield Shown.ALL
        if self.workload.ready:
            yield Shown.READY
        else:
            yield Shown.NOT_READY if self.state.text == "NotReady" else Shown.PROGRESS
        if self._differs or (self.drifted is not None and self.drifted > self.at - RECENT):
            yield Shown.DRIFT
        if self.quarantined:
            yield Shown.QUARANTINE
        if self.key.needs_attention or self.key.emergency_under_way:
            yield Shown.ROTATION
        if self.certificate is not None and self.certificate.mark in (Mark.WARNING, Mark.ERROR):
            yield Shown.CERTIFICATE

    @property
    def urgency(self) -> int:
        """0 is the worst."""
        if not self.workload.ready:
            return {Mark.ERROR: 0, Mark.WARNING: 1}.get(self.state.mark, 2)
        return 3 if self.concerns - {Shown.ALL, Shown.READY} else 4

    def speaks_of(self, text: str) -> bool:
        """Whether the text is in its name or in its first cause, in whatever case."""
        workload, sought = self.workload, text.casefold()
        said = (f"{workload.namespace}/{workload.name}", self.cause.reason, self.cause.message)
        return any(sought in one.casefold() for one in said)


@dataclass(frozen=True)
class Selection:
    """What of the fleet is shown: the rows of one page, of `found` that fit, and the numbers of all."""

    query: Query
    rows: tuple[Row, ...]
    found: int
    total: int
    counts: Mapping[Shown, int]
    namespaces: tuple[str, ...]

    @property
    def pages(self) -> int:
        return max(-(-self.found // PAGE_ROWS), 1)


def rows_of(fleet: Fleet) -> tuple[Row, ...]:
    return tuple(Row(key, diagnose(key.workload, fleet.leader), fleet.at) for key in fleet.keys)


def selected(rows: Sequence[Row], query: Query) -> Selection:
    """The rows that the query asks for. The counts are those of all workloads in the namespace that it names."""
    there = [row for row in rows if query.namespace in ("", row.workload.namespace)]
    fitting = [
        row for row in there if query.shown in row.concerns and (not query.text or row.speaks_of(query.text))
    ]
    fitting.sort(key=lambda row: (row.workload.namespace, row.workload.name))
    _sort(fitting, query.order)
    pages = max(-(-len(fitting) // PAGE_ROWS), 1)
    query = replace(query, page=min(query.page, pages))
    start = (query.page - 1) * PAGE_ROWS
    return Selection(
        query=query,
        rows=tuple(fitting[start : start + PAGE_ROWS]),
        found=len(fitting),
        total=len(rows),
        counts=_counts(there),
        namespaces=tuple(sorted({row.workload.namespace for row in rows})),
    )


def _counts(rows: Iterable[Row]) -> dict[Shown, int]:
    counts = dict.fromkeys(Shown, 0)
    for row in rows:
        for one in row.concerns:
            counts[one] += 1
    return counts


def _sort(rows: list[Row], order: Order) -> None:
    """Stable: rows of equal rank stay in the order of their names."""
    if order is Order.WORST:
        rows.sort(key=lambda row: row.urgency)
    elif order is Order.KEY:
        rows.sort(key=lambda row: row.key.latest_made or _LATEST)
    elif order is Order.CERTIFICATE:
        rows.sort(key=lambda row: row.certificate_end or _LATEST)
    elif order is Order.DRIFT:
        rows.sort(key=lambda row: row.drifted or _EARLIEST, reverse=True)
