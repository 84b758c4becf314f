"""Write what the Helm chart has of others, and the schema of its values: generate_helm.py CHART.

Objects that no value changes are copied byte for byte into CHART/files, which Helm hands to templates as they are.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from secureai_operator import names
from secureai_operator.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = "values.schema.json"
FILES = "files"

Json = dict[str, Any]

_BASE, _MONITORING = "manifests/base", "manifests/monitoring"
COPIES: Mapping[str, tuple[str, ...]] = {
    "": (f"{_BASE}/namespace.yaml",),
    "crds": ("crds/*.yaml",),
    "admission": (f"{_BASE}/admission/*.yaml",),
    "rbac": tuple(
        f"{_BASE}/rbac/{name}.yaml"
        for name in (
            "service-account",
            "cluster-role",
            "namespace-secrets-role",
            "own-namespace-role",
            "user-roles",
        )
    ),
    "operator": (f"{_BASE}/operator/disruption-budget.yaml",),
    "monitoring": (
        f"{_MONITORING}/prometheus/rules.yaml",
        f"{_MONITORING}/grafana/dashboard.json",
        f"{_MONITORING}/grafana/workload.json",
        f"{_MONITORING}/audit/reporter.yaml",
        f"{_MONITORING}/audit/reporter-policy.yaml",
    ),
    "node-agent": ("manifests/node-agent/namespace.yaml", "manifests/node-agent/rbac.yaml"),
}
"""Folder of CHART/files → what is copied there; a kustomization is nobody's object and stays out."""

_NEVER_ROOT = 1024
_LOOPBACK = r"^http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?$"
_PLAIN_HTTP: Json = {
    "if": {"properties": {"address": {"pattern": "^http://", "not": {"pattern": _LOOPBACK}}}},
    "then": {"properties": {"allowInsecureHttp": {"const": True}}, "required": ["allowInsecureHttp"]},
}
_ONE_PLACE: Json = {
    "oneOf": [
        {"required": ["cidr"], "properties": {"namespace": False, "podLabels": False}},
        {"required": ["namespace"], "properties": {"cidr": False}},
    ]
}


def content(chart: Path) -> dict[str, str]:
    """Everything that is generated for the chart: its path inside → its text."""
    return {**copies(), SCHEMA: json.dumps(schema(chart), indent=2, ensure_ascii=False) + "\n"}


def copies() -> dict[str, str]:
    """The copied files: their path in the chart → their text."""
    found = {}
    for folder, patterns in COPIES.items():
        for pattern in patterns:
            sources = sorted(path for path in ROOT.glob(pattern) if path.name != "kustomization.yaml")
            if not sources:
                raise FileNotFoundError(pattern)
            for path in sources:
                found["/".join(filter(None, (FILES, folder, path.name)))] = path.read_text("utf-8")
    return found


def schema(chart: Path) -> Json:
    """The schema of all values: what the chart's own may be, and the operator's settings by its model."""
    written: Json = yaml.safe_load((chart.parent / "values.schema.yaml").read_text("utf-8"))
    values: Json = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))
    _require(written, values)
    written["definitions"] |= _settings()
    return written


def _require(written: Json, values: Json) -> None:
    """What values.yaml has is there: `null` would take it from the templates."""
    written["required"] = [name for name in written["properties"] if name in values]
    for name, one in written["properties"].items():
        if "properties" in one and isinstance(values.get(name), dict):
            _require(one, values[name])


def _settings() -> Json:
    """The definitions of the settings: their model, in words and within what a pod of the chart can do."""
    root = Settings.model_json_schema(ref_template="#/definitions/{model}")
    definitions: Json = {**root.pop("$defs"), "Settings": root}
    words = documented((ROOT / "docs" / "operations.md").read_text("utf-8"))
    for name, definition in definitions.items():
        _plain(definition)
        for field, one in definition.get("properties", {}).items():
            one["description"] = words.get((name, field)) or _PEER_WORDS[field]
    settings, connection = definitions["Settings"]["properties"], definitions["VaultConnectionSettings"]
    settings["connections"]["additionalProperties"] = False
    settings["operatorNamespace"] |= {"const": names.OPERATOR_NAMESPACE}
    settings["httpPort"]["minimum"] = _NEVER_ROOT
    settings["httpHost"]["not"] = {"pattern": r"^(localhost|127\.|::1$)"}
    definitions["WebhookSettings"]["properties"]["port"]["minimum"] = _NEVER_ROOT
    connection |= _PLAIN_HTTP
    definitions["Peer"] |= _ONE_PLACE
    return definitions


_PEER_WORDS = {
    "cidr": "A network, such as 10.20.0.0/16; it stands alone.",
    "namespace": "A namespace by name.",
    "podLabels": "Labels of its pods; none means all of them.",
}


def _plain(node: Any) -> None:
    """Without what the model adds for programs: titles of fields, and formats that no validator knows."""
    if isinstance(node, list):
        for one in node:
            _plain(one)
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        if node.get("format") == "path":
            del node["format"]
        for one in node.values():
            _plain(one)


def documented(text: str) -> dict[tuple[str, str], str]:
    """What the tables of docs/operations.md say of each setting: (model, field) → words."""
    settings, connection = (
        text.split("\n## Settings\n")[1].split("\n## ", maxsplit=1)[0].split("\nA connection:\n")
    )
    found = {
        ("Settings", "webhook"): "The admission webhook, where it is used.",
        ("Settings", "tracing"): "OpenTelemetry traces; off if it is not set.",
    }
    for model, table in (("Settings", settings), ("VaultConnectionSettings", connection)):
        for cells, words in _rows(table):
            part = re.match(r"`(webhook|tracing)\.", cells)
            owner = f"{part[1].capitalize()}Settings" if part else model
            for name in re.findall(r"`([^`]+)`", cells):
                found[owner, name.split(".")[-1]] = words
    return found


def _rows(table: str) -> Iterator[tuple[str, str]]:
    """The first and the last cell of each row that names something, the last one as a sentence without links."""
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", cells[-1].rstrip(" |"))
            yield cells[0], words[0].upper() + words[1:].rstrip(".") + "."


def main() -> None:
    chart = Path(sys.argv[1])
    made = content(chart)
    for path in (chart / FILES).rglob("*"):
        if path.is_file() and path.relative_to(chart).as_posix() not in made:
            path.unlink()
    for name, text in made.items():
        (chart / name).parent.mkdir(parents=True, exist_ok=True)
        (chart / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
