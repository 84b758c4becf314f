"""Argo CD's own Lua runs our scripts: every state, every offer and every action, as the tests in its format say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.argocd import cli
from tests.product import ROOT
from tests.unit.argocd.sandbox import KINDS, Json, document, folder

PATCH = ROOT / "manifests" / "argocd" / "argocd-cm-patch.yaml"
OVERRIDES = ("admin", "settings", "resource-overrides")
PENDING = "Pending deletion"
REQUEST = re.compile(r"\d{8}t\d{6}z-argocd")


def rows(file: str, section: str) -> Iterator[Any]:
    for kind in KINDS:
        path = folder(kind) / file
        for row in document(path)[section]:
            source = path.parent / row["inputPath"]
            name = f"{kind}-{row.get('action', '')}{source.stem}"
            yield pytest.param(source, row, id=name)


def argocd(home: Path, verb: str, *words: str | Path) -> str:
    return cli(home, *OVERRIDES, verb, *words, "--argocd-cm-path", PATCH).stdout


def leaves(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(value, dict):
        return {path: value}
    found: dict[tuple[str, ...], Any] = {}
    for key, inner in value.items():
        found |= leaves(inner, (*path, key))
    return found


def changed(before: Json, after: Json) -> dict[str, Any]:
    """What the later has otherwise, by its last key."""
    old = leaves(before)
    return {path[-1]: value for path, value in leaves(after).items() if old.get(path) != value}


@pytest.mark.parametrize(("source", "row"), list(rows("health_test.yaml", "tests")))
def test_argo_cd_finds_the_health_that_is_promised(tmp_path: Path, source: Path, row: Json) -> None:
    said = argocd(tmp_path, "health", source)
    wanted = row["healthStatus"]
    # Of what is being deleted Argo CD asks no script for words.
    message = PENDING if "deletionTimestamp" in document(source)["metadata"] else wanted["message"]
    assert said == f"STATUS: {wanted['status']}\nMESSAGE: {message}\n"


@pytest.mark.parametrize(("source", "row"), list(rows("actions/action_test.yaml", "discoveryTests")))
def test_argo_cd_offers_the_actions_that_are_promised(tmp_path: Path, source: Path, row: Json) -> None:
    heading, *lines = argocd(tmp_path, "list-actions", source).splitlines()
    assert heading.split() == ["NAME", "DISABLED"]
    offered = {name: disabled == "true" for name, disabled in map(str.split, lines)}
    assert offered == {action["name"]: action["disabled"] for action in row["result"]}


@pytest.mark.parametrize(("source", "row"), list(rows("actions/action_test.yaml", "actionTests")))
def test_an_action_that_argo_cd_runs_changes_what_is_promised_and_nothing_else(
    tmp_path: Path, source: Path, row: Json
) -> None:
    said = argocd(tmp_path, "run-action", source, row["action"])
    added = [line[1:].strip() for line in said.splitlines() if re.match(r"[>+](?!\+\+)", line)]
    # A mapping that was not there comes with its own line.
    told = {line for line in added if not line.endswith(":")}
    wanted = changed(document(source), document(source.parent.parent / row["expectedOutputPath"]))
    assert {REQUEST.sub("ID", line.replace('"', "")) for line in told} == {
        f"{key}: {REQUEST.sub('ID', str(value).lower())}" for key, value in wanted.items()
    }
