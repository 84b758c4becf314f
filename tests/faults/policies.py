"""KeyRotationPolicies side by side in one namespace, with workloads that several of them select."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lab import Lab
from secureai_operator.api import reasons
from secureai_operator.api.reasons import REASONS
from secureai_operator.api.resources import KEY_ROTATION_POLICIES
from tests.faults.fleet import is_seen

Json = dict[str, Any]

_RULES = "rules, or would"
_RULING = frozenset(
    reason.name
    for reason in (reasons.POLICY_ACTIVE, reasons.POLICY_SELECTS_NOTHING, reasons.ROTATIONS_FAILING)
)
"""Which of these it is, the other policies of the namespace decide."""
_PARTS = ("current", "pending", "inProgress", "failed", "skipped", "masked")


@dataclass(frozen=True, slots=True)
class PolicyFleet:
    """The policies of one namespace, read as an administrator."""

    lab: Lab
    namespace: str

    def listed(self) -> dict[str, Json]:
        items = self.lab.api.request("GET", KEY_ROTATION_POLICIES.path(self.namespace))["items"]
        return {item["metadata"]["name"]: item for item in items}

    def unseen(self, wanted: Iterable[str]) -> list[str]:
        listed = self.listed()
        return [name for name in wanted if not is_seen(listed[name])]

    def states(self, wanted: Iterable[str]) -> dict[str, Json]:
        """What each says of itself; how many workloads it rules is also its neighbours' doing."""
        listed = self.listed()
        return {name: _state(listed[name].get("status") or {}, name) for name in wanted}


def expected(fresh: Json, _before: Json) -> Json:
    """Nothing of what a policy was before counts."""
    return {**fresh, "sums": True}


def unexplained(state: Json) -> Iterator[str]:
    """Why nobody could tell from the status what is the matter."""
    for kind, (_, reason, _) in state["conditions"].items():
        if reason != _RULES and (reason not in REASONS or reason == reasons.INTERNAL_ERROR.name):
            yield f"{kind} has reason {reason}"
    ready, stalled = (state["conditions"].get(kind, ["Unknown", "", ""]) for kind in ("Ready", "Stalled"))
    if ready[1] not in {_RULES, reasons.POLICY_RESTS.name} and stalled[0] != "True":
        yield f"neither Ready nor Stalled: {ready}"
    if not state["sums"]:
        yield "its numbers do not add up to what it selects"


def _state(status: Json, name: str) -> Json:
    conditions = {}
    for one in status.get("conditions", ()):
        ruling = one["reason"] in _RULING
        conditions[one["type"]] = [
            _RULES if ruling else one["status"],
            _RULES if ruling else one["reason"],
            "" if ruling else json.dumps(one.get("message", "")).replace(name, "NAME"),
        ]
    counted = sum(status.get(part, 0) for part in _PARTS)
    return {"conditions": conditions, "sums": counted == status.get("selected", 0)}
