"""A process whose wall clock is wrong, and changes while it runs; time that passes is right."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

DEBIAN = "/usr/lib/*/faketime/libfaketime*.so.1"
NOTICED_SECONDS = 1
"""How often the library looks at what the time is to be."""


@dataclass(frozen=True, slots=True)
class WrongClock:
    """Shifted by what the file says. Linux only: the library comes with the test dependencies, or as Debian's package."""

    file: Path

    @classmethod
    def right(cls, file: Path) -> WrongClock:
        """A clock that is right until it is set."""
        clock = cls(file)
        clock.set(0)
        return clock

    def set(self, minutes: float) -> None:
        """Ahead by so many minutes, or behind; noticed within a second."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{minutes * 60:+.0f}")
        new.replace(self.file)

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": str(NOTICED_SECONDS),
            # Durations are right: a clock is set, and no second lasts longer for it.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }


def library() -> Path:
    package = find_spec("libfaketime")
    places = [] if package is None or package.origin is None else [Path(package.origin).parent]
    found = [path for place in places for path in sorted(place.rglob("libfaketime.so.1"))]
    found += sorted(Path("/").glob(DEBIAN.removeprefix("/")))
    if not found:
        pytest.fail("libfaketime is missing: it is one of the test dependencies")
    return found[0]
