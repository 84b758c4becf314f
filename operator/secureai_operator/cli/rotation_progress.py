"""How far a request of `secureai rotate` is, from status alone. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from secureai_operator.api.condition_types import ConditionType
from secureai_operator.api.reasons import (
    KEY_LOST,
    KEY_REPLACED,
    KEY_VERSION_DESTROYED,
    ROTATION_PENDING,
    Severity,
)
from secureai_operator.cli.key_views import KeyView, number
from secureai_operator.cli.output import moment, string
from secureai_operator.cli.policies import PolicyView
from secureai_operator.cli.rotation_plan import Action

_HOPELESS = frozenset(reason.name for reason in (KEY_LOST, KEY_REPLACED, KEY_VERSION_DESTROYED))


@dataclass(frozen=True)
class Stage:
    """A phase or step that is over, and what is to be said of it."""

    name: str
    detail: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a request is, and what is in its way."""

    stages: tuple[Stage, ...] = ()
    done: bool = False
    failed: bool = False
    """It cannot get done any more; waiting is of no use."""
    reason: str = ""
    message: str = ""
    next_step: str = ""


def progress(view: KeyView, action: Action, request_id: str) -> Progress:
    """How far the workload is with the request."""
    stages = tuple(_STAGES[action](view, request_id))
    if _DONE[action](view, request_id):
        return Progress(stages, done=True)
    track = view.on_track
    if track is None or (track.known is not None and track.known.severity is Severity.GOOD):
        return Progress(stages)
    known = track.known
    ready = view.workload.condition(ConditionType.KEY_READY)
    return Progress(
        stages,
        failed=any(one is not None and one.reason in _HOPELESS for one in (track, ready)),
        reason=track.reason,
        message=track.message,
        next_step="" if known is None else known.next_step,
    )


def policy_progress(policy: PolicyView, keys: Iterable[KeyView], request_id: str) -> Progress:
    """How far the policy is with the request: done when each key that it rules is younger than the request.

    `keys` are those that it rules; one that is suspended, on its way out or not made yet takes no part.
    """
    asked = policy.requested_at
    if policy.request_id != request_id or asked is None:
        return Progress()
    taking_part = [key for key in keys if key.latest and not _rests(key)]
    left = [key for key in taking_part if key.under_way or not _rotated_since(key, asked)]
    done = f"{len(taking_part) - len(left)} of {len(taking_part)} keys rotated"
    stages = (Stage("Accepted"), Stage("Rotating" if left else "Rotated", done))
    if not left:
        return Progress(stages, done=True)
    bad = next((key for key in left if key.needs_attention), left[0])
    first = progress(bad, Action.ROTATE, request_id)
    where = f"{bad.workload.namespace}/{bad.workload.name}"
    why = f": {first.reason}, {first.message}" if first.reason else ""
    return Progress(
        stages, reason=ROTATION_PENDING.name, message=f"{done}; {where}{why}", next_step=first.next_step
    )


def _rests(key: KeyView) -> bool:
    return key.workload.deleting or key.workload.spec.get("suspend") is True


def _rotated_since(key: KeyView, asked: datetime) -> bool:
    """The plan counts as well, as it does for the operator: Vault's clock may be behind."""
    known = (key.latest_made, moment(string(key.rotation, "plannedAt")))
    return any(at is not None and at >= asked for at in known)


def _rotation_stages(view: KeyView, request_id: str) -> Iterator[Stage]:
    rotation = view.rotation
    if rotation.get("requestId") != request_id:
        return
    yield Stage("Planned", f"v{number(rotation, 'fromVersion')} \u2192 v{number(rotation, 'target')}")
    if rotation.get("rotatedAt"):
        yield Stage("Rotated", f"v{number(rotation, 'target')} is there")
    if rotation.get("rewrappedAt"):
        yield Stage("Rewrapped", f"data keys: {number(rotation, 'itemsRewrapped')}")
    if not view.under_way:
        retires = string(rotation, "retireAt")
        yield Stage(view.phase, f"old versions retire from {retires}" if retires else "")


def _emergency_stages(view: KeyView, request_id: str) -> Iterator[Stage]:
    if view.emergency.get("requestId") != request_id:
        return
    for one in view.emergency.get("steps") or ():
        skipped = string(one, "skipped")
        took = f"{number(one, 'milliseconds')} ms"
        yield Stage(string(one, "step"), f"skipped: {skipped}" if skipped else f"took {took}")


def _data_key_stages(view: KeyView, request_id: str) -> Iterator[Stage]:
    rotation = view.data_key_rotation
    if rotation.get("requestId") != request_id:
        return
    yield Stage("Made", f"at {string(rotation, 'madeAt')}")
    if rotation.get("restartedAt"):
        restarted = ", ".join(rotation.get("restarted") or ()) or "nothing runs its pods"
        left = ", ".join(rotation.get("left") or ())
        yield Stage("Restarted", restarted + (f"; restart yourself: {left}" if left else ""))


def _once(field: str, name: str) -> Callable[[KeyView, str], Iterator[Stage]]:
    """The one stage of a request that is over as soon as the operator has seen it."""

    def stages(view: KeyView, request_id: str) -> Iterator[Stage]:
        if view.rotation.get(field) == request_id:
            yield Stage(name)

    return stages


_STAGES: Mapping[Action, Callable[[KeyView, str], Iterator[Stage]]] = MappingProxyType(
    {
        Action.ROTATE: _rotation_stages,
        Action.EMERGENCY: _emergency_stages,
        Action.DATA_KEYS: _data_key_stages,
        Action.RETRY_RETIREMENT: _once("retirementRequest", "Accepted"),
        Action.DECRYPT_FAILURE: _once("decryptFailure", "Accepted"),
    }
)
_DONE: Mapping[Action, Callable[[KeyView, str], bool]] = MappingProxyType(
    {
        Action.ROTATE: lambda view, asked: view.rotation.get("requestId") == asked and not view.under_way,
        Action.EMERGENCY: lambda view, asked: (
            view.emergency.get("requestId") == asked and bool(view.emergency.get("finishedAt"))
        ),
        Action.DATA_KEYS: lambda view, asked: (
            view.data_key_rotation.get("requestId") == asked
            and bool(view.data_key_rotation.get("restartedAt"))
        ),
        Action.RETRY_RETIREMENT: lambda view, asked: view.rotation.get("retirementRequest") == asked,
        Action.DECRYPT_FAILURE: lambda view, asked: view.rotation.get("decryptFailure") == asked,
    }
)
