"""Values of metric labels, kept few: a label is a word from a small set, never text."""

from __future__ import annotations

import re

OTHER = "other"
"""What a value is counted under if it is no word or one too many."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,62}")


class Words:
    """The words that one label has had so far, at most `limit`; whatever comes later is `other`.

    A mistake in a caller (an object's name as a label) then costs a coarse metric, not the memory of
    the operator and of Prometheus.
    """

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        """Return the value, or `other` if it is not a word or there are too many already."""
        if value in self._seen:
            return value
        if len(self._seen) >= self._limit or not _WORD.fullmatch(value):
            return OTHER
        self._seen.add(value)
        return value


def field_group(field: str) -> str:
    """Return the first two steps of a field's path without indices: `spec.egress[0].ports` is `spec.egress`.

    An object that was gone has no field and is `object`. Keys that users choose (labels, data) are left out.
    """
    steps = [step.partition("[")[0] for step in field.split(".")[:2]]
    if not steps[0]:
        return "object"
    return ".".join(steps[:1] if steps[0] in _KEYED_BY_USERS else steps)


_KEYED_BY_USERS = frozenset({"data", "stringData", "binaryData", "labels", "annotations"})
