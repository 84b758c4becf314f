"""The demo, on the session's lab instead of one of its own: each claim holds."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from lab import Lab
from secureai_operator.cli.demo import play
from secureai_operator.cli.demo_report import Report
from secureai_operator.cli.demo_workloads import documents_of

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_every_claim_of_the_demo_holds(lab: Lab) -> None:
    report = Report()
    stage, _ = asyncio.run(play(lab, ROOT, report))
    try:
        assert [(line.claim, line.note) for line in report.lines if not line.held] == []
        assert len(report.lines) >= 25
    finally:
        _remove_examples(lab)
        stage.operator.stop()


def _remove_examples(lab: Lab) -> None:
    """While their operator still runs: their finalizers need one."""
    documents = [one for file in (ROOT / "examples").glob("*.yaml") for one in documents_of(file)]
    names = sorted({str(one["metadata"]["name"]) for one in documents if one["kind"] == "Namespace"})
    for name in names:
        lab.delete_namespace(name)
    lab.wait_for(lambda: not (set(names) & _namespaces(lab)), 60, "the examples' namespaces to be gone")


def _namespaces(lab: Lab) -> set[str]:
    listed = json.loads(lab.kubectl("get", "namespaces", "-o", "json").stdout)
    return {str(item["metadata"]["name"]) for item in listed["items"]}
