"""What a rotation is decided by: the status, the key, what it wraps, the policy, and the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from secureai_operator.api.rotation import Retire
from secureai_operator.api.rotation_status import RotationPhase, RotationStatus, Trigger
from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload import Custody
from secureai_operator.api.workload_status import SecureAIWorkloadStatus
from secureai_operator.core.rotation.inventory import Inventory
from secureai_operator.core.rotation.schedule import Answer, Missed, NotYet

UNDER_WAY = (RotationPhase.PLANNED, RotationPhase.ROTATED, RotationPhase.REWRAPPED)


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody asks for a rotation; an id that was acted on before asks for nothing."""

    trigger: Trigger
    request_id: str

    def is_handled(self, rotation: RotationStatus) -> bool:
        """Whether it was acted on; each trigger remembers its own, so that two requests that stand never take turns."""
        emergency = self.trigger is Trigger.EMERGENCY
        return self.request_id == (rotation.emergency_request_id if emergency else rotation.request_id)


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that `next_step` looks at.

    `retire` is the ruling policy's; without one only an emergency retires anything. `due` is None while no schedule
    rules, or the caller lets no rotation start (suspended, no free place): what is under way goes on.
    """

    workload: SecureAIWorkloadStatus
    key: KeyState | None
    held: Inventory
    now: datetime
    custody: Custody = Custody.SERVICE_MANAGED
    retire: Retire | None = None
    due: Answer | None = None
    request: Request | None = None
    decrypts_fail: bool = False
    """Vault's audit or the workload said, in the canary period, that a decrypt failed."""
    retry_retirement: bool = False
    """Somebody asked that retirement be tried again."""
    may_trim: bool = True
    """Whether the operator has an identity that may destroy versions."""
    batch: int = 500

    @property
    def rotation(self) -> RotationStatus:
        return self.workload.rotation or RotationStatus()

    @property
    def accounted(self) -> int:
        """The latest version that the operator knows how it came to be: the first one was made with the key."""
        return self.rotation.version or 1

    @property
    def under_way(self) -> bool:
        return self.rotation.phase in UNDER_WAY

    @property
    def next_time(self) -> datetime | None:
        """When the next rotation may start, if the schedule says so."""
        return self.due.next_time if isinstance(self.due, NotYet | Missed) else None


def moment(stamp: str) -> datetime:
    """The instant of a status timestamp."""
    return datetime.fromisoformat(stamp).astimezone(UTC)


def passed(stamp: str | None, now: datetime) -> bool:
    """Whether the instant is over; one that was never written is."""
    return stamp is None or moment(stamp) <= now


def made_at(key: KeyState, version: int, otherwise: datetime) -> datetime:
    """When Vault made the version."""
    made = key.versions.get(version)
    return otherwise if made is None else datetime.fromtimestamp(made, UTC)


def last_rotation(workload: SecureAIWorkloadStatus, key: KeyState) -> datetime | None:
    """When the key last rotated, by whomever: what a schedule counts from.

    The plan counts as well: Vault's clock may be behind, and a time that was acted on must not be due again.
    """
    made = key.versions.get(key.latest_version)
    stamps = [workload.rotation.planned_at] if workload.rotation else []
    known = [moment(stamp) for stamp in stamps if stamp is not None]
    return max([*known, *([] if made is None else [datetime.fromtimestamp(made, UTC)])], default=None)
