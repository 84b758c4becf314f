"""The lab's guard: a small process that owns every child of one lab and outlives nobody.

It runs as a script of its own (standard library only). The lab speaks to it over a socket, one JSON object a
line: `spawn`, `signal`, `poll`, `at_end`. When the socket closes or its parent is gone, for whatever reason, SIGKILL included, it
kills what it started, runs the `at_end` commands and removes the lab's directory. Its children in turn die with it by PR_SET_PDEATHSIG, which
is safe here and not in the lab's own process: that signal follows the *thread* that forked, and this process has one.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PARENT_CHECK_SECONDS = 0.5


class Guard:
    """Starts, signals and watches children; each is the leader of its own session."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._at_end: list[dict[str, Any]] = []
        self._die_with_me = _parent_death_hook()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request; an error of the operating system is an answer, not an end."""
        try:
            match request["do"]:
                case "spawn":
                    return {"pid": self._spawn(request)}
                case "signal":
                    return {"sent": self._signal(request["pid"], request["signal"])}
                case "poll":
                    return {"code": self._poll(request["pid"])}
                case "at_end":
                    self._at_end.append(request)
                    return {}
                case other:
                    return {"error": f"unknown request {other}"}
        except OSError as error:
            return {"error": str(error)}

    def end_all(self) -> None:
        """Kill every child with all of its session, and reap them."""
        for pid in self._children:
            _kill_group(pid)
        for child in self._children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=10)

    def clean_up(self) -> None:
        """Run the commands that undo what is not a child (a container, an object in a user's cluster), last first."""
        for command in reversed(self._at_end):
            with (
                contextlib.suppress(OSError, subprocess.TimeoutExpired),
                Path(command["log"]).open("ab") as log,
            ):
                subprocess.run(
                    command["argv"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=command["env"],
                    timeout=command["deadline"],
                    check=False,
                )

    def _spawn(self, request: dict[str, Any]) -> int:
        with Path(request["log"]).open("ab") as log:
            child = subprocess.Popen(
                request["argv"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=request["cwd"],
                env=request["env"],
                start_new_session=True,
                preexec_fn=self._die_with_me,  # noqa: PLW1509  # this process has one thread
            )
        self._children[child.pid] = child
        return child.pid

    def _signal(self, pid: int, number: int) -> bool:
        child = self._children[pid]
        if child.poll() is not None:
            return False
        if number == signal.SIGKILL:
            _kill_group(pid)
        else:
            child.send_signal(number)
        return True

    def _poll(self, pid: int) -> int | None:
        child = self._children.get(pid)
        if child is None:
            return 0
        code = child.poll()
        if code is not None:
            # What it left in its session (a plugin of Vault, say) goes with it.
            _kill_group(pid)
        return code


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _parent_death_hook() -> Callable[[], None] | None:
    """What a child does between fork and exec so that it cannot outlive this process (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    guard = os.getpid()

    def hook() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)

    return hook


def _serve(channel: socket.socket, guard: Guard, parent: int) -> None:
    """Answer requests until the other side is gone."""
    lines = channel.makefile("rwb")
    while os.getppid() == parent:
        ready, _, _ = select.select([channel], [], [], PARENT_CHECK_SECONDS)
        if not ready:
            continue
        line = lines.readline()
        if not line.endswith(b"\n"):
            return
        lines.write(json.dumps(guard.answer(json.loads(line))).encode() + b"\n")
        lines.flush()


def main() -> None:
    """Arguments: the socket's descriptor, the parent's pid, the lab's directory, `keep` or `remove`."""
    descriptor, parent, directory, fate = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guard = Guard()
    try:
        with contextlib.suppress(OSError), socket.socket(fileno=int(descriptor)) as channel:
            _serve(channel, guard, int(parent))
    finally:
        guard.end_all()
        guard.clean_up()
        if fate == "remove":
            shutil.rmtree(Path(directory), ignore_errors=True)


if __name__ == "__main__":
    main()
