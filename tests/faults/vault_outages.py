"""What can go wrong with one Vault of a site: each begins, lasts, and ends, and nothing else has to know how."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from lab import wait_for
from secureai_operator.core.bootstrap import BootstrapSpec, routine_policy_name
from tests.faults.site import Site
from tests.integration.outages import revoke_operators_tokens
from tests.integration.vaults import frozen

Outage = Callable[[Site, str], contextlib.AbstractContextManager[None]]

F_SETPIPE_SZ = 1031
"""Source: linux/fcntl.h; Python 3.11 has it on Linux only."""
SMALL = 4096
"""Bytes that a pipe holds at least."""
RETURN_SECONDS = 30.0


@contextlib.contextmanager
def sealed(site: Site, name: str) -> Iterator[None]:
    vault = site.vaults[name]
    vault.seal()
    try:
        yield
    finally:
        vault.unseal()


@contextlib.contextmanager
def restarted(site: Site, name: str) -> Iterator[None]:
    """Its process crashed, and is away until somebody starts and unseals it."""
    vault = site.vaults[name]
    vault.process.kill()
    try:
        yield
    finally:
        vault.start()


@contextlib.contextmanager
def token_revoked(site: Site, name: str) -> Iterator[None]:
    """As an administrator does after a leak, and once more when the operator has logged in again."""
    assert revoke_operators_tokens(site.vaults[name]) > 0
    yield
    assert revoke_operators_tokens(site.vaults[name]) > 0


@contextlib.contextmanager
def policy_removed(site: Site, name: str) -> Iterator[None]:
    policy = routine_policy_name(BootstrapSpec(site.connection(name)))
    site.vaults[name].request("DELETE", f"sys/policies/acl/{policy}")
    try:
        yield
    finally:
        site.bootstrap(name)


@contextlib.contextmanager
def hung(site: Site, name: str) -> Iterator[None]:
    """Its process stands still, with every connection open."""
    with frozen(site.vaults[name].process):
        yield


@contextlib.contextmanager
def audit_blocked(site: Site, name: str) -> Iterator[None]:
    """A second audit device writes where nobody reads: every request hangs, and health, which is not audited, is fine."""
    pipe = site.lab.directory / f"audit-{name}"
    os.mkfifo(pipe)
    vault = site.vaults[name]
    with _Reader(pipe) as reader:
        options = {"file_path": str(pipe), "mode": "0000", "skip_test": "true"}
        vault.request("PUT", "sys/audit/pipe", {"type": "file", "options": options})
        reader.pause()
        try:
            yield
        finally:
            reader.go_on()
            wait_for(lambda: vault.request("GET", "sys/mounts"), RETURN_SECONDS, "Vault to answer again")
            vault.request("DELETE", "sys/audit/pipe")


class _Reader:
    """Reads what is written into a pipe, but for the time of a pause, in which the pipe is full."""

    def __init__(self, pipe: Path) -> None:
        # Both ends, so that neither opening nor Vault's closing waits for anybody.
        self._pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._pipe, F_SETPIPE_SZ, SMALL)
        self._reading = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"reader-{pipe.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(RETURN_SECONDS)
        os.close(self._pipe)

    def pause(self) -> None:
        self._reading.acquire()
        for size in (SMALL, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(self._pipe, b"\n" * size)

    def go_on(self) -> None:
        self._reading.release()

    def _read(self) -> None:
        while not self._over.wait(0.01):
            with self._reading, contextlib.suppress(BlockingIOError):
                while True:
                    os.read(self._pipe, 16 * SMALL)
