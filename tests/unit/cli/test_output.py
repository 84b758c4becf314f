"""Text for people: complete without colour, and unable to do anything to their terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from secureai_operator.cli.output import (
    Branch,
    Mark,
    Table,
    Word,
    age,
    clean,
    duration,
    is_plain,
    moment,
    plain_lines,
    print_table,
    tree_table,
)

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def test_columns_are_aligned_and_nothing_is_cut_off() -> None:
    long = "a sentence " * 30
    lines = plain_lines(
        Table([("a", Word("FAIL", Mark.ERROR), long), ("bcd", "ok", "")], ("X", "STATE", "WHY"))
    )
    assert lines[0] == "X    STATE  WHY"
    assert lines[1] == f"a    FAIL   {long.rstrip()}"
    assert lines[2] == "bcd  ok"


def test_a_table_without_rows_prints_nothing() -> None:
    assert plain_lines(Table([], ("X", "Y"))) == []


def test_a_tree_is_drawn_in_its_first_column() -> None:
    leaf = Branch("leaf", ("ok",))
    root = Branch("root", ("ok",), (Branch("a", (), (leaf, leaf)), Branch("b", ("no",))))
    assert [row[0] for row in tree_table(root, ("NAME", "STATE")).rows] in (
        ["root", "├─ a", "│  ├─ leaf", "│  └─ leaf", "└─ b"],
        ["root", "|- a", "|  |- leaf", "|  `- leaf", "`- b"],
    )


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\r", "\x07", "\x9b31m", "\u202e", "\n"])
def test_control_characters_of_others_never_reach_the_terminal(hostile: str) -> None:
    assert hostile not in clean(f"before{hostile}after")
    assert clean(f"before{hostile}after").startswith("before ")


def test_letters_of_all_languages_stay() -> None:
    assert clean("Schlüssel 鍵 vault:v…") == "Schlüssel 鍵 vault:v…"


def test_a_pipe_gets_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Table([("x", Word("FAIL", Mark.ERROR))]))
    assert capsys.readouterr().out == "x  FAIL\n"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colour_unless_its_owner_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert not is_plain(_Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert is_plain(_Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert is_plain(_Terminal())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172799, "47h"), (172800, "2d")],
)
def test_times_are_told_in_their_largest_fitting_unit(seconds: int, text: str) -> None:
    assert duration(seconds) == text
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


def test_a_clock_that_runs_behind_shows_no_negative_age() -> None:
    assert age(NOW + timedelta(seconds=5), NOW) == "0s"
    assert age(None, NOW) == "-"


def test_moments_are_read_as_kubernetes_writes_them() -> None:
    assert moment("2026-01-31T12:00:00Z") == NOW
    assert moment("2026-01-31T12:00:00.000000Z") == NOW
    assert moment("yesterday") is None
    assert moment(None) is None
