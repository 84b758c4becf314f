"""Writes the testdata of manifests/argocd from the operator's own code: python -m tests.unit.argocd.write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.unit.argocd.sandbox import KINDS, Json, folder
from tests.unit.argocd.states import ACTED_ON, STATES

_HEADER = "# Written by `python -m tests.unit.argocd.write` with the operator's own code.\n"


def files() -> Iterator[tuple[Path, str]]:
    """Every file with its content."""
    for kind in KINDS:
        for name, state in STATES[kind].items():
            yield folder(kind) / "testdata" / f"{name}.yaml", _text(state())
        for name, obj in ACTED_ON[kind]():
            yield folder(kind) / "actions" / "testdata" / f"{name}.yaml", _text(obj)


def _text(obj: Json) -> str:
    return _HEADER + yaml.dump(obj, Dumper=_Plain, sort_keys=False, width=110)


class _Plain(yaml.SafeDumper):
    """Without aliases: what two states share is written in both."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def main() -> None:
    for path, text in files():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
