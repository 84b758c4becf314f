"""Write the patch of Argo CD's own ConfigMap from resource_customizations/: generate_argocd.py DIRECTORY."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from secureai_operator import names

FILE = "argocd-cm-patch.yaml"
ACTIONS = {
    "SecureAIWorkload": ("rotate", "rotate-emergency", "suspend", "resume"),
    "KeyRotationPolicy": ("rotate", "suspend", "resume"),
}
_HEADER = "# Generated from resource_customizations/: change that and run `python scripts/generate_argocd.py manifests/argocd`.\n"


class _Literal(yaml.SafeDumper):
    """Texts of several lines as they stand."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Literal.add_representer(str, _text)


def content(folder: Path) -> str:
    """The ConfigMap with the health and the actions of both kinds, for what stands in the folder."""
    data = {}
    for kind, actions in ACTIONS.items():
        own = folder / "resource_customizations" / names.GROUP / kind
        data[f"resource.customizations.health.{names.GROUP}_{kind}"] = (own / "health.lua").read_text("utf-8")
        data[f"resource.customizations.actions.{names.GROUP}_{kind}"] = _dumped(
            _actions(own / "actions", actions)
        )
    labels = {"app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd"}
    metadata = {"name": "argocd-cm", "namespace": "argocd", "labels": labels}
    return _HEADER + _dumped({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _actions(folder: Path, actions: tuple[str, ...]) -> dict[str, Any]:
    return {
        "discovery.lua": (folder / "discovery.lua").read_text("utf-8"),
        "definitions": [
            {"name": name, "action.lua": (folder / name / "action.lua").read_text("utf-8")}
            for name in actions
        ],
    }


def _dumped(value: Any) -> str:
    return yaml.dump(value, Dumper=_Literal, sort_keys=False, width=10**6)


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / FILE).write_text(content(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
