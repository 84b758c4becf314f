"""The rotation half of a pass: ask what comes next, do it, write it down, until there is only to wait.

Decisions are `core.rotation`'s. A key that a decision is based on is read just before anything is done about it, and what
follows cannot be taken back is on the API server first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from secureai_operator import errors
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType, condition
from secureai_operator.api.reasons import Reason
from secureai_operator.api.rotation_status import RotationStatus, Trigger
from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload_status import DataKeyStatus
from secureai_operator.controllers.places import Places
from secureai_operator.controllers.policies import Policies
from secureai_operator.controllers.rotation_turn import Save, Turn, carry_out
from secureai_operator.controllers.rulings import Rulings
from secureai_operator.controllers.vault_side import VaultSide, vault_verdict
from secureai_operator.core.facts import Workload
from secureai_operator.core.rotation.members import member
from secureai_operator.core.rotation.next_step import next_step
from secureai_operator.core.rotation.record import recorded, shown
from secureai_operator.core.rotation.ruling import answer, ruled
from secureai_operator.core.rotation.schedule import Due, spread
from secureai_operator.core.rotation.situation import UNDER_WAY, Request, Situation, last_rotation, moment
from secureai_operator.core.rotation.steps import (
    Blocked,
    Conclude,
    Finish,
    Nothing,
    Observe,
    Plan,
    RaiseMinimum,
    Rewrap,
    RollBackMinimum,
    Rotate,
    Step,
    Trim,
)
from secureai_operator.core.rotation.verdict import Ruled, rotation_verdict
from secureai_operator.core.verdict import Verdict, bad
from secureai_operator.telemetry.rotation_metrics import RotationMetrics

log = logging.getLogger(__name__)

TURNS = 200
"""Steps after which a pass gives way to others: more than the longest rotation has, and a bound on a mistake of ours."""
BATCH = 500
"""Data keys in one rewrap: a request of 50 KB, which Vault answers in some milliseconds."""
TOLD_AFTER = timedelta(seconds=10)
"""How long a due rotation may wait for its place before its status says so: of a thousand that are due at once most are done."""
SOON_SECONDS = 0.05
"""Until a step is tried again that the world was not ready for: the Secret follows the status, say."""

Tell = Callable[[Workload, Reason, str], None]


@dataclass(slots=True)
class RotationFound:
    """How rotation stands after a pass."""

    rotation: RotationStatus
    data_keys: tuple[DataKeyStatus, ...]
    key: KeyState
    verdict: Verdict
    step: Step
    wait: float | None = None
    """Seconds until there is more to do; None to wait for a change."""
    failure: errors.OperatorError | None = None
    rotated_at: float = 0.0
    """When the key had its new version, in monotonic seconds; 0 if that was not in this pass."""
    has_proof: bool = True
    """False if nothing could ever prove that an old version is out of use."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A rotation is due and has no place; `wait` in seconds, None to be woken."""

    wait: float | None


@dataclass(slots=True)
class Rotations:
    """Carries the rotations of all workloads out, each within its own passes."""

    policies: Policies
    places: Places
    rulings: Rulings
    now: Callable[[], datetime]
    tell: Tell
    metrics: RotationMetrics
    may_trim: Callable[[str], bool]
    """Whether versions may be destroyed on the connection of that name."""

    async def advance(  # noqa: PLR0917 - the pass's own context
        self,
        side: VaultSide,
        key: KeyState,
        data_keys: tuple[DataKeyStatus, ...],
        copies: tuple[int | None, ...],
        save: Save,
        emergency: str = "",
    ) -> RotationFound:
        """Do all that can be done now; what Vault refuses or does not answer is in the result, with all that was done before."""
        turn = self._turn(side, key, data_keys, copies, save, emergency)
        failure: errors.OperatorError | None = None
        step: Step = Nothing()
        pending: _Pending | None = None
        try:
            step, pending = await self._run(turn)
        except errors.VaultRefused as error:
            failure = error
            step = Blocked(bad(reasons.ROTATION_REFUSED, "Vault refuses a step of the rotation"))
        except errors.OperatorError as error:
            failure = error
            step = Blocked(vault_verdict(error))
        return self._found(turn, step, pending, failure)

    def skip(self, workload: Workload) -> None:
        """The workload is suspended or on its way out: it takes part in nothing."""
        self.places.forget(workload.key)
        self.rulings.put(workload.key, None)

    def forget(self, key: tuple[str, str]) -> None:
        self.places.forget(key)
        self.rulings.put(key, None)

    def _turn(  # noqa: PLR0917 - the pass's own context
        self,
        side: VaultSide,
        key: KeyState,
        data_keys: tuple[DataKeyStatus, ...],
        copies: tuple[int | None, ...],
        save: Save,
        emergency: str,
    ) -> Turn:
        workload = side.workload
        ruling = self.policies.ruling(workload.namespace, workload.name, workload.labels)
        stored = None if ruling.policy is None else self.policies.get(ruling.policy.key)
        rotation = ruled(
            workload.status.rotation or RotationStatus(),
            ruling.policy,
            "" if stored is None else stored.digest,
            self.now(),
        )
        return Turn(side, copies, save, self.now, ruling, stored, emergency, rotation, data_keys, key)

    async def _run(self, turn: Turn) -> tuple[Step, _Pending | None]:
        """The step that can only be waited for, and the wait for a place, if one is due and has none."""
        for _ in range(TURNS):
            situation = self._situation(turn)
            step = next_step(situation)
            if isinstance(step, Nothing | Observe | Blocked):
                return step, None
            if not turn.fresh:
                # What is known of the key may be minutes old: nothing is done about it on that ground.
                await turn.read()
                continue
            if isinstance(step, Plan) and (wait := self._place(turn, step)) != 0.0:
                return Nothing(), _Pending(wait)
            if not await carry_out(turn, step):
                return Observe(self.now()), None
            self._write_down(turn, step)
            if step.intent:
                await turn.save(turn.intent)
        return Observe(self.now()), None

    def _situation(self, turn: Turn) -> Situation:
        workload, now = turn.workload, self.now()
        status = workload.status.model_copy(update={"rotation": turn.rotation, "data_keys": turn.data_keys})
        turn.ruled = self._ruled(turn, status, now)
        requests, rotation = workload.requests, turn.rotation
        return Situation(
            workload=status,
            key=turn.key,
            held=turn.held(),
            now=now,
            custody=workload.spec.keys.custody,
            retire=None if turn.stored is None else turn.stored.policy.spec.retire,
            due=None if turn.ruled.rests else turn.ruled.answer,
            request=_request(workload, turn.emergency, rotation),
            decrypts_fail=requests.decrypt_failed not in ("", rotation.decrypt_failure),
            retry_retirement=requests.retry_retirement not in ("", rotation.retirement_request),
            may_trim=self.may_trim(workload.spec.vault.connection),
            batch=BATCH,
        )

    def _ruled(self, turn: Turn, status: Any, now: datetime) -> Ruled:
        stored = turn.stored
        if stored is None or stored.table is None:
            return Ruled(turn.ruling.policy)
        spec = stored.policy.spec
        said = answer(
            stored.table,
            turn.rotation,
            rotated=last_rotation(status, turn.key) or now,
            requested_at=stored.requested_at,
            spread=spread(turn.workload.uid),
            now=now,
        )
        rests = "is suspended" if spec.suspend else "is on dry run" if spec.dry_run else ""
        return Ruled(stored.policy, said, rests)

    def _place(self, turn: Turn, step: Plan) -> float | None:
        """0 if the rotation may start; an emergency, and a workload that nobody rules, wait for nobody."""
        if turn.stored is None or step.trigger is Trigger.EMERGENCY:
            return 0.0
        return self.places.take(turn.stored.key, turn.workload.key, turn.stored.policy.spec.limits)

    def _write_down(self, turn: Turn, step: Step) -> None:
        before = turn.rotation
        after = recorded(before, step, self.now())
        turn.rotation = after.model_copy(update=_answered(turn.workload, before, after))
        self._tell_step(turn, step, before)

    def _tell_step(self, turn: Turn, step: Step, before: RotationStatus) -> None:
        """Events and metrics of what the step did."""
        workload = turn.workload
        match step:
            case Rotate():
                self.metrics.phase("Rotated", time.monotonic() - turn.started)
            case Finish():
                self._finished(turn, turn.rotation)
            case Rewrap(names=wanted):
                self.metrics.rewrapped(len(wanted))
            case Trim(to=to):
                what = f"versions below {to} of {turn.side.desired.name}"
                self.tell(workload, reasons.VERSIONS_DESTROYED, what)
            case RaiseMinimum(to=to):
                self.tell(workload, reasons.VERSIONS_RETIRED, f"versions below {to} decrypt no more")
            case Conclude() if before.raising and before.rewrapped_at is not None:
                self.metrics.phase("Retired", (self.now() - moment(before.rewrapped_at)).total_seconds())
            case RollBackMinimum(to=to, hold=True):
                self.metrics.rolled_back()
                what = f"a decrypt failed; versions from {to} on decrypt again"
                self.tell(workload, reasons.RETIREMENT_ROLLED_BACK, what)
            case _:
                pass

    def _finished(self, turn: Turn, rotation: RotationStatus) -> None:
        entry = rotation.history[-1]
        self.metrics.rotated(entry.trigger.value, entry.result)
        self.metrics.phase("Rewrapped", time.monotonic() - turn.started)
        self.tell(
            turn.workload,
            reasons.KEY_ROTATED,
            f"version {entry.from_version} to {entry.to_version} ({entry.trigger.value}), "
            f"{entry.items_rewrapped} data keys rewrapped",
        )

    def _found(
        self, turn: Turn, step: Step, pending: _Pending | None, failure: errors.OperatorError | None
    ) -> RotationFound:
        workload = turn.workload
        if (
            turn.rewrapped
            and isinstance(step, Blocked)
            and step.verdict.reason is reasons.RETIREMENT_UNPROVEN
        ):
            # The Secret follows in this very pass, and then there may be the proof.
            step = Observe(self.now())
        self._settle_place(turn, step, pending, failure)
        next_time = None if turn.ruled.rests else getattr(turn.ruled.answer, "next_time", None)
        # One that is due and waits has its time in the past: that is how anybody sees that it is late.
        due = None if turn.ruled.rests else getattr(turn.ruled.answer, "scheduled", None)
        rotation = shown(_heard(turn.rotation, workload), step, turn.held(), next_time or due)
        self._count_refusal(turn, rotation)
        self.rulings.put(
            workload.key,
            member(
                workload.key,
                [one.key for one in turn.ruling.masked],
                turn.ruled,
                rotation,
                step,
                turn.key.latest_version,
                pending=pending is not None,
            ),
        )
        verdict = rotation_verdict(turn.ruled, rotation, step)
        if pending is not None and self._is_news_of_nobody(turn):
            rotation = turn.workload.status.rotation or rotation
            verdict = _last_verdict(workload) or verdict
        return RotationFound(
            rotation=rotation,
            data_keys=turn.data_keys,
            key=turn.key,
            verdict=verdict,
            step=step,
            wait=self._wait(step, next_time)
            if pending is None
            else pending.wait or TOLD_AFTER.total_seconds(),
            failure=failure,
            rotated_at=turn.rotated_at,
            has_proof=bool(turn.data_keys),
        )

    def _is_news_of_nobody(self, turn: Turn) -> bool:
        """Whether a rotation only just began to wait, and by a schedule that status knows already."""
        answer, before = turn.ruled.answer, turn.workload.status.rotation
        known = before is not None and (before.policy, before.schedule) == (
            turn.rotation.policy,
            turn.rotation.schedule,
        )
        return known and isinstance(answer, Due) and self.now() < answer.scheduled + TOLD_AFTER

    def _count_refusal(self, turn: Turn, rotation: RotationStatus) -> None:
        """Once for each rotation that Vault refuses, however often it is tried again."""
        before = turn.workload.status.rotation
        refused = reasons.ROTATION_REFUSED.name
        if rotation.blocked_reason == refused and (before is None or before.blocked_reason != refused):
            self.metrics.rotated((rotation.trigger or Trigger.SCHEDULED).value, refused)

    def _settle_place(
        self, turn: Turn, step: Step, pending: _Pending | None, failure: errors.OperatorError | None
    ) -> None:
        """Who rotates holds a place; who waits for somebody, or failed, gives it up, so that others may go on."""
        under_way = turn.rotation.phase in UNDER_WAY
        if under_way and not isinstance(step, Blocked) and failure is None:
            if turn.stored is not None:
                self.places.resume(turn.stored.key, turn.workload.key)
        elif pending is None:
            self.places.release(turn.workload.key)

    def _wait(self, step: Step, next_time: datetime | None) -> float | None:
        instants = [at for at in (getattr(step, "until", None), next_time) if at is not None]
        if not instants:
            return None
        return max(SOON_SECONDS, (min(instants) - self.now()).total_seconds())


def _last_verdict(workload: Workload) -> Verdict | None:
    before = condition(workload.status.conditions, ConditionType.ROTATION_ON_TRACK)
    if before is None or before.reason not in reasons.REASONS:
        return None
    return Verdict(before.status, reasons.REASONS[before.reason], before.message)


def _answered(workload: Workload, before: RotationStatus, after: RotationStatus) -> dict[str, object]:
    """Which report or wish the step was the answer to: each counts once."""
    requests = workload.requests
    if after.retirement_held and not before.retirement_held:
        return {"decrypt_failure": requests.decrypt_failed}
    if before.retirement_held and not after.retirement_held:
        return {"retirement_request": requests.retry_retirement}
    return {}


def _heard(rotation: RotationStatus, workload: Workload) -> RotationStatus:
    """Reports and wishes that find nothing to be done about are done with: they do not stand until there is something."""
    changes = {}
    if not rotation.raising:
        changes["decrypt_failure"] = workload.requests.decrypt_failed or rotation.decrypt_failure
    if not rotation.retirement_held:
        changes["retirement_request"] = workload.requests.retry_retirement or rotation.retirement_request
    return rotation.model_copy(update=changes) if changes else rotation


def _request(workload: Workload, emergency: str, rotation: RotationStatus) -> Request | None:
    """What is asked for by annotation; an emergency goes first, whatever else stands."""
    asked = (
        Request(Trigger.EMERGENCY, emergency),
        Request(Trigger.MANUAL, workload.requests.rotate),
    )
    return next((one for one in asked if one.request_id and not one.is_handled(rotation)), None)
