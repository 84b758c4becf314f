"""The page of one workload: why it is as it is, what it owns, its conditions, its keys and its past. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from secureai_operator.cli import keys_table, status, tree
from secureai_operator.cli.output import Mark, Table, Word, age
from secureai_operator.cli.timeline import timeline
from secureai_operator.cli.timeline_svg import svg
from secureai_operator.cli.why import Diagnosis, diagnose
from secureai_operator.cli.workloads import ConditionView
from secureai_operator.ui.cells import NOTHING, badge, facts, grid, moment_of, printed, since, worded
from secureai_operator.ui.cells import tree as drawn_tree
from secureai_operator.ui.frame import Frame, live, page
from secureai_operator.ui.html import Html, Part, element, prose
from secureai_operator.ui.links import Links
from secureai_operator.ui.moments import Moment, due, past
from secureai_operator.ui.source import Detail


def workload_page(detail: Detail, links: Links) -> str:
    """The whole page."""
    workload = detail.workload
    frame = Frame(f"{workload.namespace}/{workload.name}", links, at=detail.at)
    return page(frame, live("workload", *_sections(detail, links)))


def _sections(detail: Detail, links: Links) -> Iterator[Part]:
    workload, now = detail.workload, detail.at
    back = element("a", "all workloads", href=links.fleet())
    yield element(
        "p", badge(workload.state), f" age {age(workload.created, now)} \u00b7 ", back, class_="summary"
    )
    yield from _why(diagnose(workload, detail.leader))
    yield facts(status.facts(workload, now))
    yield _section("What it owns", drawn_tree(tree.branches(detail.inventory, now)))
    yield _section("Conditions", *_conditions(detail))
    yield from _keys(detail)
    yield from _due(detail)
    yield _section("Timeline", *_past(detail))


def _section(title: str, *parts: Part) -> Html:
    return element("section", element("h2", title), *parts)


def _why(found: Diagnosis) -> Iterator[Html]:
    """What `secureai why` says."""
    if found.ready:
        if found.also:
            notes = element("ul", *(element("li", prose(one)) for one in found.also))
            yield element("section", element("h2", "Ready, and still worth a look"), notes, class_="why warn")
        return
    condition = f" ({found.condition})" if found.condition else ""
    said = (
        ("Message", found.message),
        ("Meaning", found.meaning),
        ("Cause", found.cause),
        ("Next step", found.next_step),
        ("Also", "; ".join(found.also)),
    )
    rows = [element("div", element("dt", label), element("dd", prose(text))) for label, text in said if text]
    heading = element("h2", f"Not Ready: {found.reason}{condition}")
    yield element("section", heading, element("dl", *rows), class_="why err")


def _conditions(detail: Detail) -> Iterator[Html]:
    conditions = detail.workload.conditions
    if not conditions:
        yield element("p", "The operator has not looked at it yet.", class_="empty")
        return
    columns = ("Condition", "Status", "Reason", "For", "Message", "Next step")
    yield grid("Conditions", columns, (_condition(one, detail) for one in conditions))


def _condition(one: ConditionView, detail: Detail) -> tuple[Part, ...]:
    # What holds leaves nothing to do, whatever its reason says for other times.
    step = "" if one.known is None or one.mark is Mark.GOOD else one.known.next_step
    return (
        one.type,
        worded(Word(one.status if one.holds else f"{one.status} !", one.mark)),
        one.reason,
        since(one.since, detail.at),
        element("span", one.message, class_="message"),
        element("span", prose(step), class_="message") if step else NOTHING,
    )


def _keys(detail: Detail) -> Iterator[Html]:
    """Versions and rotations, drawn and as tables, if there is a key."""
    key, now = detail.key, detail.at
    if not key.latest:
        return
    parts: list[Part] = [_figure(detail), facts(keys_table.facts(key, now))]
    for title, table in (("Versions", keys_table.versions(key, now)), ("Rotations", keys_table.history(key))):
        if table.rows:
            parts += [element("h3", title), printed(title, table)]
    for block in (keys_table.emergency(key), keys_table.data_keys(key, now)):
        parts += [
            printed("Steps", part) if isinstance(part, Table) else element("p", worded(part))
            for part in block
        ]
    yield _section("Key", *parts)


def _figure(detail: Detail) -> Html:
    picture = svg(timeline([detail.key], detail.at), standalone=False)
    # Made by the same code as `secureai keys --svg`, which escapes on its own.
    return element("figure", Html(picture), tabindex=0, role="group", aria_label="Key versions over time")


def _due(detail: Detail) -> Iterator[Html]:
    coming = due(detail)
    if coming:
        yield _section("To come", _moments("To come", coming))


def _past(detail: Detail) -> Iterator[Html]:
    if detail.events is None:
        said = "Events are left out: you may not list events in this namespace."
        yield element("p", said, class_="quiet")
    yield _moments("What happened, the latest first", past(detail))


def _moments(caption: str, moments: tuple[Moment, ...]) -> Html:
    rows = (
        (
            moment_of(one.at),
            one.kind,
            worded(Word(one.what, one.mark)),
            element("span", one.text, class_="message"),
        )
        for one in moments
    )
    return grid(caption, ("When", "About", "What", "Details"), rows)
