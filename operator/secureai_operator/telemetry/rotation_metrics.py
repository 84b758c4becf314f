"""Metrics of rotations: how many, how long each phase takes, and what they brought about."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from secureai_operator.telemetry.labels import Words

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_PHASES = (
    *(0.01, 0.05, 0.25, 1.0, 5.0, 30.0),
    *(2 * _MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR),
    *(_DAY, 3 * _DAY, 7 * _DAY, 30 * _DAY, 90 * _DAY),
)
"""From a rotate (milliseconds) to the end of a grace period (days)."""
_STEPS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE)


class RotationMetrics:
    """The counters of what happened; each method is called once when it has."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._triggers, self._results, self._phases = Words(8), Words(16), Words(8)
        self._steps, self._kinds = Words(16), Words(16)
        self._rotations = Counter(
            "secureai_rotation_total",
            "Rotations of keys that ended, by why they were made and how they ended.",
            ("trigger", "result"),
            registry=registry,
        )
        self._seconds = Histogram(
            "secureai_rotation_seconds",
            "How long a rotation took to reach the phase, from the one before.",
            ("phase",),
            buckets=_PHASES,
            registry=registry,
        )
        self._rewrapped = Counter(
            "secureai_rewrap_items_total",
            "Data keys moved to a newer version of their key.",
            registry=registry,
        )
        self._emergency = Histogram(
            "secureai_emergency_step_seconds",
            "Duration of a step of an emergency rotation.",
            ("step",),
            buckets=_STEPS,
            registry=registry,
        )
        self._rollbacks = Counter(
            "secureai_retirement_rollbacks_total",
            "Times that retired versions of a key were needed and brought back.",
            registry=registry,
        )
        self._restarts = Counter(
            "secureai_restarts_total",
            "What runs a workload's pods, told to replace them, by kind.",
            ("kind",),
            registry=registry,
        )
        self._data_keys = Counter(
            "secureai_data_key_rotations_total",
            "Data keys of which a new generation was made.",
            registry=registry,
        )

    def rotated(self, trigger: str, result: str) -> None:
        """Count a rotation that ended: its trigger, and Done, Adopted or the reason that stopped it."""
        self._rotations.labels(self._triggers(trigger), self._results(result)).inc()

    def phase(self, phase: str, seconds: float) -> None:
        """A rotation came to the phase (Rotated, Rewrapped, Retired), so long after the one before."""
        self._seconds.labels(self._phases(phase)).observe(max(0.0, seconds))

    def rewrapped(self, items: int) -> None:
        self._rewrapped.inc(items)

    def emergency_step(self, step: str, seconds: float) -> None:
        self._emergency.labels(self._steps(step)).observe(max(0.0, seconds))

    def rolled_back(self) -> None:
        self._rollbacks.inc()

    def restarted(self, kind: str) -> None:
        self._restarts.labels(self._kinds(kind)).inc()

    def data_keys_rotated(self, count: int) -> None:
        self._data_keys.inc(count)
