"""Ports that belong to one lab for as long as it lives.

They are taken below the range from which the kernel serves outgoing connections, so that a component that is
stopped finds its port free when it starts again, and are locked by file, so that two labs never choose the same.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab.errors import LabUnavailable

FIRST, LAST = 20000, 32000


class Ports:
    """Hands out ports; each stays reserved until `close` or the end of this process."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir()) / f"secureai-lab-ports-{os.getuid()}"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._locks: list[int] = []

    def take(self) -> int:
        """Reserve one free loopback port."""
        for port in _candidates():
            lock = os.open(self._folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            if _locked(lock) and _is_free(port):
                self._locks.append(lock)
                return port
            os.close(lock)
        raise LabUnavailable(f"no free port between {FIRST} and {LAST}: end what listens there")

    def close(self) -> None:
        """Give all ports back."""
        while self._locks:
            os.close(self._locks.pop())


def _candidates() -> Iterator[int]:
    start = random.SystemRandom().randrange(FIRST, LAST)
    yield from range(start, LAST)
    yield from range(FIRST, start)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
