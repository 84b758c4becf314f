"""Emergency rotations, as part of a workload's passes: what each step does. Which is next, `core.rotation.emergency` says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from secureai_operator import names
from secureai_operator.api import reasons
from secureai_operator.api.reasons import Reason
from secureai_operator.api.resources import SERVICE_ACCOUNTS
from secureai_operator.api.rotation_status import EmergencyStatus, EmergencyStep
from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload import CertificateDelivery, Enforcement
from secureai_operator.controllers.children import Children
from secureai_operator.controllers.memory import Memory
from secureai_operator.controllers.rotation import RotationFound
from secureai_operator.controllers.rotation_turn import Save
from secureai_operator.controllers.vault_side import VaultSide
from secureai_operator.core.drift import Child
from secureai_operator.core.facts import Workload
from secureai_operator.core.rotation.emergency import (
    EmergencyFacts,
    advanced,
    begun,
    is_asked_for,
    is_under_way,
    next_emergency_step,
)
from secureai_operator.telemetry.rotation_metrics import RotationMetrics


@dataclass(slots=True)
class Emergencies:
    """Takes a workload through an emergency, one pass after the other."""

    children: Children
    now: Callable[[], datetime]
    tell: Callable[[Workload, Reason, str], None]
    metrics: RotationMetrics

    async def begin(self, workload: Workload, memory: Memory, save: Save) -> EmergencyStatus | None:
        """The emergency of the workload, after writing a new one down if one is asked for."""
        emergency = workload.status.emergency
        asked = workload.requests.emergency
        if not is_asked_for(asked, emergency) or workload.status.vault is None:
            return emergency
        certificate = workload.status.certificate
        account = self._account(workload)
        emergency = begun(
            asked, certificate.serial if certificate else "", account.uid if account else "", self.now()
        )
        memory.emergency_mark = time.monotonic()
        await save({"emergency": emergency})
        self.tell(workload, reasons.EMERGENCY_STARTED, f"request {asked}")
        return emergency

    async def settle_identity(self, side: VaultSide, emergency: EmergencyStatus | None) -> bool | None:
        """Disable the workload's identity in Vault, or enable it again, as the step that is under way wants it.

        True: it is withdrawn; False: it is restored; None: neither is wanted now.
        """
        if emergency is None or not is_under_way(emergency):
            return None
        step = next_emergency_step(emergency)
        if step not in {EmergencyStep.ACCESS_WITHDRAWN, EmergencyStep.ACCESS_RESTORED}:
            return None
        observed = side.memory.vault
        if observed is None or observed.policy != side.desired.policy:
            # The policy is the other half: without it nothing is withdrawn or restored.
            return None
        disabled = step is EmergencyStep.ACCESS_WITHDRAWN
        account = self._account(side.workload)
        # That of a ServiceAccount that is replaced stays disabled for ever, and the new one's never was.
        if account is not None and account.uid == emergency.service_account:
            # One that never logged in has no identity, and needs none: its policy denies.
            await side.vault.set_entity_disabled(account.uid, disabled)
        return disabled

    async def replace_identity(self, side: VaultSide, emergency: EmergencyStatus) -> None:
        """Delete the ServiceAccount that the emergency found; the next pass makes another one of its name."""
        account = self._account(side.workload)
        if account is None or account.uid != emergency.service_account:
            return
        await side.kube.delete(SERVICE_ACCOUNTS, account.name, uid=account.uid)
        self.children.deleted(account)
        side.memory.applied.pop(("ServiceAccount", account.name), None)

    def withdrawn(
        self, side: VaultSide, emergency: EmergencyStatus, withdrawn: bool | None
    ) -> EmergencyStatus:
        """The status with the first step over, if it is: the key rotates only after that."""
        if withdrawn is not True:
            return emergency
        facts = EmergencyFacts(access_withdrawn=True)
        return self._advanced(side, emergency, facts)

    def advance(
        self,
        side: VaultSide,
        emergency: EmergencyStatus,
        *,
        withdrawn: bool | None,
        rotation: RotationFound | None,
        key: KeyState | None,
        restarted: bool = False,
        unrestarted: str = "",
    ) -> EmergencyStatus:
        """The status with every step that is over by now; one after the other, each by what is true."""
        workload = side.workload
        if rotation is None or key is None or not is_under_way(emergency):
            return emergency
        account = self._account(workload)
        facts = EmergencyFacts(
            access_withdrawn=withdrawn is True,
            access_restored=withdrawn is False,
            rotation=rotation.rotation,
            min_decryption_version=key.min_decryption_version,
            unprovable="" if rotation.has_proof else "there is no data key that could tell what is in use",
            certificate=self._serial(workload),
            wants_certificate=workload.spec.certificate.delivery is not CertificateDelivery.NONE,
            account=account.uid if account is not None else "",
            restarted=restarted,
            unrestarted=unrestarted,
            touches_pods=workload.spec.enforcement is Enforcement.ENFORCE,
        )
        return self._advanced(side, emergency, facts, rotation.rotated_at)

    def _advanced(
        self, side: VaultSide, emergency: EmergencyStatus, facts: EmergencyFacts, rotated_at: float = 0.0
    ) -> EmergencyStatus:
        memory = side.memory
        while True:
            rotates = next_emergency_step(emergency) is EmergencyStep.KEY_ROTATED
            mark = rotated_at if rotates and rotated_at else time.monotonic()
            since = memory.emergency_mark
            # 0 where a former process took the step before: nobody knows when.
            milliseconds = max(0, round((mark - since) * 1000)) if since else 0
            after = advanced(emergency, facts, self.now(), milliseconds)
            if after is emergency:
                return emergency
            self._tell_step(side.workload, after)
            memory.emergency_mark = mark
            emergency = after

    def _tell_step(self, workload: Workload, emergency: EmergencyStatus) -> None:
        last = emergency.steps[-1]
        self.metrics.emergency_step(last.step.value, last.milliseconds / 1000)
        if emergency.finished_at is not None:
            skipped = [step.step.value for step in emergency.steps if step.skipped]
            without = f", without {', '.join(skipped)}" if skipped else ""
            self.tell(workload, reasons.EMERGENCY_FINISHED, f"request {emergency.request_id}{without}")

    def _account(self, workload: Workload) -> Child | None:
        place = ("ServiceAccount", names.service_account(workload.name))
        return self.children.owned(workload.namespace, workload.uid).get(place)

    def _serial(self, workload: Workload) -> str:
        place = ("Secret", names.tls_secret(workload.name))
        secret = self.children.owned(workload.namespace, workload.uid).get(place)
        return secret.certificate.serial if secret is not None and secret.certificate else ""
