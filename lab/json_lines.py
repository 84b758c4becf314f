"""JSON lines that somebody else is writing, the audit logs above all: only whole lines count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CHUNK = 64 * 1024
"""Bytes that are read at a time, from the end backwards; a line of the API server's audit log has some thousand."""


def end_of_lines(log: Path) -> int:
    """The position behind the last whole line: the file itself may end in the middle of one."""
    with log.open("rb") as file:
        position = file.seek(0, 2)
        while position > 0:
            start = max(0, position - _CHUNK)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            position = start
    return 0


def entries(log: Path, start: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """Each whole line from the position on, and the position behind it."""
    with log.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            start += len(line)
            yield json.loads(line), start
