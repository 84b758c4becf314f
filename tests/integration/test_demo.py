"""The demo as a person runs it, with a lab of its own: each claim holds, and an interruption leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import Lab, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "secureai_operator.cli.main", "demo"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}


@pytest.mark.usefixtures("lab")
def test_every_claim_of_the_demo_holds() -> None:
    """Asking for the session's lab means that the binaries are built, and that no other operator is at work."""
    done = subprocess.run(
        [*COMMAND, "-o", "json"], capture_output=True, text=True, timeout=300, check=False, env=ENVIRONMENT
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert [(line["claim"], line["note"]) for line in found["lines"] if not line["held"]] == []
    assert len(found["lines"]) >= 25
    assert found["held"] is True
    assert done.returncode == 0


def test_an_interrupted_demo_leaves_nothing_behind(lab: Lab, tmp_path: Path) -> None:
    with subprocess.Popen(
        COMMAND,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, "TMPDIR": str(tmp_path)},
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "Vault prepared" in line:
                    break
            assert list(tmp_path.glob("secureai-lab-*"))
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said == "secureai: interrupted\n"
    assert not list(tmp_path.glob("secureai-lab-*/vault"))
    wait_for(lambda: _processes_in(tmp_path) == [], 60, "the demo's processes to be gone")
    del lab  # only its binaries were wanted


def _processes_in(directory: Path) -> list[str]:
    """Command lines that name something in the directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_text()
        except OSError:
            continue
        if str(directory) in text:
            found.append(text.replace("\0", " "))
    return found
