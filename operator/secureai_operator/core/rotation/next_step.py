"""What next: a pure choice of one step, by an ordered chain of checks. The order is the documentation.

First what must not be made worse, then what is under way, then what is new, then what is old. A rotate that may have
happened is never repeated: the target was written down, and the latest version tells.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from secureai_operator.api import reasons
from secureai_operator.api.model import seconds
from secureai_operator.api.rotation_status import RotationPhase, Trigger
from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload import Custody
from secureai_operator.core.rotation.archive import versions_max
from secureai_operator.core.rotation.retirement import next_retirement, retirement_waits
from secureai_operator.core.rotation.schedule import Due
from secureai_operator.core.rotation.situation import Situation, made_at, moment, passed
from secureai_operator.core.rotation.steps import (
    Adopt,
    Blocked,
    Confirm,
    Finish,
    Nothing,
    Observe,
    Plan,
    Rewrap,
    RollBackMinimum,
    Rotate,
    Step,
)
from secureai_operator.core.verdict import bad, unknown


def next_step(situation: Situation) -> Step:
    """The one step to take now. After its effect, and its record, ask again."""
    if situation.key is None:
        return _without_key(situation)
    for check in CHECKS:
        step = check(situation, situation.key)
        if step is not None:
            return step
    return _wait(situation, situation.key)


def _without_key(situation: Situation) -> Step:
    before = situation.workload.key
    existed = bool(before and before.created_at) or situation.workload.rotation is not None
    if existed or situation.workload.data_keys:
        return Blocked(
            bad(reasons.KEY_LOST, "the key existed and is gone from Vault; restore it", terminal=True)
        )
    return Nothing()


def _went_back(situation: Situation, key: KeyState) -> Step | None:
    """Versions that existed are gone: Vault was restored from a backup, or this is another key."""
    before = situation.workload.key
    known = max(situation.accounted, before.latest_version if before else 0)
    if key.latest_version >= known:
        return None
    message = f"version {known} existed, and the latest is {key.latest_version}; restore Vault's newer backup"
    return Blocked(bad(reasons.KEY_REPLACED, message, terminal=True))


def _ahead(situation: Situation, key: KeyState) -> Step | None:
    """A data key of a version that is not there yet: making that version would give it the name of another one."""
    newest = situation.held.newest
    if newest <= key.latest_version:
        return None
    message = (
        f"version {newest} wraps a data key, and the latest of the key is {key.latest_version}; restore Vault's newer backup, "
        "or the Secret from its own"
    )
    return Blocked(bad(reasons.DATA_KEY_LOST, message))


def _destroyed(situation: Situation, key: KeyState) -> Step | None:
    oldest = situation.held.oldest
    if oldest is None or oldest >= key.min_available_version:
        return None
    message = (
        f"version {oldest} wraps a data key and is destroyed: versions start at {key.min_available_version}"
    )
    return Blocked(bad(reasons.KEY_VERSION_DESTROYED, message, terminal=True))


def _missed_by_somebody(situation: Situation, key: KeyState) -> Step | None:
    """Raising the minimum can be undone, and is, as soon as a version turns out to be needed."""
    rotation, oldest = situation.rotation, situation.held.oldest
    if situation.decrypts_fail and rotation.raising:
        return RollBackMinimum(max(rotation.minimum_before, key.min_available_version, 1), hold=True)
    if oldest is not None and oldest < key.min_decryption_version:
        return RollBackMinimum(oldest, hold=False)
    return None


def _planned(situation: Situation, key: KeyState) -> Step | None:
    rotation, now = situation.rotation, situation.now
    if rotation.phase is not RotationPhase.PLANNED:
        return None
    if key.latest_version >= rotation.target:
        return Confirm(rotation.target, made_at(key, rotation.target, now))
    if _is_brought(key, situation):
        return None
    if rotation.doubt_until is not None and not passed(rotation.doubt_until, now):
        return Observe(moment(rotation.doubt_until))
    return Rotate(key.latest_version, rotation.target)


def _is_brought(key: KeyState, situation: Situation) -> bool:
    """Whether every version is the customer's to bring: Vault answers a rotate of an imported key with an error of its own."""
    return situation.custody is Custody.CUSTOMER_MANAGED or key.imported


def _made_by_others(situation: Situation, key: KeyState) -> Step | None:
    latest = key.latest_version
    if situation.under_way or latest <= situation.accounted:
        return None
    return Adopt(situation.accounted, latest, made_at(key, latest, situation.now))


def _behind(situation: Situation, key: KeyState) -> Step | None:
    names = situation.held.older_than(key.latest_version)
    if not names:
        return None
    return Rewrap(names[: situation.batch], key.latest_version, last=len(names) <= situation.batch)


def _over(situation: Situation, key: KeyState) -> Step | None:
    """Nothing is behind any more: had it been, `_behind` would have said so."""
    del key
    rotation = situation.rotation
    if rotation.phase not in {RotationPhase.ROTATED, RotationPhase.REWRAPPED}:
        return None
    emergency = rotation.trigger is Trigger.EMERGENCY
    return Finish(rotation.target, _retire_at(situation, emergency=emergency), emergency)


def _retire_at(situation: Situation, *, emergency: bool) -> datetime | None:
    if emergency:
        return situation.now
    if situation.retire is None:
        return None
    return situation.now + timedelta(seconds=seconds(situation.retire.after))


def _asked_for(situation: Situation, key: KeyState) -> Step | None:
    if situation.under_way:
        return None
    latest, request, answer = key.latest_version, situation.request, situation.due
    if request is not None and request.request_id and not request.is_handled(situation.rotation):
        plan = Plan(latest, latest + 1, request.trigger, request.request_id)
    elif isinstance(answer, Due):
        plan = Plan(latest, latest + 1, answer.trigger, scheduled=answer.scheduled)
    else:
        return None
    return _archive_is_full(key, situation) or plan


def _archive_is_full(key: KeyState, situation: Situation) -> Step | None:
    """Vault would refuse the version after it was planned, or could store the key no more."""
    versions = key.latest_version - max(key.min_available_version, 1) + 1
    limit = versions_max(key.type)
    if versions < limit or _is_brought(key, situation):
        return None
    message = f"the key has {versions} versions, and Vault can store about {limit} of this type; have old ones trimmed"
    return Blocked(bad(reasons.KEY_ARCHIVE_FULL, message), situation.next_time)


def _old(situation: Situation, key: KeyState) -> Step | None:
    step = next_retirement(situation, key)
    # Key material that is waited for is the greater news.
    return None if situation.under_way and isinstance(step, Blocked) else step


Check = Callable[[Situation, KeyState], Step | None]

CHECKS: tuple[Check, ...] = (
    _went_back,
    _ahead,
    _destroyed,
    _missed_by_somebody,
    _planned,
    _made_by_others,
    _behind,
    _over,
    _asked_for,
    _old,
)


def _wait(situation: Situation, key: KeyState) -> Step:
    next_time, rotation = situation.next_time, situation.rotation
    if rotation.phase is RotationPhase.PLANNED:
        message = (
            f"import version {rotation.target} of the key; version {key.latest_version} is used until then"
        )
        return Blocked(unknown(reasons.AWAITING_KEY_MATERIAL, message), next_time)
    waits = retirement_waits(rotation)
    if not waits:
        return Nothing(next_time)
    return Observe(min((*waits, next_time) if next_time else waits))
