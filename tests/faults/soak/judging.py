"""What the operators' logs say that no fault explains."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

AFTERMATH_SECONDS = 30.0
"""So long after a fault a warning may still be about it: a request in flight, a backoff, the next try."""
GRAVE = ("error", "critical", "exception")
SHOWN = 20

_VARYING = re.compile(r"(?<=#)\d+/\d+|\w+://\S+|[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+")

Json = dict[str, Any]
Window = tuple[float, float]
"""Begin and end in Unix time."""


def judge(logs: Iterable[Path], windows: Sequence[Window]) -> Json:
    """Lines that are no JSON, and what was said while no fault explains it; the rest is only counted."""
    raw: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    errors_of_faults: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    warnings_of_faults: Counter[str] = Counter()
    for log in logs:
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            entry = _entry(line)
            if entry is None:
                raw[line.strip()[:160]] += 1
            elif entry["level"].lower() in GRAVE:
                (errors_of_faults if _within(entry["time"], windows) else errors)[_said(entry)] += 1
            elif entry["level"].lower() == "warning":
                (warnings_of_faults if _within(entry["time"], windows) else warnings)[_said(entry)] += 1
    return {
        "notJson": dict(raw.most_common(SHOWN)),
        "errors": dict(errors.most_common(SHOWN)),
        "warnings": dict(warnings.most_common(SHOWN)),
        "errorsOfFaults": dict(errors_of_faults.most_common(SHOWN)),
        "warningsOfFaults": dict(warnings_of_faults.most_common(SHOWN)),
    }


def _entry(line: str) -> Json | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and {"level", "time"} <= entry.keys() else None


def _said(entry: Json) -> str:
    """The line without what differs from one workload, one attempt and one process to the next."""
    parts = (entry.get(name) for name in ("logger", "message", "reason", "error", "cause", "status", "where"))
    return " · ".join(_VARYING.sub("*", str(part))[:200] for part in parts if part)


def _within(time: str, windows: Sequence[Window]) -> bool:
    at = datetime.fromisoformat(time).timestamp()
    return any(begin - 1 <= at <= end + AFTERMATH_SECONDS for begin, end in windows)
