"""The lab's guard: a small process that owns every child of one lab and outlives nobody.

It runs as a script of its own (standard library only). The lab speaks to it over a socket, one JSON object a
line: `spawn`, `signal`, `poll`, `at_end`. When the socket closes or its parent is gone, for whatever reason, SIGKILL included, it
kills what it started, runs the `at_end` commands and removes the lab's directory. Its children in turn die with it by PR_SET_PDEATHSIG, which
is safe here and not in the lab's own process: that signal follows the *thread* that forked, and this process has one.
What its children started (a plugin of Vault) does not die so; therefore the guard has a shadow, which is told every
process id and does the same work if the guard itself is killed.
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
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

PR_SET_PDEATHSIG = 1
PARENT_CHECK_SECONDS = 0.5
GONE_SECONDS = 10.0


class Ending:
    """What has to be done at the end: sessions to kill, then commands to run, then a directory to remove."""

    def __init__(self, directory: str, *, remove: bool) -> None:
        self._directory = directory
        self._remove = remove
        self._sessions: list[int] = []
        self._commands: list[dict[str, Any]] = []

    def note(self, note: dict[str, Any]) -> None:
        """Remember one of `began`, `ended` (process ids) and `command`; others mean nothing here."""
        if "began" in note:
            self._sessions.append(note["began"])
        elif "ended" in note:
            self._sessions.remove(note["ended"])
        elif "command" in note:
            self._commands.append(note["command"])

    def carry_out(self) -> None:
        """Kill, wait until all are gone, undo what is not a process, remove the directory."""
        for session in self._sessions:
            _kill_group(session)
        end = time.monotonic() + GONE_SECONDS
        while any(_exists(session) for session in self._sessions) and time.monotonic() < end:
            time.sleep(0.005)
        for command in reversed(self._commands):
            _run(command)
        if self._remove:
            shutil.rmtree(self._directory, ignore_errors=True)


class Guard:
    """Starts, signals and watches children; each is the leader of its own session."""

    def __init__(self, note: Callable[[dict[str, Any]], None]) -> None:
        self._note = note
        self._children: dict[int, subprocess.Popen[bytes]] = {}
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
                    self._note({"command": request})
                    return {}
                case other:
                    return {"error": f"unknown request {other}"}
        except OSError as error:
            return {"error": str(error)}

    def _spawn(self, request: dict[str, Any]) -> int:
        with _appended(request["log"]) as log:
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
        self._note({"began": child.pid})
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
        child = self._children[pid]
        is_news = child.returncode is None
        code = child.poll()
        if code is not None and is_news:
            # What it left in its session (a plugin of Vault, say) goes with it.
            _kill_group(pid)
            self._note({"ended": pid})
        return code


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _exists(session: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(session, os.WNOHANG)
    try:
        os.killpg(session, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _appended(log: str) -> BinaryIO:
    Path(log).parent.mkdir(exist_ok=True)
    return Path(log).open("ab")


def _run(command: dict[str, Any]) -> None:
    # A command that cannot be run or does not end must not keep the others from running.
    with contextlib.suppress(OSError, subprocess.TimeoutExpired), _appended(command["log"]) as log:
        subprocess.run(
            command["argv"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=command["env"],
            timeout=command["deadline"],
            check=False,
        )


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


def _shadow(notes: int, ending: Ending) -> None:
    """Follow the guard's notes; if they break off before `done`, the guard was killed and this is the end."""
    with os.fdopen(notes, "rb") as lines:
        for line in lines:
            note = json.loads(line)
            if "done" in note:
                return
            ending.note(note)
    ending.carry_out()


def main() -> None:
    """Arguments: the socket's descriptor, the parent's pid, the lab's directory, `keep` or `remove`."""
    descriptor, parent, directory, fate = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ending = Ending(directory, remove=fate == "remove")
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(writer)
        # Or the lab could not tell that the guard has closed it.
        os.close(int(descriptor))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _shadow(reader, ending)
        os._exit(0)
    os.close(reader)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    def note(what: dict[str, Any]) -> None:
        ending.note(what)
        with contextlib.suppress(BrokenPipeError):
            os.write(writer, json.dumps(what).encode() + b"\n")

    try:
        with contextlib.suppress(OSError), socket.socket(fileno=int(descriptor)) as channel:
            _serve(channel, Guard(note), int(parent))
    finally:
        ending.carry_out()
        note({"done": True})


if __name__ == "__main__":
    main()
