"""The pydantic models as CustomResourceDefinitions with structural schemas.

Defaults are written into the schema of `spec` wherever no list lies between, so that the stored object is complete and
admission policies need not know defaults. Inside list items they are left out: tools that compare lists as a whole
(Argo CD, `kubectl apply`) would see every defaulted item as a difference for ever. In `status` only the one that kstatus
needs is written. Fields that may be null in Python are left out of objects, never null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from secureai_operator import names
from secureai_operator.api import rules
from secureai_operator.api.model import DURATION, SAYS
from secureai_operator.api.rotation import KeyRotationPolicySpec, KeyRotationPolicyStatus
from secureai_operator.api.rules import Rule, cel
from secureai_operator.api.workload import SecureAIWorkloadSpec
from secureai_operator.api.workload_status import SecureAIWorkloadStatus

Json = dict[str, Any]

CATEGORY = "secureai"

_KEPT = (
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "maxLength",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)
"""What is the same in both worlds. `pattern` and `minLength` become rules, because their own messages help nobody."""


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


class SchemaError(ValueError):
    """A model says something that a structural schema cannot."""


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
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def _root(kind: Kind) -> Json:
    unused = dict(kind.rules)
    spec = _model(kind.spec, _Place("spec", unused))
    status = _model(kind.status, _Place("status", unused, in_status=True))
    optional = not spec.get("required")
    root: Json = {
        "description": f"{kind.summary}",
        "type": "object",
        "properties": {
            "apiVersion": {
                "description": f"Version of this API. Required. Example: {names.API_VERSION}.",
                "type": "string",
            },
            "kind": {"description": f"The kind. Required. Example: {kind.kind}.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": {**spec, **({"default": {}} if optional else {})},
            "status": {**status, "default": {"observedGeneration": -1}},
        },
        **({} if optional else {"required": ["spec"]}),
        **_validations(unused.pop("", ())),
    }
    if unused:
        raise SchemaError(f"rules for fields that do not exist: {sorted(unused)}")
    return root


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the object a schema is: `unused` holds the rules that have not met their field yet."""

    path: str
    unused: dict[str, tuple[Rule, ...]]
    in_status: bool = False
    in_list: bool = False
    models: tuple[str, ...] = ()
    defs: Mapping[str, Json] = field(default_factory=dict)

    def at(self, name: str) -> _Place:
        return replace(self, path=f"{self.path}.{name}")

    def item(self) -> _Place:
        return replace(self, path=f"{self.path}[]", in_list=True)

    @property
    def materialises(self) -> bool:
        return not (self.in_status or self.in_list)


def _model(model: type[BaseModel], place: _Place) -> Json:
    schema = model.model_json_schema(by_alias=True)
    described = _structural(schema, replace(place, defs=schema.get("$defs", {})))
    example = "" if place.in_status else " Default: the defaults of its fields."
    if described.get("required") and not place.in_status:
        example = " Required."
    return {"description": f"{described.pop('description', '')}{example}", **described}


def _structural(schema: Json, place: _Place) -> Json:
    schema, place = _resolved(schema, place)
    kept: Json = {}
    if "description" in schema:
        kept["description"] = " ".join(schema["description"].split())
    kept |= {key: schema[key] for key in _KEPT if key in schema}
    if schema.get("x-kubernetes-int-or-string"):
        kept.pop("type", None)
    elif "type" not in kept:
        raise SchemaError(f"{place.path}: not one type")
    if "const" in schema and "enum" not in kept:
        kept["enum"] = [schema["const"]]
    kept |= _children(schema, place)
    return {**kept, **_validations((*_own_rules(schema, place), *_key_rules(schema, place)))}


def _resolved(schema: Json, place: _Place) -> tuple[Json, _Place]:
    """The schema without `$ref` and without the null alternative; what stands beside a `$ref` wins over it."""
    while True:
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/$defs/")
            if name in place.models:
                raise SchemaError(f"{place.path}: {name} contains itself")
            place = replace(place, models=(*place.models, name))
            schema = {**place.defs[name], **{key: value for key, value in schema.items() if key != "$ref"}}
        elif "anyOf" in schema and not schema.get("x-kubernetes-int-or-string"):
            others = [option for option in schema["anyOf"] if option != {"type": "null"}]
            if len(others) != 1:
                raise SchemaError(f"{place.path}: more than one type")
            schema = {**others[0], **{key: value for key, value in schema.items() if key != "anyOf"}}
        else:
            return schema, place


def _children(schema: Json, place: _Place) -> Json:
    if "prefixItems" in schema:
        raise SchemaError(f"{place.path}: tuples of different types have no schema")
    if "properties" in schema:
        required = schema.get("required", [])
        properties = {
            name: _property(name, child, name in required, place)
            for name, child in schema["properties"].items()
        }
        return {**({"required": required} if required else {}), "properties": properties}
    if "items" in schema:
        return {"items": _structural(schema["items"], place.item())}
    if schema.get("type") == "object":
        return {"additionalProperties": _structural(_map_values(schema), place.item())}
    return {}


def _map_values(schema: Json) -> Json:
    patterns = schema.get("patternProperties")
    values: Json = next(iter(patterns.values())) if patterns else schema["additionalProperties"]
    return values


def _property(name: str, schema: Json, required: bool, place: _Place) -> Json:
    here = place.at(name)
    structural = _structural(schema, here)
    has_default = not required and schema.get("default", {}) is not None
    default = schema.get("default", {}) if has_default else None
    described = {
        "description": " ".join(_sentences(structural.get("description", ""), schema, required, default))
    }
    materialised = {"default": default} if has_default and here.materialises else {}
    return {**structural, **described, **materialised}


def _sentences(description: str, schema: Json, required: bool, default: object) -> Iterator[str]:
    """A field's description with its default and an example, for `kubectl explain`."""
    yield description
    if required:
        yield "Required."
    elif "Default:" not in description:
        yield f"Default: {_default_words(schema, default)}."
    examples = schema.get("examples")
    if examples:
        yield f"Example: {_literal(examples[0])}."


def _default_words(schema: Json, default: object) -> str:
    if default is None:
        return "none"
    if default == {}:
        return "the defaults of its fields" if "$ref" in schema else "{}"
    return _literal(default)


def _literal(value: object) -> str:
    """The value as YAML would have it on one line."""
    plain = isinstance(value, str) and value and " " not in value
    return str(value) if plain else json.dumps(value)


def _own_rules(schema: Json, place: _Place) -> tuple[Rule, ...]:
    """The rule that the field's type brings, then those of the table."""
    told = place.unused.pop(place.path, ())
    pattern = schema.get("pattern")
    if place.in_status or pattern is None or any(rule.covers_pattern for rule in told):
        return told
    positive = " && self != '' && duration(self) > duration('0s')" if pattern == DURATION else ""
    return (Rule(f"self.matches({cel(pattern)}){positive}", schema[SAYS]), *told)


def _key_rules(schema: Json, place: _Place) -> tuple[Rule, ...]:
    """A structural schema has no words for the keys of a map: a rule has."""
    patterns = schema.get("patternProperties")
    if place.in_status or not patterns:
        return ()
    pattern = next(iter(patterns))
    keys = schema.get("propertyNames", {})
    return (
        Rule(
            f"self.all(key, key.size() <= {keys['maxLength']} && key.matches({cel(pattern)}))",
            f"each key {keys[SAYS]}",
        ),
    )


def _validations(found: tuple[Rule, ...]) -> Json:
    return {"x-kubernetes-validations": [rule.schema() for rule in found]} if found else {}
