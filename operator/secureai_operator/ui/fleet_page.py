"""The page of the fleet: the numbers, the filter, and a row for each workload. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from secureai_operator.cli import keys_table
from secureai_operator.cli.output import Mark, Word
from secureai_operator.ui.cells import NOTHING, badge, grid, since, worded
from secureai_operator.ui.fleet import SHOWN_AS, Order, Row, Selection, Shown
from secureai_operator.ui.frame import Frame, live, page
from secureai_operator.ui.html import Html, Part, element, joined
from secureai_operator.ui.links import Links
from secureai_operator.ui.source import Fleet

_CARDS: tuple[tuple[Shown, str, str], ...] = (
    (Shown.ALL, "Workloads", ""),
    (Shown.READY, "Ready", "good"),
    (Shown.NOT_READY, "Not Ready", "err"),
    (Shown.PROGRESS, "In progress", "busy"),
    (Shown.DRIFT, "Drift, last day", "warn"),
    (Shown.QUARANTINE, "With quarantined pods", "warn"),
    (Shown.ROTATION, "Rotation needs attention", "warn"),
    (Shown.CERTIFICATE, "Certificate late", "err"),
)
"""What is counted on top; the tone is that of a number other than 0."""
_COLUMNS: tuple[tuple[str, Order | None, str], ...] = (
    ("Workload", Order.NAME, "ascending"),
    ("State", Order.WORST, "other"),
    ("First cause", None, ""),
    ("Key", None, ""),
    ("Key age", Order.KEY, "descending"),
    ("Certificate", Order.CERTIFICATE, "ascending"),
    ("Last drift", Order.DRIFT, "descending"),
    ("Quarantine", None, ""),
    ("Rotation", None, ""),
)
_MESSAGE_MAX = 240


def fleet_page(fleet: Fleet, selection: Selection, links: Links) -> str:
    """The whole page."""
    where = "all namespaces" if fleet.namespace is None else f"namespace {fleet.namespace}"
    frame = Frame("Fleet", links, "Fleet", where, fleet.at)
    return page(
        frame,
        live("leader", *operator_notice(fleet)),
        live("counts", _cards(selection, links)),
        _filter(selection, links),
        live("rows", *_table(selection, links)),
    )


def operator_notice(fleet: Fleet) -> Iterator[Html]:
    """That nobody acts on what is seen here, if so."""
    if fleet.leader.running is False:
        said = f"No operator is at work, nothing changes and nothing heals: {fleet.leader.text}."
        yield element("p", said, class_="notice err", role="alert")


def _cards(selection: Selection, links: Links) -> Html:
    return element("ul", *(_card(*one, selection, links) for one in _CARDS), class_="cards")


def _card(shown: Shown, title: str, tone: str, selection: Selection, links: Links) -> Html:
    """A number that leads to its workloads."""
    count = selection.counts[shown]
    number = element("span", str(count), class_=f"number {tone if count else ''}".strip())
    current = "true" if selection.query.shown is shown else None
    href = links.fleet(selection.query.but(shown=shown))
    return element("li", element("a", number, " ", element("span", title), href=href, aria_current=current))


def _filter(selection: Selection, links: Links) -> Html:
    """A form that works without the script; with it the text filters as it is typed."""
    query = selection.query
    namespaces = [("", "All"), *((one, one) for one in selection.namespaces)]
    states = [(one.value, SHOWN_AS[one]) for one in Shown]
    kept = (
        [element("input", type="hidden", name="sort", value=query.order.value)] if query.order.value else []
    )
    sought = element(
        "input",
        type="search",
        name="q",
        id="q",
        value=query.text,
        maxlength=100,
        placeholder="name or cause",
        autocomplete="off",
        data_filters="workloads",
    )
    clear = element("a", "Clear", href=links.fleet()) if query.words() else ""
    return element(
        "form",
        element("label", "Search ", sought),
        element("label", "Namespace ", _choice("ns", namespaces, query.namespace)),
        element("label", "State ", _choice("state", states, query.shown.value)),
        *kept,
        element("button", "Show", type="submit"),
        clear,
        method="get",
        action=links.fleet(),
        role="search",
        aria_label="Workloads",
    )


def _choice(name: str, options: list[tuple[str, str]], chosen: str) -> Html:
    drawn = [element("option", title, value=value, selected=value == chosen) for value, title in options]
    return element("select", *drawn, name=name)


def _table(selection: Selection, links: Links) -> Iterator[Html]:
    query, found, total = selection.query, selection.found, selection.total
    if not total:
        yield element("p", "There are no SecureAIWorkloads.", class_="empty")
        return
    many = f", page {query.page} of {selection.pages}" if selection.pages > 1 else ""
    yield element("p", f"{found} of {total} workloads{many}", id="shown", class_="quiet", role="status")
    if not found:
        return
    columns = [_column(*one, selection, links) for one in _COLUMNS]
    yield grid("Workloads", columns, (_row(row, links) for row in selection.rows), id_="workloads")
    yield from _turning(selection, links)


def _column(title: str, order: Order | None, direction: str, selection: Selection, links: Links) -> Html:
    if order is None:
        return element("th", title, scope="col")
    is_sorted = selection.query.order is order
    link = element("a", title, href=links.fleet(selection.query.but(order=order)))
    return element("th", link, scope="col", aria_sort=direction if is_sorted else None)


def _row(row: Row, links: Links) -> tuple[Part, ...]:
    workload, key = row.workload, row.key
    return (
        workload_link(workload.namespace, workload.name, links),
        badge(row.state),
        _cause(row),
        f"v{key.latest}" if key.latest else NOTHING,
        since(key.latest_made, row.at),
        NOTHING if row.certificate is None else worded(row.certificate),
        NOTHING if row.drift is None else worded(row.drift),
        worded(Word(str(row.quarantined), Mark.WARNING)) if row.quarantined else NOTHING,
        _rotation(row),
    )


def workload_link(namespace: str, name: str, links: Links) -> Html:
    href = links.workload(namespace, name)
    return element("a", element("span", f"{namespace}/", class_="quiet"), name, href=href)


def _cause(row: Row) -> Html:
    """Why it is not Ready; of a Ready one what is not perfect for all that."""
    cause = row.cause
    if cause.ready:
        return worded(Word(cause.also[0].partition(":")[0], Mark.WARNING)) if cause.also else NOTHING
    message = cause.message[:_MESSAGE_MAX] + ("\u2026" if len(cause.message) > _MESSAGE_MAX else "")
    return joined([element("strong", cause.reason), element("span", message, class_="message")], " ")


def _rotation(row: Row) -> Html:
    key = row.key
    parts = [worded(keys_table.state(key))]
    if key.emergency_under_way:
        parts.insert(0, worded(Word("emergency under way", Mark.ERROR)))
    elif key.under_way:
        parts.append(worded(keys_table.phase(key)))
    if key.next_time is not None:
        parts.append(worded(keys_table.next_rotation(key, row.at)))
    return joined(parts, ", ")


def _turning(selection: Selection, links: Links) -> Iterator[Html]:
    """Links to the pages before and after this one."""
    query = selection.query
    around = (("Previous", query.page - 1), ("Next", query.page + 1))
    links_ = [
        element("li", element("a", title, href=links.fleet(query.but(page=number))))
        for title, number in around
        if 1 <= number <= selection.pages
    ]
    if links_:
        yield element("nav", element("ul", *links_), class_="turning", aria_label="More workloads")
