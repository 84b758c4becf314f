"""Prometheus' own tool for rules and metrics, run in a folder."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from lab.prometheus import PROMTOOL, program

RUN_SECONDS = 120


@cache
def promtool() -> Path:
    """The tool, looked for once; raises PrometheusMissing."""
    return program(PROMTOOL)


def run(arguments: Sequence[str], folder: Path, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run promtool in the folder; its answer is in `returncode` and, both streams together, in `stdout`."""
    done = subprocess.run(
        [str(promtool()), *arguments],
        cwd=folder,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=RUN_SECONDS,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode())
