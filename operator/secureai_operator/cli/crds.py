"""`secureai crds`: the CustomResourceDefinitions of both kinds, printed or written into a directory."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import yaml

from secureai_operator.api import crd

_HEADER = (
    "# Generated from the models in operator/secureai_operator/api: change those and run `make generate`.\n"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "crds",
        help="print the CustomResourceDefinitions",
        description="Print the CustomResourceDefinitions of SecureAIWorkload and KeyRotationPolicy, to be applied "
        "with `kubectl apply --server-side -f -`.",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write one file per kind into DIR instead")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="text is YAML")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.out is None:
        sys.stdout.write(_as_json() if args.output == "json" else "---\n".join(files().values()))
        return 0
    args.out.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (args.out / name).write_text(content, encoding="utf-8")
    return 0


def files() -> dict[str, str]:
    """The content of each file in `crds/`, by its name."""
    return {f"{kind.name}.yaml": _as_yaml(kind) for kind in crd.KINDS}


def _as_yaml(kind: crd.Kind) -> str:
    return _HEADER + yaml.dump(crd.definition(kind), Dumper=_Dumper, sort_keys=False, width=110)


def _as_json() -> str:
    items = [crd.definition(kind) for kind in crd.KINDS]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2) + "\n"


class _Dumper(yaml.SafeDumper):
    """YAML without anchors: equal parts are written out, for readers and for diffs."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True
