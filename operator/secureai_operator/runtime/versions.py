"""The order of resource versions."""

from __future__ import annotations


def is_older(new: str, old: str) -> bool:
    """Whether the version `new` is from before `old`, of the same resource; False where they cannot be compared."""
    # Resource versions of one resource are ordered numbers since Kubernetes 1.35; elsewhere the watch's order counts.
    return new.isdigit() and old.isdigit() and int(new) < int(old)
