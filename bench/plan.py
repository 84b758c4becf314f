"""What is measured, how many, and how often: scenarios.yaml, checked as it is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

FILE = Path(__file__).parent / "scenarios.yaml"


class Form(StrEnum):
    """Ten minutes, or everything."""

    SHORT = "short"
    FULL = "full"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scenario(_Data):
    """One measurement; without parameters for a form it is no part of it."""

    name: str = Field(pattern=r"^[a-z][A-Za-z0-9]*$")
    """Of its results."""
    measure: str = ""
    """The function, by its name in the table; the scenario's own by default."""
    lab: str = ""
    """Scenarios of one lab share it, one after the other; by default it gets one of its own."""
    short: dict[str, Any] | None = None
    full: dict[str, Any] | None = None

    @property
    def function(self) -> str:
        return self.measure or self.name

    def is_in(self, form: Form) -> bool:
        return self._of(form) is not None

    def parameters(self, form: Form) -> dict[str, Any]:
        """The form's; those of the other form for what was asked for by name."""
        return next(found for found in (self._of(form), self.full, self.short, {}) if found is not None)

    def _of(self, form: Form) -> dict[str, Any] | None:
        return self.short if form is Form.SHORT else self.full


class Trials(_Data):
    """How often each form is measured."""

    short: int = Field(ge=1, le=100)
    full: int = Field(ge=1, le=100)


class Plan(_Data):
    """The whole file."""

    trials: Trials
    scenarios: tuple[Scenario, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Plan:
        names = [scenario.name for scenario in self.scenarios]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"scenarios named twice: {', '.join(twice)}")
        return self

    def trials_of(self, form: Form) -> int:
        return self.trials.short if form is Form.SHORT else self.trials.full

    def chosen(self, form: Form, only: Collection[str] = ()) -> list[Scenario]:
        """The form's scenarios, or those named, in the order of the file."""
        return [
            scenario
            for scenario in self.scenarios
            if (scenario.name in only if only else scenario.is_in(form))
        ]


def load(path: Path = FILE) -> Plan:
    """Raises ValueError (pydantic's) where the file is not as it must be."""
    return Plan.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def by_lab(scenarios: Collection[Scenario]) -> Iterator[list[Scenario]]:
    """Scenarios that follow each other on one lab; those without a lab's name stand alone."""
    numbered = enumerate(scenarios)
    for _, group in groupby(numbered, key=lambda pair: pair[1].lab or pair[0]):
        yield [scenario for _, scenario in group]
