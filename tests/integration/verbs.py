"""Running the verbs of the command line in the tests' own process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from lab import Lab
from secureai_operator.cli.main import main


@dataclass(frozen=True)
class Said:
    """What a verb printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Secureai = Callable[..., Said]


def as_administrator(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Secureai:
    """Runs a verb as the lab's administrator, without access to Vault."""
    monkeypatch.setenv("KUBECONFIG", str(lab.admin_kubeconfig))
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    monkeypatch.delenv("VAULT_TOKEN", raising=False)

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = main(words)
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return run
