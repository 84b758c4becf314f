"""The dashboards as Grafana takes them: whole, of any data source, and speaking only of what the operator exposes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import promql_parser as promql
import pytest
import yaml

from tests.unit.monitoring.alert_rules import LABELS_OF_A_TARGET, ROOT, WORDS, exposed, selectors
from tests.unit.monitoring.dashboards import (
    FOLDER,
    NAMES,
    VARIABLE,
    Json,
    Query,
    dashboard,
    panels,
    queries,
    rows,
    variables,
)

UIDS = {"dashboard": "secureai-rotation", "workload": "secureai-workload"}
"""Links and bookmarks of users lead there: they stay."""
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
OF_THE_KUBELET = {
    "container_memory_working_set_bytes": {"namespace", "pod", "container"},
    "container_cpu_usage_seconds_total": {"namespace", "pod", "container", "cpu"},
}
BUILT_IN = {"__rate_interval": "5m", "__range": "1h"}
CHART = ROOT / "manifests" / "helm" / "secureai-operator"
COLUMNS = 24

DASHBOARD = pytest.mark.parametrize("name", NAMES)
PANEL = pytest.mark.parametrize(
    "panel",
    [
        pytest.param(panel, id=f"{name}: {panel['title']}")
        for name in NAMES
        for panel in (*rows(name), *panels(name))
    ],
)
SHOWN = pytest.mark.parametrize(
    "panel",
    [pytest.param(panel, id=f"{name}: {panel['title']}") for name in NAMES for panel in panels(name)],
)
QUERY = pytest.mark.parametrize("query", queries(), ids=str)


def known_variables(name: str) -> dict[str, str]:
    return BUILT_IN | {variable["name"]: "x" for variable in variables(name)}


def parsed(query: Query) -> Any:
    return promql.parse(query.filled(known_variables(query.dashboard)))


def series() -> dict[str, set[str]]:
    return exposed() | OF_THE_KUBELET


def nodes(node: Any) -> Iterator[Json]:
    """Every object of a JSON document."""
    if isinstance(node, dict):
        yield node
    for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(one)


# The files


def test_every_file_is_one_that_the_tests_know() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(NAMES)


@DASHBOARD
def test_a_dashboard_says_what_it_is_and_keeps_its_place(name: str) -> None:
    found = dashboard(name)
    assert found["uid"] == UIDS[name]
    assert found["title"].startswith("SecureAI: ")
    assert re.fullmatch(r"[A-Z].*\.", found["description"])
    assert found["schemaVersion"] >= 36
    assert "id" not in found, "the number that one Grafana gave it"
    assert "secureai" in found["tags"], "the link from one to the other goes by it"


@DASHBOARD
def test_every_data_source_is_the_one_that_is_chosen(name: str) -> None:
    chosen = variables(name)[0]
    assert (chosen["name"], chosen["type"], chosen["query"]) == ("datasource", "datasource", "prometheus")
    sources = [node["datasource"] for node in nodes(dashboard(name)) if "datasource" in node]
    assert len(sources) > len(list(panels(name)))
    assert all(source == DATA_SOURCE for source in sources)


@DASHBOARD
def test_no_two_panels_have_one_number_or_one_title(name: str) -> None:
    everything = [*rows(name), *panels(name)]
    for key in ("id", "title"):
        found = [panel[key] for panel in everything]
        assert len(found) == len(set(found)), key


@DASHBOARD
def test_no_two_panels_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in (*rows(name), *panels(name)):
        place = panel["gridPos"]
        across = range(place["x"], place["x"] + place["w"])
        cells = {(column, line) for column in across for line in range(place["y"], place["y"] + place["h"])}
        assert max(across) < COLUMNS, panel["title"]
        assert not taken & cells, panel["title"]
        taken |= cells


@DASHBOARD
def test_panels_stand_in_a_row_only_while_it_is_collapsed(name: str) -> None:
    """Else Grafana shows them twice, or not at all."""
    assert all(row["collapsed"] == bool(row["panels"]) for row in rows(name))


def test_both_ways_of_installing_hand_every_file_on_under_one_name() -> None:
    (generated,) = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"]
    by_kustomize = dict(entry.split("=") for entry in generated["files"])
    template = (CHART / "templates" / "monitoring.yaml").read_text()
    by_chart = dict(
        re.findall(r'^  (\S+\.json): \|\n{{ \$\.Files\.Get "files/monitoring/(\S+)"', template, re.MULTILINE)
    )
    assert by_kustomize == by_chart
    assert set(by_kustomize.values()) == {f"{name}.json" for name in NAMES}


# Panels


@SHOWN
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: Json) -> None:
    assert re.fullmatch(r"[A-Z0-9`].*\.", panel["description"])
    config = panel["fieldConfig"]
    set_by = [one["id"] for override in config["overrides"] for one in override["properties"]]
    assert config["defaults"].get("unit") or "unit" in set_by


@SHOWN
def test_what_a_panel_changes_or_links_is_a_column_that_it_has(panel: Json) -> None:
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", panel["targets"][0]["expr"]))))
    renamed = {
        new
        for step in panel.get("transformations", ())
        for new in step["options"].get("renameByName", {}).values()
    }
    for override in panel["fieldConfig"]["overrides"]:
        assert override["matcher"]["id"] == "byName"
        assert override["matcher"]["options"] in grouped | renamed


@SHOWN
def test_a_link_leads_to_a_dashboard_with_its_variables(panel: Json) -> None:
    for node in nodes(panel["fieldConfig"]):
        for link in node["value"] if node.get("id") == "links" else ():
            target = urlsplit(link["url"].removesuffix("&${__url_time_range}"))
            (name,) = (name for name, uid in UIDS.items() if target.path == f"/d/{uid}")
            given = {key.removeprefix("var-") for key in parse_qs(target.query)}
            assert given == {variable["name"] for variable in variables(name)}


@SHOWN
def test_what_shows_one_moment_asks_for_one_moment(panel: Json) -> None:
    of_now = panel["type"] in {"stat", "table"}
    assert all(bool(target.get("instant")) == of_now for target in panel["targets"])
    references = [target["refId"] for target in panel["targets"]]
    assert len(references) == len(set(references))


@SHOWN
def test_a_legend_names_only_labels_that_are_left(panel: Json) -> None:
    """Another is an empty word."""
    for target in panel["targets"]:
        left = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", target["expr"]))))
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= left - {"le"}


# Queries


@QUERY
def test_a_query_is_promql_of_series_that_there_are(query: Query) -> None:
    for selector in selectors(parsed(query)):
        known = series()[selector.name]
        for matcher in selector.matchers.matchers:
            assert matcher.name in known
            if matcher.name in WORDS and matcher.name not in known_variables(query.dashboard):
                assert set(str(matcher.value).split("|")) <= WORDS[matcher.name]


@QUERY
def test_a_query_groups_by_labels_that_its_series_have(query: Query) -> None:
    known = set().union(*(series()[selector.name] for selector in selectors(parsed(query))))
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", query.text)
    named = {label.strip() for labels in grouped for label in labels.split(",")}
    assert named <= known | LABELS_OF_A_TARGET


@QUERY
def test_a_query_counts_no_workload_twice(query: Query) -> None:
    """While the lead changes hands two replicas have series of one workload."""
    for selector in selectors(parsed(query)):
        if {"namespace", "name"} <= series()[selector.name]:
            one = rf"\b(max|min|group)(?: by \([^)]*\))? ?\({selector.name}"
            assert re.search(one, query.text)


@QUERY
def test_a_query_of_the_workload_is_of_that_one_alone(query: Query) -> None:
    if query.dashboard != "workload" or query.reference == "variable":
        return
    for selector in selectors(parsed(query)):
        if "secureai_policy" not in selector.name and {"namespace", "name"} <= series()[selector.name]:
            assert {"namespace", "name"} <= {matcher.name for matcher in selector.matchers.matchers}


@QUERY
def test_a_query_uses_only_variables_that_its_dashboard_has(query: Query) -> None:
    assert set(VARIABLE.findall(query.text)) <= set(known_variables(query.dashboard))
