"""A verdict: what a check found about one concern, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from secureai_operator.api.reasons import Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status that a condition gets, and why."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str = ""
    terminal: bool = False
    """Only another spec can help: the workload is Stalled."""


def good(reason: Reason, message: str = "") -> Verdict:
    return Verdict("True", reason, message)


def bad(reason: Reason, message: str = "", *, terminal: bool = False) -> Verdict:
    return Verdict("False", reason, message, terminal)


def unknown(reason: Reason, message: str = "") -> Verdict:
    return Verdict("Unknown", reason, message)
