"""Access: what a workload may do in the Kubernetes API, as its users write it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from secureai_operator.api.model import (
    ApiModel,
    Duration,
    text,
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
