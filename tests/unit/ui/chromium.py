"""Headless Chromium where the machine has one: pages as people get them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 90.0
_QUIET = (
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--lang=en",
)
_COMPLAINTS = ("Refused to", "violates", "Uncaught", "TrustedHTML")


def installed() -> str | None:
    """The program, if there is one."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@dataclass(frozen=True)
class Dom:
    """A page after its script has run, and what the browser complained about."""

    text: str
    complaints: tuple[str, ...]


@dataclass(frozen=True)
class Chromium:
    """Each call is a process of its own with a profile of its own."""

    program: str

    def dom(self, url: str) -> Dom:
        done = self._run("--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom", url)
        lines = done.stderr.splitlines()
        return Dom(done.stdout, tuple(line for line in lines if any(word in line for word in _COMPLAINTS)))

    def picture(self, url: str, file: Path, width: int, height: int) -> None:
        """The page as PNG."""
        self._run(f"--window-size={width},{height}", f"--screenshot={file}", url)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        with _home() as home:
            return subprocess.run(
                self._command(home, *words),
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=True,
                env=_environment(home),
            )

    def _command(self, home: Path, *words: str) -> list[str]:
        # Root has no sandbox to go into.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        return [self.program, "--headless", *sandbox, *_QUIET, f"--user-data-dir={home / 'profile'}", *words]

    @contextlib.asynccontextmanager
    async def tab(self, url: str) -> AsyncIterator[Tab]:
        """The page in a browser that goes on running, to type and press in it."""
        with _home() as home:
            command = self._command(home, "--remote-debugging-port=0", "about:blank")
            process = await asyncio.create_subprocess_exec(
                *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment(home)
            )
            try:
                port = await _port(home / "profile" / "DevToolsActivePort")
                async with aiohttp.ClientSession() as session:
                    async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
                        socket = (await answer.json(content_type=None))["webSocketDebuggerUrl"]
                    async with session.ws_connect(socket, max_msg_size=0) as line:
                        tab = Tab(line)
                        await tab.open(url)
                        yield tab
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()


@dataclass
class Tab:
    """A tab; what is asked of it is a JavaScript expression."""

    line: aiohttp.ClientWebSocketResponse
    count: int = field(default=0)

    async def open(self, url: str) -> None:
        await self._call("Page.navigate", {"url": url})
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def evaluate(self, expression: str) -> Any:
        answer = await self._call("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Once the expression is true; TimeoutError if it never is."""
        async with asyncio.timeout(20):
            while not await self.evaluate(expression):
                await asyncio.sleep(0.05)

    async def _call(self, method: str, words: dict[str, Any]) -> Any:
        self.count += 1
        await self.line.send_str(json.dumps({"id": self.count, "method": method, "params": words}))
        async with asyncio.timeout(20):
            while True:
                answer = json.loads((await self.line.receive()).data)
                if answer.get("id") == self.count:
                    return answer["result"]


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    # Its processes may still write as it ends.
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "LANG": "C.UTF-8"}


async def _port(file: Path) -> int:
    async with asyncio.timeout(_SECONDS):
        while True:
            if port := _written(file):
                return port
            await asyncio.sleep(0.05)


def _written(file: Path) -> int:
    """The port, or 0 while it is not written."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(file.read_text().splitlines()[0])
    return 0
