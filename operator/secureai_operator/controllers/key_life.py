"""The life of a workload's key within its passes: rotation, new data keys, emergencies, and restarting what reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from secureai_operator import errors, names
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType, rfc3339
from secureai_operator.api.reasons import Reason
from secureai_operator.api.rotation_status import DataKeyRotationStatus, EmergencyStatus, EmergencyStep
from secureai_operator.api.workload import Enforcement
from secureai_operator.clients.kube import ScopedKube
from secureai_operator.controllers.assessment import Found
from secureai_operator.controllers.children import Children
from secureai_operator.controllers.emergency import Emergencies
from secureai_operator.controllers.kubernetes_side import kube_verdict
from secureai_operator.controllers.memory import Memory
from secureai_operator.controllers.rollouts import Restarted, restart_consumers
from secureai_operator.controllers.rotation import RotationFound, Rotations
from secureai_operator.controllers.rotation_turn import Save
from secureai_operator.controllers.vault_side import VaultOutcome, VaultSide, vault_verdict
from secureai_operator.core.desired.keys import encoded_context, key_version
from secureai_operator.core.facts import PodFacts, Workload
from secureai_operator.core.rotation.data_keys import current, room_verdict, with_new_generation
from secureai_operator.core.rotation.emergency import is_under_way, next_emergency_step, steps_over
from secureai_operator.core.rotation.situation import moment
from secureai_operator.core.rotation.steps import Blocked
from secureai_operator.core.verdict import Verdict, bad
from secureai_operator.telemetry.rotation_metrics import RotationMetrics

SOON_SECONDS = 0.02
"""Until the next step of what is under way."""
RESTART_SECONDS = 1.0
"""Until the next pod is evicted, or what could not be done is tried again."""
RESTART_DEADLINE = timedelta(minutes=2)
"""How long an emergency waits for pods that cannot be restarted, before it gives the others their access back."""
NAMED_MAX = 16
_SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class KeyLife:
    """What passes do about keys beyond having one; each part leaves what it found in `found`."""

    rotations: Rotations
    emergencies: Emergencies
    children: Children
    now: Callable[[], datetime]
    tell: Callable[[Workload, Reason, str], None]
    metrics: RotationMetrics

    async def begin(self, workload: Workload, memory: Memory, save: Save) -> EmergencyStatus | None:
        """The workload's emergency, if there is or was one; a new one is on the API server before anything is done."""
        return await self.emergencies.begin(workload, memory, save)

    async def after_vault(self, side: VaultSide, found: Found, save: Save) -> None:
        """Vault is as desired: turn the key, and make the data keys that are asked for."""
        # Whatever is wrong with the key: access is withdrawn first, and the key turns when nobody can use its old version.
        found.withdrawn = await self.emergencies.settle_identity(side, found.emergency)
        if found.emergency is not None and is_under_way(found.emergency):
            found.emergency = self.emergencies.withdrawn(side, found.emergency, found.withdrawn)
        outcome, observed, emergency = found.vault, side.memory.vault, found.emergency
        if outcome is None or observed is None or observed.key is None or not _turns(outcome):
            return
        rotation = await self.rotations.advance(
            side, observed.key, outcome.data_keys, self._copies(side.workload), save, _rotating(emergency)
        )
        outcome.data_keys = rotation.data_keys
        outcome.turned(side.workload, rotation.key)
        if (verdict := _of_the_key(rotation)) is not None:
            outcome.key = verdict
            side.on_security(side.workload, verdict.reason, verdict.message)
        found.rotation = rotation
        if rotation.failure is None:
            await self._make_data_keys(side, found, save)
        if emergency is not None and _replaces_certificate(emergency, found):
            found.renew_serial = emergency.certificate

    async def after_secrets(
        self, side: VaultSide, found: Found, pods: tuple[PodFacts, ...], kube: ScopedKube
    ) -> None:
        """The Secrets are as desired: have what reads them restarted, and take an emergency as far as it goes."""
        self._count_versions(side.workload, found)
        restarted = await self._restart_for_data_keys(side.workload, found, pods, kube)
        emergency = found.emergency
        if emergency is not None and is_under_way(emergency):
            found.emergency = await self._advance_emergency(side, found, emergency, pods, kube)
            restarted = restarted and not is_under_way(found.emergency)
        if not restarted:
            found.again = _sooner(
                found.again, SOON_SECONDS if found.emergency is not emergency else RESTART_SECONDS
            )

    def _count_versions(self, workload: Workload, found: Found) -> None:
        """The oldest version in use, now that the Secret may have followed."""
        if found.rotation is None:
            return
        held = [key_version(one.wrapped) for one in found.rotation.data_keys]
        known = [version for version in (*held, *self._copies(workload)) if version is not None]
        changes = {"oldest_version_in_use": min(known, default=0)}
        found.rotation.rotation = found.rotation.rotation.model_copy(update=changes)

    # Data keys

    async def _make_data_keys(self, side: VaultSide, found: Found, save: Save) -> None:
        """New data keys, recorded before the Secret shows them: one that only a pod knows of could never be found again."""
        workload, outcome = side.workload, found.vault
        asked, last = workload.requests.data_keys, workload.status.data_key_rotation
        if outcome is None or not asked or (last is not None and last.request_id == asked):
            return
        declared = workload.spec.keys.data_keys
        found.data_keys_refused = room_verdict(outcome.data_keys, declared)
        if found.data_keys_refused is not None:
            return
        there = {one.name for one in current(outcome.data_keys)}
        try:
            made = {
                key.name: await side.vault.new_data_key(
                    side.desired.name, key.bits, encoded_context(key.context)
                )
                for key in declared
                if key.name in there
            }
        except errors.OperatorError as error:
            message = (
                f"{vault_verdict(error).reason.name}: the data keys that were asked for are not made yet"
            )
            found.data_keys_refused = bad(reasons.WAITING, message)
            found.again = RESTART_SECONDS
            return
        data_keys = with_new_generation(outcome.data_keys, made)
        status = DataKeyRotationStatus(request_id=asked, made_at=rfc3339(self.now()))
        await save({"data_keys": data_keys, "data_key_rotation": status})
        outcome.data_keys = data_keys
        found.data_key_rotation = status
        self.metrics.data_keys_rotated(len(made))
        self.tell(
            workload, reasons.DATA_KEYS_ROTATED, f"request {asked}: {', '.join(sorted(made)) or 'none'}"
        )

    async def _restart_for_data_keys(
        self, workload: Workload, found: Found, pods: tuple[PodFacts, ...], kube: ScopedKube
    ) -> bool:
        """Whether nothing is left to be restarted for the last rotation of data keys."""
        status = found.data_key_rotation or workload.status.data_key_rotation
        if status is None or status.restarted_at is not None:
            return True
        if not _stands(found):
            return False
        if status.shown_at is None:
            # Written down first: whoever goes on has to mean the same pods by the older ones.
            found.data_key_rotation = status.model_copy(update={"shown_at": rfc3339(self.now())})
            return False
        done: Restarted | None = Restarted((), (), pending=False)
        if workload.spec.enforcement is Enforcement.ENFORCE:
            since = moment(status.shown_at) + _SECOND
            done = await self._restart(workload, kube, pods, f"data-keys/{status.request_id}", since)
        if done is None:
            return False
        found.data_key_rotation = status.model_copy(
            update={
                "restarted_at": None if done.pending else rfc3339(self.now()),
                "restarted": tuple(sorted({*status.restarted, *done.restarted}))[:NAMED_MAX],
                "left": done.left[:NAMED_MAX],
            }
        )
        return not done.pending

    # Emergencies

    async def _advance_emergency(
        self,
        side: VaultSide,
        found: Found,
        emergency: EmergencyStatus,
        pods: tuple[PodFacts, ...],
        kube: ScopedKube,
    ) -> EmergencyStatus:
        workload, key = side.workload, None if found.rotation is None else found.rotation.key
        after = self.emergencies.advance(
            side, emergency, withdrawn=found.withdrawn, rotation=found.rotation, key=key
        )
        step = next_emergency_step(after)
        if step is EmergencyStep.IDENTITY_REPLACED:
            await self._replace_identity(side, found, after)
        if step is not EmergencyStep.PODS_RESTARTED:
            return after
        since = moment(after.steps[-1].at) + _SECOND
        done = await self._restart(workload, kube, pods, f"emergency/{after.request_id}", since)
        late = self.now() > since + RESTART_DEADLINE
        return self.emergencies.advance(
            side,
            after,
            withdrawn=None,
            rotation=found.rotation,
            key=key,
            restarted=done is not None and not done.pending,
            unrestarted="not everything could be restarted in time" if late else "",
        )

    async def _replace_identity(self, side: VaultSide, found: Found, emergency: EmergencyStatus) -> None:
        try:
            await self.emergencies.replace_identity(side, emergency)
        except errors.OperatorError as error:
            place = ("ServiceAccount", names.service_account(side.workload.name))
            found.kubernetes.failed(ConditionType.IDENTITY_READY, kube_verdict(error, place))

    # Both

    async def _restart(
        self,
        workload: Workload,
        kube: ScopedKube,
        pods: tuple[PodFacts, ...],
        request: str,
        since: datetime,
    ) -> Restarted | None:
        """What was restarted; None if Kubernetes could not say now."""
        try:
            done = await restart_consumers(kube, pods, request, since=since, now=self.now())
        except errors.OperatorError:
            return None
        if not done.pending and (done.restarted or done.left):
            for what in done.restarted:
                self.metrics.restarted(what.partition("/")[0])
            left = f"; not restarted: {', '.join(done.left)}" if done.left else ""
            self.tell(
                workload,
                reasons.ROLLOUT_RESTARTED,
                f"{', '.join(done.restarted) or 'nothing'} for {request}{left}",
            )
        return done

    def _copies(self, workload: Workload) -> tuple[int | None, ...]:
        """The versions that wrap the entries of the live Secret of data keys."""
        place = ("Secret", names.keys_secret(workload.name))
        secret = self.children.owned(workload.namespace, workload.uid).get(place)
        return () if secret is None else secret.wrapped_by


def _turns(outcome: VaultOutcome) -> bool:
    """Whether the key may turn: also one that may have left Vault, because nobody has its next version yet."""
    verdict = outcome.key
    return verdict is not None and (verdict.status == "True" or verdict.reason is reasons.KEY_EXPOSED)


def _of_the_key(rotation: RotationFound) -> Verdict | None:
    """What rotation found to be wrong with the key itself: that is for KeyReady to say."""
    step = rotation.step
    if not isinstance(step, Blocked) or rotation.failure is not None:
        return None
    return step.verdict if ConditionType.ROTATION_ON_TRACK not in step.verdict.reason.conditions else None


def _rotating(emergency: EmergencyStatus | None) -> str:
    """The request of an emergency whose turn it is to rotate the key; empty for none."""
    if emergency is None or not is_under_way(emergency):
        return ""
    over = EmergencyStep.ACCESS_WITHDRAWN in steps_over(emergency)
    return emergency.request_id if over else ""


def _replaces_certificate(emergency: EmergencyStatus, found: Found) -> bool:
    """Whether the certificate is to be replaced in this pass: all that comes before it is over, or is with this pass."""
    step = next_emergency_step(emergency)
    if step is EmergencyStep.CERTIFICATE_REISSUED:
        return True
    raised = found.rotation is not None and (
        found.rotation.key.min_decryption_version >= found.rotation.rotation.version
        or not found.rotation.has_proof
    )
    return is_under_way(emergency) and step is EmergencyStep.MINIMUM_RAISED and raised


def _stands(found: Found) -> bool:
    """Whether the Secret shows what status records: before that a restart would read the old one."""
    return found.vault is not None and not found.secrets.failures


def _sooner(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
