"""The condition types of a SecureAIWorkload (standard library only: the command line must not wait for pydantic)."""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """In the order in which status lists them; Ready first."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    IDENTITY_READY = "IdentityReady"
    KEY_READY = "KeyReady"
    CERTIFICATE_READY = "CertificateReady"
    ACCESS_GRANTED = "AccessGranted"
    NETWORK_ISOLATED = "NetworkIsolated"
    CONFIDENTIAL_SCHEDULABLE = "ConfidentialSchedulable"
    PODS_BOUND = "PodsBound"
    ROTATION_ON_TRACK = "RotationOnTrack"
    VAULT_REACHABLE = "VaultReachable"
    DRIFT_DETECTED = "DriftDetected"
