"""Every text that a tenant can write into a spec, by the schema itself, and a manifest with any value in any one of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from tests.integration.crd_objects import CRDS, Json, policy, workload

Step = str | int

WORKLOAD: Json = {
    "podSelector": {"matchLabels": {"app": "none-has-this"}},
    "vault": {"connection": "default"},
    "keys": {
        "custody": "service-managed",
        "type": "aes256-gcm96",
        "derived": True,
        "dataKeys": [{"name": "model", "context": "tenant"}],
    },
    "certificate": {
        "dnsNames": ["llm.NAMESPACE.svc"],
        "ttl": "24h",
        "usages": ["server"],
        "delivery": "Secret",
    },
    "access": {
        "tokenTTL": "10m",
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}],
        "roleRefs": [{"kind": "Role", "name": "reader"}],
    },
    "network": {
        "ingress": [
            {
                "from": [
                    {"workload": "a", "namespace": "b"},
                    {"podLabels": {"a": "b"}},
                    {"cidr": "10.0.0.0/8"},
                ],
                "ports": ["443/TCP"],
            }
        ],
        "egress": [
            {
                "to": [
                    {"workload": "a", "namespace": "b"},
                    {"podLabels": {"a": "b"}},
                    {"cidr": "10.0.0.0/8"},
                ],
                "ports": ["443/TCP"],
            }
        ],
    },
    "confidential": {
        "mode": "Off",
        "tee": "tdx",
        "platform": "auto",
        "runtimeClassName": "kata",
        "tolerations": [{"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}],
    },
    "enforcement": "Enforce",
    "driftPolicy": "Heal",
    "deletionPolicy": "Retain",
}
"""Every text field once, each with something harmless."""

POLICY: Json = {
    "selector": {"matchLabels": {"a": "b"}},
    "namespaceSelector": {"matchLabels": {"a": "b"}},
    "schedule": {"cron": "0 3 * * 0", "timeZone": "UTC", "jitter": "30m", "startingDeadline": "6h"},
    "windows": [{"start": "0 1 * * *", "duration": "4h"}],
    "retire": {"after": "72h", "canary": "24h"},
}
_INTERVAL: Json = {"selector": {"matchLabels": {"a": "b"}}, "schedule": {"interval": "720h"}}
"""Apart: a schedule has a cron or an interval."""


@dataclass(frozen=True, slots=True)
class Field:
    """One text of a spec: where the schema has it, and a spec in which it can be put."""

    path: str
    kind: str
    spec: Json
    steps: tuple[Step, ...]
    is_key: bool = False
    """It is the key of a label, not its value."""

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"

    def manifest(self, namespace: str, name: str, value: str | None = None) -> Json:
        """An object of that name with the value in the field; the harmless one without a value."""
        spec = _named(copy.deepcopy(self.spec), namespace)
        if value is not None:
            place: Any = spec
            for step in self.steps[:-1]:
                place = place[step]
            if self.is_key:
                place[value] = place.pop(self.steps[-1])
            else:
                place[self.steps[-1]] = value
        return (workload if self.kind == "SecureAIWorkload" else policy)(spec, name)


def _named(value: Any, namespace: str) -> Any:
    if isinstance(value, dict):
        return {key: _named(one, namespace) for key, one in value.items()}
    if isinstance(value, list):
        return [_named(one, namespace) for one in value]
    return value.replace("NAMESPACE", namespace) if isinstance(value, str) else value


def declared_texts(kind: str) -> Iterator[str]:
    """The paths of all texts in the schema of the kind's spec; a map's `{}` stands for its values and `{key}` for its keys."""
    for file in CRDS.glob("*.yaml"):
        found = yaml.safe_load(file.read_text())["spec"]
        if found["names"]["kind"] == kind:
            spec = found["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            yield from _texts(spec, "spec")


def _texts(schema: Json, where: str) -> Iterator[str]:
    kind = schema.get("type")
    if kind == "object":
        for name, child in schema.get("properties", {}).items():
            yield from _texts(child, f"{where}.{name}")
        if "additionalProperties" in schema:
            yield f"{where}{{key}}"
            yield f"{where}{{}}"
    elif kind == "array":
        yield from _texts(schema["items"], f"{where}[]")
    elif kind == "string" or schema.get("x-kubernetes-int-or-string"):
        yield where


@cache
def fields() -> tuple[Field, ...]:
    """One field for each text of both kinds."""
    found: dict[tuple[str, str], Field] = {}
    for kind, whole in (
        ("SecureAIWorkload", WORKLOAD),
        ("KeyRotationPolicy", POLICY),
        ("KeyRotationPolicy", _INTERVAL),
    ):
        for path, steps, is_key in _leaves(whole, "spec", (), ""):
            # Of a workload only the part in which the field is: what is refused is refused for this field.
            top = steps[0]
            spec: Json = {str(top): whole[str(top)]} if kind == "SecureAIWorkload" else whole
            found.setdefault((kind, path), Field(path, kind, spec, steps, is_key))
    return tuple(found.values())


def _leaves(
    value: Any, path: str, steps: tuple[Step, ...], name: str
) -> Iterator[tuple[str, tuple[Step, ...], bool]]:
    if isinstance(value, dict):
        is_map = name in {"matchLabels", "podLabels"}
        for key, child in value.items():
            if is_map:
                yield f"{path}{{key}}", (*steps, key), True
                yield f"{path}{{}}", (*steps, key), False
            else:
                yield from _leaves(child, f"{path}.{key}", (*steps, key), key)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _leaves(child, f"{path}[]", (*steps, index), "")
    elif isinstance(value, str):
        yield path, steps, False
