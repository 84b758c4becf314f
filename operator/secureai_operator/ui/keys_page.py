"""The page of keys and certificates: what is oldest and what ends first. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from secureai_operator.cli import keys_table
from secureai_operator.cli.key_views import KeyView
from secureai_operator.cli.output import string
from secureai_operator.cli.policies import PolicyView, ruled
from secureai_operator.cli.timeline import summary, timeline
from secureai_operator.cli.timeline_svg import svg
from secureai_operator.ui.cells import NOTHING, grid, moment_of, since, worded
from secureai_operator.ui.fleet import Row
from secureai_operator.ui.fleet_page import operator_notice, workload_link
from secureai_operator.ui.frame import Frame, live, page
from secureai_operator.ui.html import Html, Part, element
from secureai_operator.ui.links import Links
from secureai_operator.ui.source import Fleet

DRAWN = 40
"""Keys in the picture; of more those come first that need attention."""
_COLUMNS = ("TYPE", "CUSTODY", "LATEST", "DECRYPTS", "IN USE", "POLICY", "NEXT", "STATE")
_LATEST = datetime.max.replace(tzinfo=UTC)


def keys_page(fleet: Fleet, rows: tuple[Row, ...], links: Links) -> str:
    """The whole page."""
    where = "all namespaces" if fleet.namespace is None else f"namespace {fleet.namespace}"
    frame = Frame("Keys and certificates", links, "Keys and certificates", where, fleet.at)
    return page(frame, live("keys", *operator_notice(fleet), *_sections(fleet, rows, links)))


def _sections(fleet: Fleet, rows: tuple[Row, ...], links: Links) -> Iterator[Part]:
    if not rows:
        yield element("p", "There are no SecureAIWorkloads.", class_="empty")
        return
    keys = sorted((row.key for row in rows), key=lambda key: (key.latest_made or _LATEST, _name(key)))
    yield element("p", f"{summary(keys, fleet.at)}.".capitalize(), class_="summary")
    yield from _picture(keys, fleet.at)
    yield element("h2", "Keys, the oldest first")
    yield _keys(keys, fleet.at, links)
    yield element("h2", "Certificates, the next to end first")
    yield _certificates(rows, links)
    yield element("h2", "Rotation policies")
    yield _policies(fleet, keys)


def _picture(keys: list[KeyView], now: datetime) -> Iterator[Html]:
    drawn = timeline(keys, now, limit=DRAWN)
    if drawn.left_out:
        said = (
            f"Of {len(keys)} keys {DRAWN} are drawn, those that need attention first. All are in the table."
        )
        yield element("p", said, class_="quiet")
    # What is left out is told above, in words that fit this page.
    picture = svg(replace(drawn, left_out=0), standalone=False)
    yield element("figure", Html(picture), tabindex=0, role="group", aria_label="Key versions over time")


def _keys(keys: list[KeyView], now: datetime, links: Links) -> Html:
    table = keys_table.fleet(keys, now, everywhere=True)
    places = [table.columns.index(column) for column in _COLUMNS]
    rows = (
        (
            workload_link(key.workload.namespace, key.workload.name, links),
            since(key.latest_made, now),
            *(worded(cells[place]) for place in places),
        )
        for key, cells in zip(keys, table.rows, strict=True)
    )
    return grid("Keys, the oldest first", ("Workload", "Age", *(one.capitalize() for one in _COLUMNS)), rows)


def _certificates(rows: tuple[Row, ...], links: Links) -> Html:
    having = sorted(
        (row for row in rows if row.certificate is not None),
        key=lambda row: (row.certificate_end or _LATEST, _name(row.key)),
    )
    if not having:
        return element("p", "No workload has a certificate.", class_="empty")
    return grid(
        "Certificates, the next to end first",
        ("Workload", "Left", "Ends", "Serial number"),
        (_certificate(row, links) for row in having),
    )


def _certificate(row: Row, links: Links) -> tuple[Part, ...]:
    workload = row.workload
    return (
        workload_link(workload.namespace, workload.name, links),
        NOTHING if row.certificate is None else worded(row.certificate),
        moment_of(row.certificate_end),
        string(workload.status, "certificate", "serial") or NOTHING,
    )


def _policies(fleet: Fleet, keys: list[KeyView]) -> Html:
    if fleet.policies is None:
        said = (
            "You may not list keyrotationpolicies.secureai.dev: which versions they keep is not known here."
        )
        return element("p", said, class_="quiet")
    if not fleet.policies:
        return element("p", "There are no KeyRotationPolicies: no key rotates by itself.", class_="empty")
    columns = ("Policy", "Schedule", "Rests", "Keeps", "Rules")
    return grid(
        "Rotation policies", columns, (_policy(one, keys) for _, one in sorted(fleet.policies.items()))
    )


def _policy(policy: PolicyView, keys: list[KeyView]) -> tuple[Part, ...]:
    count = len(ruled(policy, keys))
    return (
        policy.key,
        schedule(policy) or NOTHING,
        policy.rests or NOTHING,
        f"{policy.keep} versions",
        f"{count} key{'' if count == 1 else 's'}",
    )


def schedule(policy: PolicyView) -> str:
    """When it rotates, as its author wrote it."""
    when = policy.spec.get("schedule")
    if string(when, "cron"):
        return f"{string(when, 'cron')} {string(when, 'timeZone') or 'UTC'}"
    interval = string(when, "interval")
    return f"every {interval}" if interval else ""


def _name(key: KeyView) -> tuple[str, str]:
    return key.workload.namespace, key.workload.name
