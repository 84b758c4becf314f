"""The two kinds as CustomResourceDefinitions: their names, models, rules and columns of `kubectl get`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from secureai_operator import names
from secureai_operator.api import rules
from secureai_operator.api.rotation import KeyRotationPolicySpec, KeyRotationPolicyStatus
from secureai_operator.api.structural import Place, SchemaError, structural, validations
from secureai_operator.api.workload import SecureAIWorkloadSpec
from secureai_operator.api.workload_status import SecureAIWorkloadStatus

Json = dict[str, Any]

CATEGORY = "secureai"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; wide ones only with -o wide."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    says: str = ""

    def schema(self) -> Json:
        optional = {"description": self.says} if self.says else {}
        return {
            "name": self.name,
            "type": self.type,
            "jsonPath": self.path,
            **optional,
            **({"priority": 1} if self.wide else {}),
        }


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of the API: its names, models, rules and columns."""

    kind: str
    plural: str
    short_name: str
    summary: str
    spec: type[BaseModel]
    status: type[BaseModel]
    rules: rules.Rules
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        return f"{self.plural}.{names.GROUP}"


_CONDITION = '.status.conditions[?(@.type=="Ready")]'
# Times are strings: kubectl shows a date in the future as <invalid>.
_READY = (
    Column("Ready", f"{_CONDITION}.status", says="Whether everything declared is in place."),
    Column("Reason", f"{_CONDITION}.reason", says="Why, in one word; docs/reasons.md explains it."),
)
_AGE = Column("Age", ".metadata.creationTimestamp", "date")

SECURE_AI_WORKLOAD = Kind(
    kind="SecureAIWorkload",
    plural="secureaiworkloads",
    short_name="saw",
    summary="An AI workload and what must be true of it: its identity, keys, certificate, access, network and placement.",
    spec=SecureAIWorkloadSpec,
    status=SecureAIWorkloadStatus,
    rules=rules.WORKLOAD,
    columns=(
        *_READY,
        Column("Key", ".status.key.latestVersion", "integer", says="Latest version of the key."),
        Column("Rotates", ".status.rotation.nextTime", says="Next planned rotation."),
        Column("Quarantined", ".status.pods.quarantined", "integer", says="Pods under quarantine."),
        _AGE,
        Column("Vault Name", ".status.vault.name", wide=True, says="Its one name in Vault."),
        Column("Cert Expiry", ".status.certificate.notAfter", wide=True, says="End of the certificate."),
        Column("Custody", ".spec.keys.custody", wide=True, says="Who holds the key."),
        Column("Enforcement", ".spec.enforcement", wide=True, says="Whether pods are bound or looked at."),
        Column("Pods", ".status.pods.bound", "integer", wide=True, says="Pods that have all they should."),
    ),
)

KEY_ROTATION_POLICY = Kind(
    kind="KeyRotationPolicy",
    plural="keyrotationpolicies",
    short_name="krp",
    summary="When the keys of the selected workloads rotate, and how old versions retire.",
    spec=KeyRotationPolicySpec,
    status=KeyRotationPolicyStatus,
    rules=rules.KEY_ROTATION,
    columns=(
        *_READY,
        Column("Selected", ".status.selected", "integer", says="Workloads that it selects."),
        Column("Failed", ".status.failed", "integer", says="Workloads whose rotation cannot go on."),
        Column("Next", ".status.nextTime", says="Next planned rotation."),
        Column("Suspended", ".spec.suspend", "boolean", says="Whether it rests."),
        _AGE,
        Column("Cron", ".spec.schedule.cron", wide=True, says="Schedule by the calendar."),
        Column("Interval", ".spec.schedule.interval", wide=True, says="Schedule by the key's age."),
        Column("Last", ".status.lastTime", wide=True, says="Last rotation."),
        Column("Priority", ".spec.priority", "integer", wide=True, says="The higher policy wins."),
    ),
)

KINDS = (SECURE_AI_WORKLOAD, KEY_ROTATION_POLICY)


def definition(kind: Kind) -> Json:
    """The CustomResourceDefinition of the kind. Raises SchemaError if its models cannot be one."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.name},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [column.schema() for column in kind.columns],
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema(kind)},
                }
            ],
        },
    }


def schema(kind: Kind) -> Json:
    """The structural schema of the kind's objects. Raises SchemaError."""
    unused = dict(kind.rules)
    spec = structural(kind.spec, Place("spec", unused))
    status = structural(kind.status, Place("status", unused, in_status=True))
    root = {
        "description": kind.summary,
        "type": "object",
        **({"required": ["spec"]} if "required" in spec else {}),
        "properties": {
            "apiVersion": {
                "description": f"Version of this API. Required. Example: {names.API_VERSION}.",
                "type": "string",
            },
            "kind": {"description": f"The kind. Required. Example: {kind.kind}.", "type": "string"},
            # Only that a rule can point to it: everything else of metadata is the API server's own.
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": _spec(kind, spec),
            "status": _status(status),
        },
        **validations(unused.pop("", ())),
    }
    if unused:
        raise SchemaError(f"rules for fields that do not exist: {sorted(unused)}")
    return root


def _spec(kind: Kind, spec: Json) -> Json:
    if "required" not in spec:
        said = f"{spec['description']} Default: the defaults of its fields. Example: {{}}."
        return {**spec, "description": said, "default": {}}
    fields = kind.spec.model_json_schema(by_alias=True)["properties"]
    example = json.dumps({name: fields[name]["examples"][0] for name in spec["required"]})
    return {**spec, "description": f"{spec['description']} Required. Example: {example}."}


def _status(status: Json) -> Json:
    """With the default that keeps kstatus from taking a new object for one that is done."""
    default = {"observedGeneration": -1}
    said = f'{status["description"]} Default: {json.dumps(default)}. Example: {{"observedGeneration": 1}}.'
    properties = {name: _whole(schema) for name, schema in status["properties"].items()}
    return {**status, "properties": properties, "description": said, "default": default}


def _whole(schema: Json) -> Json:
    """A part of the status as one field for server-side apply: a condition, a rotation, a data key is written by one manager.

    Remembering who wrote which of the hundred fields in them was a third of what a status write cost the API server.
    """
    if schema.get("type") == "object":
        return {**schema, "x-kubernetes-map-type": "atomic"}
    items = schema.get("items")
    return schema if items is None else {**schema, "items": _whole(items)}
