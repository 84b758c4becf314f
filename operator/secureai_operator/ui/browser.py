"""Opening the page in the person's browser without telling its address to the rest of the machine."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from secureai_operator.ui.html import element


def has_screen() -> bool:
    """Whether a browser would have a window: in a bare terminal it would take over the terminal."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


@contextlib.contextmanager
def door(url: str) -> Iterator[str]:
    """A file that leads to the address, for as long as the `with` block; only its owner can read it.

    A browser gets what it shall open as an argument, and arguments of processes are seen by all users.
    """
    with tempfile.TemporaryDirectory(prefix="secureai-ui-") as folder:
        file = Path(folder) / "open.html"
        head = element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="referrer", content="no-referrer"),
            element("meta", http_equiv="refresh", content=f"0;url={url}"),
            element("title", "SecureAI Operator"),
        )
        body = element("body", element("a", "SecureAI Operator", href=url))
        file.touch(mode=0o600)
        file.write_text(f"<!DOCTYPE html>\n{element('html', head, body, lang='en').text}\n", encoding="utf-8")
        yield file.as_uri()


def show(address: str) -> bool:
    """Ask the desktop to open it; whether it will."""
    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False
