"""`secureai audit report`: which versions of keys a log shows in use, and what was refused."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC
from pathlib import Path
from typing import IO, Any

from secureai_operator.cli.audit_tail import LINE_MAX
from secureai_operator.cli.exits import NO, OK, USAGE, CliError
from secureai_operator.cli.output import Cell, Mark, Table, Word, moment, print_json, print_line, print_table
from secureai_operator.core.rotation.audit import (
    NEEDS_OLD,
    NotAnEntry,
    Operation,
    Reading,
    Refusal,
    Use,
    use_of,
)

_DOUBTFUL = frozenset({Refusal.TOO_OLD, Refusal.IN_BATCH, Refusal.HIDDEN})


@dataclass(slots=True)
class Row:
    """One kind of thing that happened with one workload's key."""

    namespace: str
    name: str
    operation: Operation
    version: int
    """Of the key, for what was made with it; 0 where the log does not tell, as for everything decrypted."""
    refusal: str
    """Empty for what was done."""
    count: int = 0
    last: str = ""

    @property
    def is_doubtful(self) -> bool:
        """Whether an old version was missed, or may have been."""
        return self.operation in NEEDS_OLD and self.refusal in _DOUBTFUL


@dataclass(slots=True)
class Evidence:
    """All that a log says; `passed_over` are lines that are too long, or no entries."""

    lines: int = 0
    passed_over: int = 0
    _rows: dict[tuple[str, str, str, int, str], Row] = field(default_factory=dict)

    def add(self, use: Use) -> None:
        refusal = "" if use.refusal is None else use.refusal.value
        for version in use.versions or (0,):
            key = (*use.workload, use.operation.value, version, refusal)
            row = self._rows.setdefault(key, Row(*use.workload, use.operation, version, refusal))
            row.count += 1
            row.last = max(row.last, use.at)

    @property
    def rows(self) -> list[Row]:
        return [self._rows[key] for key in sorted(self._rows)]

    @property
    def is_clean(self) -> bool:
        return not any(row.is_doubtful for row in self.rows)


def run(arguments: argparse.Namespace, reading: Reading) -> int:
    found = _of_file(arguments.file, reading, _wanted(arguments))
    if arguments.output == "json":
        print_json(_as_json(found))
    else:
        show(found)
    return OK if found.is_clean else NO


def _of_file(path: Path, reading: Reading, wanted: Callable[[Use], bool]) -> Evidence:
    try:
        with path.open("rb") as log:
            return evidence(_lines(log), reading, wanted)
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", USAGE) from error


def _wanted(arguments: argparse.Namespace) -> Callable[[Use], bool]:
    since = _since(arguments.since)

    def wanted(use: Use) -> bool:
        namespace, name = use.workload
        return arguments.namespace in (None, namespace) and arguments.name in (None, name) and use.at >= since

    return wanted


def _since(text: str | None) -> str:
    """In the form that a use has, so that texts compare as times."""
    if text is None:
        return ""
    at = moment(text)
    if at is None:
        raise CliError("--since is a time such as 2026-01-31T12:00:00Z", USAGE)
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def evidence(lines: Iterable[bytes | None], reading: Reading, wanted: Callable[[Use], bool]) -> Evidence:
    """What the lines say; None is a line that was too long."""
    found = Evidence()
    for line in lines:
        found.lines += 1
        try:
            use = None if line is None else use_of(line, reading)
        except NotAnEntry:
            line = None  # noqa: PLW2901 - as good as one that was too long
            use = None
        found.passed_over += line is None
        if use is not None and wanted(use):
            found.add(use)
    return found


def _lines(log: IO[bytes]) -> Iterator[bytes | None]:
    while line := log.readline(LINE_MAX + 1):
        if len(line) <= LINE_MAX:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = log.readline(LINE_MAX)
        yield None


def _as_json(found: Evidence) -> Mapping[str, Any]:
    return {
        "lines": found.lines,
        "passedOver": found.passed_over,
        "found": [asdict(row) for row in found.rows],
    }


def show(found: Evidence) -> None:
    rows: list[tuple[Cell, ...]] = [
        (f"{row.namespace}/{row.name}", row.operation.value, _result(row), str(row.count), row.last)
        for row in found.rows
    ]
    if rows:
        print_table(Table(rows, ("WORKLOAD", "OPERATION", "RESULT", "COUNT", "LAST")))
    print_line(f"{found.lines} lines, {found.passed_over} passed over, {len(rows)} kinds of use")


def _result(row: Row) -> Cell:
    if row.refusal:
        return Word(f"refused: {row.refusal}", Mark.ERROR if row.is_doubtful else Mark.WARNING)
    return f"version {row.version}" if row.version else "done"
