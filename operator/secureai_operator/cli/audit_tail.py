"""The lines that are added to a log, whatever its rotation does, and a place to go on from after a restart."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from secureai_operator.cli.exits import USAGE, CliError

LINE_MAX = 4 * 2**20
"""A batch of ten thousand is a line of one or two MiB; what is longer is passed over, and counted."""
ROUND_MAX = 8 * 2**20
"""Bytes that one round reads at most, so that whoever follows gets to its other work."""
_CHUNK = 64 * 2**10
_POSITION_MAX = 4096


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file that may since have got another name: everything before it was looked at."""

    device: int
    inode: int
    offset: int


class _OpenLog:
    """One open file, whatever it is called now: its lines as they are completed, never more in memory than one."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._file = io.FileIO(descriptor)
        self.skipped = 0
        self.at_end = False
        """Whether the last reading found the end of the file."""
        self.go_to(offset)

    def close(self) -> None:
        self._file.close()

    def go_to(self, offset: int) -> None:
        self._file.seek(offset)
        # Where the line begins that is not complete, what there is of it, and how much was dropped as too long.
        self._offset, self._rest, self._dropped = offset, b"", 0

    @property
    def found(self) -> os.stat_result:
        return os.fstat(self._file.fileno())

    @property
    def position(self) -> Position:
        found = self.found
        return Position(found.st_dev, found.st_ino, self._offset)

    @property
    def is_shorter(self) -> bool:
        return self.found.st_size < self._file.tell()

    @property
    def has_part(self) -> bool:
        return bool(self._rest or self._dropped)

    def lines(self) -> Iterator[bytes]:
        """What can be read now, ROUND_MAX bytes at most."""
        self.at_end, left = False, ROUND_MAX
        while left > 0 and not self.at_end:
            chunk = self._file.read(_CHUNK)
            self.at_end = not chunk
            left -= len(chunk)
            yield from self._completed(chunk)

    def _completed(self, chunk: bytes) -> Iterator[bytes]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            too_long = self._dropped > 0 or len(line) > LINE_MAX
            self._offset += self._dropped + len(line) + 1
            self._dropped = 0
            if too_long:
                self.skipped += 1
            else:
                yield line
        if self._dropped or len(self._rest) > LINE_MAX:
            self._dropped += len(self._rest)
            self._rest = b""


class Tail:
    """Lines as they are completed.

    - A file that is renamed is read to its end, and until its successor holds something: only then has Vault let it go.
    - A file that became shorter was truncated, and is read from its start.
    - A line that is not complete waits; one longer than LINE_MAX is passed over, and counted in `skipped`.
    - It never blocks.
    """

    def __init__(self, path: Path, position: Position | None = None, *, from_start: bool = False) -> None:
        self._path = path
        self._log: _OpenLog | None = None
        self._left = 0
        """Lines that files which are gone held in vain."""
        self.at_end = True
        """Whether the last round read all there was."""
        if position is not None:
            self._log = _resumed(path, position)
        elif not from_start:
            self._log = _opened(path)
            if self._log is not None:
                self._log.go_to(self._log.found.st_size)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    @property
    def skipped(self) -> int:
        return self._left + (0 if self._log is None else self._log.skipped)

    @property
    def position(self) -> Position | None:
        """Where to go on from: after the last line that was handed out. None while there is no file."""
        return None if self._log is None else self._log.position

    def lines(self) -> Iterator[bytes]:
        """One round: what was completed since the last one, without line ends."""
        self._log = self._log or _opened(self._path)
        self.at_end = self._log is None
        if self._log is None:
            return
        if self._log.is_shorter:
            self._log.go_to(0)
        succeeded = self._has_successor(self._log)
        # After the look: what was written until Vault let go is then read as well.
        yield from self._log.lines()
        self.at_end = self._log.at_end
        if succeeded and self.at_end:
            self._leave(self._log)

    def _has_successor(self, log: _OpenLog) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return there.st_size > 0 and not _is_same(there, log.found)

    def _leave(self, log: _OpenLog) -> None:
        """A part of a line that its writer left behind is no line any more."""
        self._left = self.skipped + log.has_part
        log.close()
        self._log, self.at_end = None, False


def _opened(path: Path, offset: int = 0) -> _OpenLog | None:
    """The file, or None if it is not there. Raises CliError for one that is no file, or must not be read."""
    try:
        # Not to wait for a writer, if it is a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", USAGE) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CliError(f"{path}: not a regular file", USAGE)
    return _OpenLog(descriptor, offset)


def _resumed(path: Path, position: Position) -> _OpenLog | None:
    """The file of the position, whatever it is called now; None if it is gone: its successor is read from the start."""
    paths = [path]
    with contextlib.suppress(OSError):
        paths += sorted(path.parent.iterdir())
    for candidate in paths:
        with contextlib.suppress(OSError):
            found = candidate.stat()
            same = (found.st_dev, found.st_ino) == (position.device, position.inode)
            if same and found.st_size >= position.offset:
                return _opened(candidate, position.offset)
    return None


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def load_position(path: Path) -> Position | None:
    """What `save_position` left, or None if there is none yet. Raises CliError for a file that is something else."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_POSITION_MAX))
        position = Position(*(content[name] for name in Position.__slots__))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", USAGE) from error
    except (ValueError, KeyError, TypeError):
        raise CliError(f"{path}: not a position of this command", USAGE) from None
    if not all(type(number) is int and number >= 0 for number in asdict(position).values()):
        raise CliError(f"{path}: not a position of this command", USAGE)
    return position


def save_position(path: Path, position: Position) -> None:
    """Replace it at once, so that no reader finds half of it. Raises CliError."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(json.dumps(asdict(position)))
        new.replace(path)
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", USAGE) from error
