"""How much of the long trials a run does: all of it with `make faults`, and otherwise a part that fits every change."""

from __future__ import annotations

import os

IS_FULL = os.environ.get("SECUREAI_FAULTS") == "full"


def extent(full: int, short: int) -> int:
    """How many of something this run does."""
    return full if IS_FULL else short
