"""What the documents list is what there is: settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from secureai_operator.settings import (
    Peer,
    Settings,
    TracingSettings,
    VaultConnectionSettings,
    WebhookSettings,
)

OPERATIONS = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()


def section(title: str) -> str:
    return OPERATIONS.split(f"\n## {title}\n")[1].split("\n## ")[0]


def aliases(*models: type[BaseModel]) -> Iterator[str]:
    for model in models:
        for field in model.model_fields.values():
            assert field.alias is not None
            yield field.alias


def test_every_setting_is_documented_and_no_other() -> None:
    documented = set()
    for cell in re.findall(r"^\| (`[^|]*`) \|", section("Settings"), re.MULTILINE):
        documented |= {name.split(".")[-1] for name in re.findall(r"`([^`]*)`", cell)}
    everything = set(aliases(Settings, VaultConnectionSettings, WebhookSettings, TracingSettings))
    # These stand for their fields, which the table has as webhook.host and so on.
    assert everything - documented <= {"webhook", "tracing"}
    assert documented - everything == set()
    assert all(f"`{alias}`" in section("Settings") for alias in aliases(Peer))
