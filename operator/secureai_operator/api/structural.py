"""One pydantic model as a structural schema: the part of JSON Schema that the API server accepts.

Defaults are written into the schema of `spec` wherever no list lies between, so that the stored object is complete and
admission policies need not know defaults. Inside list items they are left out: tools that compare lists as a whole
(Argo CD, `kubectl apply`) would see every defaulted item as a difference for ever. In `status` none is written. Fields
that may be None in Python are left out of objects, never null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from secureai_operator.api.model import DURATION, SAYS
from secureai_operator.api.rules import Rule, cel

Json = dict[str, Any]

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
"""What is the same in both worlds."""

_TRANSLATED = (
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
    "examples",
    "items",
    "minLength",
    "pattern",
    "patternProperties",
    "properties",
    "propertyNames",
    "required",
    "title",
    SAYS,
)
"""What is said otherwise. `pattern` and `minLength` become rules, because their own messages help nobody."""


class SchemaError(ValueError):
    """A model says something that a structural schema cannot."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the object a schema is: `unused` holds the rules that have not met their field yet."""

    path: str
    unused: dict[str, tuple[Rule, ...]]
    in_status: bool = False
    in_list: bool = False
    models: tuple[str, ...] = ()
    defs: Mapping[str, Json] = field(default_factory=dict)

    def at(self, name: str) -> Place:
        return replace(self, path=f"{self.path}.{name}")

    def item(self) -> Place:
        return replace(self, path=f"{self.path}[]", in_list=True)

    @property
    def materialises(self) -> bool:
        return not (self.in_status or self.in_list)


def structural(model: type[BaseModel], place: Place) -> Json:
    """The schema of the model. Raises SchemaError; takes the rules that it uses out of `place.unused`."""
    schema = model.model_json_schema(by_alias=True)
    return _structural(schema, replace(place, defs=schema.get("$defs", {})))


def _structural(schema: Json, place: Place) -> Json:
    schema, place = _resolved(schema, place)
    unknown = schema.keys() - {*_KEPT, *_TRANSLATED}
    if unknown:
        raise SchemaError(f"{place.path}: cannot say {sorted(unknown)}")
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
    return {**kept, **validations((*_own_rules(schema, place), *_key_rules(schema, place)))}


def _resolved(schema: Json, place: Place) -> tuple[Json, Place]:
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


def _children(schema: Json, place: Place) -> Json:
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
        return {"additionalProperties": _structural(_map_values(schema, place), place.item())}
    return {}


def _map_values(schema: Json, place: Place) -> Json:
    patterns = schema.get("patternProperties")
    values = next(iter(patterns.values())) if patterns else schema.get("additionalProperties")
    if not isinstance(values, dict):
        raise SchemaError(f"{place.path}: a map whose values have no type")
    return values


def _property(name: str, schema: Json, required: bool, place: Place) -> Json:
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


def _own_rules(schema: Json, place: Place) -> tuple[Rule, ...]:
    """The rule that the field's type brings, then those of the table."""
    told = place.unused.pop(place.path, ())
    pattern = schema.get("pattern")
    if place.in_status or pattern is None or any(rule.covers_pattern for rule in told):
        return told
    positive = " && self != '' && duration(self) > duration('0s')" if pattern == DURATION else ""
    return (Rule(f"self.matches({cel(pattern)}){positive}", schema[SAYS]), *told)


def _key_rules(schema: Json, place: Place) -> tuple[Rule, ...]:
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


def validations(found: tuple[Rule, ...]) -> Json:
    return {"x-kubernetes-validations": [rule.schema() for rule in found]} if found else {}
