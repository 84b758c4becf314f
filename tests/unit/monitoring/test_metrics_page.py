"""The page of the metrics: complete, current, and with names as Prometheus has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Metric

from secureai_operator.cli import docs, docs_metrics
from secureai_operator.cli.main import main
from secureai_operator.telemetry.metrics import Metrics
from tests.unit.monitoring import promtool
from tests.unit.monitoring.alert_rules import ROOT

FAMILIES = tuple(docs_metrics.everything_once().registry.collect())
FAMILY = pytest.mark.parametrize("family", FAMILIES, ids=docs_metrics.exposed_name)

# https://prometheus.io/docs/practices/naming/
BASE_UNITS = ("seconds", "bytes", "ratio")
OTHER_UNITS = re.compile(
    r"_(?:ns|us|ms|s|minutes?|hours?|days?|milliseconds?|microseconds?|nanoseconds?|kb|mb|gb|\w*bits?|kilobytes?|megabytes?|percent)(?:_|$)"
)
TYPES = re.compile(r"_(?:gauge|counter|histogram|summary|metric)s?(?:_|$)")
COUNTS = {
    "secureai_key_latest_version",
    "secureai_key_min_decryption_version",
    "secureai_key_oldest_version_in_use",
    "secureai_leader",
    "secureai_policy_workloads",
    "secureai_rewrap_pending",
    "secureai_tasks",
    "secureai_vault_up",
    "secureai_workload_condition",
    "secureai_workload_trouble",
    "secureai_workqueue_depth",
}
"""Gauges of what has no unit: a number of things, a version, yes or no."""


def test_the_committed_page_is_the_generated_one() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == docs.metrics_page(), "run `make generate`"


def test_the_command_prints_the_page_and_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["docs", "metrics"]) == 0
    assert capsys.readouterr().out == docs.metrics_page()
    assert main(["docs", "metrics", "--out", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.md"]


def test_the_page_has_every_metric_that_the_operator_exposes_and_no_other() -> None:
    listed = re.findall(r"^\| `(secureai_\w+)` \|", docs.metrics_page(), re.MULTILINE)
    assert listed == sorted(docs_metrics.exposed_name(family) for family in Metrics().registry.collect())


@FAMILY
def test_every_metric_has_happened_once_so_that_its_labels_are_known(family: Metric) -> None:
    """What is not called in `everything_once` has no series, and the page would list no labels of it."""
    assert list(family.samples)


def test_every_label_is_explained_and_no_other() -> None:
    assert {label for family in FAMILIES for label in docs_metrics.labels(family)} == set(docs_metrics.LABELS)


@FAMILY
def test_a_name_ends_as_its_type_asks_for(family: Metric) -> None:
    name = docs_metrics.exposed_name(family)
    assert (family.type == "counter") == name.endswith("_total")
    assert (family.type == "info") == name.endswith("_info")
    if family.type == "histogram":
        assert name.endswith(tuple(f"_{unit}" for unit in BASE_UNITS))
    if family.type == "gauge":
        assert name in COUNTS or name.endswith(tuple(f"_{unit}" for unit in BASE_UNITS))
    assert not name.endswith(("_count", "_sum", "_bucket"))


@FAMILY
def test_a_name_is_in_base_units_and_repeats_neither_type_nor_labels(family: Metric) -> None:
    name = docs_metrics.exposed_name(family)
    assert re.fullmatch(r"secureai(?:_[a-z]+)+", name)
    assert not OTHER_UNITS.search(name)
    assert not TYPES.search(name)
    assert "timestamp" not in name or name.endswith("_timestamp_seconds")
    assert "unix time" not in family.documentation or name.endswith("_timestamp_seconds")


@FAMILY
def test_a_label_is_a_plain_word(family: Metric) -> None:
    for label in docs_metrics.labels(family):
        assert re.fullmatch(r"[a-z]+(?:_[a-z]+)*", label)
        assert label not in {"le", "quantile", "job", "instance"}


@FAMILY
def test_the_help_is_one_sentence(family: Metric) -> None:
    assert re.fullmatch(r"[A-Z0-9][^\n]*\.", family.documentation)


def test_prometheus_has_nothing_to_say_about_the_names(tmp_path: Path) -> None:
    exposition, _ = docs_metrics.everything_once().render()
    done = promtool.run(["check", "metrics"], tmp_path, exposition)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_name_that_prometheus_would_not_have_is_found_out(tmp_path: Path) -> None:
    text = b"# TYPE secureai_pass_milliseconds gauge\nsecureai_pass_milliseconds 1\n"
    done = promtool.run(["check", "metrics"], tmp_path, text)
    assert done.returncode != 0
    assert "secureai_pass_milliseconds" in done.stdout


def test_a_counter_is_named_as_it_is_exposed() -> None:
    registry = CollectorRegistry()
    Counter("secureai_x_total", "X.", registry=registry)
    assert [docs_metrics.exposed_name(family) for family in registry.collect()] == ["secureai_x_total"]
