"""The goals of bounds.yaml, and what a run says of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Json = dict[str, Any]

FILE = Path(__file__).parent / "bounds.yaml"
HIGHEST = "highest"
"""In a path: the largest number among the keys of a mapping."""
_PATH = re.compile(r"\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Line:
    """One goal: what was asked for, what was measured, and whether that is enough."""

    what: str
    goal: str
    measured: str
    met: bool
    spread: str = ""
    """How far the trials lie apart; empty after a single one."""
    analysis: str = ""
    """What was tried and what limits it, if it is missed."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Complete(_Data):
    """Two paths that must be equal: a number says nothing of those that never came to the end."""

    done: str
    of: str


class Bound(_Data):
    """One goal. Paths are of the part's result; `what` may quote them in braces."""

    part: str
    what: str
    value: str | tuple[str, ...]
    """A path or a sum of paths; several are each to hold."""
    at_most: float | str | None = None
    at_least: float | str | None = None
    exactly: float | str | None = None
    plus: float = 0
    """Added to the limit where that is a path."""
    scale: float = Field(default=1, gt=0)
    """What the value is multiplied with to come to the unit."""
    unit: str = ""
    complete: Complete | None = None
    analysis: str = ""

    @model_validator(mode="after")
    def _has_one_limit(self) -> Bound:
        if sum(limit is not None for limit in (self.at_most, self.at_least, self.exactly)) != 1:
            raise ValueError("needs one of at_most, at_least and exactly")
        return self

    def line(self, part: Json, spread: Json) -> Line:
        """What the part's result says of it."""
        paths = (self.value,) if isinstance(self.value, str) else self.value
        values = [self._value(part, path) for path in paths]
        limit = self._limit(part)
        met = all(value is not None and self._holds(value, limit) for value in values)
        measured = " and ".join("none" if value is None else self._shown(value) for value in values)
        if self.complete is not None and number(part, self.complete.done) != number(part, self.complete.of):
            met, measured = False, f"{number(part, self.complete.done) or 0:g} done"
        return Line(
            what=_PATH.sub(lambda found: _quoted(part, found[1]), self.what),
            goal=self._sign() + " and ".join(self._shown(limit) for _ in paths),
            measured=measured,
            met=met,
            spread=self._spread(spread, paths),
            analysis="" if met else self.analysis.strip(),
        )

    def _value(self, part: Json, path: str) -> float | None:
        found = [number(part, one) for one in path.split(" + ")]
        known = [value for value in found if value is not None]
        return sum(known) * self.scale if len(known) == len(found) else None

    def _limit(self, part: Json) -> float:
        limit = next(limit for limit in (self.at_most, self.at_least, self.exactly) if limit is not None)
        if not isinstance(limit, str):
            return limit
        return (number(part, limit) or 0) + self.plus

    def _holds(self, value: float, limit: float) -> bool:
        if self.exactly is not None:
            return value == limit
        return value >= limit if self.at_least is not None else value <= limit

    def _sign(self) -> str:
        if self.exactly is not None:
            return ""
        return "≥ " if self.at_least is not None else "≤ "

    def _shown(self, value: float) -> str:
        shown = f"{value:.5g}" if abs(value) < 1000 else f"{value:.0f}"  # noqa: PLR2004 - digits of a table
        return f"{shown} {self.unit}".rstrip()

    def _spread(self, spread: Json, paths: tuple[str, ...]) -> str:
        found = spread.get(paths[0])
        if found is None:
            return ""
        smallest, largest, deviation = (found[name] * self.scale for name in ("min", "max", "sd"))
        return f"{smallest:.4g}..{largest:.4g}, sd {deviation:.2g}"


class Bounds(_Data):
    """The whole file."""

    bounds: tuple[Bound, ...] = Field(min_length=1)


def load(path: Path = FILE) -> tuple[Bound, ...]:
    """Raises ValueError (pydantic's) where the file is not as it must be."""
    return Bounds.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).bounds


@cache
def bounds() -> tuple[Bound, ...]:
    return load()


def lines(run: Json) -> list[Line]:
    """In the order of the goals; a part that the run did not measure has none, and one that failed is not met."""
    found, spread = run["results"], run.get("spread", {})
    measured = [
        bound.line(found[bound.part], spread.get(bound.part, {})) for bound in bounds() if bound.part in found
    ]
    return measured + [Line(name, "a result", why, met=False) for name, why in run.get("failed", {}).items()]


def all_met(run: Json) -> bool:
    return all(line.met for line in lines(run))


def number(part: Json, path: str) -> float | None:
    """What the path leads to; a mapping counts as the sum of its numbers, and None is what is not there."""
    found = _at(part, path)
    if isinstance(found, dict):
        return float(sum(found.values()))
    return found if isinstance(found, int | float) else None


def _at(part: Json, path: str) -> Any:
    found: Any = part
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(_key(found, name))
    return found


def _key(found: Json, name: str) -> str:
    return max(found, key=int) if name == HIGHEST and name not in found else name


def _quoted(part: Json, path: str) -> str:
    """The value, or the key itself where the path ends at the highest one."""
    before, _, last = path.rpartition(".")
    found = max(_at(part, before), key=int) if last == HIGHEST else _at(part, path)
    return f"{found:g}" if isinstance(found, int | float) else str(found)
