"""The picture: every workload has its row, nothing lies over anything, and no name can do more than be read."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureai_operator.api.rotation_status import Trigger
from secureai_operator.cli.key_views import KeyView, VersionState
from secureai_operator.cli.output import Mark
from secureai_operator.cli.timeline import (
    LANES,
    LEFT,
    MAX_ROWS,
    RIGHT,
    WIDTH,
    Row,
    Timeline,
    reigns_of,
    timeline,
    words,
)
from secureai_operator.cli.timeline_axis import axis
from secureai_operator.cli.timeline_html import page
from secureai_operator.cli.timeline_svg import TRIGGERS, svg
from secureai_operator.cli.workloads import view
from tests.unit.cli.key_samples import DAY, NOW, Json, ago, key, pictured, record, without_key

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "</title><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "]]>&amp;&#0;<!--",
    "\x00\x1b[2J\ud800\ufffe\u202e",
    "{}%s{{x}}",
)

triggers = st.sampled_from([*Trigger, "", "FromTheFuture"])
days = st.floats(-400, 4000, allow_nan=False)


@st.composite
def keys(draw: st.DrawFn) -> KeyView:
    """A key with any status at all, sensible or not."""
    latest = draw(st.integers(1, 30))
    history = [
        record(draw(st.integers(0, 35)), draw(days), draw(triggers))
        for _ in range(draw(st.integers(0, min(10, latest))))
    ]
    rotation: Json = {
        "history": history,
        "nextTime": draw(st.sampled_from(["", "rubbish", ago(-3), ago(3), ago(-4000)])),
        "retirements": [{"below": draw(st.integers(0, 35)), "at": ago(draw(days))}],
    }
    return key(
        draw(st.sampled_from(["a", "b", "c", *HOSTILE])),
        draw(st.sampled_from(["team-a", "team-b", *HOSTILE])),
        latest=latest,
        minimum=draw(st.integers(0, 35)),
        available=draw(st.integers(0, 35)),
        made=draw(days),
        data_keys={"model": draw(st.integers(-1, 35))},
        rotation=rotation,
        keep=draw(st.sampled_from([None, 1, 3])),
        track=draw(st.sampled_from([None, ("True", "RotationScheduled"), ("False", HOSTILE[0])])),
    )


def fleet() -> tuple[KeyView, ...]:
    """A few of everything."""
    return (
        key(
            "llm",
            rotated=(60, 40, 20, 5),
            minimum=2,
            rotation={"nextTime": ago(-10), "policy": "team-a/weekly"},
        ),
        key("old", made=900, track=("True", "NoRotationPolicy")),
        key(
            "late", "team-b", rotated=(50,), rotation={"nextTime": ago(2)}, track=("False", "RotationMissed")
        ),
        without_key("new", "team-b"),
    )


def rows(picture: Timeline) -> dict[str, Row]:
    return {row.name: row for row in picture.rows}


def drawn(picture: Timeline) -> ET.Element:
    return ET.fromstring(svg(picture))  # noqa: S314 - our own text


@given(st.lists(keys(), max_size=6))
@settings(max_examples=60, deadline=None)
def test_every_workload_has_a_row_of_its_own(fleet: list[KeyView]) -> None:
    picture = timeline(fleet, NOW)
    assert sorted((row.namespace, row.name) for row in picture.rows) == sorted(
        (one.workload.namespace, one.workload.name) for one in fleet
    )
    for above, below in pairwise(picture.rows):
        assert above.y + above.height <= below.y
    assert all(row.y + row.height <= picture.height for row in picture.rows)


@given(st.lists(keys(), max_size=4), st.sampled_from([None, timedelta(hours=1), 30 * DAY]))
@settings(max_examples=80, deadline=None)
def test_bars_of_a_row_never_overlap_and_end_now(fleet: list[KeyView], since: timedelta | None) -> None:
    picture = timeline(fleet, NOW, since)
    now = picture.axis.x(NOW)
    for row in picture.rows:
        for bar, after in pairwise(row.bars):
            assert bar.x + bar.width <= after.x + 0.11
        assert all(bar.width > 0 and bar.x >= LEFT for bar in row.bars)
        assert row.bars[-1].x + row.bars[-1].width == pytest.approx(now, abs=0.11)
        assert [bar.state for bar in row.bars] == sorted(
            (bar.state for bar in row.bars), key=[*reversed(VersionState)].index
        )


@given(keys())
def test_one_version_is_followed_by_the_next_whatever_the_clocks_said(one: KeyView) -> None:
    reigns = reigns_of(one, NOW)
    assert all(before.end == after.begin for before, after in pairwise(reigns))
    assert all(reign.begin <= reign.end for reign in reigns)
    assert reigns[-1].end == NOW


def test_versions_of_which_nothing_is_known_share_the_time_in_between() -> None:
    one = key(latest=6, rotated=(10,), made=100, data_keys={"old": 3, "model": 6})
    reigns = {reign.versions.label: reign for reign in reigns_of(one, NOW)}
    assert reigns["v1"].begin == NOW - 100 * DAY
    assert [reigns[label].begin for label in ("v2", "v3", "v4\u2013v5")] == [
        NOW - days * DAY for days in (77.5, 55, 32.5)
    ]
    assert [label for label, reign in reigns.items() if reign.about] == ["v2", "v3", "v4\u2013v5"]


@given(st.lists(keys(), max_size=4))
@settings(max_examples=50, deadline=None)
def test_nothing_leaves_its_place(fleet: list[KeyView]) -> None:
    picture = timeline(fleet, NOW)
    for row in picture.rows:
        xs = [
            *(pin.x for pin in row.pins),
            *(x for line in row.lines for x in (line.x, line.end, line.until or line.x)),
        ]
        assert all(LEFT <= x <= WIDTH - RIGHT for x in xs)
        assert all(1 <= line.lane <= LANES for line in row.lines)


@given(st.lists(keys(), max_size=4))
@settings(max_examples=50, deadline=None)
def test_whatever_a_status_says_the_picture_is_well_formed_and_always_the_same(fleet: list[KeyView]) -> None:
    first, again = svg(timeline(fleet, NOW)), svg(timeline(list(reversed(fleet)), NOW))
    ET.fromstring(first)  # noqa: S314 - our own text
    if len({(one.workload.namespace, one.workload.name) for one in fleet}) == len(fleet):
        assert first == again


def test_bars_lie_where_their_time_is() -> None:
    picture = timeline([key(rotated=(60, 40, 20), minimum=2)], NOW)
    (row,) = picture.rows
    x = picture.axis.x
    assert [(bar.label, bar.state) for bar in row.bars] == [
        ("v1", VersionState.RETIRED),
        ("v2", VersionState.OLD),
        ("v3", VersionState.OLD),
        ("v4", VersionState.CURRENT),
    ]
    assert [bar.x for bar in row.bars[1:]] == [x(NOW - days * DAY) for days in (60, 40, 20)]
    assert [(line.x, line.lane) for line in row.lines] == [(x(NOW - 20 * DAY), 1), (x(NOW - 40 * DAY), 2)]


def test_rotations_are_marked_by_their_trigger_and_the_next_one_is_hollow() -> None:
    history = [record(2, 40), record(3, 30, "Manual"), record(4, 20, "Emergency"), record(5, 10, "External")]
    picture = timeline(
        [key(rotated=(40, 30, 20, 10), rotation={"history": history, "nextTime": ago(-9)})], NOW
    )
    (row,) = picture.rows
    assert [pin.trigger for pin in row.pins] == [*TRIGGERS, ""]
    text = svg(picture)
    for trigger in TRIGGERS:
        assert text.count(f'"pin p-{trigger}"') == 2, "one in the legend, one in the row"
    assert text.count('class="next"') == 2
    assert "External rotation v4 \u2192 v5" in text
    assert "done by others and adopted" in text


def test_every_trigger_of_the_api_has_a_form() -> None:
    assert set(TRIGGERS) == {trigger.value for trigger in Trigger}


def test_a_rotation_far_ahead_is_at_the_edge_and_a_late_one_is_now() -> None:
    ahead = key("ahead", rotated=(20, 10), rotation={"nextTime": ago(-4000)})
    late = key("late", rotated=(20, 10), rotation={"nextTime": ago(5)})
    picture = timeline([ahead, late], NOW)
    (edge,) = [pin for pin in rows(picture)["ahead"].pins if not pin.trigger]
    (due,) = [pin for pin in rows(picture)["late"].pins if not pin.trigger]
    assert edge.beyond
    assert edge.x == WIDTH - RIGHT
    assert due.late
    assert due.x == picture.axis.x(NOW)


def test_a_retirement_that_is_planned_is_drawn_to_its_time() -> None:
    waiting = {"retirements": [{"below": 3, "at": ago(-2)}], "nextTime": ago(-5)}
    picture = timeline([key(rotated=(20, 10), rotation=waiting, keep=1)], NOW)
    assert [line.until for line in picture.rows[0].lines] == [picture.axis.x(NOW + 2 * DAY)] * 2


def test_a_key_that_never_rotated_does_not_press_the_others_together() -> None:
    picture = timeline([key("weekly", rotated=(21, 14, 7)), key("ancient", made=3000)], NOW)
    assert NOW - picture.axis.start < 40 * DAY
    (bar,) = rows(picture)["ancient"].bars
    assert bar.cut
    assert bar.x == LEFT
    whole = timeline([key("ancient", made=3000)], NOW)
    assert not whole.rows[0].bars[0].cut


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_clock_that_is_far_off_spoils_nothing(at: str) -> None:
    odd = key("odd", rotation={"nextTime": at, "history": [{**record(2, 3), "startedAt": at}]}, latest=2)
    first = {**odd.key, "createdAt": at, "latestVersionAt": at}
    raw = {**odd.workload.raw, "status": {**odd.workload.status, "key": first}}
    picture = timeline([KeyView(view(raw)), key("sane", rotated=(20,))], NOW)
    assert len(picture.rows) == 2
    assert rows(picture)["sane"].bars
    ET.fromstring(svg(picture))  # noqa: S314 - our own text


def test_the_picture_begins_where_it_is_asked_to() -> None:
    picture = timeline([key(rotated=(60, 40, 20))], NOW, since=30 * DAY)
    assert [bar.label for bar in picture.rows[0].bars] == ["v3", "v4"]
    assert len(picture.rows[0].pins) == 1


def test_of_too_many_those_that_need_attention_stay_and_the_rest_is_counted() -> None:
    many = [key(f"w{place:03}") for place in range(MAX_ROWS)]
    bad = [key("zz-late", track=("False", "RotationMissed"))]
    picture = timeline([*many, *bad], NOW)
    assert len(picture.rows) == MAX_ROWS
    assert picture.left_out == 1
    assert picture.rows[-1].name == "zz-late"
    assert "1 more workloads are left out" in svg(picture)
    assert "1 more workloads are left out" in page(picture, [*many, *bad], NOW)


def test_a_row_that_needs_somebody_says_so_in_words_and_colour() -> None:
    row = rows(timeline(fleet(), NOW))["late"]
    assert (row.state, row.mark) == ("Rotation missed", Mark.WARNING)
    assert words("KeyArchiveFull") == "Key archive full"


def test_namespaces_are_headings_if_there_are_several() -> None:
    assert [group.name for group in timeline(fleet(), NOW).groups] == ["team-a", "team-b"]
    assert timeline([key()], NOW).groups == ()


def test_a_fleet_of_none_is_a_picture_too() -> None:
    picture = timeline([], NOW)
    assert "no workloads" in svg(picture)
    assert "no keys" in svg(picture)
    assert "<tbody>\n</tbody>" in page(picture, [], NOW)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_name_is_only_text(hostile: str) -> None:
    one = key(
        hostile,
        hostile,
        rotated=(20,),
        data_keys={hostile: 2},
        rotation={"policy": hostile, "history": [record(2, 20, hostile)]},
        custody=hostile,
        track=("False", hostile),
    )
    picture = timeline([one], NOW)
    plain = timeline([key("name", "space", rotated=(20,), custody="other", track=("False", "Odd"))], NOW)
    assert tags(drawn(picture)) == tags(drawn(plain))
    assert tags_of_page(page(picture, [one], NOW)) == tags_of_page(page(plain, [key("name", "space")], NOW))


def tags(root: ET.Element) -> set[str]:
    return {one.tag for one in root.iter()}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.found |= {name for name, _ in attrs if name.startswith("on") or name in ("src", "href")}


def tags_of_page(text: str) -> set[str]:
    parser = _Tags()
    parser.feed(text)
    return parser.found


def test_the_picture_speaks_to_those_who_do_not_see_it() -> None:
    root = drawn(timeline(fleet(), NOW))
    assert root.get("role") == "img"
    named = {one.get("id"): one.text for one in root if one.tag in (f"{SVG}title", f"{SVG}desc")}
    assert (root.get("aria-labelledby") or "").split() == list(named)
    assert "A row for each of 4 workloads" in (named["tl-desc"] or "")
    assert "1 needs attention" in (named["tl-desc"] or "")
    titles = [one.text or "" for one in root.iter(f"{SVG}title")]
    assert any(one.startswith("team-a/llm v5: current; current since 26 Jan 2026") for one in titles)


@pytest.mark.parametrize("of_page", [False, True])
def test_nothing_comes_from_outside_and_nothing_runs(of_page: bool) -> None:
    picture = timeline(fleet(), NOW)
    text = page(picture, fleet(), NOW) if of_page else svg(picture)
    for forbidden in (
        "<script",
        "href",
        "src=",
        "@import",
        "<image",
        "<foreignObject",
        "onload",
        "http-equiv=refresh",
    ):
        assert forbidden not in text
    addresses = set(re.findall(r"https?://[^\s\"']+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"url\(([^)]*)\)", text)) == {"#tl-hatch"}


def test_light_and_dark_name_the_same_colours() -> None:
    light, _, dark = svg(timeline(fleet(), NOW)).partition("@media (prefers-color-scheme:dark)")
    coloured = re.compile(r"(\.tl [^{}]*)\{[^}]*(?:fill|stroke):#")
    in_light = {name.strip() for found in coloured.findall(light) for name in found.split(",")}
    in_dark = {name.strip() for found in coloured.findall(dark) for name in found.split(",")}
    # A white sign on a colour is right in both, and signs that need no more contrast than they have.
    assert in_light - in_dark == {".tl .sg"}
    assert in_dark <= in_light


def test_the_page_holds_the_picture_and_a_table_of_the_same_keys() -> None:
    text = page(timeline(fleet(), NOW), fleet(), NOW)
    assert text.startswith("<!DOCTYPE html>")
    assert text.count("<svg") == 1
    body = text.partition("<tbody>")[2]
    found = re.findall(r'<th scope="row">([^<]*)</th>', body)
    assert found == ["team-a/llm", "team-a/old", "team-b/late", "team-b/new"]
    assert "vault:v" not in text


@given(
    st.floats(0, 1.3e10),
    st.floats(0, 3e9),
    st.floats(0, 3e9),
)
@settings(deadline=None)
def test_ticks_are_in_order_inside_and_have_room(at: float, behind: float, ahead: float) -> None:
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)
    past = [now - timedelta(seconds=behind)]
    found = axis(past, [now + timedelta(seconds=ahead)], now, 200, 1000)
    assert found.shows(now)
    assert all(200 <= tick.x <= 1000 for tick in found.ticks)
    assert all(after.x - tick.x >= 60 for tick, after in pairwise(found.ticks))
    assert 1 <= len(found.ticks) <= 12


@pytest.mark.parametrize(
    ("behind", "labels"),
    [
        (timedelta(hours=6), ["07:00", "08:00", "09:00", "10:00", "11:00", "12:00"]),
        (60 * DAY, ["8 Dec", "15 Dec", "22 Dec", "29 Dec", "5 Jan", "12 Jan", "19 Jan", "26 Jan"]),
        (300 * DAY, ["May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan"]),
        (3000 * DAY, ["2018", "2019", "2020", "2021", "2022", "2023", "2024", "2025", "2026"]),
    ],
)
def test_ticks_are_where_people_expect_them(behind: timedelta, labels: list[str]) -> None:
    found = axis([NOW - behind], [], NOW, LEFT, WIDTH - RIGHT)
    ticks, now = found.ticks, found.x(NOW)
    assert [tick.label for tick in ticks if tick.x <= now][-len(labels) :] == labels
    assert sum(bool(tick.below) for tick in ticks) <= 2


def test_the_picture_in_the_documents_is_what_is_drawn() -> None:
    document = ROOT / "docs" / "keys.svg"
    expected = svg(timeline(pictured(), NOW))
    if os.environ.get("RENEW"):
        document.write_text(expected)
    assert document.read_text() == expected, "renew it: RENEW=1 pytest tests/unit/cli/test_timeline.py"
