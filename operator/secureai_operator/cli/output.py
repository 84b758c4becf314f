"""Text for people and JSON for programs. Colour only ever repeats what a word already says."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TextIO


class Mark(Enum):
    """How good a state is; the value is the colour that repeats it on a terminal."""

    GOOD = "green"
    PROGRESS = "cyan"
    WARNING = "yellow"
    ERROR = "bold red"
    PLAIN = ""
    QUIET = "dim"


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of text and how good what it says is."""

    text: str
    mark: Mark = Mark.PLAIN


Cell = str | Word


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column headings (none: no heading line)."""

    rows: Sequence[Sequence[Cell]]
    columns: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of a tree: its name, the cells right of it, and what hangs below it."""

    name: str
    cells: tuple[Cell, ...] = ()
    children: tuple[Branch, ...] = ()


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def print_line(*parts: Cell) -> None:
    """One line of text; parts are set next to each other."""
    if is_plain():
        # A reader at the other end of a pipe sees each line as it comes.
        print("".join(clean(_text(part)) for part in parts), flush=True)
        return
    _console().print(_rich_line(parts))


def print_table(table: Table) -> None:
    if is_plain():
        for line in plain_lines(table):
            print(line)
        return
    _console().print(rich_table(table))


def tree_table(root: Branch, columns: Sequence[str]) -> Table:
    """The tree as a table whose first column draws it."""
    joints = ("├─ ", "└─ ", "│  ") if _is_unicode(sys.stdout) else ("|- ", "`- ", "|  ")
    return Table(list(_tree_rows(root, "", "", joints)), columns)


def _tree_rows(
    branch: Branch, first: str, rest: str, joints: tuple[str, str, str]
) -> Iterator[tuple[Cell, ...]]:
    between, last, through = joints
    yield (first + branch.name, *branch.cells)
    for place, child in enumerate(branch.children, start=1):
        is_last = place == len(branch.children)
        below = "   " if is_last else through
        yield from _tree_rows(child, rest + (last if is_last else between), rest + below, joints)


def plain_lines(table: Table) -> list[str]:
    """The table as lines: columns as wide as their widest cell, nothing cut off, no trailing spaces."""
    if not table.rows:
        return []
    rows = [[clean(_text(cell)) for cell in row] for row in table.rows]
    if table.columns:
        rows.insert(0, list(table.columns))
    places = range(max((len(row) for row in rows), default=0))
    # The last cell of a row needs no room: it may be a sentence.
    widths = [max((len(row[at]) for row in rows if at < len(row) - 1), default=0) for at in places]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


def rich_table(table: Table) -> Any:
    """The table for a terminal: it wraps long last columns and repeats states in colour."""
    from rich.table import Table as RichTable  # noqa: PLC0415 - a tenth of a second that pipes never need
    from rich.text import Text  # noqa: PLC0415

    drawn = RichTable(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(table.columns), header_style="bold"
    )
    count = max([len(table.columns), *(len(row) for row in table.rows)])
    for at in range(count):
        heading = table.columns[at] if at < len(table.columns) else ""
        drawn.add_column(heading, no_wrap=at < count - 1, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(clean(_text(cell)), style=_style(cell)) for cell in row))
    return drawn


def is_plain(stream: TextIO | None = None) -> bool:
    """Whether the text goes to a file or pipe, or its reader wants no colour."""
    stream = sys.stdout if stream is None else stream
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb" or not stream.isatty()


def clean(text: str) -> str:
    """The text without control characters: nothing that was read may move the cursor or recolour the terminal."""
    if text.isprintable():
        return text
    return "".join(" " if unicodedata.category(sign) in _UNSAFE else sign for sign in text)


_UNSAFE = frozenset({"Cc", "Cf", "Zl", "Zp"})


def age(since: datetime | None, now: datetime) -> str:
    """The time since a moment as kubectl tells it: 42s, 7m, 3h, 12d; "-" if there is none."""
    if since is None:
        return "-"
    return duration(max(0, int((now - since).total_seconds())))


def duration(seconds: int) -> str:
    """A length of time in its largest fitting unit."""
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "m"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86400}d"


def moment(text: str | None) -> datetime | None:
    """The moment in an RFC 3339 text of Kubernetes, or None if it is none."""
    try:
        return None if not text else datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def utc_now() -> datetime:
    return datetime.now(UTC)


def string(source: Mapping[str, Any] | None, *path: str) -> str:
    """The text at a path of a JSON object, or ""."""
    at: Any = source
    for part in path:
        at = at.get(part) if isinstance(at, Mapping) else None
    return "" if at is None else str(at)


def _text(cell: Cell) -> str:
    return cell.text if isinstance(cell, Word) else cell


def _style(cell: Cell) -> str:
    return cell.mark.value if isinstance(cell, Word) else ""


def _rich_line(parts: Sequence[Cell]) -> Any:
    from rich.text import Text  # noqa: PLC0415 - see rich_table

    return Text.assemble(*((clean(_text(part)), _style(part)) for part in parts))


def _console() -> Any:
    from rich.console import Console  # noqa: PLC0415 - see rich_table

    return Console(highlight=False, markup=False)


def _is_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"
