"""Values and changes derived from the committed CRDs: what each field takes, what is nearly that, and what it refuses.

Everything is read from the OpenAPI schema. CEL decides beyond that: a rule that matches a pattern or bounds a duration is read
too, any other may refuse what is made here, and that is an answer.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path as FilePath
from typing import Any
from zlib import crc32

import yaml
from hypothesis import strategies as st

from tests.faults import text
from tests.faults.draws import drawn

CRDS = FilePath(__file__).parents[2] / "crds"
UNKNOWN = "notAField"

Json = dict[str, Any]
Path = tuple[str, ...]
Values = st.SearchStrategy[Any]

_ITEM, _VALUE = "[]", "{}"
_SCARCE = st.sampled_from([False, False, True])
"""Whether an optional field is there: seldom, so that what was changed decides."""

# What a function of CEL takes cannot be read off the schema.
_FORMATS: Mapping[str, tuple[Any, ...]] = {
    "isCIDR(self)": ("10.20.0.0/16", "10.30.0.1/32", "0.0.0.0/0", "2001:db8::/32", "::/0"),
    "getHours(self)": ("UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12"),
    "type(self) == int": (1, 443, 65535, "53/UDP", "65535/SCTP", "1/TCP"),
    "endsWith('.svc')": (
        "llm.team-a.svc",
        "a.b.team-a.svc.cluster.local",
        f"{'d' * 63}.{'e' * 63}.team-a.svc",
    ),
}

_WRONG_TYPES: Mapping[str, tuple[Any, ...]] = {
    "string": (5, True, [], {}, ["a"]),
    "integer": ("5", True, [], {}, 1.5),
    "boolean": ("true", 1, [], {}),
    "array": ("a", 5, True, {}),
    "object": ("a", 5, True, []),
    "": (True, [], {}, 1.5),
}
_ODD_NUMBERS = (-1, 0, 3.0, 2**31, 2**63 - 1, -(2**63))


class How(StrEnum):
    """What was done to a field."""

    VALID = "valid"
    ODD = "odd"
    WRONG = "wrong"
    REMOVED = "removed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Change:
    """A spec that differs from another in one field."""

    where: str
    how: How
    spec: Any
    value: Any = None

    @property
    def must_be_refused(self) -> bool:
        """The schema itself refuses it, whatever else is in the spec."""
        return self.how in {How.WRONG, How.UNKNOWN}


class Field:
    """One field of the schema, with its children; a list's items and a map's values are fields of their own."""

    def __init__(self, schema: Json, path: Path = (), *, required: bool = True) -> None:
        self.schema = schema
        self.path = path
        self.required = required
        needed = schema.get("required", ())
        self.children = {
            name: Field(child, (*path, name), required=name in needed)
            for name, child in schema.get("properties", {}).items()
        }
        below = schema.get("items") or schema.get("additionalProperties")
        step = _ITEM if "items" in schema else _VALUE
        self.item = Field(below, (*path, step)) if below else None

    @property
    def name(self) -> str:
        return ".".join(("spec", *self.path)).replace(".[]", "[]").replace(".{}", "{}")

    @property
    def type(self) -> str:
        return str(self.schema.get("type", ""))

    @property
    def rules(self) -> list[str]:
        return [rule["rule"] for rule in self.schema.get("x-kubernetes-validations", ())]

    def walk(self) -> Iterator[Field]:
        """The field and all below it."""
        yield self
        for child in (*self.children.values(), *([self.item] if self.item else ())):
            yield from child.walk()

    @cached_property
    def valid(self) -> Values:
        """What the field takes, its bounds included."""
        if "enum" in self.schema:
            return st.sampled_from(self.schema["enum"])
        formats = [sample for known, found in _FORMATS.items() for sample in found if self._is_asked(known)]
        if formats:
            return st.sampled_from(formats)
        made: Mapping[str, Callable[[], Values]] = {
            "string": lambda: text.valid(self.schema, self.rules),
            "integer": self._numbers,
            "boolean": st.booleans,
            "array": self._lists,
            "object": self._maps if self.item else self._objects,
        }
        return made[self.type]()

    @cached_property
    def odd(self) -> Values:
        """What looks like a value and may be none, or a value of no use."""
        if self.type == "string":
            return st.one_of(st.none(), text.odd(self.valid))
        if self.type == "integer":
            return st.one_of(st.none(), st.sampled_from(_ODD_NUMBERS))
        if self.type == "array":
            return st.one_of(st.none(), st.just([]), self.valid.map(lambda found: [*found, *found]))
        if self.type == "object":
            return st.one_of(st.none(), st.just({}))
        return st.one_of(st.none(), st.sampled_from([0, "", "443", "0/TCP", 65536, 443.0]))

    @cached_property
    def wrong(self) -> Values:
        """What the schema itself refuses."""
        found = [st.sampled_from(_WRONG_TYPES[self.type])]
        if "enum" in self.schema:
            found.append(st.just("no-such-word" if self.type == "string" else 77))
        elif self.type == "string":
            found.append(st.sampled_from(text.wrong(self.schema, self.rules)))
        found += [st.just(value) for value in self._beyond()]
        if self.type == "object" and any(child.required for child in self.children.values()):
            found.append(st.just({}))
        return st.one_of(found)

    def _is_asked(self, known: str) -> bool:
        return any(known in rule for rule in self.rules)

    def _beyond(self) -> Iterator[Any]:
        schema = self.schema
        if "minimum" in schema:
            yield schema["minimum"] - 1
        if "maximum" in schema:
            yield schema["maximum"] + 1
        if schema.get("minItems") or schema.get("minProperties"):
            yield [] if self.type == "array" else {}
        if "maxItems" in schema:
            yield ["a"] * (schema["maxItems"] + 1)
        if "maxProperties" in schema:
            yield {f"k{number}": "v" for number in range(schema["maxProperties"] + 1)}

    def _numbers(self) -> Values:
        low, high = self.schema["minimum"], self.schema["maximum"]
        return st.one_of(st.sampled_from([low, high]), st.integers(low, high))

    def _lists(self) -> Values:
        assert self.item is not None
        low, high = self.schema.get("minItems", 0), self.schema["maxItems"]
        kind = self.schema.get("x-kubernetes-list-type")
        unique: Callable[[Any], str] | None = None
        if kind == "set":
            unique = str
        elif kind == "map":
            unique = _named
        few = st.lists(self.item.valid, min_size=low, max_size=min(high, 3), unique_by=unique)
        if self.item.children:
            return few
        return st.one_of(few, few, st.lists(self.item.valid, min_size=low, max_size=high, unique_by=unique))

    def _maps(self) -> Values:
        assert self.item is not None
        keys = text.valid_keys(self.rules)
        most = min(self.schema["maxProperties"], 3)
        return st.dictionaries(
            keys, self.item.valid, min_size=self.schema.get("minProperties", 0), max_size=most
        )

    def _objects(self) -> Values:
        @st.composite
        def made(draw: st.DrawFn) -> Json:
            return {
                name: draw(child.valid)
                for name, child in self.children.items()
                if child.required or draw(_SCARCE)
            }

        return made()


def _named(item: Json) -> str:
    return str(item["name"])


@cache
def spec_of(crd_name: str) -> Field:
    """The spec of a kind, as the committed CRD of that name has it."""
    crd = yaml.safe_load((CRDS / f"{crd_name}.yaml").read_text())
    whole = Field(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
    for field in whole.walk():
        # Now, and not as the first value is drawn: some patterns are so large that their texts are drawn beforehand.
        _ = field.valid
    return whole


@st.composite
def _changes(draw: st.DrawFn, specs: Mapping[str, Json], whole: Field, field: Field) -> tuple[str, Change]:
    """One of the specs by its name, with the field changed; what is missing on the way to it is made."""
    name = draw(st.sampled_from(list(specs)))
    how = draw(st.sampled_from(How))
    value = None if how is How.REMOVED else draw(_values(field, how))
    changed = copy.deepcopy(specs[name])
    _set(draw, whole, changed, field.path, value, how)
    where = field.name if how is not How.UNKNOWN else f"{field.name}: beside it"
    return name, Change(where, how, changed, value)


def changes(specs: Mapping[str, Json], whole: Field, count: int, number: int) -> list[tuple[str, Change]]:
    """About so many changes of the specs, as many of each field; the same for the same number."""
    fields = list(whole.walk())[1:]
    each = -(-count // len(fields))
    found: list[tuple[str, Change]] = []
    for place, field in enumerate(fields):
        found += drawn(_changes(specs, whole, field), each, number + place)
    return _distinct(specs, found)


def _distinct(specs: Mapping[str, Json], found: Iterable[tuple[str, Change]]) -> list[tuple[str, Change]]:
    """Each change once, in an order in which the fields take turns."""
    known = {
        (name, json.dumps(change.spec, sort_keys=True)): (name, change)
        for name, change in found
        if change.spec != specs[name]
    }
    return sorted(known.values(), key=lambda one: crc32(json.dumps(one[1].spec).encode()))


def _values(field: Field, how: How) -> Values:
    made = {How.VALID: field.valid, How.ODD: field.odd, How.WRONG: field.wrong, How.UNKNOWN: st.just("x")}
    return made[how]


def _set(draw: st.DrawFn, field: Field, spec: Any, path: Path, value: Any, how: How) -> None:
    """Change the value at the path within `spec`, in place."""
    step, rest = path[0], path[1:]
    key: Any = step
    if step in {_ITEM, _VALUE}:
        assert field.item is not None
        child = field.item
        if not spec:
            _extend(spec, draw(child.valid))
        key = draw(st.sampled_from(list(spec) if step == _VALUE else list(range(len(spec)))))
    else:
        child = field.children[step]
    if rest:
        if step not in {_ITEM, _VALUE} and key not in spec:
            spec[key] = draw(child.valid)
        _set(draw, child, spec[key], rest, value, how)
    elif how is How.UNKNOWN and step not in {_ITEM, _VALUE}:
        spec[UNKNOWN] = value
    elif how is How.UNKNOWN:
        spec[key] = {UNKNOWN: value}
    elif how is How.REMOVED:
        spec.pop(key, None) if isinstance(spec, dict) else spec.pop(key)
    else:
        spec[key] = value


def _extend(spec: Any, value: Any) -> None:
    if isinstance(spec, list):
        spec.append(value)
    else:
        spec["app"] = value
