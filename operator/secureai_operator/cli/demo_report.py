"""The demo's lines: what was done or proved, whether it held, and how long it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from secureai_operator.cli.output import Mark, Word, print_line

_NOTE = 19
"""Where notes begin: below the claims."""


class ProofFailed(Exception):
    """What was claimed does not hold; the text says what was seen instead."""


class SetupFailed(Exception):
    """Nothing can be proved; the text says what is missing."""


@dataclass
class Line:
    """One claim. `seconds` is the time of the whole block unless the block measured something itself."""

    claim: str
    held: bool = True
    seconds: float = 0.0
    note: str = ""
    measured: float | None = None


@dataclass
class Report:
    """Prints each line as it becomes known, and keeps them all."""

    quiet: bool = False
    lines: list[Line] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether each claim holds; of no claims none does."""
        return bool(self.lines) and all(line.held for line in self.lines)

    def section(self, title: str) -> None:
        if not self.quiet:
            print_line("")
            print_line(title)

    @contextmanager
    def claim(self, text: str) -> Iterator[Line]:
        """The block proves the claim, or raises ProofFailed: then the next claims are tried all the same."""
        line = Line(text)
        started = time.perf_counter()
        try:
            yield line
        except ProofFailed as failure:
            line.held, line.note = False, str(failure)
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise
        except BaseException:
            line.held, line.note = False, "could not be tried"
            self._finish(line, started)
            raise
        self._finish(line, started)

    def failed(self, claim: str, note: str) -> None:
        """A claim that could not even be tried."""
        self._finish(Line(claim, held=False, note=note), time.perf_counter())

    def _finish(self, line: Line, started: float) -> None:
        line.seconds = time.perf_counter() - started if line.measured is None else line.measured
        self.lines.append(line)
        if not self.quiet:
            verdict = Word("ok    ", Mark.GOOD) if line.held else Word("FAILED", Mark.ERROR)
            print_line("  ", verdict, f" {elapsed(line.seconds):>8}  {line.claim}")
            if line.note:
                print_line(" " * _NOTE, Word(line.note, Mark.QUIET))


def elapsed(seconds: float) -> str:
    """A time as people read it: milliseconds below one second."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def expect(condition: object, otherwise: str) -> None:
    """Raise ProofFailed unless the condition holds."""
    if not condition:
        raise ProofFailed(otherwise)
