"""A bound says what a number must be, and a number that is missing is never good."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bench.goals import Bound, number


def _line(part: dict[str, Any], spread: dict[str, Any] | None = None, **bound: Any) -> Any:
    return Bound(part="storm", what="{workloads} CRs", **bound).line(
        {"workloads": 1000, **part}, spread or {}
    )


def test_a_limit_is_met_where_it_is_reached_and_not_beyond() -> None:
    assert _line({"s": 25.0}, value="s", at_most=25).met
    assert not _line({"s": 25.1}, value="s", at_most=25).met
    assert _line({"e": 0.7}, value="e", at_least=0.7).met
    assert not _line({"e": 0.69}, value="e", at_least=0.7).met
    assert not _line({"n": 2}, value="n", exactly=1).met


def test_a_limit_can_be_another_number_of_the_same_result() -> None:
    bound: dict[str, Any] = {"value": "writes", "at_most": "objects", "plus": 2}
    assert _line({"writes": 10, "objects": 8}, **bound).met
    missed = _line({"writes": 10.01, "objects": 8}, **bound)
    assert (missed.met, missed.goal) == (False, "≤ 10")


def test_what_was_not_measured_is_not_met() -> None:
    line = _line({"newcomers": {}}, value="newcomers.max", at_most=1)
    assert (line.met, line.measured) == (False, "none")
    assert not _line({"a": 0}, value="a + b", at_most=5).met


def test_a_time_counts_only_if_all_came_to_the_end() -> None:
    bound: dict[str, Any] = {"value": "s", "at_most": 9, "complete": {"done": "done", "of": "workloads"}}
    line = _line({"s": 3, "done": 999}, **bound)
    assert (line.met, line.measured) == (False, "999 done")
    assert _line({"s": 3, "done": 1000}, **bound).met


def test_of_several_numbers_each_must_hold() -> None:
    bound: dict[str, Any] = {"value": ["a", "b.errors"], "exactly": 0}
    assert _line({"a": 0, "b": {"errors": {}}}, **bound).met
    line = _line({"a": 0, "b": {"errors": {"keys/*": 1}}}, **bound)
    assert (line.met, line.measured, line.goal) == (False, "0 and 1", "0 and 0")


def test_a_line_quotes_what_was_measured_with_its_unit_and_spread() -> None:
    spread = {"ms": {"min": 500.0, "max": 1500.0, "sd": 20.0}}
    line = _line({"ms": 1000}, spread, value="ms", at_most=1, scale=0.001, unit="s")
    assert (line.what, line.goal, line.measured) == ("1000 CRs", "≤ 1 s", "1 s")
    assert line.spread == "0.5..1.5, sd 0.02"


def test_the_analysis_is_told_only_where_the_goal_is_missed() -> None:
    bound: dict[str, Any] = {"value": "s", "at_most": 25, "analysis": "the API server's CPU"}
    assert not _line({"s": 24}, **bound).analysis
    assert _line({"s": 26}, **bound).analysis == "the API server's CPU"


def test_a_path_leads_through_mappings_sums_them_and_finds_the_highest_key() -> None:
    part = {"a": {"b": 2}, "errors": {"x": 1, "y": 2}, "ticks": {"9": {"p99": 1}, "10": {"p99": 5}}}
    assert number(part, "a.b") == 2
    assert number(part, "errors") == 3
    assert number(part, "ticks.highest.p99") == 5
    assert number(part, "a.b.c") is None


@pytest.mark.parametrize("limits", [{}, {"at_most": 1, "at_least": 0}])
def test_a_bound_has_exactly_one_limit(limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Bound(part="storm", what="x", value="s", **limits)
