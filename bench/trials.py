"""Several trials as one result: the median of every number, and how far the trials lie apart."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]


def median(trials: Sequence[Json]) -> Json:
    """As one trial, with the median of each number; a number that some trials lack is the median of the others.

    Lists of samples are left out: each trial keeps its own.
    """
    if len(trials) == 1:
        return trials[0]
    found: Json = {}
    for name in _names(trials):
        values = [trial[name] for trial in trials if name in trial]
        merged = _merged(values)
        if merged is not None:
            found[name] = merged
    return found


def joined(parts: Sequence[Json]) -> Json:
    """The parts of one run, each with scenarios of its own, as that run; the machine is as the first one found it.

    Raises ValueError if they are not of one form, or measured other versions.
    """
    first, *others = parts
    if any(part[name] != first[name] for part in others for name in ("form", "fsync", "versions")):
        raise ValueError("these are no parts of one run: their form or their versions differ")
    run = dict(first)
    for part in others:
        run["seconds"] += part["seconds"]
        for name in ("results", "failed", "spread"):
            run[name] = {**run[name], **part[name]}
        run["trials"] = [{**mine, **more} for mine, more in zip(run["trials"], part["trials"], strict=True)]
    return run


def spread(trials: Sequence[Json]) -> dict[str, dict[str, float]]:
    """Smallest, largest and standard deviation of each number by its path, where the trials differ."""
    if len(trials) == 1:
        return {}
    found = {}
    for path in sorted({path for trial in trials for path, _ in numbers(trial)}):
        values = [value for trial in trials for other, value in numbers(trial) if other == path]
        if min(values) != max(values):
            deviation = statistics.stdev(values)
            found[path] = {"min": min(values), "max": max(values), "sd": round(deviation, 4)}
    return found


def by_part(trials: Sequence[Json]) -> dict[str, dict[str, dict[str, float]]]:
    """The spread of each part's numbers."""
    parts = {part: [trial[part] for trial in trials if part in trial] for part in _names(trials)}
    return {part: found for part, those in parts.items() if (found := spread(those))}


def numbers(found: Json, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number with its path, such as `ready.p50`."""
    for name, value in found.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{prefix}{name}.")
        elif _is_number(value):
            yield f"{prefix}{name}", value


def _names(trials: Sequence[Json]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial))


def _merged(values: Sequence[Any]) -> Any:
    first = values[0]
    if all(isinstance(value, dict) for value in values):
        return median(values) if len(values) > 1 else first
    if all(map(_is_number, values)):
        middle = statistics.median(values)
        return int(middle) if middle == int(middle) and isinstance(first, int) else round(middle, 4)
    if all(isinstance(value, bool) for value in values):
        return all(values)
    return None if isinstance(first, list) else first


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
