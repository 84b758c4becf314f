"""The alerts and the dashboard speak only of what there is: metrics, labels, conditions, reasons, and advice that exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from secureai_operator import names
from secureai_operator.api.reasons import REASONS, Severity
from tests.unit.monitoring.alert_rules import LABELS_OF_A_TARGET, WORDS, alerts, exposed, selectors

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "manifests" / "monitoring"
VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$namespace": ".*"}
ALERTS_WANTED = {
    "KeyRotationOverdue",
    "KeyRotationFailing",
    "RewrapPending",
    "RetirementBlocked",
    "RetirementRolledBack",
    "EmergencyRotationStuck",
    "KeyLost",
    "CustomerLocked",
    "VaultDown",
    "CertificateExpiring",
}
Json = dict[str, Any]


@cache
def panels() -> tuple[Json, ...]:
    dashboard = json.loads((MONITORING / "grafana" / "dashboard.json").read_text())
    return tuple(panel for panel in dashboard["panels"] if panel["type"] != "row")


def expressions() -> list[tuple[str, str]]:
    """Every expression, by where it stands."""
    ruled = [(rule["alert"], rule["expr"]) for rule in alerts()]
    drawn = [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]
    return ruled + [(title, filled(expression)) for title, expression in drawn]


def filled(expression: str) -> str:
    """A panel's expression as Grafana sends it."""
    for variable, text in VARIABLES.items():
        expression = expression.replace(variable, text)
    assert "$" not in expression, "a variable that the dashboard does not have"
    return expression


def used() -> Iterator[tuple[str, Any]]:
    return (
        (where, selector)
        for where, expression in expressions()
        for selector in selectors(promql.parse(expression))
    )


@pytest.mark.parametrize(("where", "expression"), expressions(), ids=[where for where, _ in expressions()])
def test_every_expression_is_promql(where: str, expression: str) -> None:
    assert where
    promql.parse(expression)


@pytest.mark.parametrize("wrong", ["max by (name) secureai_leader", "rate(secureai_leader)", "up == 'down'"])
def test_what_is_not_promql_is_found_out(wrong: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        promql.parse(wrong)


def test_every_metric_is_one_that_the_operator_exposes() -> None:
    named = {(where, selector.name) for where, selector in used()}
    assert {name for _, name in named} > {"secureai_vault_up", "secureai_rotation_seconds_bucket"}
    assert not {(where, name) for where, name in named if name not in exposed()}


def test_every_label_that_is_matched_is_one_of_the_metric() -> None:
    unknown = {
        (where, selector.name, matcher.name)
        for where, selector in used()
        for matcher in selector.matchers.matchers
        if matcher.name not in exposed()[selector.name]
    }
    assert not unknown


def test_every_label_that_is_grouped_by_is_one_of_the_metrics() -> None:
    for where, expression in expressions():
        known: set[str] = set().union(
            *(exposed()[selector.name] for selector in selectors(promql.parse(expression)))
        )
        grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
        named = {label.strip() for labels in grouped for label in labels.split(",")}
        assert named <= known | LABELS_OF_A_TARGET, where


def values(matcher: Any) -> list[str]:
    return str(matcher.value).split("|")


def test_every_word_that_is_matched_exists() -> None:
    for where, selector in used():
        for matcher in selector.matchers.matchers:
            if matcher.name in WORDS:
                assert set(values(matcher)) <= WORDS[matcher.name], where


def test_every_trouble_that_is_matched_can_come() -> None:
    """A reason that its condition never has, or that is no trouble, would make an alert that never fires."""
    seen = 0
    for where, selector in used():
        words = {matcher.name: values(matcher) for matcher in selector.matchers.matchers}
        if selector.name != "secureai_workload_trouble" or "reason" not in words:
            continue
        seen += 1
        for reason in words["reason"]:
            assert REASONS[reason].severity not in (Severity.GOOD, Severity.PROGRESS), where
            assert {kind.value for kind in REASONS[reason].conditions} & set(words["type"]), where
    assert seen > 8


def test_the_alerts_that_were_promised_are_there_and_each_is_once() -> None:
    found = [rule["alert"] for rule in alerts()]
    assert set(found) >= ALERTS_WANTED
    assert len(found) == len(set(found))


@pytest.mark.parametrize("rule", alerts(), ids=[rule["alert"] for rule in alerts()])
def test_every_alert_says_what_is_wrong_and_where_to_read_on(rule: Json) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/runbooks/{rule['alert']}.md"


@pytest.mark.parametrize("rule", alerts(), ids=[rule["alert"] for rule in alerts()])
def test_every_alert_names_only_labels_that_it_has(rule: Json) -> None:
    """Those that its outermost grouping leaves; a label that is gone is an empty word in the message."""
    spoken = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    grouped = re.search(r"\bby \(([^)]*)\)", rule["expr"])
    assert spoken <= {label.strip() for label in (grouped[1].split(",") if grouped else ())}


def test_workloads_and_policies_are_never_counted_twice() -> None:
    """While the lead changes hands two replicas have series of one workload."""
    for where, expression in expressions():
        for selector in selectors(promql.parse(expression)):
            if {"namespace", "name"} <= exposed()[selector.name] and "unless" not in expression:
                over_time = r"(?:\w+_over_time\()?"
                one = rf"\b(max|min)(?: by \([^)]*\))? ?\({over_time}{selector.name}"
                assert re.search(one, expression), where


def test_the_monitor_fits_the_service() -> None:
    monitor = yaml.safe_load((MONITORING / "prometheus" / "service-monitor.yaml").read_text())
    service = yaml.safe_load((ROOT / "manifests" / "base" / "operator" / "service.yaml").read_text())
    (endpoint,) = monitor["spec"]["endpoints"]
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["honorLabels"], "the workload's namespace would be taken for the operator's"


def test_no_two_panels_overlap_and_each_says_what_it_shows() -> None:
    dashboard = json.loads((MONITORING / "grafana" / "dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + column, place["y"] + line)
            for column in range(place["w"])
            for line in range(place["h"])
        }
        assert not taken & cells, panel["title"]
        assert max(column for column, _ in cells) < 24
        taken |= cells
    assert all(panel["description"] for panel in panels())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_the_reporter_may_patch_workloads_and_only_its_annotation() -> None:
    account, role, _ = yaml.safe_load_all((MONITORING / "audit" / "reporter.yaml").read_text())
    policy, _ = yaml.safe_load_all((MONITORING / "audit" / "reporter-policy.yaml").read_text())
    assert role["rules"] == [
        {"apiGroups": [names.GROUP], "resources": ["secureaiworkloads"], "verbs": ["patch"]}
    ]
    (condition,) = policy["spec"]["matchConditions"]
    who = account["metadata"]
    assert f"system:serviceaccount:{who['namespace']}:{who['name']}" in condition["expression"]
    (validation,) = policy["spec"]["validations"]
    assert validation["expression"].count(names.DECRYPT_FAILED_ANNOTATION) == 2
