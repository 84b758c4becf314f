"""SecureAIWorkload, as its users write it: the spec. What the operator answers is in `workload_status`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from secureai_operator.api.model import (
    ApiModel,
    DnsLabel,
    DnsSubdomain,
    Duration,
    LabelKey,
    LabelValue,
    text,
)


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


class Custody(StrEnum):
    """Who makes and holds the key material."""

    SERVICE_MANAGED = "service-managed"
    CUSTOMER_MANAGED = "customer-managed"
    HOLD_YOUR_OWN_KEY = "hold-your-own-key"


class ConfidentialMode(StrEnum):
    """How much the workload insists on a confidential node."""

    OFF = "Off"
    PREFERRED = "Preferred"
    REQUIRED = "Required"


class Platform(StrEnum):
    """Where TDX comes from; each has its own labels, runtime class and resources."""

    AUTO = "auto"
    BARE_METAL = "bare-metal"
    GKE = "gke"
    AKS = "aks"
    PEER_PODS = "peer-pods"


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
        description="Lifetime in hours, minutes and seconds, from 5m to 2160h; renewed at two thirds of it.",
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


_Word = Annotated[
    str,
    text(
        r"^[a-z0-9]([-a-z0-9./]*[a-z0-9])?$",
        "must be one resource or verb in lower case, such as configmaps or get; wildcards are not allowed: list each",
        min_length=1,
        max_length=63,
    ),
]
_Group = Annotated[
    str,
    text(
        r"^[a-z0-9.-]*$",
        "must be one API group in lower case, such as apps, or the empty string for the core group; "
        "wildcards are not allowed: list each",
        max_length=253,
    ),
]
_ResourceName = Annotated[
    str,
    text(
        r"^[A-Za-z0-9]([-A-Za-z0-9_.:]*[A-Za-z0-9])?$",
        "must be the full name of one object: letters, digits, '-', '_', '.' and ':', with a letter or digit at "
        "both ends; wildcards are not allowed",
        max_length=253,
    ),
]


class AccessRule(ApiModel):
    """A rule of the workload's Role: RBAC's own words, without wildcards."""

    api_groups: tuple[_Group, ...] = Field(
        min_length=1,
        max_length=4,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="API groups; the empty string is the core group. No wildcards.",
        examples=[[""]],
    )
    resources: tuple[_Word, ...] = Field(
        min_length=1,
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Resources in lower-case plural. No wildcards.",
        examples=[["configmaps"]],
    )
    resource_names: tuple[_ResourceName, ...] = Field(
        default=(),
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Names of single objects; empty means all of the namespace.",
        examples=[["llm-config"]],
    )
    verbs: tuple[_Word, ...] = Field(
        min_length=1,
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Verbs, such as get, list and watch. No wildcards.",
        examples=[["get"]],
    )


class RoleKind(StrEnum):
    """The two kinds of RBAC roles."""

    ROLE = "Role"
    CLUSTER_ROLE = "ClusterRole"


class RoleRef(ApiModel):
    """An existing role that the workload gets in its own namespace."""

    kind: RoleKind = Field(
        default=RoleKind.ROLE,
        description="Role (of the same namespace) or ClusterRole (granted in this namespace only).",
        examples=["Role"],
    )
    name: _ResourceName = Field(description="Name of the role.", examples=["llm-reader"])


class AccessSpec(ApiModel):
    """What the workload may do in the Kubernetes API and how long its tokens live."""

    token_ttl: Duration = Field(
        default="10m",
        alias="tokenTTL",
        description="Lifetime of the projected tokens and of the Vault tokens made with them, in hours, minutes and "
        "seconds, from 10m to 24h; the kubelet renews them.",
        examples=["10m"],
    )
    rules: tuple[AccessRule, ...] = Field(
        default=(),
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Rules that the workload gets in its namespace. Their author must hold them, and the "
        "platform's ceiling must allow them. Together at most 24 combinations of group, resource, name "
        "and verb; for more, name a role in roleRefs.",
        examples=[
            [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}]
        ],
    )
    role_refs: tuple[RoleRef, ...] = Field(
        default=(),
        max_length=4,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Existing roles that the workload gets in its namespace. Their author must be allowed to bind them.",
        examples=[[{"kind": "Role", "name": "llm-reader"}]],
    )


Cidr = Annotated[
    str,
    text(
        r"^[0-9a-fA-F:.]+/[0-9]{1,3}$",
        "must be addresses in CIDR notation, such as 10.20.0.0/16; one address is 10.20.0.1/32",
        max_length=43,
    ),
]


class NetworkPeer(ApiModel):
    """One other side of a connection: exactly one of workload, podLabels with or without namespace, or cidr."""

    workload: DnsLabel | None = Field(
        default=None,
        description="Name of another SecureAIWorkload (of `namespace`, or of the same namespace).",
        examples=["gateway"],
    )
    namespace: DnsLabel | None = Field(
        default=None,
        description="A namespace by name; alone it means all of its pods. Default: the workload's own.",
        examples=["gateway"],
    )
    pod_labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        max_length=8,
        description="Labels of the peer's pods.",
        examples=[{"app": "gateway"}],
    )
    cidr: Cidr | None = Field(
        default=None,
        description="Addresses in CIDR notation.",
        examples=["10.20.0.0/16"],
    )


NetworkPort = Annotated[
    int | str, Field(json_schema_extra={"x-kubernetes-int-or-string": True, "maxLength": 10})
]
"""`443` is TCP; `"53/UDP"` names the protocol."""


class IngressRule(ApiModel):
    """Who may connect to the workload."""

    from_: tuple[NetworkPeer, ...] = Field(
        alias="from",
        min_length=1,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Peers that may connect. Never empty: empty would mean everybody.",
        examples=[[{"namespace": "gateway"}]],
    )
    ports: tuple[NetworkPort, ...] = Field(
        min_length=1,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Ports from 1 to 65535, TCP unless written as NUMBER/PROTOCOL (TCP, UDP or SCTP).",
        examples=[[8000]],
    )


class EgressRule(ApiModel):
    """Where the workload may connect to."""

    to: tuple[NetworkPeer, ...] = Field(
        min_length=1,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Peers that may be connected to. Never empty: empty would mean everybody.",
        examples=[[{"cidr": "10.20.0.0/16"}]],
    )
    ports: tuple[NetworkPort, ...] = Field(
        min_length=1,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Ports from 1 to 65535, TCP unless written as NUMBER/PROTOCOL (TCP, UDP or SCTP).",
        examples=[[443]],
    )


class NetworkSpec(ApiModel):
    """The workload's network: everything not declared here is denied, in both directions."""

    ingress: tuple[IngressRule, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Connections to the workload that are allowed; none by default.",
        examples=[[{"from": [{"namespace": "gateway"}], "ports": [8000]}]],
    )
    egress: tuple[EgressRule, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Connections of the workload that are allowed, besides DNS and Vault; none by default.",
        examples=[[{"to": [{"cidr": "10.20.0.0/16"}], "ports": [443]}]],
    )
    dns: bool = Field(
        default=True,
        description="Allow DNS to the cluster's resolvers (the pods and addresses that the platform team configured).",
        examples=[True],
    )
    vault: bool = Field(
        default=True,
        description="Allow connections to Vault (the peers that the platform team configured for the connection).",
        examples=[True],
    )
    kubernetes_api: bool = Field(
        default=False,
        alias="kubernetesAPI",
        description="Allow connections to the Kubernetes API server; needed if the workload uses its access rules.",
        examples=[False],
    )


class Tee(StrEnum):
    """Trusted execution environments that the operator can place."""

    TDX = "tdx"


class GpuSpec(ApiModel):
    """The confidential GPU of the workload."""

    confidential: bool = Field(
        default=False,
        description="Require a node whose GPUs are in confidential-computing mode and ready.",
        examples=[True],
    )


class TolerationOperator(StrEnum):
    """Operators of a toleration."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class Toleration(ApiModel):
    """A toleration in Kubernetes' own words, given to the workload's pods."""

    key: LabelKey = Field(description="Key of the taint.", examples=["nvidia.com/gpu"])
    operator: TolerationOperator = Field(
        default=TolerationOperator.EXISTS, description="Exists or Equal.", examples=["Exists"]
    )
    value: LabelValue = Field(default="", description="Value of the taint, with Equal.", examples=["present"])
    effect: Annotated[
        str, Field(json_schema_extra={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute", ""]})
    ] = Field(
        default="", description="Effect of the taint; empty means all effects.", examples=["NoSchedule"]
    )


class ConfidentialSpec(ApiModel):
    """Where the workload may run."""

    mode: ConfidentialMode = Field(
        default=ConfidentialMode.PREFERRED,
        description="Required: only on confidential nodes. Preferred: on them if the cluster has any, and the status "
        "says so if not. Off: anywhere.",
        examples=["Required"],
    )
    tee: Tee = Field(default=Tee.TDX, description="The trusted execution environment.", examples=["tdx"])
    platform: Platform = Field(
        default=Platform.AUTO,
        description="Preset of labels, runtime class and resources; auto finds it by the cluster's nodes.",
        examples=["auto"],
    )
    gpu: GpuSpec = Field(
        default_factory=GpuSpec, description="Confidential GPU.", examples=[{"confidential": True}]
    )
    runtime_class_name: DnsSubdomain | None = Field(
        default=None,
        description="Runtime class instead of the preset's.",
        examples=["kata-qemu-tdx"],
    )
    tolerations: tuple[Toleration, ...] = Field(
        default=(),
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Tolerations for the taints of the confidential nodes.",
        examples=[[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]],
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
