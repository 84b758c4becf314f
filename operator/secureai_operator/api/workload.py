"""SecureAIWorkload, as its users write it: the spec. What the operator answers is in `workload_status`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from secureai_operator.api.access import AccessSpec
from secureai_operator.api.confidential import ConfidentialSpec
from secureai_operator.api.model import (
    ApiModel,
    DnsLabel,
    DnsSubdomain,
    Duration,
    LabelKey,
    LabelValue,
)
from secureai_operator.api.network import NetworkSpec


class KeyType(StrEnum):
    """Vault's transit key types that the operator supports."""

    AES256_GCM96 = "aes256-gcm96"
    CHACHA20_POLY1305 = "chacha20-poly1305"
    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    ED25519 = "ed25519"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"


ENCRYPTING_KEY_TYPES = frozenset(
    {KeyType.AES256_GCM96, KeyType.CHACHA20_POLY1305, KeyType.RSA_3072, KeyType.RSA_4096}
)
"""Only these can wrap data keys; the others sign. Source: Vault, Transit, key types."""


DERIVING_KEY_TYPES = frozenset({KeyType.AES256_GCM96, KeyType.CHACHA20_POLY1305})
"""Only these derive a key from a context. Source: Vault, Transit, create key, `derived`."""


class Custody(StrEnum):
    """Who makes and holds the key material."""

    SERVICE_MANAGED = "service-managed"
    CUSTOMER_MANAGED = "customer-managed"
    HOLD_YOUR_OWN_KEY = "hold-your-own-key"


class Enforcement(StrEnum):
    """Whether pods are changed and refused, or only looked at."""

    ENFORCE = "Enforce"
    AUDIT = "Audit"


class DriftPolicy(StrEnum):
    """What happens when somebody else changes what the operator owns."""

    HEAL = "Heal"
    WARN = "Warn"


class DeletionPolicy(StrEnum):
    """What happens to the key when the workload is deleted; access is always revoked."""

    RETAIN = "Retain"
    DESTROY = "Destroy"


class PodSelector(ApiModel):
    """Which pods of the namespace belong to the workload."""

    match_labels: dict[LabelKey, LabelValue] = Field(
        min_length=1,
        max_length=8,
        description="Labels that a pod must all carry.",
        examples=[{"app": "llm"}],
    )


class VaultSpec(ApiModel):
    """Which Vault holds the key."""

    connection: DnsLabel = Field(
        default="default",
        description="Name of a Vault connection that the platform team configured with the operator.",
        examples=["default"],
    )


class DataKey(ApiModel):
    """A data key, wrapped by the workload's key in Vault and kept wrapped."""

    name: DnsLabel = Field(
        description="Name of the data key: its entry in the keys Secret and its file name in the pod.",
        examples=["model"],
    )
    bits: int = Field(
        default=256,
        json_schema_extra={"enum": [128, 256, 512]},
        description="Length of the data key in bits: 128, 256 or 512.",
        examples=[256],
    )
    context: Annotated[str, Field(max_length=256)] | None = Field(
        default=None,
        description="Context that the data key is bound to, with spec.keys.derived: who unwraps it must name the same one. "
        "It is no secret, and cannot be changed later.",
        examples=["tenant-42"],
    )


class KeysSpec(ApiModel):
    """The workload's key in Vault and the data keys that it wraps."""

    custody: Custody = Field(
        default=Custody.SERVICE_MANAGED,
        description="Who makes and holds the key material: Vault (service-managed), the customer by import "
        "(customer-managed), or the customer's own Vault (hold-your-own-key).",
        examples=["service-managed"],
    )
    type: KeyType = Field(
        default=KeyType.AES256_GCM96,
        description="Type of the transit key. It cannot be changed later.",
        examples=["aes256-gcm96"],
    )
    derived: bool = Field(
        default=False,
        description="Derive a key of its own from the workload's key for each context; only for keys that encrypt by AES or "
        "ChaCha20, and every data key then needs a context. It cannot be changed later.",
        examples=[False],
    )
    data_keys: tuple[DataKey, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="Data keys to keep ready for the workload, wrapped by its key (envelope encryption).",
        examples=[[{"name": "model"}]],
    )


class CertificateUsage(StrEnum):
    """What the certificate proves: a server, a client, or both (mTLS)."""

    SERVER = "server"
    CLIENT = "client"


class CertificateDelivery(StrEnum):
    """How the certificate reaches the pod."""

    SECRET = "Secret"  # noqa: S105 - the Kubernetes kind, not a password
    NONE = "None"


class CertificateSpec(ApiModel):
    """The workload's mTLS certificate, signed by Vault's PKI from a CSR."""

    dns_names: tuple[DnsSubdomain, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="DNS names of the certificate, inside the workload's own namespace: NAME.NAMESPACE.svc and what "
        "ends so. Empty means NAME.NAMESPACE.svc, with the workload's name.",
        examples=[["llm.team-a.svc"]],
    )
    ttl: Duration = Field(
        default="24h",
        description="Lifetime in hours, minutes and seconds, from 5m to 2160h; renewed at two thirds of it. "
        "A shorter one counts at once, a longer one from the next renewal.",
        examples=["24h"],
    )
    usages: tuple[CertificateUsage, ...] = Field(
        default=(CertificateUsage.SERVER, CertificateUsage.CLIENT),
        min_length=1,
        max_length=2,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="What the certificate may be used for.",
        examples=[["server", "client"]],
    )
    delivery: CertificateDelivery = Field(
        default=CertificateDelivery.SECRET,
        description="Secret: a kubernetes.io/tls Secret mounted into the pods. None: no certificate.",
        examples=["Secret"],
    )


class SecureAIWorkloadSpec(ApiModel):
    """What must be true of the workload. `spec: {}` is valid and secure."""

    pod_selector: PodSelector | None = Field(
        default=None,
        description="The workload's pods. Default: pods labelled secureai.dev/workload with the workload's name.",
        examples=[{"matchLabels": {"app": "llm"}}],
    )
    vault: VaultSpec = Field(
        default_factory=VaultSpec, description="The Vault.", examples=[{"connection": "default"}]
    )
    keys: KeysSpec = Field(
        default_factory=KeysSpec,
        description="The workload's key in Vault and the data keys that it wraps.",
        examples=[{"dataKeys": [{"name": "model"}]}],
    )
    certificate: CertificateSpec = Field(
        default_factory=CertificateSpec, description="The mTLS certificate.", examples=[{"ttl": "24h"}]
    )
    access: AccessSpec = Field(
        default_factory=AccessSpec,
        description="What the workload may do in the Kubernetes API; nothing by default.",
        examples=[{"tokenTTL": "10m"}],
    )
    network: NetworkSpec = Field(
        default_factory=NetworkSpec,
        description="The workload's network; everything not declared is denied.",
        examples=[{"ingress": [{"from": [{"namespace": "gateway"}], "ports": [8000]}]}],
    )
    confidential: ConfidentialSpec = Field(
        default_factory=ConfidentialSpec,
        description="Placement on confidential nodes.",
        examples=[{"mode": "Required"}],
    )
    enforcement: Enforcement = Field(
        default=Enforcement.ENFORCE,
        description="Enforce: pods are bound, isolated, and refused if they cannot be. Audit: nothing that runs is "
        "touched, status tells what Enforce would do.",
        examples=["Enforce"],
    )
    drift_policy: DriftPolicy = Field(
        default=DriftPolicy.HEAL,
        description="Heal: what others change or delete comes back. Warn: it is reported and left alone.",
        examples=["Heal"],
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="What happens to the key on deletion. Retain: it stays in Vault with its wrapped data keys. "
        "Destroy: it is destroyed if the platform allows that too. Access is revoked in both cases.",
        examples=["Retain"],
    )
    suspend: bool = Field(
        default=False,
        description="Leave everything as it is, neither healing nor renewing, until this is false again.",
        examples=[False],
    )
