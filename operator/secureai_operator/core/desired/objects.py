"""The shape of a desired object: who owns it, what it is labelled, which condition speaks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from secureai_operator import names
from secureai_operator.api.conditions import ConditionType
from secureai_operator.api.resources import Resource
from secureai_operator.core.drift import digest, seal
from secureai_operator.core.facts import Manifest, Workload


@dataclass(frozen=True, slots=True)
class DesiredObject:
    """One Kubernetes object that must be exactly so."""

    resource: Resource
    name: str
    manifest: Manifest
    concern: ConditionType
    digest: bytes
    """Of the manifest: what a live object's is compared with."""


def desired_object(
    workload: Workload,
    resource: Resource,
    name: str,
    concern: ConditionType,
    content: Manifest,
    *,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> DesiredObject:
    """`content` with the metadata that every owned object has."""
    manifest: dict[str, Any] = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name,
            "namespace": workload.namespace,
            "labels": {
                names.MANAGED_BY_LABEL: names.MANAGED_BY,
                names.WORKLOAD_LABEL: workload.name,
                **labels,
            },
            "ownerReferences": [owner_reference(workload)],
        },
        **content,
    }
    # Annotations are no part of it.
    parts = digest(manifest)
    manifest["metadata"]["annotations"] = {names.APPLIED_ANNOTATION: seal(parts)}
    return DesiredObject(resource, name, manifest, concern, parts)


def owner_reference(workload: Workload) -> dict[str, Any]:
    """Deleting the CR deletes the object; the CR's own deletion does not wait for it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "SecureAIWorkload",
        "name": workload.name,
        "uid": workload.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
