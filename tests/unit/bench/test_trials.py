"""Several trials are told as their median, and how far they lie apart."""

from __future__ import annotations

from typing import Any

import pytest

from bench.trials import by_part, joined, median, spread


def test_each_number_is_the_median_of_its_trials_wherever_it_stands() -> None:
    trials = [
        {"storm": {"seconds": seconds, "ready": {"p50": seconds / 2}, "met": True}}
        for seconds in (30, 20, 25)
    ]
    assert median(trials) == {"storm": {"seconds": 25, "ready": {"p50": 12.5}, "met": True}}


def test_counts_that_every_trial_agrees_on_stay_whole_numbers() -> None:
    assert repr(median([{"n": 3}, {"n": 3}])) == repr({"n": 3})


def test_one_trial_is_its_own_median_with_all_its_samples() -> None:
    trial = {"a": {"p50": 1.5, "milliseconds": [1, 2]}}
    assert median([trial]) is trial
    assert by_part([trial]) == {}


def test_samples_stay_with_their_trial() -> None:
    assert median([{"p50": 1, "milliseconds": [1]}, {"p50": 3, "milliseconds": [3]}]) == {"p50": 2}


def test_a_number_that_a_trial_lacks_is_the_median_of_the_others() -> None:
    assert median([{"errors": {}}, {"errors": {"409": 2}}]) == {"errors": {"409": 2}}


def test_a_promise_that_one_trial_broke_is_broken() -> None:
    assert median([{"ok": True}, {"ok": False}, {"ok": True}]) == {"ok": False}


def test_the_spread_is_told_where_trials_differ() -> None:
    found = spread([{"s": 1.0, "n": 8, "ready": {"p50": 2}}, {"s": 3.0, "n": 8, "ready": {"p50": 2}}])
    assert found == {"s": {"min": 1.0, "max": 3.0, "sd": 1.4142}}


def part(name: str, seconds: int, **changed: Any) -> dict[str, Any]:
    found = {name: {"seconds": seconds}}
    return {
        "form": "full",
        "fsync": True,
        "versions": {"vault": "1"},
        "seconds": seconds,
        "results": found,
        "failed": {},
        "spread": {},
        "trials": [found, found],
        **changed,
    }


def test_the_parts_of_a_run_are_the_run() -> None:
    run = joined([part("storm", 10), part("peerVso", 5)])
    assert run["seconds"] == 15
    assert list(run["results"]) == ["storm", "peerVso"]
    assert run["trials"] == [run["results"], run["results"]]


@pytest.mark.parametrize("changed", [{"form": "short"}, {"fsync": False}, {"versions": {"vault": "2"}}])
def test_parts_of_different_runs_are_not_joined(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no parts of one run"):
        joined([part("storm", 10), part("peerVso", 5, **changed)])
