"""Of a log that is being written only whole lines are read, and none twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.json_lines import end_of_lines, entries

LONG = b'{"n": "' + b"x" * 200_000 + b'"}\n'


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (b"", 0),
        (b'{"n": 1', 0),
        (b'{"n": 1}\n', 9),
        (b'{"n": 1}\n{"n"', 9),
        (b'{"n": 1}\n' + LONG[:-1], 9),
        (LONG + LONG[:-1], len(LONG)),
        (LONG + b"{", len(LONG)),
    ],
)
def test_the_end_is_behind_the_last_whole_line(tmp_path: Path, text: bytes, end: int) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(text)
    assert end_of_lines(log) == end


def test_what_was_half_written_is_read_whole_later(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b'{"n": 1}\n{"n": 2}\n{"n"')
    assert list(entries(log)) == [({"n": 1}, 9), ({"n": 2}, 18)]
    with log.open("ab") as file:
        file.write(b": 3}\n")
    assert list(entries(log, 18)) == [({"n": 3}, 27)]
