"""scenarios.yaml says what is measured, and nothing that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from bench import goals, plan, scenarios
from bench.plan import Form, Plan, Scenario, by_lab


def _plan(*found: Scenario) -> Plan:
    return Plan(trials=plan.Trials(short=1, full=5), scenarios=found)


def test_every_scenario_of_the_file_has_a_function_and_every_bound_a_scenario() -> None:
    found = plan.load()
    assert scenarios.unknown(found) == []
    named = {scenario.name for scenario in found.scenarios}
    assert {bound.part for bound in goals.bounds()} <= named


def test_the_full_form_measures_all_that_the_short_one_does_in_five_trials() -> None:
    found = plan.load()
    short, full = (
        {one.name for one in found.chosen(form) if one.is_in(form)} for form in (Form.SHORT, Form.FULL)
    )
    assert short <= full
    assert found.trials_of(Form.FULL) == 5


def test_a_form_leaves_out_what_has_no_parameters_for_it() -> None:
    found = _plan(
        Scenario(name="storm", short={"n": 1}, full={"n": 2}), Scenario(name="large", full={"n": 9})
    )
    assert [one.name for one in found.chosen(Form.SHORT)] == ["storm"]
    assert [one.name for one in found.chosen(Form.FULL)] == ["storm", "large"]


def test_what_is_asked_for_by_name_is_measured_in_either_form() -> None:
    found = _plan(Scenario(name="storm", short={"n": 1}), Scenario(name="large", full={"n": 9}))
    (large,) = found.chosen(Form.SHORT, only=["large"])
    assert large.parameters(Form.SHORT) == {"n": 9}


def test_scenarios_of_one_lab_share_it_and_those_without_a_lab_stand_alone() -> None:
    found = [
        Scenario(name="a", lab="one", short={}),
        Scenario(name="b", lab="one", short={}),
        Scenario(name="c", short={}),
        Scenario(name="d", short={}),
        Scenario(name="e", lab="one", short={}),
    ]
    groups = [[one.name for one in group] for group in by_lab(found)]
    assert groups == [["a", "b"], ["c"], ["d"], ["e"]]


@pytest.mark.parametrize(
    "text",
    [
        "trials: {short: 1, full: 5}\nscenarios: []",
        "trials: {short: 0, full: 5}\nscenarios: [{name: a, short: {}}]",
        "trials: {short: 1, full: 5}\nscenarios: [{name: a, short: {}}, {name: a, full: {}}]",
        "trials: {short: 1, full: 5}\nscenarios: [{name: a, shrot: {}}]",
    ],
)
def test_a_file_that_is_wrong_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "scenarios.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValidationError):
        plan.load(file)
