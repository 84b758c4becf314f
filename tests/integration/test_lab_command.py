"""`python -m lab`: what it starts stays, what it prints works, what it ends is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lab", *arguments],
            cwd=ROOT,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    yield command
    command("down")


def test_up_stays_env_works_and_down_ends_it(run: Run) -> None:
    assert run("env").returncode == 1
    up = run("up")
    assert up.returncode == 0, up.stderr
    state = json.loads(run("env", "--json").stdout)
    assert state["environment"]["VAULT_TOKEN"] not in up.stdout

    again = run("up", "--json")
    assert json.loads(again.stdout)["directory"] == state["directory"]

    script = f'{run("env").stdout}\n"{state["kubectl"]}" get nodes -o name; echo "$VAULT_ADDR"'
    shell = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "node/tdx-0" in shell.stdout
    assert state["environment"]["VAULT_ADDR"] in shell.stdout

    down = run("down")
    assert "is gone" in down.stderr
    assert not Path(state["directory"]).exists()
    assert "was not running" in run("down").stderr
    assert run("env").returncode == 1


@pytest.mark.parametrize(
    ("name", "reason"), [("other", "/nowhere, which is not a file"), ("Bad/Name", "'Bad/Name' is not")]
)
def test_a_lab_that_cannot_be_had_is_refused_with_the_reason(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    monkeypatch.setenv("SECUREAI_LAB_KUBECONFIG", "/nowhere")
    refused = run("up", "--name", name)
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert "Traceback" not in refused.stderr
    assert all(line.startswith("lab: ") for line in refused.stderr.splitlines())
