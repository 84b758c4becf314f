"""Network: who a workload may talk to, as its users write it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from secureai_operator.api.model import (
    ApiModel,
    DnsLabel,
    LabelKey,
    LabelValue,
    text,
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
