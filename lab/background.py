"""A lab that stays after the command that started it: one background process per name holds it.

The holder keeps a file locked for as long as it lives, so whether a lab runs is a question of that lock and never of
a process id that may be somebody else's by now.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lab.errors import LabError, LabTimeout
from lab.handle import Lab
from lab.modules import BUILD_DEADLINE_SECONDS, say
from lab.start import start_lab
from lab.waiting import wait_for

DOWN_SECONDS = 180.0
LOCK_SECONDS = 2.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")


@dataclass(frozen=True)
class Background:
    """The background lab of one name."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise LabError(f"a lab's name is made of a-z, 0-9 and '-': {self.name!r} is not")

    @property
    def folder(self) -> Path:
        """Where state, lock and log of all background labs are."""
        home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        folder = Path(home) / "secureai-lab"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @property
    def _state_file(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """What the holder had to say since the lab was up."""
        return self.folder / f"{self.name}.log"

    def state(self) -> dict[str, Any] | None:
        """The running lab's addresses and secrets, or None if it does not run or is not ready yet."""
        if not self._is_held():
            return None
        try:
            state: dict[str, Any] = json.loads(self._state_file.read_text())
        except FileNotFoundError:
            return None
        return state

    def up(self, *, fsync: bool = False) -> dict[str, Any]:
        """Start the lab unless it runs; returns its state when it is ready."""
        if (running := self.state()) is not None:
            return running
        command = [sys.executable, "-m", "lab", "hold", "--name", self.name, *(["--fsync"] if fsync else [])]
        holder = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
        )
        try:
            return self._wait_for(holder)
        except BaseException:
            # Ctrl-C too: a lab that its user did not wait for is not wanted.
            holder.terminate()
            holder.wait()
            raise

    def down(self) -> bool:
        """End the lab and wait until it is gone; False if it did not run."""
        if not self._is_held():
            return False
        os.kill(wait_for(self._holder, LOCK_SECONDS, "the lab's process to say who it is"), signal.SIGTERM)
        wait_for(lambda: not self._is_held(), DOWN_SECONDS, f"the lab {self.name!r} to end")
        return True

    def hold(self, *, fsync: bool = False) -> None:
        """Start the lab in this process and hold it until SIGTERM or SIGINT."""
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _interrupt)
        with contextlib.suppress(KeyboardInterrupt), self._lock(), start_lab(fsync=fsync) as lab:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: ended.set())
            try:
                self._write_state(lab)
                self._leave_terminal()
                ended.wait()
            finally:
                self._state_file.unlink(missing_ok=True)

    def _wait_for(self, holder: subprocess.Popen[bytes]) -> dict[str, Any]:
        end = time.monotonic() + BUILD_DEADLINE_SECONDS
        while (state := self.state()) is None:
            if holder.poll() is not None:
                raise LabError("the lab did not start: the reason is above")
            if time.monotonic() > end:
                raise LabTimeout(f"the lab is not up after {BUILD_DEADLINE_SECONDS:.0f} s")
            time.sleep(0.05)
        return state

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with self._open_lock() as lock:
            # Somebody who only asks holds the lock for a moment, hence more than one try.
            wait_for(
                lambda: _locked(lock), LOCK_SECONDS, f"the lab {self.name!r}, which is held already, to end"
            )
            self._state_file.unlink(missing_ok=True)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def _is_held(self) -> bool:
        with self._open_lock() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def _open_lock(self) -> IO[str]:
        return (self.folder / f"{self.name}.lock").open("a+")

    def _holder(self) -> int:
        with self._open_lock() as lock:
            lock.seek(0)
            return int(lock.read() or 0)

    def _write_state(self, lab: Lab) -> None:
        fresh = self._state_file.with_suffix(f".{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps({"pid": os.getpid(), **described(lab)}))
        fresh.replace(self._state_file)

    def _leave_terminal(self) -> None:
        """From here on stderr is a file: the terminal this was started from may be closed."""
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(log, sys.stderr.fileno())
        os.close(log)


def described(lab: Lab) -> dict[str, Any]:
    """What a user of another process needs of a lab; holds Vault's root token."""
    return {
        "source": lab.source,
        "directory": str(lab.directory),
        "environment": lab.environment(),
        "kubectl": str(lab.cluster.kubectl),
        "api_url": lab.api_url,
        "ca_file": str(lab.ca_file),
        "audit_log": str(lab.audit_log) if lab.audit_log else None,
        "vault_audit_log": str(lab.vault_audit_log) if lab.vault_audit_log else None,
        "start_seconds": round(lab.start_seconds, 2),
    }


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _interrupt(number: int, _frame: object) -> None:
    say(f"ended by {signal.Signals(number).name}")
    raise KeyboardInterrupt
