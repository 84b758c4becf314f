"""A Vault made ready for an operator of its own: mounts, policies and role that no other test shares."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab import Lab, RequestFailed, wait_for
from lab.processes import Process
from secureai_operator import names
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.clients.vault import HvacVault
from secureai_operator.clients.vault_bootstrap import VaultAdministrator
from secureai_operator.core.bootstrap import BootstrapSpec, bootstrap_items, needed_capabilities

AUDIENCE = "vault"


@dataclass
class Requests:
    """How many requests were made, by operation and outcome: what a metric would say."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __call__(self, op: str, code: str, _seconds: float) -> None:
        self.counts[op, code] += 1

    def of(self, op: str) -> int:
        return sum(count for (name, _), count in self.counts.items() if name == op)

    def sent(self) -> int:
        return sum(count for (_, code), count in self.counts.items() if code not in ("breaker", "bucket"))


def ensure_service_account(lab: Lab, namespace: str, name: str) -> None:
    for path, body in (
        ("/api/v1/namespaces", {"metadata": {"name": namespace}}),
        (f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}}),
    ):
        with suppress(RequestFailed):
            lab.api.request("POST", path, body)


def new_spec(lab: Lab, directory: Path) -> BootstrapSpec:
    """A connection of its own, whose operator is the real one's ServiceAccount."""
    ensure_service_account(lab, names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT)
    token_file = directory / "vault-token"
    token_file.write_text(lab.token(names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT, AUDIENCE))
    mark = secrets.token_hex(3)
    connection = VaultConnection(
        name="test",
        address=lab.vault_address,
        role=f"operator-{mark}",
        destroy_role=f"destroyer-{mark}",
        token_file=str(token_file),
        transit_mount=f"transit-{mark}",
        pki_mount=f"pki-{mark}",
        policy_prefix=f"saw.{mark}.",
    )
    return BootstrapSpec(connection)


async def bootstrapped(lab: Lab, directory: Path) -> BootstrapSpec:
    spec = await asyncio.to_thread(new_spec, lab, directory)
    async with VaultAdministrator(spec.connection, lab.vault_root_token) as administrator:
        await administrator.apply(bootstrap_items(spec))
    return spec


@asynccontextmanager
async def connected(spec: BootstrapSpec, requests: Requests, **changes: object) -> AsyncIterator[HvacVault]:
    connection = replace(spec.connection, **changes)  # type: ignore[arg-type]
    vault = HvacVault(connection, needed_capabilities(connection), observe=requests)
    try:
        yield vault
    finally:
        await vault.close()


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    """Hung in the middle of whatever it did, with every connection open, until the end of the block."""
    process.signal(signal.SIGSTOP)
    try:
        wait_for(lambda: all(state == "T" for state in _states(process)), 5.0, "the process to stand still")
        yield
    finally:
        process.signal(signal.SIGCONT)


def _states(process: Process) -> Iterator[str]:
    """The state of each of its threads: a signal is not obeyed at once."""
    for stat in Path(f"/proc/{process.pid}/task").glob("*/stat"):
        yield stat.read_text().rpartition(")")[2].split()[0]


@asynccontextmanager
async def running(vault: HvacVault) -> AsyncIterator[HvacVault]:
    """With its health monitor and token renewal."""
    task = asyncio.create_task(vault.run())
    try:
        yield vault
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
