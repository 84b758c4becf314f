"""RESULTS.md of this tier."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.e2e.measures import Measures


def markdown(measures: Measures, reports: Sequence[pytest.TestReport]) -> str:
    """The whole document. Tests with many rows are one line each, with the number of their rows."""
    rows: dict[str, list[pytest.TestReport]] = {}
    for report in reports:
        name = report.nodeid.rpartition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
        rows.setdefault(name, []).append(report)
    explained = ("Written by that run; the explanations are in [docs/argocd.md](../../docs/argocd.md).",)
    tests = (
        "| test | rows | outcome | seconds |",
        "|---|---:|---|---:|",
        *(
            f"| {name} | {len(found)} | {_outcome(found)} | {_seconds(found):.1f} |"
            for name, found in rows.items()
        ),
    )
    return measures.document("gitops", explained, tests)


def _outcome(reports: Sequence[pytest.TestReport]) -> str:
    return ", ".join(sorted({report.outcome for report in reports}))


def _seconds(reports: Sequence[pytest.TestReport]) -> float:
    return sum(report.duration for report in reports)
