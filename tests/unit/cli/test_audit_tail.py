"""Following a file: every complete line once, whatever the log's rotation and our own restarts do."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureai_operator.cli import audit_tail
from secureai_operator.cli.audit_tail import Position, Tail, load_position, save_position
from secureai_operator.cli.exits import CliError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.log"
    path.write_bytes(b"")
    return path


def append(path: Path, text: str) -> None:
    with path.open("ab") as file:
        file.write(text.encode())


def read(tail: Tail) -> list[str]:
    """Rounds until there is nothing more."""
    found: list[str] = []
    while True:
        found += [line.decode() for line in tail.lines()]
        if tail.at_end:
            return found


def test_only_what_comes_is_read_unless_asked_otherwise(log: Path) -> None:
    append(log, "old\n")
    new, everything = Tail(log), Tail(log, from_start=True)
    append(log, "one\ntwo\n")
    assert read(new) == ["one", "two"]
    assert read(everything) == ["old", "one", "two"]
    assert read(new) == []


def test_a_line_waits_until_it_is_complete(log: Path) -> None:
    tail = Tail(log)
    append(log, "on")
    assert read(tail) == []
    append(log, "e\ntw")
    assert read(tail) == ["one"]
    append(log, "o\n")
    assert read(tail) == ["two"]


def test_a_log_that_is_not_there_yet_is_read_from_its_first_line(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "audit.log")
    assert read(tail) == []
    assert tail.position is None
    append(tmp_path / "audit.log", "one\n")
    assert read(tail) == ["one"]


def test_a_renamed_log_is_read_until_vault_has_let_it_go(log: Path) -> None:
    """Between the rename and SIGHUP Vault still writes to the old file, though the new one may be there already."""
    tail, old = Tail(log), log.with_name("audit.log.1")
    log.rename(old)
    append(old, "one\n")
    assert read(tail) == ["one"]
    log.write_bytes(b"")
    append(old, "two\n")
    assert read(tail) == ["two"]
    append(old, "three\n")
    append(log, "four\n")
    assert read(tail) == ["three", "four"]
    append(log, "five\n")
    assert read(tail) == ["five"]
    assert tail.skipped == 0


def test_a_part_of_a_line_that_a_log_ended_with_is_counted_and_spoils_nothing(log: Path) -> None:
    tail = Tail(log)
    append(log, "one\nhal")
    assert read(tail) == ["one"]
    log.rename(log.with_name("audit.log.1"))
    append(log, "two\n")
    assert read(tail) == ["two"]
    assert tail.skipped == 1


def test_a_truncated_log_is_read_from_its_start(log: Path) -> None:
    tail = Tail(log)
    append(log, "one\ntwo\nthr")
    assert read(tail) == ["one", "two"]
    os.truncate(log, 0)
    append(log, "four\n")
    assert read(tail) == ["four"]


def test_a_line_that_is_too_long_is_passed_over_and_counted(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_tail, "LINE_MAX", 100)
    monkeypatch.setattr(audit_tail, "_CHUNK", 64)
    tail = Tail(log)
    append(log, "one\n" + "x" * 1000)
    assert read(tail) == ["one"]
    append(log, "x" * 1000 + "\ntwo\n" + "y" * 101 + "\n" + "z" * 100 + "\n")
    assert read(tail) == ["two", "z" * 100]
    assert tail.skipped == 2


def test_an_endless_line_costs_no_memory(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_tail, "LINE_MAX", 100)
    monkeypatch.setattr(audit_tail, "_CHUNK", 64)
    tail = Tail(log)
    append(log, "x" * 100_000)
    assert read(tail) == []
    assert tail._log is not None
    assert len(tail._log._rest) <= 164


def test_a_round_ends_though_the_writer_does_not(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_tail, "ROUND_MAX", 64)
    monkeypatch.setattr(audit_tail, "_CHUNK", 16)
    tail = Tail(log)
    append(log, "0123456\n" * 100)
    assert len(list(tail.lines())) == 8
    assert not tail.at_end
    assert len(read(tail)) == 92


def test_a_renamed_log_that_takes_several_rounds_is_read_to_its_end(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_tail, "ROUND_MAX", 64)
    monkeypatch.setattr(audit_tail, "_CHUNK", 16)
    tail = Tail(log)
    append(log, "0123456\n" * 100)
    log.rename(log.with_name("audit.log.1"))
    append(log, "last\n")
    assert read(tail) == ["0123456"] * 100 + ["last"]


def test_after_a_restart_it_goes_on_where_it_was(log: Path) -> None:
    tail = Tail(log)
    append(log, "one\ntw")
    assert read(tail) == ["one"]
    position = tail.position
    append(log, "o\nthree\n")
    assert read(Tail(log, position)) == ["two", "three"]


def test_after_a_restart_it_finds_a_log_that_was_renamed_meanwhile(log: Path) -> None:
    tail = Tail(log)
    append(log, "one\n")
    read(tail)
    append(log, "two\n")
    log.rename(log.with_name("audit.log.1"))
    append(log, "three\n")
    assert read(Tail(log, tail.position)) == ["two", "three"]


def test_after_a_restart_a_log_that_is_gone_is_followed_by_its_successor(log: Path) -> None:
    tail = Tail(log)
    append(log, "one\n")
    read(tail)
    position = tail.position
    log.rename(log.with_name("kept-until-the-inode-is-not-reused"))
    assert position is not None
    gone = Position(position.device, position.inode + 10**6, position.offset)
    append(log, "two\n")
    assert read(Tail(log, gone)) == ["two"]


def test_a_position_beyond_the_end_is_of_another_life_of_the_file(log: Path) -> None:
    tail = Tail(log)
    append(log, "one\ntwo\n")
    read(tail)
    os.truncate(log, 0)
    append(log, "new\n")
    assert read(Tail(log, tail.position)) == ["new"]


Steps = st.lists(
    st.sampled_from(["write", "half", "rename", "restart", "read"]),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(Steps)
def test_every_line_is_read_once_whatever_happens(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "audit.log"
        log.write_bytes(b"")
        tail, written, found, renamed, open_line = Tail(log, from_start=True), [], [], 0, ""
        for number, step in enumerate(steps):
            if step == "write":
                append(log, f"{number}\n")
                written.append(f"{open_line}{number}")
                open_line = ""
            elif step == "half":
                append(log, f"{number}-")
                open_line += f"{number}-"
            elif step == "rename" and not open_line:
                # One that was renamed twice between two looks is nowhere to be found: Vault's log is not that quick.
                found += read(tail)
                renamed += 1
                log.rename(log.with_name(f"audit.log.{renamed}"))
                append(log, "first\n")
                written.append("first")
            elif step == "restart":
                position = tail.position
                tail.close()
                tail = Tail(log, position, from_start=True)
            elif step == "read":
                found += read(tail)
        found += read(tail)
        tail.close()
        assert found == written


def test_a_pipe_or_a_directory_is_no_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(CliError, match=r"not a regular file|directory"):
            Tail(path)


def test_a_position_is_kept_in_a_file(tmp_path: Path) -> None:
    kept = tmp_path / "position"
    assert load_position(kept) is None
    save_position(kept, Position(1, 2, 3))
    save_position(kept, Position(1, 2, 4))
    assert load_position(kept) == Position(1, 2, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["position"]


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1, 2, 3]", '{"device": 1, "inode": 2, "offset": -3}', '{"device": 1, "inode": 2, "offset": "3"}',
     '{"device": 1, "inode": 2, "offset": true}', "x" * 10_000],
)  # fmt: skip
def test_a_file_that_is_no_position_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "position").write_text(content)
    with pytest.raises(CliError, match="not a position"):
        load_position(tmp_path / "position")
