"""SecureAIWorkload, as the operator answers: the status. It holds no secret and nothing a remote side wrote."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from secureai_operator.api.confidential import Toleration
from secureai_operator.api.model import StatusModel, Timestamp
from secureai_operator.api.rotation_status import DataKeyRotationStatus, EmergencyStatus, RotationStatus

DATA_KEYS_MAX = 96
"""Data keys with their earlier generations: sixteen names, each rotated five times, or one name ninety-five times."""


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
    min_available_version: int = Field(
        default=0, description="Versions below this one are destroyed; 0 if none is.", examples=[0]
    )
    imported: bool = Field(
        default=False, description="Whether the key material was brought by the customer.", examples=[False]
    )
    latest_version_at: Timestamp | None = Field(
        default=None,
        description="When the latest version was made (RFC 3339): the age of the key counts from here.",
        examples=["2026-01-31T12:00:00Z"],
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
    generation: int = Field(
        default=1,
        description="Its generation among the data keys of its name: the current one's, or with a number after its name an earlier one, "
        "kept for what it encrypted.",
        examples=[1],
    )
    context: Annotated[str, Field(max_length=256)] = Field(
        default="", description="Context that it is bound to; empty for none.", examples=["tenant-42"]
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
        max_length=DATA_KEYS_MAX,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="The wrapped data keys, earlier ones of a name included.",
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
    emergency: EmergencyStatus | None = Field(
        default=None,
        description="The last emergency rotation, and how far it is.",
        examples=[{"requestId": "incident-7", "startedAt": "2026-01-31T12:00:00Z"}],
    )
    data_key_rotation: DataKeyRotationStatus | None = Field(
        default=None,
        description="The last rotation of the data keys themselves.",
        examples=[{"requestId": "2026-01-31-audit", "madeAt": "2026-01-31T12:00:00Z"}],
    )
    resync: Annotated[str, Field(max_length=256)] = Field(
        default="",
        description="The last value of the annotation secureai.dev/resync that was acted on.",
        examples=["1"],
    )
