"""What the metrics say of a workload, from its status. Pure."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from secureai_operator.api.reasons import REASONS, Severity
from secureai_operator.api.rotation_status import RotationPhase, RotationStatus
from secureai_operator.api.workload_status import CertificateStatus, KeyStatus, SecureAIWorkloadStatus
from secureai_operator.telemetry.workload_metrics import WorkloadFacts

_QUIET = (Severity.GOOD, Severity.PROGRESS)


def workload_facts(status: SecureAIWorkloadStatus) -> WorkloadFacts:
    """The record of one workload; what the status does not know yet is None, and has no series."""
    key, certificate = status.key or KeyStatus(), status.certificate or CertificateStatus()
    rotation, emergency = status.rotation or RotationStatus(), status.emergency
    return WorkloadFacts(
        conditions=tuple(_pair(condition.type, condition.status) for condition in status.conditions),
        troubles=tuple(
            _pair(condition.type, condition.reason)
            for condition in status.conditions
            if condition.reason in REASONS and REASONS[condition.reason].severity not in _QUIET
        ),
        key_version=key.latest_version or None,
        key_version_created=_unix(key.latest_version_at),
        oldest_version_in_use=rotation.oldest_version_in_use or None,
        min_decryption_version=key.min_decryption_version or None,
        rewrap_pending=_rewrap_pending(status),
        next_rotation=_unix(_next_rotation(rotation)),
        retirement=_unix(rotation.retire_at),
        emergency_started=_unix(emergency.started_at if emergency and not emergency.finished_at else None),
        certificate_not_after=_unix(certificate.not_after),
        certificate_renewal=_unix(certificate.renewal_time),
    )


@lru_cache(maxsize=1024)
def _pair(kind: str, value: str) -> tuple[str, str]:
    """One for all workloads; there are as many as types, with three statuses and the reasons that there are."""
    return kind, value


def _rewrap_pending(status: SecureAIWorkloadStatus) -> int | None:
    if status.key is None:
        return None
    latest = status.key.latest_version
    return sum(1 for data_key in status.data_keys if data_key.key_version < latest)


def _next_rotation(rotation: RotationStatus) -> str | None:
    """Of a rotation that is planned and not made, when it was to be; the schedule already looks beyond it."""
    if rotation.phase is RotationPhase.PLANNED:
        return rotation.scheduled_for or rotation.planned_at
    return rotation.next_time


def _unix(stamp: str | None) -> float | None:
    return datetime.fromisoformat(stamp).timestamp() if stamp else None
