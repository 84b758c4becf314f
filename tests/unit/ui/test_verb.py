"""`secureai ui`: mistakes are one line, and its help needs no server."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from secureai_operator.cli.exits import UNANSWERED, USAGE
from secureai_operator.cli.main import main

ROOT = Path(__file__).parents[3]
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
"""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("-n", "Not_A_Name"), USAGE, "the namespace is not a valid name"),
        (("--port", "70000"), USAGE, "--port is a number from 0 to 65535"),
        (("--port", "-1"), USAGE, "--port is a number from 0 to 65535"),
        (("--kubeconfig", "/nonexistent/file"), UNANSWERED, "no such file"),
    ],
)
def test_a_mistake_is_one_line(
    words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(("ui", *words)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1


def test_a_port_that_is_taken_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config"
    config.write_text(KUBECONFIG)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(("ui", "--no-browser", "--port", str(port), "--kubeconfig", str(config))) == USAGE
    assert f"port {port} cannot be had" in capsys.readouterr().err


def test_its_help_imports_no_server() -> None:
    script = (
        "import sys, contextlib\n"
        "import secureai_operator.cli.main as entry\n"
        "with contextlib.suppress(SystemExit):\n    entry.main(['ui', '--help'])\n"
        "print('slow:', sorted({'aiohttp', 'pydantic', 'kopf', 'webbrowser'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT / "operator",
    )
    assert done.stdout.splitlines()[-1] == "slow: []"
    assert "127.0.0.1" in done.stdout
