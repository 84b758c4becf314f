"""The files of `secureai key`: what is read is bounded, what is written is the owner's alone and overwrites nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from secureai_operator.cli.exits import USAGE, CliError

STDIN = "-"
_OWNER_ONLY = 0o600


def read(name: str, limit: int) -> bytearray:
    """The content of a file, or of standard input for "-"; one that is longer than the limit is refused."""
    try:
        with open(0 if name == STDIN else name, "rb", buffering=0, closefd=name != STDIN) as file:
            content = bytearray()
            while len(content) <= limit and (part := file.read(limit + 1 - len(content))):
                content += part
    except OSError as error:
        raise CliError(f"{name}: {error.strerror or 'cannot be read'}", USAGE) from None
    if len(content) > limit:
        raise CliError(f"{name}: longer than {limit} bytes: this is another file", USAGE)
    return content


def refuse_existing(path: Path | None) -> None:
    """Early, so that nothing is made which could then not be kept; `write_new` itself is what cannot overwrite."""
    if path is not None and path.exists():
        raise CliError(f"{path}: is there already, and is not overwritten", USAGE)


def write_new(path: Path, content: bytes | bytearray) -> None:
    """A new file with mode 0600, on the disk when this returns."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise CliError(f"{path}: is there already, and is not overwritten", USAGE) from None
    except OSError as error:
        raise CliError(f"{path}: {error.strerror or 'cannot be written'}", USAGE) from None


def write_out(content: str, path: Path | None) -> None:
    """To a new file, or to standard output."""
    if path is None:
        sys.stdout.write(content)
    else:
        write_new(path, content.encode())
