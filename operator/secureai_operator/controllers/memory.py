"""What the operator remembers of a workload between passes. All of it can be lost: a restart only looks again."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field

from secureai_operator.api.workload_status import DriftStatus, SecureAIWorkloadStatus
from secureai_operator.controllers.workloads import Key
from secureai_operator.core.facts import VaultObserved
from secureai_operator.core.verdict import Verdict

CONTENTION_WINDOW = 60.0
"""Seconds over which heals of one object are counted."""
CONTENTION_LIMIT = 20
"""More heals than this in the window is no accident but another controller."""
CONTENTION_PAUSE = 5.0
"""Seconds between heals of an object that something else keeps changing."""


@dataclass(slots=True)
class Memory:
    """One workload's. `applied` holds the digest of what we wanted when we last wrote, by kind and name."""

    uid: str
    applied: dict[tuple[str, str], bytes] = field(default_factory=dict)
    vault: VaultObserved | None = None
    vault_generation: int = -1
    vault_due: float = 0.0
    vault_verdict: Verdict | None = None
    status: SecureAIWorkloadStatus | None = None
    """What we wrote last."""
    drift_told_at: float = -math.inf
    """When a drift was last written into the status, in monotonic seconds."""
    seen_status: SecureAIWorkloadStatus | None = None
    """What the CR says; somebody else may have changed it."""
    failures: int = 0
    vault_drift: DriftStatus | None = None
    """Drift in Vault that stands under driftPolicy Warn, as the last look found it."""
    reported: set[tuple[str, str, str]] = field(default_factory=set)
    """Kind, name and field of the drift that stands, so that each is told once."""
    heals: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    """Reasons of the security events that stand, so that each is told once."""

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

    def forget(self, key: Key) -> Memory | None:
        return self._by_key.pop(key, None)

    def __len__(self) -> int:
        return len(self._by_key)
