"""Confidential placement: where a workload may run, as its users write it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from secureai_operator.api.model import (
    ApiModel,
    DnsSubdomain,
    LabelKey,
    LabelValue,
)


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
