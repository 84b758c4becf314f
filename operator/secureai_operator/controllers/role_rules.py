"""What roles grant: the grant ceiling and those that workloads refer to, read again when they are too old to count."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from secureai_operator.api.access import RoleKind
from secureai_operator.api.conditions import ConditionType, condition
from secureai_operator.api.resources import CLUSTER_ROLES, ROLES
from secureai_operator.clients.kube import KubeApi
from secureai_operator.core.facts import CeilingRule, Workload

Rules = tuple[CeilingRule, ...]

FRESH_SECONDS = 30.0
"""How long a role counts before it is read again; nobody may watch all roles for a few of them."""
SETTLED_SECONDS = 300.0
"""The same where access is granted already: as long as nobody looks at a workload to which nothing happens."""

_NON_RESOURCE = ("nonResourceURLs",)
"""Stands for the group of a rule about URLs: who binds a role must hold these rules too, whatever they grant there."""


def counts_for(workload: Workload) -> float:
    """Seconds for which a role that was read counts for it: longer once the access that it asks for now is granted."""
    last = condition(workload.status.conditions, ConditionType.ACCESS_GRANTED)
    is_granted = (
        last is not None and last.status == "True" and last.observed_generation == workload.generation
    )
    is_asked = workload.resync != workload.status.resync
    return SETTLED_SECONDS if is_granted and not is_asked else FRESH_SECONDS


@dataclass(slots=True)
class RoleRules:
    """The rules of the roles that were asked for lately."""

    kube: KubeApi
    clock: Callable[[], float] = time.monotonic
    _read: dict[tuple[str, str, str], tuple[Rules | None, float]] = field(default_factory=dict)
    """What was read of each, and when."""

    async def of(self, kind: RoleKind, namespace: str, name: str, age: float) -> Rules | None:
        """Its rules, as they were at most `age` seconds ago; None if there is no such role."""
        place = (namespace if kind is RoleKind.ROLE else "", kind.value, name)
        rules, since = self._read.get(place, (None, -math.inf))
        if self.clock() - since < age:
            return rules
        if kind is RoleKind.ROLE:
            rules = rules_of(await self.kube.get(ROLES, namespace, name))
        else:
            rules = rules_of(await self.kube.get(CLUSTER_ROLES, None, name))
        now = self.clock()
        self._read = {key: kept for key, kept in self._read.items() if now - kept[1] < SETTLED_SECONDS}
        self._read[place] = (rules, now)
        return rules


def rules_of(role: Mapping[str, Any] | None) -> Rules | None:
    """The rules of a role as the API server has it; None if there is none."""
    if role is None:
        return None
    return tuple(
        CeilingRule(
            frozenset(rule.get("apiGroups") or (_NON_RESOURCE if "nonResourceURLs" in rule else ())),
            frozenset(rule.get("resources") or rule.get("nonResourceURLs") or ()),
            frozenset(rule.get("resourceNames") or ()),
            frozenset(rule.get("verbs") or ()),
        )
        for rule in role.get("rules") or ()
    )
