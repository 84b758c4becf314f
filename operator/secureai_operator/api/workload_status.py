"""SecureAIWorkload, as the operator answers: the status. It holds no secret and nothing a remote side wrote."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from secureai_operator.api.confidential import Toleration
from secureai_operator.api.model import StatusModel

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, max_length=32)]
"""RFC 3339 in UTC with seconds, such as 2026-01-31T12:00:00Z."""


class Condition(StatusModel):
    """A condition by the Kubernetes API conventions."""

    type: Annotated[str, Field(max_length=64)] = Field(
        description="What the condition is about.", examples=["Ready"]
    )
    status: Literal["True", "False", "Unknown"] = Field(
        description="True, False or Unknown.", examples=["True"]
    )
    reason: Annotated[str, Field(max_length=64)] = Field(
        description="One word from docs/reasons.md.", examples=["AllReady"]
    )
    message: Annotated[str, Field(max_length=1024)] = Field(
        default="",
        description="Cause, object and next step, for people.",
        examples=["everything declared is in place"],
    )
    observed_generation: int = Field(
        default=0, description="The generation of the spec that this speaks of.", examples=[1]
    )
    last_transition_time: Timestamp = Field(
        description="When status last changed (RFC 3339).", examples=["2026-01-31T12:00:00Z"]
    )


class VaultStatus(StatusModel):
    """Where the workload lives in Vault."""

    connection: str = Field(default="", description="Name of the connection.", examples=["default"])
    name: str = Field(
        default="",
        description="The one name of its key, policy, auth role and PKI role.",
        examples=["saw.main.team-a.llm"],
    )
    applied: str = Field(
        default="",
        description="Short form of what the operator wanted in Vault when it last wrote there.",
        examples=["6f1ed002ab559585"],
    )
    transit_mount: str = Field(default="", description="Mount of the key.", examples=["saw-transit"])
    pki_mount: str = Field(default="", description="Mount of the PKI role.", examples=["saw-pki"])
    auth_mount: str = Field(default="", description="Mount of the auth role.", examples=["kubernetes"])


class KeyStatus(StatusModel):
    """The workload's key."""

    type: str = Field(default="", description="Type of the key.", examples=["aes256-gcm96"])
    custody: str = Field(default="", description="Who holds it.", examples=["service-managed"])
    latest_version: int = Field(default=0, description="Latest version.", examples=[1])
    min_decryption_version: int = Field(
        default=0, description="Oldest version that still decrypts.", examples=[1]
    )
    created_at: Timestamp | None = Field(
        default=None,
        description="When the oldest known version was made. Once set, a missing key is KeyLost.",
        examples=["2026-01-31T12:00:00Z"],
    )


class DataKeyStatus(StatusModel):
    """A wrapped data key: ciphertext that only the workload's own identity can have unwrapped."""

    name: str = Field(description="Name of the data key.", examples=["model"])
    key_version: int = Field(description="Version of the workload's key that wraps it.", examples=[1])
    wrapped: Annotated[str, Field(max_length=1024)] = Field(
        description="The wrapped data key as Vault made it; the Secret is restored from it.",
        examples=["vault:v1:bm90IGEgcmVhbCBrZXk="],
    )


class CertificateStatus(StatusModel):
    """The workload's certificate."""

    serial: str = Field(default="", description="Serial number, hexadecimal.", examples=["5b:1c"])
    not_after: Timestamp | None = Field(
        default=None, description="End of validity (RFC 3339).", examples=["2026-01-31T12:00:00Z"]
    )
    renewal_time: Timestamp | None = Field(
        default=None, description="When it is renewed (RFC 3339).", examples=["2026-01-31T04:00:00Z"]
    )


class BindingStatus(StatusModel):
    """What a pod of the workload gets as it is created; the admission policies read it."""

    ready: bool = Field(
        default=False,
        description="Whether pods may start: false until everything they are given exists.",
        examples=[True],
    )
    enforce: bool = Field(
        default=True,
        description="False under enforcement Audit: pods are neither changed nor refused.",
        examples=[True],
    )
    pod_labels: dict[str, str] = Field(
        default_factory=dict,
        description="Labels that select the workload's pods.",
        examples=[{"secureai.dev/workload": "llm"}],
    )
    service_account_name: str = Field(
        default="", description="ServiceAccount of the pods.", examples=["saw-llm"]
    )
    audience: str = Field(
        default="",
        description="Audience of the projected token for Vault.",
        examples=["vault://main/team-a/llm"],
    )
    token_expiration_seconds: int = Field(
        default=600, description="Lifetime of the projected tokens in seconds.", examples=[600]
    )
    api_token: bool = Field(
        default=False,
        description="Whether pods also get a short-lived token for the Kubernetes API.",
        examples=[False],
    )
    keys_secret_name: str = Field(
        default="", description="Secret of wrapped data keys; empty for none.", examples=["saw-llm-keys"]
    )
    tls_secret_name: str = Field(
        default="", description="Secret of the certificate; empty for none.", examples=["saw-llm-tls"]
    )
    runtime_class_name: str = Field(
        default="", description="Runtime class; empty for none.", examples=["kata-qemu-tdx"]
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict,
        description="Node labels that are required.",
        examples=[{"intel.feature.node.kubernetes.io/tdx": "true"}],
    )
    tolerations: tuple[Toleration, ...] = Field(
        default=(), description="Tolerations.", examples=[[{"key": "nvidia.com/gpu", "operator": "Exists"}]]
    )


class PodsStatus(StatusModel):
    """The workload's pods."""

    bound: int = Field(default=0, description="Pods that have all they should.", examples=[2])
    unbound: int = Field(default=0, description="Pods that escaped the binding.", examples=[0])
    unbound_names: tuple[str, ...] = Field(
        default=(), description="Up to ten of the unbound pods by name.", examples=[["llm-7d4b9-x2x4z"]]
    )
    quarantined: int = Field(default=0, description="Pods under quarantine.", examples=[0])


class DriftStatus(StatusModel):
    """The last time that somebody else changed what the operator owns."""

    time: Timestamp = Field(description="When it was seen (RFC 3339).", examples=["2026-01-31T12:00:00Z"])
    kind: str = Field(description="Kind of the object.", examples=["NetworkPolicy"])
    name: str = Field(description="Name of the object.", examples=["saw-llm-allow"])
    field: str = Field(
        description="The first field that differed; empty if the object was gone.", examples=["spec.egress"]
    )
    action: Literal["Healed", "Reported"] = Field(description="What was done.", examples=["Healed"])


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
        description="The last request that was acted on: each is once, by its id.",
        examples=["2026-01-31-audit"],
    )
    policy: Annotated[str, Field(max_length=320)] = Field(
        default="", description="Policy that rules, as NAMESPACE/NAME.", examples=["team-a/weekly"]
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


class SecureAIWorkloadStatus(StatusModel):
    """What is true of the workload."""

    observed_generation: int = Field(
        default=-1,
        description="The generation of the spec that this status speaks of; -1 before the first look.",
        examples=[1],
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=24,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        description="Conditions; Ready sums them up.",
        examples=[[{"type": "Ready", "status": "True"}]],
    )
    vault: VaultStatus | None = Field(
        default=None, description="Where the workload lives in Vault.", examples=[{"connection": "default"}]
    )
    key: KeyStatus | None = Field(default=None, description="The key.", examples=[{"latestVersion": 1}])
    data_keys: tuple[DataKeyStatus, ...] = Field(
        default=(),
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="The wrapped data keys.",
        examples=[[{"name": "model", "keyVersion": 1}]],
    )
    certificate: CertificateStatus | None = Field(
        default=None, description="The certificate.", examples=[{"serial": "5b:1c"}]
    )
    binding: BindingStatus | None = Field(
        default=None, description="What pods get as they are created.", examples=[{"ready": True}]
    )
    pods: PodsStatus | None = Field(default=None, description="The pods.", examples=[{"bound": 2}])
    last_drift: DriftStatus | None = Field(
        default=None, description="The last drift.", examples=[{"kind": "Role", "action": "Healed"}]
    )
    rotation: RotationStatus | None = Field(
        default=None,
        description="When the key rotates, and how far it is.",
        examples=[{"nextTime": "2026-01-31T12:00:00Z"}],
    )
    resync: Annotated[str, Field(max_length=256)] = Field(
        default="",
        description="The last value of the annotation secureai.dev/resync that was acted on.",
        examples=["1"],
    )
