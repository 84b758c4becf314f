"""Whatever a CR, an Event or an address says is text on the page, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.cli.key_views import KeyView
from secureai_operator.cli.operator_lease import Leadership
from secureai_operator.cli.output import Mark, Word
from secureai_operator.cli.owned import Owned
from secureai_operator.cli.policies import PolicyView
from secureai_operator.cli.workloads import view
from secureai_operator.ui.fleet import Query, rows_of, selected
from secureai_operator.ui.fleet_page import fleet_page
from secureai_operator.ui.history_page import history_page
from secureai_operator.ui.html import element, prose
from secureai_operator.ui.keys_page import keys_page
from secureai_operator.ui.links import Links
from secureai_operator.ui.source import Detail, EventView, Fleet
from secureai_operator.ui.trouble_page import trouble_page
from secureai_operator.ui.troubles import absent
from secureai_operator.ui.workload_page import workload_page
from tests.unit.cli.key_samples import NOW, ago, key, record
from tests.unit.ui.reading_pages import Element, read
from tests.unit.ui.samples import NOBODY, detail_of, lives

LINKS = Links("/token")
HOSTILE = (
    "</title></td><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "' onmouseover='alert(1)",
    "]]>--><svg/onload=alert(1)>",
    "\x00\x1b[2J\ud800\ufffe\u202ealert(1)",
    "`</code><iframe srcdoc=alert(1)>`",
)
ALLOWED = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "a",
        "header",
        "nav",
        "ul",
        "li",
        "p",
        "strong",
        "span",
        "div",
        "button",
        "main",
        "h1",
        "h2",
        "h3",
        "footer",
        "code",
        "form",
        "label",
        "input",
        "select",
        "option",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "time",
        "dl",
        "dt",
        "dd",
        "section",
        "figure",
        "svg",
        "desc",
        "style",
        "defs",
        "pattern",
        "path",
        "rect",
        "text",
        "g",
        "circle",
    ]
)

hostile = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=30), st.sampled_from(HOSTILE).map(lambda one: one * 3)
)


@st.composite
def details(draw: st.DrawFn) -> Detail:
    """A workload in which everything that is text may be anything."""

    def text() -> str:
        return draw(hostile)

    def strings(*fields: str) -> dict[str, Any]:
        return {field: text() for field in fields}

    history = [{**record(2, 9, text()), "result": text()}]
    steps = [{"step": text(), "at": ago(1), "milliseconds": 1, "skipped": text()}]
    one = key(
        text(),
        text(),
        rotated=(9,),
        data_keys={text(): 1},
        custody=text(),
        rotation={
            **strings("policy", "phase", "requestId", "trigger"),
            "history": history,
            "nextTime": text(),
        },
        status={
            "certificate": {**lives(draw(st.sampled_from([-2, 5, 20]))), "serial": text()},
            "lastDrift": {"time": ago(0.1), **strings("kind", "name", "field", "action")},
            "pods": {"bound": 1, "unbound": 1, "quarantined": 1, "unboundNames": [text()]},
            "vault": strings("connection", "name", "transitMount", "pkiMount", "authMount"),
            "binding": strings("serviceAccountName", "audience"),
            "emergency": {"requestId": text(), "startedAt": ago(1), "steps": steps},
            "dataKeyRotation": {
                "requestId": text(),
                "madeAt": ago(1),
                "left": [text()],
                "restarted": [text()],
            },
        },
        changed={C.READY: ("False", text()), C.KEY_READY: (text(), text())},
        track=(text(), text()),
        spec={"access": {"rules": [{}]}, "keys": {"type": text()}},
    )
    for condition in one.workload.raw["status"]["conditions"]:
        condition["message"] = text()
    workload = view(one.workload.raw)
    found = detail_of(workload, key=KeyView(workload, 2))
    mark = draw(st.sampled_from(Mark))
    owned = (Owned(text(), text(), Word(text(), mark), NOW, text()),)
    event = EventView(text(), text(), draw(st.booleans()), 2, NOW, text())
    inventory = replace(found.inventory, kubernetes=owned, pods=owned, vault=owned, vault_source=text())
    return replace(
        found, inventory=inventory, events=(event,), leader=Leadership(draw(st.booleans()), text())
    )


def checked(page: str) -> Element:
    """The page, once nothing in it can do more than be read."""
    assert page.isprintable() or not set(page) & {"\x00", "\x1b", "\u202e", "\ud800"}
    page.encode()
    root = read(page)
    for one in root.everything()[1:]:
        assert one.name in ALLOWED, one.name
        for name, value in one.attributes.items():
            assert not name.startswith("on"), name
            assert name not in ("style", "srcdoc", "formaction"), name
            if name in ("href", "action"):
                assert value.startswith("/token/") or value == "#main", value
            if name == "src":
                assert value == "/token/static/ui.js"
    assert len(root.all("script")) == 1
    assert root.all("script")[0].text == ""
    return root


@settings(max_examples=60, deadline=None)
@given(details())
def test_no_text_of_a_workload_can_be_more_than_read(detail: Detail) -> None:
    root = checked(workload_page(detail, LINKS))
    messages = [one.message for one in detail.workload.conditions]
    if any("alert(1)" in one for one in messages):
        assert "alert(1)" in root.all("main")[0].all("table")[0].text


@settings(max_examples=40, deadline=None)
@given(details(), hostile, hostile)
def test_no_text_of_a_fleet_can_be_more_than_read(detail: Detail, text: str, policy: str) -> None:
    ruling = PolicyView(
        {
            "metadata": {"name": policy, "namespace": text},
            "spec": {"schedule": {"cron": policy, "timeZone": text}},
        }
    )
    fleet = Fleet((detail.workload,), Leadership(False, text), NOW, text, {policy: ruling})
    rows = rows_of(fleet)
    for query in (Query(), Query(text=text, namespace=policy)):
        checked(fleet_page(fleet, selected(rows, query), LINKS))
    checked(keys_page(fleet, rows, LINKS))
    checked(history_page(fleet, rows, LINKS))


@given(hostile)
def test_no_trouble_can_be_more_than_read(text: str) -> None:
    assert checked(trouble_page(replace(absent(text), title=text, steps=(text,)), LINKS)).all("h1")


@given(hostile, hostile)
def test_a_name_stays_one_segment_of_its_address(namespace: str, name: str) -> None:
    address = LINKS.workload(namespace, name)
    assert address.count("/") == 4
    assert address.isascii()
    assert not set(address) & set("<>\"' ?#")


def test_text_is_escaped_in_elements_and_in_attributes() -> None:
    drawn = element("a", "<b>", href='"><x>', title=None, hidden=True, aria_label="'")
    assert drawn.text == '<a href="&quot;&gt;&lt;x&gt;" hidden aria-label="&#39;">&lt;b&gt;</a>'


def test_backticks_become_code() -> None:
    assert prose("run `secureai <check>` now").text == "run <code>secureai &lt;check&gt;</code> now"


def test_that_nobody_is_at_work_is_told_with_what_the_lease_says() -> None:
    fleet = Fleet((), NOBODY, NOW)
    root = checked(fleet_page(fleet, selected((), Query()), LINKS))
    assert "operator-0, renewed its Lease 90 s ago" in root.with_id("leader").text
