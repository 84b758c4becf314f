"""The Kubernetes half of a pass: carry out the plan, tell drift from progress, and say how each concern went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any

from secureai_operator import errors, names
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType, rfc3339
from secureai_operator.api.resources import (
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SECURE_AI_WORKLOADS,
    SERVICE_ACCOUNTS,
)
from secureai_operator.api.workload import DriftPolicy
from secureai_operator.api.workload_status import DriftStatus
from secureai_operator.clients.kube import ScopedKube
from secureai_operator.controllers.children import Children, Place
from secureai_operator.controllers.memory import Memory
from secureai_operator.core.desired.objects import DesiredObject
from secureai_operator.core.drift import (
    Child,
    digest,
    foreign_entries,
    is_adoptable,
)
from secureai_operator.core.facts import Workload
from secureai_operator.core.plan import Apply, Create, Delete, Replace, Step
from secureai_operator.core.verdict import Verdict, bad

log = logging.getLogger(__name__)

OWNED = {
    resource.kind: resource
    for resource in (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, SECRETS, NETWORK_POLICIES)
}
"""Every kind that a workload can own, by kind."""

_CONCERNS = {
    "ServiceAccount": ConditionType.IDENTITY_READY,
    "Role": ConditionType.ACCESS_GRANTED,
    "RoleBinding": ConditionType.ACCESS_GRANTED,
    "Secret": ConditionType.KEY_READY,
    "NetworkPolicy": ConditionType.NETWORK_ISOLATED,
}
"""What is not true while an object of this kind, which is no longer wanted, cannot be deleted."""

DriftHook = Callable[[Workload, DriftStatus], None]


@dataclass(slots=True)
class Outcome:
    """How the Kubernetes half went."""

    failures: dict[ConditionType, Verdict] = field(default_factory=dict)
    drift: DriftStatus | None = None
    contended: str = ""
    """Kind and name of an object that something else keeps changing."""
    reported: set[tuple[str, str, str]] = field(default_factory=set)
    """Kind, name and field of the drift that stands."""
    standing: dict[ConditionType, str] = field(default_factory=dict)
    """What was left as somebody else made it, under driftPolicy Warn, by the concern that is not true because of it."""
    retry_after: float = 0.0
    wrote: int = 0

    def failed(self, concern: ConditionType, verdict: Verdict) -> None:
        self.failures.setdefault(concern, verdict)


@dataclass(frozen=True, slots=True)
class Side:
    """What the Kubernetes half works with for one workload: its own namespace and nothing else."""

    kube: ScopedKube
    children: Children
    workload: Workload
    memory: Memory
    now: datetime
    on_drift: DriftHook


async def execute(side: Side, steps: Iterable[Step]) -> Outcome:
    """Carry the steps out side by side; one that fails keeps none of the others from being done.

    Bindings come last: the API server's escalation check reads the role that they name.
    """
    outcome = Outcome()
    steps = tuple(steps)
    first: list[Step] = []
    bindings: list[Step] = []
    for step in steps:
        (bindings if _is_binding(step) else first).append(step)
    if any(_brings_back(side, step) for step in steps) and not await _is_there(side):
        for step in steps:
            outcome.failed(*_unwritten(step))
        return outcome
    for wave in (first, bindings):
        if len(wave) == 1:
            await _carry_out(side, wave[0], outcome)
        elif wave:
            async with asyncio.TaskGroup() as group:
                for step in wave:
                    group.create_task(_carry_out(side, step, outcome), name="apply")
    return outcome


def _brings_back(side: Side, step: Step) -> bool:
    """Whether somebody took the object away: if the workload itself went, that was the garbage collector."""
    heals = side.workload.spec.drift_policy is not DriftPolicy.WARN
    return heals and isinstance(step, Create) and _drift_of(side, step, _place(step)) is not None


async def _is_there(side: Side) -> bool:
    """Whether the workload is really there, whatever the watch says."""
    try:
        live = await side.kube.get(SECURE_AI_WORKLOADS, side.workload.name)
    except errors.OperatorError:
        return False
    return live is not None and live["metadata"]["uid"] == side.workload.uid


def _place(step: Step) -> Place:
    if isinstance(step, Delete):
        return step.live.kind, step.live.name
    return step.desired.resource.kind, step.desired.name


def _concern(step: Step) -> ConditionType:
    return _CONCERNS[step.live.kind] if isinstance(step, Delete) else step.desired.concern


def _unwritten(step: Step) -> tuple[ConditionType, Verdict]:
    return _concern(step), bad(
        reasons.KUBERNETES_UNAVAILABLE, f"{' '.join(_place(step))} could not be written yet"
    )


def _is_binding(step: Step) -> bool:
    return not isinstance(step, Delete) and step.desired.resource is ROLE_BINDINGS


async def _carry_out(side: Side, step: Step, outcome: Outcome) -> None:
    place = _place(step)
    concern = _concern(step)
    drift = _drift_of(side, step, place)
    if drift is not None and not _may_heal(side, drift, place, concern, outcome):
        return
    wanted = b"" if isinstance(step, Delete) else step.desired.digest
    try:
        with side.children.writing(side.workload.uid, place, wanted):
            done = await _write(side, step)
    except errors.OperatorError as error:
        outcome.failed(concern, kube_verdict(error, place))
        outcome.retry_after = max(outcome.retry_after, getattr(error, "after", None) or 0.0)
        return
    if done is _Done.NOTHING:
        return
    outcome.wrote += 1
    if drift is not None:
        if done is _Done.TAKEN_BACK:
            # It was never gone, only out of sight: its label or its owner was.
            drift = drift.model_copy(update={"field": "metadata"})
        side.memory.healed(place)
        outcome.drift = drift
        side.on_drift(side.workload, drift)


def _drift_of(side: Side, step: Step, place: Place) -> DriftStatus | None:
    """The drift that the step heals; None if the step only carries out what the user asked for."""
    if isinstance(step, Delete):
        return None
    wanted_before = side.memory.applied.get(place)
    if wanted_before is None:
        was_complete = side.workload.status.observed_generation == side.workload.generation and any(
            condition.type == step.desired.concern.value
            and (condition.status == "True" or condition.reason == reasons.DRIFT_REPORTED.name)
            for condition in side.workload.status.conditions
        )
        if not was_complete or (not isinstance(step, Create) and step.live.is_as_applied):
            return None
    elif wanted_before != step.desired.digest:
        return None
    parts = () if isinstance(step, Create) else step.parts
    return DriftStatus(
        time=rfc3339(side.now),
        kind=place[0],
        name=place[1],
        field=parts[0] if parts else "",
        action="Healed",
    )


def _may_heal(side: Side, drift: DriftStatus, place: Place, concern: ConditionType, outcome: Outcome) -> bool:
    if side.workload.spec.drift_policy is DriftPolicy.WARN:
        reported = drift.model_copy(update={"action": "Reported"})
        outcome.drift = reported
        outcome.reported.add((*place, drift.field))
        outcome.standing[concern] = f"{place[0]} {place[1]}: {drift.field or 'deleted'}"
        if (*place, drift.field) not in side.memory.reported:
            side.memory.reported |= {(*place, drift.field)}
            side.on_drift(side.workload, reported)
        return False
    pause = side.memory.contended(place)
    if pause:
        outcome.contended = f"{place[0]} {place[1]}"
        outcome.retry_after = max(outcome.retry_after, pause)
    return not pause


class _Done(Enum):
    """What became of a step."""

    WRITTEN = auto()
    TAKEN_BACK = auto()
    """What seemed gone was there, without its label or its owner."""
    NOTHING = auto()
    """What seemed gone was there as desired: only the watch does not tell of it."""


async def _write(side: Side, step: Step) -> _Done:
    """Carry out one step."""
    if isinstance(step, Create):
        return await _create(side, step.desired)
    if isinstance(step, Delete):
        await _delete(side, step.live)
    elif isinstance(step, Replace):
        await _delete(side, step.live)
        await _create(side, step.desired)
    elif step.desired.resource is SECRETS and "data" in step.parts:
        await _set_secret(side, step)
    else:
        _applied(
            side,
            step.desired,
            await side.kube.apply(step.desired.resource, step.desired.name, step.desired.manifest),
        )
    return _Done.WRITTEN


async def _delete(side: Side, live: Child) -> None:
    await side.kube.delete(OWNED[live.kind], live.name, uid=live.uid)
    side.children.deleted(live)
    side.memory.applied.pop((live.kind, live.name), None)


async def _create(side: Side, item: DesiredObject) -> _Done:
    """Create and never apply: an apply would silently take over an object that somebody else made."""
    try:
        answer, done = await side.kube.create(item.resource, item.manifest), _Done.WRITTEN
    except errors.KubeConflict:
        answer, done = await _take_back(side, item)
    _applied(side, item, answer)
    return done


async def _take_back(side: Side, item: DesiredObject) -> tuple[dict[str, Any], _Done]:
    """The name is taken: by our own object, with or without its label and owner, or by a stranger's."""
    live = await side.kube.get(item.resource, item.name)
    if live is None:
        raise errors.Retry(
            reasons.KUBERNETES_UNAVAILABLE.name, f"{item.resource.kind} {item.name} came and went", 0.05
        )
    owners = [owner.get("uid") for owner in live["metadata"].get("ownerReferences") or ()]
    if side.workload.uid not in owners and not is_adoptable(live, side.workload.name):
        raise errors.WaitForUser(
            reasons.NAME_CONFLICT.name,
            f"{item.resource.kind} {item.name} exists and is not this workload's; delete or rename it",
        )
    side.children.exists(str(live["metadata"]["uid"]))
    if digest(live) == item.digest:
        return live, _Done.NOTHING
    if item.resource is SECRETS:
        return await _take_over_secret(side, item, live), _Done.TAKEN_BACK
    metadata = {**item.manifest["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
    # The patch replaces the list of owners, in which an apply would leave a dead controller beside the living one.
    await side.kube.merge_patch(item.resource, item.name, {"metadata": metadata})
    return await side.kube.apply(item.resource, item.name, item.manifest), _Done.TAKEN_BACK


async def _set_secret(side: Side, step: Apply) -> None:
    """By what the watch shows; where that is not the latest the API server refuses, and it is read."""
    item, live = step.desired, step.live
    try:
        answer = await _overwrite_secret(
            side, item, live.resource_version, [name for name, _ in live.entries]
        )
    except (errors.KubeConflict, errors.KubeNotFound):
        found = await side.kube.get(item.resource, item.name)
        if found is None:
            await _create(side, item)
            return
        answer = await _take_over_secret(side, item, found)
    _applied(side, item, answer)


async def _take_over_secret(side: Side, item: DesiredObject, live: dict[str, Any]) -> dict[str, object]:
    return await _overwrite_secret(side, item, live["metadata"]["resourceVersion"], live.get("data") or {})


async def _overwrite_secret(
    side: Side, item: DesiredObject, resource_version: str, entries: Iterable[str]
) -> dict[str, object]:
    """One write that also takes out entries which others added: server-side apply would leave them."""
    metadata = item.manifest["metadata"]
    patch = {
        "metadata": {
            "resourceVersion": resource_version,
            "labels": {**metadata["labels"], names.RETAINED_LABEL: None},
            "annotations": metadata["annotations"],
            "ownerReferences": metadata["ownerReferences"],
        },
        "data": {**item.manifest["data"], **dict.fromkeys(foreign_entries(item.manifest, entries))},
    }
    return await side.kube.merge_patch(item.resource, item.name, patch)


def _applied(side: Side, item: DesiredObject, answer: dict[str, object]) -> None:
    side.children.wrote(answer)
    side.memory.applied[item.resource.kind, item.name] = item.digest


def kube_verdict(error: errors.OperatorError, place: Place) -> Verdict:
    """What a failed write says, in the registry's words; the API server's own words stay out."""
    what = f"{place[0]} {place[1]}"
    if error.reason == reasons.NAME_CONFLICT.name:
        return bad(reasons.NAME_CONFLICT, error.message)
    # A quota or a policy of the cluster answers 403 as well: what is missing then is no right of the operator.
    if isinstance(error, errors.KubeForbidden) and error.reason == reasons.OPERATOR_FORBIDDEN.name:
        return bad(
            reasons.OPERATOR_FORBIDDEN, f"the operator may not write {what}; apply manifests/base again"
        )
    if isinstance(error, errors.KubeInvalid | errors.KubeForbidden):
        return bad(reasons.KUBERNETES_REFUSED, f"the API server refuses {what}")
    return bad(reasons.KUBERNETES_UNAVAILABLE, f"{what} could not be written yet")
