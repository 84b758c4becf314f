"""The rules of kstatus, by which kubectl's and other tools' waiting goes: one word for an object of any kind."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class KStatus(StrEnum):
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    TERMINATING = "Terminating"


def kstatus(obj: dict[str, Any]) -> KStatus:
    """The word for the object, in the order of its rules."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return KStatus.TERMINATING
    if "observedGeneration" in status and status["observedGeneration"] != metadata.get("generation"):
        return KStatus.IN_PROGRESS
    said = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    if said.get("Reconciling") == "True":
        return KStatus.IN_PROGRESS
    if said.get("Stalled") == "True":
        return KStatus.FAILED
    return KStatus.IN_PROGRESS if said.get("Ready") in ("False", "Unknown") else KStatus.CURRENT
