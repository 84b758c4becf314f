"""What the operator remembers of a workload between passes. All of it can be lost: a restart only looks again."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from secureai_operator.api.workload_status import DriftStatus, SecureAIWorkloadStatus
from secureai_operator.controllers.status_json import decoded, encoded
from secureai_operator.controllers.workloads import Key
from secureai_operator.core.facts import VaultObserved
from secureai_operator.core.verdict import Verdict

CONTENTION_WINDOW = 60.0
"""Seconds over which heals of one object are counted."""
CONTENTION_LIMIT = 20
"""More heals than this in the window is no accident but another controller."""
CONTENTION_PAUSE = 5.0
"""Seconds between heals of an object that something else keeps changing."""
NOTHING: Final[frozenset[Any]] = frozenset()
"""Nearly all workloads share it: each empty set would be a fifth of a kilobyte."""


@dataclass(slots=True)
class Memory:
    """One workload's. `applied` holds the digest of what we wanted when we last wrote, by kind and name."""

    uid: str
    applied: dict[tuple[str, str], bytes] = field(default_factory=dict)
    vault: VaultObserved | None = None
    vault_generation: int = -1
    vault_seal: str = ""
    """Short form of what was wanted in Vault when all of it was last so."""
    emergency_mark: float = 0.0
    """When the last step of an emergency was over, in monotonic seconds; 0 if this process saw none."""
    vault_due: float = 0.0
    vault_verdict: Verdict | None = None
    status: SecureAIWorkloadStatus | None = None
    """What we wrote last; between passes only its JSON is kept."""
    drift_told_at: float = -math.inf
    """When a drift was last written into the status, in monotonic seconds."""
    seen_status: SecureAIWorkloadStatus | None = None
    """What the CR says; somebody else may have changed it. Known in a pass."""
    let_go: bool = False
    """Our finalizer was taken off the CR by ourselves: nothing is left to revoke."""
    failures: int = 0
    vault_drift: DriftStatus | None = None
    """Drift in Vault that stands under driftPolicy Warn, as the last look found it."""
    reported: frozenset[tuple[str, str, str]] = NOTHING
    """Kind, name and field of the drift that stands, so that each is told once."""
    heals: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    told: frozenset[str] = NOTHING
    """Reasons of the security events that stand, so that each is told once."""
    _written: bytes = b""
    """What we wrote last, as JSON, while no pass looks at it; empty for nothing."""
    _seen: bytes = b""
    """What the CR said at the last pass, or says at this one."""

    def wake(self, stored: bytes, seen: SecureAIWorkloadStatus) -> None:
        """A pass begins: the CR's status as it is stored, and read."""
        self.seen_status, self._seen = seen, stored
        if self._written:
            self.status = seen if self._written == stored else decoded(self._written)

    def rest(self, stored: bytes) -> None:
        """The pass is over, and this is stored now.

        Two statuses as models are ten times as large as one in JSON, and nearly all workloads are at rest.
        """
        if self.status is not None:
            # Most passes change nothing, and what is in the store need not be kept twice.
            written = self._seen if self.status == self.seen_status else encoded(self.status)
            self._written = stored if written == stored else written
        self._seen = stored
        self.status = self.seen_status = None

    @property
    def last_status(self) -> SecureAIWorkloadStatus:
        """What we wrote last, or else what the CR said; for who looks between passes. Empty if there was no pass."""
        if (known := self.status or self.seen_status) is not None:
            return known
        kept = self._written or self._seen
        return decoded(kept) if kept else SecureAIWorkloadStatus()

    def keep_reported(self, stands: Callable[[tuple[str, str, str]], bool]) -> None:
        """Of the drift that was told, forget what does not stand any more."""
        self.reported = frozenset(filter(stands, self.reported)) or NOTHING

    def contended(self, place: tuple[str, str]) -> float:
        """Seconds to leave the object alone before the next heal; 0 for none."""
        times = self.heals.get(place)
        if not times:
            return 0.0
        now = time.monotonic()
        while times and now - times[0] > CONTENTION_WINDOW:
            times.popleft()
        if len(times) < CONTENTION_LIMIT:
            return 0.0
        return max(0.0, times[-1] + CONTENTION_PAUSE - now)

    def healed(self, place: tuple[str, str]) -> None:
        self.heals.setdefault(place, deque(maxlen=CONTENTION_LIMIT)).append(time.monotonic())


class Memories:
    """The memory of every workload, by key; a new uid is a new workload."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Memory] = {}

    def of(self, key: Key, uid: str) -> Memory:
        memory = self._by_key.get(key)
        if memory is None or memory.uid != uid:
            memory = self._by_key[key] = Memory(uid)
        return memory

    def get(self, key: Key) -> Memory | None:
        return self._by_key.get(key)

    def forget(self, key: Key) -> Memory | None:
        return self._by_key.pop(key, None)

    def __len__(self) -> int:
        return len(self._by_key)
