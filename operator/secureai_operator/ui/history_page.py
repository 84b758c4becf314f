"""The page of what happened in the fleet: drift, rotations and emergencies of all workloads in one order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from secureai_operator.cli.output import Word
from secureai_operator.ui.cells import NOTHING, grid, moment_of, since, worded
from secureai_operator.ui.fleet import Row
from secureai_operator.ui.fleet_page import operator_notice, workload_link
from secureai_operator.ui.frame import Frame, live, page
from secureai_operator.ui.html import Html, Part, element
from secureai_operator.ui.links import Links
from secureai_operator.ui.moments import Moment, drifts, emergencies, rotations
from secureai_operator.ui.source import Fleet

MAX_ROWS = 500
"""Of each table; status keeps ten rotations of each workload."""


def history_page(fleet: Fleet, rows: tuple[Row, ...], links: Links) -> str:
    """The whole page."""
    where = "all namespaces" if fleet.namespace is None else f"namespace {fleet.namespace}"
    frame = Frame("Drift and rotations", links, "Drift and rotations", where, fleet.at)
    return page(frame, live("history", *operator_notice(fleet), *_sections(fleet, rows, links)))


def _sections(fleet: Fleet, rows: tuple[Row, ...], links: Links) -> Iterator[Part]:
    drifted = [(row, one) for row in rows for one in drifts(row.workload)]
    rotated = [(row, one) for row in rows for one in (*rotations(row.key), *emergencies(row.key))]
    for title, none, found in (
        ("Drift", "Nobody changed what the operator owns, as far as status remembers.", drifted),
        ("Rotations and emergencies", "No key rotated yet.", rotated),
    ):
        yield element("h2", title)
        yield from _table(title, none, found, fleet, links)


def _table(
    title: str, none: str, found: Iterable[tuple[Row, Moment]], fleet: Fleet, links: Links
) -> Iterator[Html]:
    latest = sorted(found, key=lambda pair: pair[1].at, reverse=True)
    if not latest:
        yield element("p", none, class_="empty")
        return
    if len(latest) > MAX_ROWS:
        yield element("p", f"The latest {MAX_ROWS} of {len(latest)}.", class_="quiet")
    columns = ("Workload", "When", "Ago", "About", "What", "Details")
    yield grid(title, columns, (_row(row, one, fleet, links) for row, one in latest[:MAX_ROWS]))


def _row(row: Row, one: Moment, fleet: Fleet, links: Links) -> tuple[Part, ...]:
    workload = row.workload
    return (
        workload_link(workload.namespace, workload.name, links),
        moment_of(one.at),
        since(one.at, fleet.at),
        one.kind,
        worded(Word(one.what, one.mark)),
        element("span", one.text, class_="message") if one.text else NOTHING,
    )
