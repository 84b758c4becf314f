"""The entry point: exit codes, one line for each mistake, and no import that the verb does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from secureai_operator.cli import main as entry
from secureai_operator.cli.exits import UNANSWERED, USAGE

ROOT = Path(__file__).parents[3]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "secureai_operator.cli.main", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT / "operator",
        env={"PATH": "", "HOME": "/nonexistent", "LANG": "C.UTF-8"},
    )


def test_without_a_verb_it_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main([]) == USAGE
    printed = capsys.readouterr().out
    assert all(verb in printed for verb in entry.VERBS)
    assert "exit codes" in printed


@pytest.mark.parametrize("verb", sorted(entry.VERBS))
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main([verb, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


def test_an_unknown_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main(["rotate-everything"])
    assert ended.value.code == USAGE
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("status", "llm"), UNANSWERED, "no kubeconfig: set KUBECONFIG or use --kubeconfig"),
        (("status", "llm", "--kubeconfig", "/nonexistent/file"), UNANSWERED, "no such file"),
        (("plan", "-f", "/nonexistent/file"), USAGE, "/nonexistent/file: No such file or directory"),
        (("run", "--config", "/nonexistent/file"), USAGE, "/nonexistent/file"),
        (("vault", "bootstrap", "--apply"), USAGE, "set VAULT_ADDR and VAULT_TOKEN"),
        (
            ("vault", "bootstrap", "--cluster", "NOT A LABEL"),
            USAGE,
            "--cluster and --connection are DNS labels",
        ),
    ],
)
def test_a_mistake_is_one_line_on_stderr_without_a_traceback(
    words: tuple[str, ...], code: int, said: str
) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", ["status", "why", "tree", "keys", "rotate"])
def test_the_quick_verbs_import_none_of_the_slow_libraries(verb: str) -> None:
    script = (
        "import sys\n"
        f"import secureai_operator.cli.main as entry\n"
        f"entry.main([{verb!r}, 'llm', '--kubeconfig', '/nonexistent/file'])\n"
        "slow = {'kubernetes', 'aiohttp', 'hvac', 'kopf', 'rich', 'cryptography', 'asyncio', 'pydantic'} & set(sys.modules)\n"
        "print(sorted(slow))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT / "operator",
    )
    assert done.stdout == "[]\n"


def test_a_reader_that_leaves_early_is_not_an_error() -> None:
    script = f"{sys.executable} -m secureai_operator.cli.main crds | true"
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT / "operator",
    )
    assert done.stderr == ""
    assert done.returncode == 0
