"""The pages say what the verbs say, and can be read with a keyboard and without eyes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from secureai_operator.cli.operator_lease import Leadership
from secureai_operator.cli.output import Mark, Word
from secureai_operator.cli.owned import MISSING, Owned
from secureai_operator.cli.why import diagnose
from secureai_operator.cli.workloads import view
from secureai_operator.ui import fleet as fleets
from secureai_operator.ui.cells import TONES
from secureai_operator.ui.fleet import Query, Shown, rows_of, selected
from secureai_operator.ui.fleet_page import fleet_page
from secureai_operator.ui.history_page import MAX_ROWS, history_page
from secureai_operator.ui.keys_page import DRAWN, keys_page
from secureai_operator.ui.links import Links
from secureai_operator.ui.source import Fleet
from secureai_operator.ui.trouble_page import trouble_page
from secureai_operator.ui.troubles import absent
from secureai_operator.ui.workload_page import workload_page
from tests.unit.cli.key_samples import NOW
from tests.unit.ui.reading_pages import Element, read, table
from tests.unit.ui.samples import LEADS, NOBODY, detail_of, many, showcase

LINKS = Links("/token")
FLEET = showcase()
WORKLOADS = {one.name: one for one in FLEET.workloads}


def shown(query: Query | None = None, fleet: Fleet = FLEET) -> Element:
    return read(fleet_page(fleet, selected(rows_of(fleet), query or Query()), LINKS))


def one(name: str) -> Element:
    return read(workload_page(detail_of(WORKLOADS[name]), LINKS))


def pages() -> dict[str, Element]:
    rows = rows_of(FLEET)
    return {
        "fleet": shown(),
        "nothing found": shown(Query(text="no such thing")),
        "no workloads": shown(fleet=replace(FLEET, workloads=())),
        "keys": read(keys_page(FLEET, rows, LINKS)),
        "no keys": read(keys_page(replace(FLEET, workloads=()), (), LINKS)),
        "history": read(history_page(FLEET, rows, LINKS)),
        "no history": read(history_page(FLEET, (), LINKS)),
        "trouble": read(trouble_page(absent("no such workload"), LINKS)),
        **{f"workload {name}": one(name) for name in WORKLOADS},
    }


@pytest.mark.parametrize(("name", "page"), pages().items(), ids=list(pages()))
def test_a_page_can_be_read_without_eyes(name: str, page: Element) -> None:
    del name
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    (head,) = page.all("head")
    assert len(page.all("h1")) == len(page.all("main")) == len(head.all("title")) == 1
    assert page.all("h1")[0].text in head.all("title")[0].text
    ids = Counter(one.attributes["id"] for one in page.everything() if "id" in one.attributes)
    assert set(ids.values()) <= {1}, ids
    for drawn in page.all("table"):
        assert drawn.all("caption")[0].text
        assert all(cell.attributes["scope"] in ("col", "row") for cell in drawn.all("th"))
        around = drawn.parent
        assert around is not None
        # What scrolls can be scrolled with the keyboard, and has a name.
        assert (around.attributes["tabindex"], around.attributes["role"]) == ("0", "region")
        assert around.attributes["aria-label"]
    for field in [*page.all("input"), *page.all("select")]:
        assert field.attributes.get("type") == "hidden" or (
            field.parent is not None and field.parent.name == "label"
        )
    for picture in page.all("svg"):
        assert picture.attributes["role"] == "img"
        assert picture.attributes["aria-labelledby"]
    first = page.all("body")[0].children[0]
    assert (first.name, first.attributes["href"]) == ("a", "#main")


@pytest.mark.parametrize(("name", "page"), pages().items(), ids=list(pages()))
def test_no_page_holds_a_wrapped_key_or_anything_to_write_with(name: str, page: Element) -> None:
    del name
    assert "vault:v" not in page.text
    assert {one.attributes["method"] for one in page.all("form")} <= {"get"}


def test_the_samples_do_hold_wrapped_keys() -> None:
    assert any("vault:v" in str(one.raw) for one in FLEET.workloads)


def test_every_workload_has_its_row() -> None:
    rows = {row[0]: row for row in table(shown(), "Workloads")}
    assert set(rows) == {f"{one.namespace}/{one.name}" for one in FLEET.workloads}
    assert rows["team-b/ranker"] == [
        "team-b/ranker",
        "NotReady",
        "BeyondCeiling rule 2 asks for delete on configmaps, which the platform does not grant",
        "v3",
        "21d",
        "11h left, renews in 3h",
        "Role reported 12m ago",
        "\u2013",
        "RetirementUnproven !",
    ]
    assert rows["team-c/vision-tdx"][7] == "1"
    assert rows["team-c/batch-train"][8] == "RotationMissed !, due 5h ago"
    assert rows["team-d/translate"][3:6] == ["\u2013", "\u2013", "\u2013"]


def test_a_row_leads_to_its_workload() -> None:
    links = {link.text: link.attributes["href"] for link in shown().all("a")}
    assert links["team-b/ranker"] == "/token/workloads/team-b/ranker"


def test_a_number_leads_to_its_workloads_and_keeps_the_rest_of_the_question() -> None:
    page = shown(Query(namespace="team-c", shown=Shown.QUARANTINE))
    cards = {card.all("a")[0].text: card.all("a")[0].attributes for card in page.with_id("counts").all("li")}
    assert cards["3 Workloads"]["href"] == "/token/?ns=team-c"
    assert cards["1 With quarantined pods"]["aria-current"] == "true"
    assert "aria-current" not in cards["3 Workloads"]


def test_the_form_holds_what_was_asked() -> None:
    page = shown(Query.of({"q": "r", "ns": "team-b", "state": "not-ready", "sort": "key"}))
    chosen = {
        field.attributes["name"]: option.attributes["value"]
        for field in page.all("select")
        for option in field.all("option")
        if "selected" in option.attributes
    }
    assert chosen == {"ns": "team-b", "state": "not-ready"}
    assert {field.attributes["name"]: field.attributes["value"] for field in page.all("input")} == {
        "q": "r",
        "sort": "key",
    }
    assert page.with_id("shown").text == "2 of 9 workloads"


def test_the_sorted_column_says_so() -> None:
    sorted_by = {
        one.text: one.attributes["aria-sort"] for one in shown().all("th") if "aria-sort" in one.attributes
    }
    assert sorted_by == {"State": "other"}


def test_pages_are_turned_by_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "PAGE_ROWS", 4)
    page = shown(Query(page=2))
    turning = {link.text: link.attributes["href"] for link in page.with_id("rows").all("nav")[0].all("a")}
    assert turning == {"Previous": "/token/", "Next": "/token/?page=3"}
    assert page.with_id("shown").text == "9 of 9 workloads, page 2 of 3"


@pytest.mark.parametrize("name", ["fraud-scoring", "ranker", "speech"])
def test_a_workload_that_is_not_ready_says_what_why_says(name: str) -> None:
    found = diagnose(WORKLOADS[name], LEADS)
    said = one(name).all("section")[0].text
    assert not found.ready
    for words in (found.reason, found.message, found.meaning, found.cause, found.next_step.replace("`", "")):
        assert words in said


def test_a_ready_workload_with_a_worry_says_it() -> None:
    assert "RotationMissed" in one("batch-train").all("section")[0].text
    assert "Not Ready" not in one("batch-train").text


def test_without_an_operator_every_page_says_so() -> None:
    fleet = replace(FLEET, leader=NOBODY)
    rows = rows_of(fleet)
    for page in (
        shown(fleet=fleet),
        read(keys_page(fleet, rows, LINKS)),
        read(history_page(fleet, rows, LINKS)),
    ):
        assert "No operator is at work" in page.all("main")[0].text
    unknown = shown(fleet=replace(FLEET, leader=Leadership(None, "")))
    assert "No operator is at work" not in unknown.text


def test_the_tree_holds_what_is_there_and_what_is_missing() -> None:
    detail = detail_of(WORKLOADS["llm"])
    gone = Owned("NetworkPolicy", "saw-llm-allow", MISSING, note="Retrying")
    hidden = Owned("Secret", "?", Word("hidden", Mark.QUIET), note="you may not list secrets")
    inventory = replace(detail.inventory, kubernetes=(gone, hidden))
    page = read(workload_page(replace(detail, inventory=inventory), LINKS))
    (tree,) = [one for one in page.all("ul") if one.attributes.get("class") == "tree"]
    leaves = [one.text for one in tree.all("li") if not one.all("li")]
    assert "NetworkPolicy saw-llm-allowMISSINGRetrying" in leaves
    assert "Secret ?hiddenyou may not list secrets" in leaves
    assert "Key saw-transit/saw.main.team-a.llmok60dv7 aes256-gcm96" in leaves


def test_every_condition_has_its_row_and_those_that_fail_a_next_step() -> None:
    rows = {row[0]: row for row in table(one("ranker"), "Conditions")}
    assert list(rows) == [one.type for one in WORKLOADS["ranker"].conditions]
    assert rows["AccessGranted"][1:3] == ["False !", "BeyondCeiling"]
    assert rows["AccessGranted"][5] == "Remove the rule, or ask the platform team to add it to the ceiling."
    assert rows["KeyReady"][5] == "\u2013"


def test_events_that_may_not_be_read_are_said_to_be_left_out() -> None:
    page = read(workload_page(detail_of(WORKLOADS["llm"], events=None), LINKS))
    assert "you may not list events" in page.text
    assert "left out" not in one("llm").text


def test_a_workload_that_nobody_looked_at_is_shown() -> None:
    raw = {"metadata": {"name": "new", "namespace": "team-a", "generation": 1}}
    page = read(workload_page(detail_of(view(raw)), LINKS))
    assert "NotYetSeen" in page.text
    assert not page.all("svg")


def test_keys_come_by_age_and_certificates_by_their_end() -> None:
    page = read(keys_page(FLEET, rows_of(FLEET), LINKS))
    keys = table(page, "Keys, the oldest first")
    assert [row[1] for row in keys] == ["400d", "21d", "20d", "12d", "9d", "4d", "3d", "2d", "\u2013"]
    certificates = table(page, "Certificates, the next to end first")
    ends = [row[2] for row in certificates]
    assert ends == sorted(ends)
    assert certificates[0][0] == "team-c/batch-train"
    assert table(page, "Rotation policies") == [
        ["team-a/weekly", "0 3 * * 0 Europe/Berlin", "\u2013", "3 versions", "2 keys"]
    ]


def test_policies_that_may_not_be_read_are_not_said_to_be_none() -> None:
    fleet = replace(FLEET, policies=None)
    assert "You may not list keyrotationpolicies" in read(keys_page(fleet, rows_of(fleet), LINKS)).text


def test_a_large_picture_is_cut_and_says_so() -> None:
    fleet = many(60)
    page = read(keys_page(fleet, rows_of(fleet), LINKS))
    assert f"Of 60 keys {DRAWN} are drawn" in page.text
    assert "-l" not in page.text.split()
    assert len(table(page, "Keys, the oldest first")) == 60


def test_the_history_of_the_fleet_is_in_one_order() -> None:
    page = read(history_page(FLEET, rows_of(FLEET), LINKS))
    drift = table(page, "Drift")
    assert [row[0] for row in drift] == ["team-b/ranker", "team-a/llm"]
    times = [row[1] for row in table(page, "Rotations and emergencies")]
    assert times == sorted(times, reverse=True)
    assert len(times) == sum(len(row.key.history) for row in rows_of(FLEET)) == 15


def test_a_long_history_is_cut_and_says_so() -> None:
    fleet = many(600)
    page = read(history_page(fleet, rows_of(fleet), LINKS))
    assert len(table(page, "Rotations and emergencies")) == MAX_ROWS
    assert f"The latest {MAX_ROWS} of " in page.text


def test_colour_never_says_what_no_word_says() -> None:
    tones = set(TONES.values())
    coloured = [
        one
        for page in pages().values()
        for one in page.everything()
        if tones & set(one.attributes.get("class", "").split())
    ]
    assert coloured
    assert all(one.text for one in coloured)


def test_the_age_of_the_page_is_on_it() -> None:
    assert shown().with_id("read").all("time")[0].attributes["datetime"] == NOW.isoformat()
