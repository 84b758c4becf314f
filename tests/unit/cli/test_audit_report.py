"""The report of a log: versions that were used, refusals by reason, and an exit code that never calls unknown good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secureai_operator.cli import audit_tail
from secureai_operator.cli.exits import NO, OK, USAGE
from secureai_operator.cli.main import main
from tests.unit.core.rotation.test_audit import line, recorded

EVERYTHING = [case for case in recorded()[1] if case != "key read"]


@pytest.fixture(autouse=True)
def _without_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    monkeypatch.delenv("VAULT_TOKEN", raising=False)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def written(log: Path, *cases: str) -> str:
    log.write_bytes(b"".join(line(case) + b"\n" for case in cases))
    return str(log)


def report(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    code = main(["audit", "report", *words, "-o", "json"])
    return code, json.loads(capsys.readouterr().out)


def rows(found: dict[str, object]) -> set[tuple[str, str, int, str, int]]:
    said = found["found"]
    assert isinstance(said, list)
    return {(row["name"], row["operation"], row["version"], row["refusal"], row["count"]) for row in said}


def test_it_counts_versions_and_refusals_of_each_workload(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(
        log, "encrypted", "encrypted batch", "rewrapped batch", "too old, hidden", "denied", "signed"
    )
    code, found = report(capsys, path, "--too-old-hash", recorded()[0])
    assert code == NO
    assert rows(found) == {
        ("llm", "encrypt", 1, "", 1),
        ("llm", "encrypt", 2, "", 2),
        ("llm", "rewrap", 2, "", 2),
        ("llm", "decrypt", 0, "TooOld", 1),
        ("llm", "decrypt", 0, "Denied", 1),
        ("llm-sign", "sign", 2, "", 1),
    }


@pytest.mark.parametrize("doubtful", ["too old, hidden", "in a batch", "rewrap too old, hidden"])
def test_what_may_have_missed_a_version_is_not_called_good(
    log: Path, doubtful: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = report(capsys, written(log, "done", doubtful))
    assert code == NO


@pytest.mark.parametrize(
    "harmless", ["done", "denied", "unreadable", "too new", "no key", "other", "encrypted"]
)
def test_what_needed_no_old_version_is(log: Path, harmless: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = report(capsys, written(log, harmless))
    assert code == OK


def test_it_can_speak_of_one_workload_and_of_the_time_since(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(log, "encrypted", "signed")
    assert rows(report(capsys, path, "llm", "-n", "team-a")[1]) == {("llm", "encrypt", 1, "", 1)}
    assert rows(report(capsys, path, "-n", "team-b")[1]) == set()
    assert len(rows(report(capsys, path, "--since", "2026-01-01T00:00:00Z")[1])) == 2
    assert rows(report(capsys, path, "--since", "2126-01-01T00:00:00+02:00")[1]) == set()


def test_lines_that_say_nothing_are_counted(
    log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(log, "encrypted")
    with log.open("ab") as file:
        file.write(b'{"response" /saw.main.\n' + b"x" * 5000 + b"\n" + line("signed"))
    monkeypatch.setattr("secureai_operator.cli.audit_report.LINE_MAX", 4000)
    assert audit_tail.LINE_MAX > 4000
    _, found = report(capsys, path)
    assert (found["lines"], found["passedOver"], len(rows(found))) == (4, 2, 2)


def test_for_people_it_is_a_table(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["audit", "report", written(log, *EVERYTHING)])
    printed = capsys.readouterr().out
    assert "team-a/llm" in printed
    assert "refused: Hidden" in printed
    assert "version 2" in printed
    assert "hmac-" not in printed


def test_the_configuration_of_the_operator_names_cluster_and_mount(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    connection = {"address": "https://vault:8200", "transitMount": "saw-transit"}
    config.write_text(json.dumps({"cluster": "east", "connections": {"default": connection}}))
    log.write_bytes(line("encrypted").replace(b"saw.main.", b"saw.east.") + b"\n")
    _, found = report(capsys, str(log), "--config", str(config))
    assert len(rows(found)) == 1
    assert rows(report(capsys, str(log))[1]) == set()


@pytest.mark.parametrize(
    "words",
    [
        ("report", "/nonexistent/file"),
        ("report", "/nonexistent/file", "--since", "yesterday"),
        ("report", "/nonexistent/file", "--too-old-hash", "abc"),
        ("report", "/nonexistent/file", "--cluster", "NOT A LABEL"),
        ("report", "/nonexistent/file", "--config", "/nonexistent/config"),
        ("follow", "/nonexistent/file"),
        ("follow", "/", "--errors-in-clear"),
    ],
)
def test_wrong_usage_is_one_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", *words]) == USAGE
    assert len(capsys.readouterr().err.splitlines()) == 1
