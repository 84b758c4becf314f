"""What a request of `secureai rotate` would do, from status alone. Pure: nothing is asked and nothing changed.

The operator decides by what Vault says at that time; this is what it would do if nothing else happened meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from secureai_operator import names
from secureai_operator.api.condition_types import ConditionType
from secureai_operator.api.reasons import (
    IMMUTABLE_FIELD_DRIFT,
    KEY_ARCHIVE_FULL,
    KEY_LOST,
    KEY_REPLACED,
    KEY_VERSION_DESTROYED,
)
from secureai_operator.cli.key_views import KeyView, number
from secureai_operator.cli.output import string
from secureai_operator.cli.policies import PolicyView


class Action(StrEnum):
    """What can be asked for."""

    ROTATE = "rotation"
    EMERGENCY = "emergency rotation"
    DATA_KEYS = "data key rotation"
    RETRY_RETIREMENT = "retirement"
    DECRYPT_FAILURE = "decrypt failure"


ANNOTATIONS: Mapping[Action, str] = MappingProxyType(
    {
        Action.ROTATE: names.ROTATE_ANNOTATION,
        Action.EMERGENCY: names.EMERGENCY_ANNOTATION,
        Action.DATA_KEYS: names.ROTATE_DATA_KEYS_ANNOTATION,
        Action.RETRY_RETIREMENT: names.RETRY_RETIREMENT_ANNOTATION,
        Action.DECRYPT_FAILURE: names.DECRYPT_FAILED_ANNOTATION,
    }
)
DATA_KEYS_MAX = 96
"""So many data keys have room in status, earlier ones included."""
_FATAL = frozenset(
    reason.name for reason in (KEY_LOST, KEY_REPLACED, KEY_VERSION_DESTROYED, IMMUTABLE_FIELD_DRIFT)
)


@dataclass(frozen=True)
class PlannedStep:
    """One step in order: what it does here, or why there is nothing to do."""

    step: str
    what: str
    skipped: bool = False


@dataclass(frozen=True)
class RotationPlan:
    """What would happen to one workload; nothing if it is `refused`."""

    namespace: str
    name: str
    refused: str = ""
    from_version: int = 0
    to_version: int = 0
    rewrapped: int = 0
    """Data keys that are moved to the new version."""
    retire_at: datetime | None = None
    """When versions retire because of it."""
    steps: tuple[PlannedStep, ...] = ()
    notes: tuple[str, ...] = ()


def rotation_plan(
    view: KeyView, action: Action, policy: PolicyView | None, request_id: str, now: datetime
) -> RotationPlan:
    """What the request would do to the workload; `policy` is the one that rules it, if it could be read."""
    workload = view.workload
    why = refusal(view, action, request_id)
    if why:
        return RotationPlan(workload.namespace, workload.name, refused=why)
    rotates = action in (Action.ROTATE, Action.EMERGENCY)
    return RotationPlan(
        workload.namespace,
        workload.name,
        from_version=view.latest,
        to_version=_target(view) if rotates else view.latest,
        rewrapped=len(view.data_keys) if rotates else 0,
        retire_at=_retire_at(view, action, policy, now),
        steps=tuple(_STEPS[action](view, policy, now)),
        notes=tuple(_notes(view, action)),
    )


def refusal(view: KeyView, action: Action, request_id: str) -> str:
    """Why the request cannot work now; "" if it can. Only this keeps a request from being made."""
    return next((why for why in _refusals(view, action, request_id) if why), "")


def policy_refusal(policy: PolicyView) -> str:
    """Why a request to the policy cannot work now; "" if it can."""
    if policy.raw["metadata"].get("deletionTimestamp"):
        return "it is being deleted"
    return f"{policy.rests} is true: it starts no rotations; set it to false first" if policy.rests else ""


def _refusals(view: KeyView, action: Action, request_id: str) -> Iterator[str]:
    workload = view.workload
    if workload.deleting:
        yield "it is being deleted"
    if workload.spec.get("suspend") is True:
        yield "it is suspended: set spec.suspend to false first"
    for kind in (ConditionType.KEY_READY, ConditionType.ROTATION_ON_TRACK):
        found = workload.condition(kind)
        if found is not None and not found.holds and found.reason in _FATAL:
            yield f"{found.reason}: {found.message}"
    if not view.latest:
        yield "it has no key yet"
    emergency = string(view.emergency, "requestId")
    if view.emergency_under_way and emergency != request_id:
        yield f"the emergency rotation {emergency!r} is under way"
    yield _REFUSALS[action](view, request_id)


def _rotate_refusal(view: KeyView, request_id: str) -> str:
    if view.under_way and string(view.rotation, "requestId") != request_id:
        target = number(view.rotation, "target")
        return f"a rotation to version {target} is under way ({view.phase}): ask again when it is over"
    if view.on_track is not None and view.on_track.reason == KEY_ARCHIVE_FULL.name:
        return f"{view.on_track.reason}: {view.on_track.message}"
    return ""


def _data_keys_refusal(view: KeyView, request_id: str) -> str:
    before = view.data_key_rotation
    if before and not before.get("restartedAt") and before.get("requestId") != request_id:
        return f"the data key rotation {string(before, 'requestId')!r} is under way"
    current = sum(one.current for one in view.data_keys)
    if not current:
        return "it has no data keys"
    total = len(view.data_keys) + current
    if total > DATA_KEYS_MAX:
        return f"it would have {total} data keys, earlier ones included, and at most {DATA_KEYS_MAX} are kept"
    return ""


def _retry_refusal(view: KeyView, request_id: str) -> str:
    del request_id
    return "" if view.rotation.get("retirementHeld") else "no retirement is held: there is nothing to retry"


_REFUSALS: Mapping[Action, Callable[[KeyView, str], str]] = MappingProxyType(
    {
        Action.ROTATE: _rotate_refusal,
        # An emergency does not wait for a rotation that is under way, and a report costs nothing.
        Action.EMERGENCY: lambda _view, _request_id: "",
        Action.DATA_KEYS: _data_keys_refusal,
        Action.RETRY_RETIREMENT: _retry_refusal,
        Action.DECRYPT_FAILURE: lambda _view, _request_id: "",
    }
)


def _rotate_steps(view: KeyView, policy: PolicyView | None, now: datetime) -> Iterator[PlannedStep]:
    yield PlannedStep("Planned", f"version {view.latest + 1} is written down as the target")
    yield PlannedStep("Rotated", _made(view))
    yield _rewrapped(view, "Rewrapped")
    yield _retired(view, policy, now)


def _target(view: KeyView) -> int:
    """The version that is made; one that is planned already comes before it."""
    planned = number(view.rotation, "target") if view.phase == "Planned" else 0
    return max(view.latest, planned) + 1


def _made(view: KeyView) -> str:
    target = _target(view)
    if view.custody == "customer-managed":
        return f"waits for key material: version {target} is the customer's to import"
    return f"Vault makes version {target}; new data is encrypted with it"


def _rewrapped(view: KeyView, step: str) -> PlannedStep:
    count = len(view.data_keys)
    if not count:
        return PlannedStep(step, "there is no data key", skipped=True)
    return PlannedStep(step, f"{_count(count, 'data key')} to version {_target(view)}, without a restart")


def _retired(view: KeyView, policy: PolicyView | None, now: datetime) -> PlannedStep:
    why = _stays(view, policy)
    if why or policy is None:
        return PlannedStep("Retired", why, skipped=True)
    minimum = view.latest + 2 - policy.keep
    at = now + timedelta(seconds=policy.retire_after)
    kept = "" if policy.keep == 1 else f"; the latest {policy.keep} stay (retire.keepVersions)"
    below = f"versions below {minimum} decrypt no more from {at:%Y-%m-%d %H:%M} UTC"
    return PlannedStep("Retired", below + kept)


def _stays(view: KeyView, policy: PolicyView | None) -> str:
    """Why no version retires because of a rotation; "" if one does."""
    if policy is None:
        rules = f"{view.policy} says, which could not be read" if view.policy else ""
        return f"as {rules}" if rules else "no KeyRotationPolicy rules it: old versions still decrypt"
    if view.latest + 2 - policy.keep <= view.minimum:
        return f"the latest {policy.keep} versions stay (retire.keepVersions): {view.latest} still decrypts"
    if not view.data_keys:
        return "no data key proves that an old version is out of use: all still decrypt"
    return ""


def _retire_at(view: KeyView, action: Action, policy: PolicyView | None, now: datetime) -> datetime | None:
    if action is not Action.ROTATE or policy is None or _stays(view, policy):
        return None
    return now + timedelta(seconds=policy.retire_after)


def _emergency_steps(view: KeyView, policy: PolicyView | None, now: datetime) -> Iterator[PlannedStep]:
    """The steps of api.rotation_status.EmergencyStep, in their order."""
    del policy, now
    spec, pods = view.workload.spec, view.workload.status.get("pods") or {}
    target, running = _target(view), number(pods, "bound") + number(pods, "unbound")
    yield PlannedStep(
        "AccessWithdrawn", "its identity in Vault is disabled and its policy denies: nothing decrypts for it"
    )
    yield PlannedStep("KeyRotated", _made(view))
    yield _rewrapped(view, "DataKeysRewrapped")
    if view.data_keys:
        yield PlannedStep("MinimumRaised", f"versions below {target} decrypt no more, without a grace period")
    else:
        unproven = "no data key proves that the old versions are out of use: they still decrypt"
        yield PlannedStep("MinimumRaised", unproven, skipped=True)
    if string(spec, "certificate", "delivery") == "None":
        yield PlannedStep("CertificateReissued", "no certificate is asked for", skipped=True)
    else:
        yield PlannedStep("CertificateReissued", "a new certificate replaces the one it has")
    if string(spec, "enforcement") == "Audit":
        for step in ("IdentityReplaced", "PodsRestarted"):
            yield PlannedStep(step, "under enforcement Audit nothing that runs is touched", skipped=True)
        yield PlannedStep("AccessRestored", "its identity in Vault is enabled again")
        return
    yield PlannedStep(
        "IdentityReplaced",
        "another ServiceAccount takes the name: tokens of the old one, of Kubernetes and of Vault, are dead for good",
    )
    if running:
        yield PlannedStep("PodsRestarted", f"what runs its {_count(running, 'pod')} is told to restart")
    else:
        yield PlannedStep("PodsRestarted", "it has no pods", skipped=True)
    yield PlannedStep("AccessRestored", "its policy gives again what it gave")


def _data_key_steps(view: KeyView, policy: PolicyView | None, now: datetime) -> Iterator[PlannedStep]:
    del policy, now
    current = [one for one in view.data_keys if one.current]
    kept = ", ".join(f"{one.name}.{one.generation}" for one in current)
    made = f"{_count(len(current), 'new data key')} ({', '.join(one.name for one in current)})"
    yield PlannedStep("Made", f"{made}; the earlier ones stay as {kept}")
    yield PlannedStep("Restarted", "what runs its pods is told to restart, to read the new ones")


def _retry_steps(view: KeyView, policy: PolicyView | None, now: datetime) -> Iterator[PlannedStep]:
    del view, policy, now
    yield PlannedStep("Released", "versions that are due retire again, each with proof and on trial")


def _report_steps(view: KeyView, policy: PolicyView | None, now: datetime) -> Iterator[PlannedStep]:
    del policy, now
    before, tried = number(view.rotation, "minimumBefore"), number(view.rotation, "raising")
    if tried:
        back = f"versions from {max(before, 1)} decrypt again, and none retires until --retry-retirement"
        yield PlannedStep("RolledBack", back)
    else:
        yield PlannedStep("RolledBack", "no version is retiring on trial: the report changes nothing", True)


_STEPS: Mapping[Action, Callable[[KeyView, PolicyView | None, datetime], Iterator[PlannedStep]]] = (
    MappingProxyType(
        {
            Action.ROTATE: _rotate_steps,
            Action.EMERGENCY: _emergency_steps,
            Action.DATA_KEYS: _data_key_steps,
            Action.RETRY_RETIREMENT: _retry_steps,
            Action.DECRYPT_FAILURE: _report_steps,
        }
    )
)


def _notes(view: KeyView, action: Action) -> Iterator[str]:
    """What does not keep it from working, but from working at once, or is easily overlooked."""
    if action is Action.EMERGENCY and view.custody == "customer-managed":
        target = _target(view)
        yield f"access stays withdrawn until the customer has imported version {target}: have it ready"
    if action is not Action.ROTATE and view.under_way:
        yield f"a rotation to version {number(view.rotation, 'target')} is under way ({view.phase}), and comes first"
    vault = view.workload.condition(ConditionType.VAULT_REACHABLE)
    if vault is not None and not vault.holds:
        yield f"Vault does not answer now ({vault.reason}): it waits until it does"
    if not view.workload.seen:
        yield "the operator has not yet looked at the spec as it is now"


def _count(number_of: int, what: str) -> str:
    return f"{number_of} {what}{'' if number_of == 1 else 's'}"
