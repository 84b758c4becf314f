"""What the pages are made of, and the one protocol by which it is read; tests give plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from secureai_operator.cli.key_views import KeyView, key_views, number
from secureai_operator.cli.operator_lease import Leadership
from secureai_operator.cli.output import moment, string
from secureai_operator.cli.policies import PolicyView
from secureai_operator.cli.tree import Inventory
from secureai_operator.cli.workloads import WorkloadView


@dataclass(frozen=True)
class Fleet:
    """One look at all workloads; `namespace` is None for those of all namespaces."""

    workloads: tuple[WorkloadView, ...]
    leader: Leadership
    at: datetime
    namespace: str | None = None
    policies: Mapping[str, PolicyView] | None = field(default_factory=dict)
    """By NAMESPACE/NAME; None if they may not be read."""

    @property
    def keys(self) -> tuple[KeyView, ...]:
        """The keys of the workloads, with what their policies say of retirement."""
        return key_views(self.workloads, {name: one.keep for name, one in (self.policies or {}).items()})


@dataclass(frozen=True)
class EventView:
    """A Kubernetes Event about a workload. Whoever may write Events can have written it: `writer` is what it says itself."""

    reason: str
    message: str
    warning: bool
    count: int
    at: datetime | None
    writer: str


@dataclass(frozen=True)
class Detail:
    """One look at one workload and all that belongs to it."""

    inventory: Inventory
    key: KeyView
    leader: Leadership
    at: datetime
    events: tuple[EventView, ...] | None = ()
    """None if they may not be read."""

    @property
    def workload(self) -> WorkloadView:
        return self.inventory.workload


class Source(Protocol):
    """Where the pages come from. Raises `troubles.Unanswered`."""

    async def fleet(self) -> Fleet: ...

    async def workload(self, namespace: str, name: str) -> Detail: ...


def events_about(workload: WorkloadView, found: Sequence[Mapping[str, Any]]) -> tuple[EventView, ...]:
    """The Events about this very object, not about an earlier one of the same name."""
    return tuple(
        _event(one)
        for one in found
        if string(one, "involvedObject", "kind") == "SecureAIWorkload"
        and string(one, "involvedObject", "name") == workload.name
        and string(one, "involvedObject", "uid") in ("", workload.uid)
    )


def _event(raw: Mapping[str, Any]) -> EventView:
    times = (
        string(raw, "lastTimestamp"),
        string(raw, "series", "lastObservedTime"),
        string(raw, "eventTime"),
        string(raw, "metadata", "creationTimestamp"),
    )
    return EventView(
        reason=string(raw, "reason"),
        message=string(raw, "message"),
        warning=string(raw, "type") == "Warning",
        count=max(number(raw, "count"), number(raw, "series", "count"), 1),
        at=next((at for at in map(moment, times) if at is not None), None),
        writer=string(raw, "source", "component") or string(raw, "reportingComponent"),
    )
