"""The lab's child processes, all of them held by one guard (see guard.py)."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.errors import LabError, LabTimeout
from lab.waiting import wait_for

STOP_SECONDS = 20.0
END_SECONDS = 20.0
LABEL = "secureai.dev/lab"
LOG_TAIL_LINES = 15


class Processes:
    """Starts processes that are gone when this process is, however it ends.

    Contract: nothing started here outlives `close`, the end of this process, or its death by SIGKILL; `directory`
    is removed with them unless `keep`. `labels` mark this lab's objects in a cluster, so that no others are ever
    deleted. Safe to use from several threads.
    """

    def __init__(self, directory: Path, *, keep: bool = False) -> None:
        self.directory = directory
        self.labels = {LABEL: secrets.token_hex(4)}
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair()
        with theirs:
            self._guard = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(Path(__file__).with_name("guard.py")),
                    str(theirs.fileno()),
                    str(os.getpid()),
                    str(directory),
                    "keep" if keep else "remove",
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Not ours: a guard that holds the terminal's pipe would keep its reader waiting.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        self._socket = ours
        self._lines = ours.makefile("rwb")
        self._clean_up_seconds = 0.0

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request to the guard and return its answer."""
        with self._lock:
            try:
                self._lines.write(json.dumps(request).encode() + b"\n")
                self._lines.flush()
                line = self._lines.readline()
            except (OSError, ValueError) as error:
                raise LabError("the lab is closed") from error
        if not line:
            raise LabError("the lab's guard is gone, and its processes with it")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LabError(f"{request['do']}: {answer['error']}")
        return answer

    def at_end(self, argv: Sequence[str | Path], env: Mapping[str, str], deadline: float) -> None:
        """Have a command run when everything has ended, however it ends; its output goes to `logs/at-end.log`."""
        log = self.directory / "logs" / "at-end.log"
        command = [str(part) for part in argv]
        self.ask(do="at_end", argv=command, env=dict(env), deadline=deadline, log=str(log))
        self._clean_up_seconds += deadline

    def close(self) -> None:
        """End everything at once and wait until it is gone; a second call does nothing."""
        deadline = END_SECONDS + self._clean_up_seconds
        with self._lock:
            with contextlib.suppress(OSError):
                self._lines.close()
            self._socket.close()
        try:
            self._guard.wait(timeout=deadline)
        except subprocess.TimeoutExpired as error:
            raise LabTimeout(
                f"the lab's guard (pid {self._guard.pid}) did not end in {deadline:g} s"
            ) from error

    def process(
        self,
        name: str,
        argv: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Process:
        """Describe a process; `Process.start` starts it, as often as wanted."""
        return Process(self, name, [str(part) for part in argv], env, cwd)


class Process:
    """One component: the same command, log and directory at every start."""

    def __init__(
        self,
        processes: Processes,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        cwd: Path | None,
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.log = processes.directory / "logs" / f"{name}.log"
        self._processes = processes
        self._env = dict(env) if env is not None else base_environment(processes.directory)
        self._cwd = cwd or processes.directory
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the last start, or None before the first."""
        return self._pid

    @property
    def code(self) -> int | None:
        """The exit code (negative: a signal), or None while it runs or before it was started."""
        if self._pid is None:
            return None
        code: int | None = self._processes.ask(do="poll", pid=self._pid)["code"]
        return code

    @property
    def running(self) -> bool:
        """Whether the process exists."""
        return self._pid is not None and self.code is None

    def start(self) -> Process:
        """Start it; an error if it runs already."""
        if self.running:
            raise LabError(f"{self.name} is running already")
        self._pid = self._processes.ask(
            do="spawn", argv=self.argv, env=self._env, cwd=str(self._cwd), log=str(self.log)
        )["pid"]
        return self

    def signal(self, number: int) -> None:
        """Send a signal (SIGKILL goes to all of its session); nothing happens if it has ended."""
        if self._pid is not None:
            self._processes.ask(do="signal", pid=self._pid, signal=int(number))

    def stop(self, grace: float = STOP_SECONDS) -> int:
        """SIGTERM, wait, SIGKILL after `grace` seconds; returns the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(grace)
        except LabTimeout:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL, as a crash would."""
        self.signal(signal.SIGKILL)
        return self.wait(10)

    def wait(self, deadline: float) -> int:
        """Wait for its end; returns the exit code."""
        end = time.monotonic() + deadline
        while (code := self.code) is None:
            if self._pid is None:
                return 0
            if time.monotonic() >= end:
                raise LabTimeout(f"{self.name} (pid {self._pid}) still runs after {deadline:g} s")
            time.sleep(0.01)
        return code

    def wait_ready(self, is_ready: Callable[[], object], deadline: float, what: str) -> None:
        """Wait for `is_ready()`; ends at once, with the log's tail, if the process dies."""
        try:
            wait_for(lambda: self._died() or is_ready(), deadline, what)
        except LabTimeout as error:
            raise LabTimeout(f"{error}\n{self.tail()}") from error
        if self.code is not None:
            raise LabTimeout(f"{self.name} ended with {self.code} before {what}\n{self.tail()}")

    def _died(self) -> bool:
        return self.code is not None

    def tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return f"{self.log} does not exist"
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"--- {self.log}", *text])


def base_environment(home: Path) -> dict[str, str]:
    """An environment without this user's configuration, so that a lab behaves the same everywhere."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {"HOME": str(home), **kept}
