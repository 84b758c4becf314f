"""The address reaches the browser without being seen by the rest of the machine."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from secureai_operator.ui.browser import door, has_screen

URL = "http://127.0.0.1:1234/token/"


def test_only_its_owner_can_read_where_the_door_leads() -> None:
    with door(URL) as address:
        assert "token" not in address
        file = Path(unquote(urlsplit(address).path))
        assert f"0;url={URL}" in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert not file.parent.exists()


def test_without_a_screen_no_browser_takes_over_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not has_screen()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert has_screen()
