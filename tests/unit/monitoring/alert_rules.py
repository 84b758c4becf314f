"""The alerts of the manifests, and the series that they can look at."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from secureai_operator.api.condition_types import ConditionType
from secureai_operator.api.reasons import REASONS
from secureai_operator.api.rotation_status import EmergencyStep
from secureai_operator.cli.docs_metrics import PHASES, everything_once
from secureai_operator.runtime.controller import Outcome
from secureai_operator.runtime.workqueue import Lane
from secureai_operator.telemetry.policy_metrics import STATES

ROOT = Path(__file__).resolve().parents[3]
MANIFEST = ROOT / "manifests" / "monitoring" / "prometheus" / "rules.yaml"

WORDS = {
    "type": {kind.value for kind in ConditionType},
    "reason": set(REASONS),
    "state": set(STATES),
    "lane": {lane.name.lower() for lane in Lane},
    "outcome": {outcome.value for outcome in Outcome},
    "phase": {phase.value for phase in PHASES},
    "step": {step.value for step in EmergencyStep},
}
"""All values of the labels that have a fixed set of them."""

LABELS_OF_A_TARGET = {"instance"}
"""What Prometheus itself gives to each series."""

Json = dict[str, Any]


@cache
def groups() -> Json:
    """What Prometheus itself takes: the PrometheusRule without what its operator wraps around it."""
    spec = yaml.safe_load(MANIFEST.read_text())["spec"]
    assert isinstance(spec, dict)
    return spec


@cache
def alerts() -> tuple[Json, ...]:
    return tuple(rule for group in groups()["groups"] for rule in group["rules"])


def names() -> list[str]:
    return [rule["alert"] for rule in alerts()]


@cache
def exposed() -> dict[str, set[str]]:
    """Every series that the operator has once everything happened, with the names of its labels."""
    series: dict[str, set[str]] = {}
    for family in everything_once().registry.collect():
        for sample in family.samples:
            series.setdefault(sample.name, set()).update(sample.labels)
    return series


def selectors(expression: Any) -> Iterator[Any]:
    """Every vector selector of a parsed expression."""
    if isinstance(expression, promql.VectorSelector):
        yield expression
        return
    for part in ("lhs", "rhs", "expr", "args", "param", "vector_selector"):
        below = getattr(expression, part, None)
        for one in below if isinstance(below, list) else [below]:
            if one is not None:
                yield from selectors(one)
