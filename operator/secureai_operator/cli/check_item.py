"""One line of the preflight: what was looked at and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from secureai_operator.cli.output import Mark
from secureai_operator.errors import KubeForbidden, OperatorError


class Verdict(StrEnum):
    """What came of it. Only FAIL makes the check fail."""

    OK = "ok"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "skip"


MARKS = {
    Verdict.OK: Mark.GOOD,
    Verdict.WARN: Mark.WARNING,
    Verdict.FAIL: Mark.ERROR,
    Verdict.SKIP: Mark.QUIET,
}


@dataclass(frozen=True)
class Item:
    """What was looked at, the verdict, and for anything but ok what a person does about it."""

    area: str
    name: str
    verdict: Verdict
    message: str = ""
    next_step: str = ""


def guarded(area: str, name: str, look: Callable[[], Iterator[Item]]) -> Iterator[Item]:
    """The items of `look`; an error becomes an item too, so that one missing right hides nothing else."""
    try:
        yield from look()
    except KubeForbidden as error:
        yield Item(area, name, Verdict.SKIP, error.message, "ask somebody who may read this to run the check")
    except OperatorError as error:
        yield Item(area, name, Verdict.FAIL, error.message)
