"""The dashboards of the manifests, and every query in them as Grafana would send it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.unit.monitoring.alert_rules import ROOT

FOLDER = ROOT / "manifests" / "monitoring" / "grafana"
NAMES = ("dashboard", "workload")
"""Their files: the fleet and one workload."""
VARIABLE = re.compile(r"\$\{?(\w+)\}?")
LABEL_VALUES = re.compile(r"label_values\((?P<series>.+), (?P<label>\w+)\)")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One query: where it stands, its text with variables, and whether it asks for now or for a range of time."""

    dashboard: str
    panel: str
    reference: str
    text: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel} {self.reference}"

    def filled(self, values: Mapping[str, str]) -> str:
        """With its variables' values; one that has none is an error."""
        return VARIABLE.sub(lambda found: values[found[1]], self.text)


@cache
def dashboard(name: str) -> Json:
    found = json.loads((FOLDER / f"{name}.json").read_text())
    assert isinstance(found, dict)
    return found


def panels(name: str) -> Iterator[Json]:
    """Every panel that shows something; those of a collapsed row stand inside it."""
    for panel in dashboard(name)["panels"]:
        yield from panel["panels"] if panel["type"] == "row" else [panel]


def rows(name: str) -> list[Json]:
    return [panel for panel in dashboard(name)["panels"] if panel["type"] == "row"]


def variables(name: str) -> list[Json]:
    found: list[Json] = dashboard(name)["templating"]["list"]
    return found


@cache
def queries() -> tuple[Query, ...]:
    """Those of all panels and of all variables."""
    return tuple(query for name in NAMES for query in (*_of_panels(name), *_of_variables(name)))


def _of_panels(name: str) -> Iterator[Query]:
    for panel in panels(name):
        for target in panel["targets"]:
            yield Query(
                name, panel["title"], target["refId"], target["expr"], bool(target.get("instant", False))
            )


def _of_variables(name: str) -> Iterator[Query]:
    for variable in variables(name):
        if variable["type"] == "query":
            asked = LABEL_VALUES.fullmatch(variable["query"]["query"])
            assert asked is not None, variable["name"]
            text = f"group by ({asked['label']}) ({asked['series']})"
            yield Query(name, f"${variable['name']}", "variable", text, instant=True)
