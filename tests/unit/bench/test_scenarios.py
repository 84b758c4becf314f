"""A trial measures all that it can, whatever fails."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from bench import scenarios
from bench.goals import lines
from bench.plan import Form, Scenario
from bench.trial import Trial


@pytest.fixture
def labs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened: labs that were started and ended, and measurements on them."""
    told: list[str] = []

    @contextlib.asynccontextmanager
    async def fresh_rig(_: Trial) -> AsyncIterator[SimpleNamespace]:
        told.append("lab")
        yield SimpleNamespace()
        told.append("end")

    def measuring(name: str) -> Any:
        async def measure(_: object, *, fails: bool = False) -> dict[str, Any]:
            told.append(name)
            if fails:
                raise RuntimeError("it broke\nat length")
            return {"n": 1}

        return measure

    monkeypatch.setattr(Trial, "fresh_rig", fresh_rig)
    monkeypatch.setattr(scenarios, "ON_A_LAB", {name: measuring(name) for name in "abc"})
    monkeypatch.setattr(scenarios, "WITHOUT_A_LAB", {"x": measuring("x")})
    return told


def _silent(_: str) -> None:
    """No log."""


async def test_scenarios_of_one_lab_follow_each_other_there_and_others_need_none(labs: list[str]) -> None:
    chosen = [
        Scenario(name=name, lab=lab, short={})
        for name, lab in (("a", "one"), ("b", "one"), ("x", ""), ("c", ""))
    ]
    trial = await scenarios.run(Trial(_silent), chosen, Form.SHORT)
    assert labs == ["lab", "a", "b", "end", "x", "lab", "c", "end"]
    assert list(trial.found) == ["a", "b", "x", "c"]


@pytest.mark.usefixtures("labs")
async def test_one_that_fails_takes_those_that_need_its_state_with_it_and_no_others() -> None:
    chosen = [
        Scenario(name="a", lab="one", short={}),
        Scenario(name="b", lab="one", short={"fails": True}),
        Scenario(name="again", measure="a", lab="one", short={}),
        Scenario(name="c", short={}),
    ]
    trial = await scenarios.run(Trial(_silent), chosen, Form.SHORT)
    assert list(trial.found) == ["a", "c"]
    assert trial.failed == {"b": "RuntimeError: it broke", "again": "RuntimeError: it broke"}
    missed = lines({"results": {}, "failed": trial.failed})
    assert [(line.what, line.met) for line in missed] == [("b", False), ("again", False)]
