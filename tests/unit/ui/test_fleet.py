"""The fleet: every workload is counted where it belongs, and a question finds what it asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator.api.condition_types import ConditionType
from secureai_operator.cli.output import Mark
from secureai_operator.ui import fleet as module
from secureai_operator.ui.fleet import Order, Query, Row, Selection, Shown, rows_of, selected
from tests.unit.cli.key_samples import NOW, key
from tests.unit.ui.samples import LEADS, hours, lives, many, showcase

ROWS = rows_of(showcase())


def names(found: Selection) -> list[str]:
    return [row.workload.name for row in found.rows]


def row(**status: object) -> Row:
    """A workload that is Ready, with this status besides."""
    return rows_of(replace(showcase(), workloads=(key(status=dict(status)).workload,)))[0]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (Shown.NOT_READY, {"fraud-scoring", "ranker"}),
        (Shown.PROGRESS, {"speech", "translate"}),
        (Shown.DRIFT, {"llm", "ranker"}),
        (Shown.QUARANTINE, {"vision-tdx"}),
        (Shown.ROTATION, {"ranker", "batch-train"}),
        (Shown.CERTIFICATE, {"batch-train"}),
    ],
)
def test_a_state_shows_its_workloads_and_counts_them(shown: Shown, expected: set[str]) -> None:
    found = selected(ROWS, Query(shown=shown))
    assert set(names(found)) == expected
    assert found.found == found.counts[shown] == len(expected)
    assert found.total == found.counts[Shown.ALL] == len(ROWS)


def test_ready_not_ready_and_in_progress_are_all_there_is() -> None:
    counts = selected(ROWS, Query()).counts
    assert counts[Shown.READY] + counts[Shown.NOT_READY] + counts[Shown.PROGRESS] == len(ROWS)


def test_the_counts_are_those_of_the_namespace_that_is_asked_for() -> None:
    found = selected(ROWS, Query(namespace="team-c"))
    assert found.counts[Shown.ALL] == found.found == 3
    assert found.counts[Shown.NOT_READY] == 0
    assert found.namespaces == ("team-a", "team-b", "team-c", "team-d")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RANK", {"ranker"}),
        ("team-a/l", {"llm"}),
        ("beyondceiling", {"ranker"}),
        ("refuses the operator", {"fraud-scoring"}),
        ("no such thing", set()),
    ],
)
def test_a_text_is_sought_in_names_and_first_causes(text: str, expected: set[str]) -> None:
    assert set(names(selected(ROWS, Query(text=text)))) == expected


def test_the_worst_comes_first_and_equals_by_name() -> None:
    found = names(selected(ROWS, Query()))
    assert found[:4] == ["ranker", "fraud-scoring", "speech", "translate"]
    assert found[4:7] == ["llm", "batch-train", "vision-tdx"]
    assert found[7:] == ["embeddings", "prompt-cache"]


@pytest.mark.parametrize(
    ("order", "first", "last"),
    [
        (Order.NAME, "embeddings", "translate"),
        (Order.KEY, "prompt-cache", "translate"),
        (Order.CERTIFICATE, "batch-train", "translate"),
        (Order.DRIFT, "ranker", "translate"),
    ],
)
def test_columns_sort_and_what_has_nothing_comes_last(order: Order, first: str, last: str) -> None:
    found = names(selected(ROWS, Query(order=order)))
    assert (found[0], found[-1]) == (first, last)


def test_healed_drift_counts_for_a_day() -> None:
    drift = {"kind": "Role", "name": "saw-llm", "field": "rules", "action": "Healed"}
    assert Shown.DRIFT in row(lastDrift={**drift, "time": hours(-23.9)}).concerns
    assert Shown.DRIFT not in row(lastDrift={**drift, "time": hours(-24.1)}).concerns


@pytest.mark.parametrize(
    ("condition", "action", "hours_ago", "mark"),
    [
        (("False", "NoDrift"), "Healed", 30, Mark.QUIET),
        (("False", "NoDrift"), "Healed", 3, Mark.WARNING),
        (("True", "DriftHealed"), "Healed", 0.1, Mark.WARNING),
        (("True", "DriftReported"), "Reported", 30, Mark.ERROR),
        (("True", "DriftContended"), "Healed", 0.1, Mark.ERROR),
    ],
)
def test_drift_that_stands_is_worse_than_drift_that_was_healed(
    condition: tuple[str, str], action: str, hours_ago: float, mark: Mark
) -> None:
    drift = {"time": hours(-hours_ago), "kind": "Role", "name": "saw-llm", "field": "", "action": action}
    one = key(status={"lastDrift": drift}, changed={ConditionType.DRIFT_DETECTED: condition})
    (found,) = rows_of(replace(showcase(), workloads=(one.workload,)))
    assert found.drift is not None
    assert found.drift.mark is mark
    assert found.drift.text.startswith(f"Role {action.lower()} ")


def test_a_certificate_is_late_once_its_renewal_is_due() -> None:
    assert Shown.CERTIFICATE not in row(certificate=lives(9)).concerns
    assert Shown.CERTIFICATE in row(certificate=lives(7)).concerns
    assert Shown.CERTIFICATE in row(certificate=lives(-1)).concerns
    assert Shown.CERTIFICATE not in row().concerns


def test_an_emergency_under_way_needs_attention() -> None:
    emergency = {"requestId": "incident-7", "startedAt": hours(-1)}
    assert Shown.ROTATION in row(emergency=emergency).concerns
    assert Shown.ROTATION not in row(emergency={**emergency, "finishedAt": hours(-0.5)}).concerns


def test_more_than_a_page_is_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_ROWS", 4)
    rows = rows_of(many(10))
    pages = [selected(rows, Query(order=Order.NAME, page=page)) for page in (1, 2, 3)]
    assert [len(one.rows) for one in pages] == [4, 4, 2]
    assert len({row.workload.name for one in pages for row in one.rows}) == 10
    assert {one.pages for one in pages} == {3}
    assert selected(rows, Query(order=Order.NAME, page=9)).query.page == 3


@given(st.dictionaries(st.sampled_from(["q", "ns", "state", "sort", "page", "x"]), st.text(max_size=300)))
def test_any_address_is_a_question_and_none_is_long(words: dict[str, str]) -> None:
    query = Query.of(words)
    assert len(query.text) <= 100
    assert len(query.namespace) <= 63
    assert 1 <= query.page <= 1000
    assert selected(ROWS, query).total == len(ROWS)


queries = st.builds(
    Query,
    text=st.text(max_size=100).map(str.strip),
    namespace=st.from_regex(r"[a-z0-9-]{0,63}", fullmatch=True),
    shown=st.sampled_from(Shown),
    order=st.sampled_from(Order),
    page=st.integers(1, 1000),
)


@given(queries)
def test_an_address_says_what_was_asked(query: Query) -> None:
    assert Query.of(query.words()) == query


def test_another_answer_begins_on_the_first_page() -> None:
    query = Query(text="llm", page=7).but(shown=Shown.READY)
    assert query == Query(text="llm", shown=Shown.READY)


def test_a_leader_that_is_gone_is_the_first_cause_of_all_that_is_not_ready() -> None:
    nobody = replace(LEADS, running=False)
    causes = {
        row.cause.reason for row in rows_of(replace(showcase(), leader=nobody)) if not row.workload.ready
    }
    assert causes == {"OperatorNotRunning"}


def test_the_future_is_not_drift() -> None:
    later = replace(showcase(), at=NOW + timedelta(days=2))
    assert {row.workload.name for row in rows_of(later) if Shown.DRIFT in row.concerns} == {"ranker"}
