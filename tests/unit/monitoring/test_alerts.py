"""Each alert fires when it should, with the labels and the words that it should, and ends when its cause does: by Prometheus' own tool."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import promql_parser as promql
import pytest
import yaml

from tests.unit.monitoring import promtool
from tests.unit.monitoring.alert_rules import (
    LABELS_OF_A_TARGET,
    WORDS,
    Json,
    alerts,
    exposed,
    groups,
    names,
)

CASES = sorted((Path(__file__).parent / "alerts").glob("*.yaml"))
RULES = "rules.yaml"
SECONDS = {"m": 60, "h": 3600, "d": 86400}


@cache
def cases() -> tuple[Json, ...]:
    """Every test of every file."""
    return tuple(case for path in CASES for case in yaml.safe_load(path.read_text())["tests"])


def rows(alert: str) -> list[list[Json]]:
    """The alert's rows of each test, in the order of their times."""
    found = [[row for row in case["alert_rule_test"] if row["alertname"] == alert] for case in cases()]
    return [sorted(one, key=lambda row: seconds(row["eval_time"])) for one in found if one]


def seconds(duration: str) -> int:
    return int(duration[:-1]) * SECONDS[duration[-1]]


def write_rules(folder: Path, changed: Json | None = None) -> None:
    """The rules with what a person is shown first; the tests would otherwise repeat whole pages."""
    rules = copy.deepcopy(changed or groups())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["annotations"] = {"summary": rule["annotations"]["summary"]}
    (folder / RULES).write_text(yaml.safe_dump(rules))


def outcome(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / path.name).write_text(path.read_text())
    return promtool.run(["test", "rules", path.name], folder)


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    (tmp_path / RULES).write_text(yaml.safe_dump(groups()))
    done = promtool.run(["check", "rules", "--lint=all", "--lint-fatal", RULES], tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"{len(alerts())} rules found" in done.stdout


def test_rules_that_prometheus_does_not_take_are_found_out(tmp_path: Path) -> None:
    broken = copy.deepcopy(groups())
    broken["groups"][0]["rules"][0]["annotations"]["summary"] = "{{ $value | humanise }}"
    (tmp_path / RULES).write_text(yaml.safe_dump(broken))
    assert promtool.run(["check", "rules", RULES], tmp_path).returncode != 0


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_the_alerts_fire_and_end(path: Path, tmp_path: Path) -> None:
    write_rules(tmp_path)
    done = outcome(path, tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_an_alert_that_never_fires_is_found_out(path: Path, tmp_path: Path) -> None:
    silent = copy.deepcopy(groups())
    for group in silent["groups"]:
        for rule in group["rules"]:
            rule["expr"] = "vector(0) > 1"
    write_rules(tmp_path, silent)
    done = outcome(path, tmp_path)
    tested = {
        row["alertname"]
        for case in yaml.safe_load(path.read_text())["tests"]
        for row in case["alert_rule_test"]
    }
    assert done.returncode != 0
    assert set(re.findall(r"alertname: (\w+)", done.stdout)) == tested


@pytest.mark.parametrize("alert", names())
def test_every_alert_has_a_test_in_which_it_fires_and_then_ends(alert: str) -> None:
    assert any(_fires_and_ends(one) for one in rows(alert)), (
        "no row that fires with a later one that is empty"
    )


def _fires_and_ends(found: list[Json]) -> bool:
    fired = [index for index, row in enumerate(found) if row.get("exp_alerts")]
    return bool(fired) and any(not row.get("exp_alerts") for row in found[fired[-1] + 1 :])


@pytest.mark.parametrize("rule", [rule for rule in alerts() if "for" in rule], ids=lambda rule: rule["alert"])
def test_every_alert_that_waits_has_a_row_in_which_it_still_does(rule: Json) -> None:
    assert any(not one[0].get("exp_alerts") for one in rows(rule["alert"]))


def test_no_test_is_of_an_alert_that_is_not_there() -> None:
    assert {row["alertname"] for case in cases() for row in case["alert_rule_test"]} == set(names())


def test_each_test_has_a_name_of_its_own() -> None:
    found = [case["name"] for case in cases()]
    assert len(found) == len(set(found))


def series() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Where, name and labels of each series that a test gives."""
    for case in cases():
        for one in case["input_series"]:
            selector = promql.parse(one["series"])
            assert isinstance(selector, promql.VectorSelector)
            matched = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
            yield case["name"], str(selector.name), matched


def test_every_series_of_a_test_is_one_that_the_operator_exposes() -> None:
    """Else a rule and its test could agree on a metric, a label or a word that does not exist."""
    for where, name, matched in series():
        assert name in exposed(), where
        assert set(matched) <= exposed()[name] | LABELS_OF_A_TARGET, where
        assert all(value in WORDS[label] for label, value in matched.items() if label in WORDS), where
