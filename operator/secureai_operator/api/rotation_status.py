"""How far the rotation of a workload's key is, as the operator answers: part of its status."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from secureai_operator.api.model import StatusModel, Timestamp


class RotationPhase(StrEnum):
    """How far the rotation is."""

    IDLE = "Idle"
    PLANNED = "Planned"
    """The target version is written down; Vault may or may not have it."""
    ROTATED = "Rotated"
    REWRAPPED = "Rewrapped"
    OBSERVING = "Observing"
    """Done but for old versions, which still decrypt until they retire."""
    RETIRED = "Retired"


class Trigger(StrEnum):
    """Why a key rotated."""

    SCHEDULED = "Scheduled"
    MANUAL = "Manual"
    EMERGENCY = "Emergency"
    EXTERNAL = "External"


class RotationRecord(StatusModel):
    """One rotation that is over."""

    from_version: int = Field(description="Version before.", examples=[1])
    to_version: int = Field(description="Version after.", examples=[2])
    trigger: Trigger = Field(description="Why the key rotated.", examples=["Scheduled"])
    started_at: Timestamp = Field(
        description="When it was planned (RFC 3339).", examples=["2026-01-31T12:00:00Z"]
    )
    finished_at: Timestamp = Field(
        description="When every data key was rewrapped (RFC 3339).", examples=["2026-01-31T12:00:01Z"]
    )
    items_rewrapped: int = Field(
        default=0, description="Data keys that were moved to the new version.", examples=[3]
    )
    result: Literal["Done", "Adopted"] = Field(
        default="Done", description="Done by the operator, or done by others and adopted.", examples=["Done"]
    )


class EmergencyStep(StrEnum):
    """What an emergency rotation does, in this order."""

    ACCESS_WITHDRAWN = "AccessWithdrawn"
    """The workload's identity in Vault is disabled and its policy denies."""
    KEY_ROTATED = "KeyRotated"
    DATA_KEYS_REWRAPPED = "DataKeysRewrapped"
    MINIMUM_RAISED = "MinimumRaised"
    """Old versions decrypt no more."""
    CERTIFICATE_REISSUED = "CertificateReissued"
    IDENTITY_REPLACED = "IdentityReplaced"
    """The ServiceAccount is another one of the same name: tokens of the old one, of Kubernetes and of Vault, are dead for good."""
    PODS_RESTARTED = "PodsRestarted"
    ACCESS_RESTORED = "AccessRestored"


class EmergencyStepStatus(StatusModel):
    """A step that is over."""

    step: EmergencyStep = Field(description="The step.", examples=["AccessWithdrawn"])
    at: Timestamp = Field(description="When it was over (RFC 3339).", examples=["2026-01-31T12:00:00Z"])
    milliseconds: int = Field(
        default=0, description="How long it took, in milliseconds since the step before.", examples=[120]
    )
    skipped: Annotated[str, Field(max_length=256)] = Field(
        default="",
        description="Why there was nothing to do, or it could not be done; empty if it was done.",
        examples=["no certificate is asked for"],
    )


class EmergencyStatus(StatusModel):
    """An emergency rotation: resumed wherever it was, each request once."""

    request_id: Annotated[str, Field(max_length=256)] = Field(
        description="Value of the annotation secureai.dev/rotate-emergency that asked for it.",
        examples=["incident-7"],
    )
    started_at: Timestamp = Field(
        description="When it was begun (RFC 3339).", examples=["2026-01-31T12:00:00Z"]
    )
    certificate: Annotated[str, Field(max_length=128)] = Field(
        default="",
        description="Serial number of the certificate that is to be replaced.",
        examples=["5b:1c"],
    )
    service_account: Annotated[str, Field(max_length=64)] = Field(
        default="",
        description="UID of the ServiceAccount that is to be replaced.",
        examples=["6d7b6d6e-0a3a-4a4c-8a5e-3f8b3a1f2c4d"],
    )
    finished_at: Timestamp | None = Field(
        default=None, description="When access was restored (RFC 3339).", examples=["2026-01-31T12:00:09Z"]
    )
    steps: tuple[EmergencyStepStatus, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="The steps that are over, in their order.",
        examples=[[{"step": "AccessWithdrawn", "at": "2026-01-31T12:00:00Z", "milliseconds": 120}]],
    )


class DataKeyRotationStatus(StatusModel):
    """A rotation of the data keys themselves, which their consumers have to reload for."""

    request_id: Annotated[str, Field(max_length=256)] = Field(
        description="Value of the annotation secureai.dev/rotate-data-keys that asked for it.",
        examples=["2026-01-31-audit"],
    )
    made_at: Timestamp = Field(
        description="When the new data keys were made (RFC 3339).", examples=["2026-01-31T12:00:00Z"]
    )
    shown_at: Timestamp | None = Field(
        default=None,
        description="When the Secret was seen to hold them (RFC 3339): pods that are older read the earlier ones.",
        examples=["2026-01-31T12:00:00Z"],
    )
    restarted_at: Timestamp | None = Field(
        default=None,
        description="When everything that runs the workload's pods was told to restart (RFC 3339).",
        examples=["2026-01-31T12:00:01Z"],
    )
    restarted: tuple[str, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="What was restarted, as Kind/name; at most sixteen.",
        examples=[["Deployment/llm"]],
    )
    left: tuple[str, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="What runs pods and cannot be restarted by the operator, as Kind/name; at most sixteen.",
        examples=[["Job/train"]],
    )


class RetirementStatus(StatusModel):
    """Versions that wait to retire."""

    below: int = Field(description="Versions below this one retire.", examples=[4])
    at: Timestamp = Field(description="Not before (RFC 3339).", examples=["2026-02-03T12:00:00Z"])
    emergency: bool = Field(
        default=False,
        description="After an emergency: without a grace period, and whatever keepVersions says.",
        examples=[False],
    )


class RotationStatus(StatusModel):
    """When the key rotates, how far the rotation is, and which versions still decrypt."""

    phase: RotationPhase = Field(
        default=RotationPhase.IDLE, description="How far the rotation is.", examples=["Observing"]
    )
    version: int = Field(
        default=0,
        description="Latest version that the operator accounts for; one beyond it was made by others.",
        examples=[2],
    )
    target: int = Field(
        default=0, description="Version that the rotation makes; written before Vault is asked.", examples=[2]
    )
    from_version: int = Field(default=0, description="Latest version as it was planned.", examples=[1])
    trigger: Trigger | None = Field(default=None, description="Why it rotates.", examples=["Scheduled"])
    request_id: Annotated[str, Field(max_length=256)] = Field(
        default="",
        description="The last value of the annotation secureai.dev/rotate that was acted on: each is once.",
        examples=["2026-01-31-audit"],
    )
    emergency_request_id: Annotated[str, Field(max_length=256)] = Field(
        default="",
        description="The last value of the annotation secureai.dev/rotate-emergency that was acted on: each is once.",
        examples=["incident-7"],
    )
    decrypt_failure: Annotated[str, Field(max_length=256)] = Field(
        default="",
        description="The last value of the annotation secureai.dev/decrypt-failed that was acted on.",
        examples=["2026-02-03T12:00:00Z"],
    )
    retirement_request: Annotated[str, Field(max_length=256)] = Field(
        default="",
        description="The last value of the annotation secureai.dev/retry-retirement that was acted on.",
        examples=["1"],
    )
    policy: Annotated[str, Field(max_length=320)] = Field(
        default="", description="Policy that rules, as NAMESPACE/NAME.", examples=["team-a/weekly"]
    )
    schedule: Annotated[str, Field(max_length=16)] = Field(
        default="",
        description="Short form of that policy's schedule and windows: another one rules from when it is seen.",
        examples=["6f1ed002ab559585"],
    )
    ruled_since: Timestamp | None = Field(
        default=None,
        description="When that policy's schedule began to rule (RFC 3339); nothing was due before.",
        examples=["2026-01-01T12:00:00Z"],
    )
    scheduled_for: Timestamp | None = Field(
        default=None,
        description="The scheduled time of the rotation (RFC 3339).",
        examples=["2026-01-31T12:00:00Z"],
    )
    planned_at: Timestamp | None = Field(
        default=None,
        description="When it was planned (RFC 3339).",
        examples=["2026-01-31T12:00:00Z"],
    )
    doubt_until: Timestamp | None = Field(
        default=None,
        description="A rotate was sent and not answered: it is not sent again before this (RFC 3339).",
        examples=["2026-01-31T12:01:30Z"],
    )
    rotated_at: Timestamp | None = Field(
        default=None,
        description="When the target version was made (RFC 3339).",
        examples=["2026-01-31T12:00:00Z"],
    )
    rewrapped_at: Timestamp | None = Field(
        default=None,
        description="When no data key was left on an older version (RFC 3339).",
        examples=["2026-01-31T12:00:01Z"],
    )
    items_rewrapped: int = Field(
        default=0, description="Data keys that the rotation moved to the new version.", examples=[3]
    )
    retire_at: Timestamp | None = Field(
        default=None,
        description="When old versions retire next (RFC 3339).",
        examples=["2026-02-03T12:00:00Z"],
    )
    retirements: tuple[RetirementStatus, ...] = Field(
        default=(),
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Versions that wait to retire.",
        examples=[[{"below": 4, "at": "2026-02-03T12:00:00Z"}]],
    )
    raising: int = Field(
        default=0,
        description="Minimum version for decryption that is being tried; 0 for none.",
        examples=[0],
    )
    minimum_before: int = Field(
        default=0, description="The minimum version to go back to if decrypts fail.", examples=[1]
    )
    canary_until: Timestamp | None = Field(
        default=None,
        description="Until when a failed decrypt puts the minimum back (RFC 3339).",
        examples=["2026-02-04T12:00:00Z"],
    )
    retirement_held: bool = Field(
        default=False,
        description="Decrypts failed as versions retired, and the minimum was put back: no version retires.",
        examples=[False],
    )
    retired_below: int = Field(
        default=0, description="Versions below this one have retired and were not missed.", examples=[2]
    )
    trimming: int = Field(
        default=0,
        description="Versions below this one are destroyed; written before Vault is asked.",
        examples=[0],
    )
    oldest_version_in_use: int = Field(
        default=0, description="Oldest version that wraps a data key; 0 if none is known.", examples=[2]
    )
    blocked_reason: Annotated[str, Field(max_length=64)] = Field(
        default="",
        description="Why it does not go on, one word from docs/reasons.md; empty if nothing is in the way.",
        examples=["RetirementUnproven"],
    )
    next_time: Timestamp | None = Field(
        default=None, description="Next planned rotation (RFC 3339).", examples=["2026-01-31T12:00:00Z"]
    )
    history: tuple[RotationRecord, ...] = Field(
        default=(),
        max_length=10,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="The last rotations, oldest first.",
        examples=[
            [
                {
                    "fromVersion": 1,
                    "toVersion": 2,
                    "trigger": "Scheduled",
                    "startedAt": "2026-01-31T12:00:00Z",
                    "finishedAt": "2026-01-31T12:00:01Z",
                    "itemsRewrapped": 3,
                    "result": "Done",
                }
            ]
        ],
    )
