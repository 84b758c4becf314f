"""Numbers that tests measure, and the document that keeps them."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Measure:
    """One number, or one fact, and what it is of."""

    what: str
    value: str


@dataclass
class Measures:
    """What one run measured, in its order."""

    found: list[Measure] = field(default_factory=list)

    def note(self, what: str, value: str) -> None:
        self.found.append(Measure(what, value))

    def seconds(self, what: str, value: float) -> None:
        self.note(what, f"{value:.3f} s")

    def markdown(self, reports: Sequence[pytest.TestReport]) -> str:
        """The whole of RESULTS.md."""
        explained = (
            "Written by that run; the explanations are in [docs/quarantine.md](../../docs/quarantine.md) and",
            "[docs/e2e.md](../../docs/e2e.md).",
        )
        tests = (
            "| test | outcome | seconds |",
            "|---|---|---:|",
            *(f"| {_sentence(report)} | {report.outcome} | {report.duration:.1f} |" for report in reports),
        )
        return self.document("e2e", explained, tests)

    def document(self, target: str, explained: Sequence[str], tests: Sequence[str]) -> str:
        """What was measured by a make target, on which machine and commit, above the table of its tests."""
        lines = [
            f"# What the last run of `make {target}` found",
            "",
            *explained,
            "",
            f"- Date: {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
            f"- Machine: {machine()}",
            f"- Commit: {commit()}",
            "",
            "| measured | value |",
            "|---|---|",
            *(f"| {measure.what} | {measure.value} |" for measure in self.found),
            "",
            *tests,
            "",
        ]
        return "\n".join(lines)


def machine() -> str:
    """Enough to judge the numbers by."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, {_release()}, Linux {platform.release()}; "
        f"load at the end {load}"
    )


def commit() -> str:
    """The commit, and whether the tree had changes beyond it."""
    here = Path(__file__).parent

    def git(*args: str) -> str:
        return subprocess.run(
            ["git", *args],  # noqa: S607
            cwd=here,
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()

    changed = ", with changes" if git("status", "--porcelain") else ""
    return f"{git('rev-parse', '--short', 'HEAD') or 'unknown'}{changed}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _release() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _sentence(report: pytest.TestReport) -> str:
    return report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
