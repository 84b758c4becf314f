"""Labs of their own for outages: the product, one operator, further Vaults, and quiet times that pass while others are at work."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from lab import Lab, LabTimeout, RequestFailed, start_lab
from lab.vault import LocalVault
from secureai_operator import names
from secureai_operator.api.resources import (
    KEY_ROTATION_POLICIES,
    LEASES,
    NETWORK_POLICIES,
    SECURE_AI_WORKLOADS,
)
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.assembly import LEASE
from secureai_operator.clients.vault_bootstrap import VaultAdministrator
from secureai_operator.core.bootstrap import BootstrapSpec, bootstrap_items
from secureai_operator.core.configured import vault_connections
from secureai_operator.settings import Settings
from tests.faults.stability import Fleet, IsRight, Quiet, Recoveries, Recovery, Writes, recovered
from tests.fixtures_operator import Workloads, wait_leading
from tests.product import Operator, Product

PATIENCE = 30.0
MODEL = {"dataKeys": [{"name": "model"}]}
MOST = 2
"""Labs at once."""
PROBE_SECONDS = 5.0
"""How often the operator compares each workload's objects in Vault: often enough that an unstable one would show."""

Json = dict[str, Any]


@dataclass(slots=True)
class Site:
    """A lab with the product on it. Whoever uses it next waits for the quiet time of the outage before."""

    lab: Lab
    product: Product
    workloads: Workloads
    recoveries: Recoveries
    vaults: dict[str, LocalVault]
    """By the name of the operator's connection."""
    operator: Operator | None = None
    quiet: Quiet | None = None

    def start(self, **settings: Any) -> Operator:
        """Start the operator; it leads when this returns, and on a machine that is busy with other things too."""
        settings = {"vaultProbeSeconds": PROBE_SECONDS, "leaseSeconds": 60, **settings}
        return self.leading(self.product.start_operator(**settings))

    def leading(self, operator: Operator) -> Operator:
        self.operator = operator
        return wait_leading(self.lab, operator)

    def is_running(self) -> bool:
        return self.operator is not None and self.operator.process.running

    @contextmanager
    def kept_running(self) -> Iterator[list[int]]:
        """As its Deployment does: start the operator again whenever it ends; the list is of its exit codes."""
        assert self.operator is not None
        process, codes, over = self.operator.process, list[int](), threading.Event()

        def keep() -> None:
            while not over.wait(0.2):
                if (code := process.code) is not None:
                    codes.append(code)
                    process.start()

        thread = threading.Thread(target=keep, name="deployment", daemon=True)
        thread.start()
        try:
            yield codes
        finally:
            over.set()
            thread.join(PATIENCE)

    def stop(self) -> None:
        if self.operator is not None and self.operator.process.running:
            self.operator.stop()
        self.operator = None

    def kill(self) -> None:
        """End the operator as a crash does; its Lease stays."""
        if self.operator is not None:
            self.operator.process.kill()
        self.operator = None

    def forget_lease(self) -> None:
        """Nobody gave it back, and its time would be waited for: tests of leadership do that."""
        with contextlib.suppress(RequestFailed):
            self.workloads.delete(names.OPERATOR_NAMESPACE, LEASE, LEASES)

    # Vaults

    def connections(self) -> dict[str, Json]:
        """The settings of all connections, each to a Vault of its own."""
        (first,) = Product(self.lab).base_settings()["connections"].values()
        return {name: {**first, "address": vault.address} for name, vault in self.vaults.items()}

    def add_vaults(self, wanted: Iterable[str]) -> None:
        """Start further Vaults, each prepared for a connection of its name."""
        new = [name for name in wanted if name not in self.vaults]
        with ThreadPoolExecutor(2) as pool:
            found = pool.map(lambda name: cast("LocalVault", self.lab.further_vault(f"vault-{name}")), new)
            self.vaults.update(zip(new, found, strict=True))
        self.product.settings["connections"] = self.connections()
        for name in new:
            self.bootstrap(name)

    def bootstrap(self, name: str = "default") -> None:
        spec = BootstrapSpec(self.connection(name))
        asyncio.run(_bootstrapped(spec, self.vaults[name].root_token))

    def connection(self, name: str = "default") -> VaultConnection:
        settings = {**self.product.base_settings(), "connections": self.connections()}
        return vault_connections(Settings.model_validate(settings))[name]

    # Workloads

    def new_namespace(self, prefix: str) -> str:
        name = f"{prefix}-{secrets.token_hex(3)}"
        self.lab.create_namespace(name)
        return name

    def make(self, namespace: str, wanted: Iterable[str], **spec: Any) -> Fleet:
        """Workloads with these names, Ready."""
        fleet = Fleet.ready(namespace, wanted)
        for name in fleet.right:
            self.workloads.create(namespace, name, **spec)
        self.wait_right(fleet, 2 * PATIENCE + len(fleet.right))
        return fleet

    def rotate_hourly(self, namespace: str) -> None:
        """A policy for all workloads there."""
        policy = {
            "apiVersion": names.API_VERSION,
            "kind": "KeyRotationPolicy",
            "metadata": {"name": "hourly", "namespace": namespace},
            "spec": {"selector": {}, "schedule": {"interval": "1h"}},
        }
        self.lab.api.request("POST", KEY_ROTATION_POLICIES.path(namespace), policy)

    def wait_right(self, fleet: Fleet, deadline: float = PATIENCE) -> None:
        try:
            self.lab.wait_for(lambda: not fleet.astray(self.lab), deadline, f"{fleet.namespace} to be right")
        except LabTimeout as error:
            error.add_note(str(fleet.told_astray(self.lab)))
            raise

    def wait_all(self, fleet: Fleet, is_right: IsRight, deadline: float = PATIENCE) -> None:
        self.wait_right(Fleet(fleet.namespace, dict.fromkeys(fleet.right, is_right)), deadline)

    def heals(self, namespace: str, name: str, deadline: float = PATIENCE) -> None:
        """What is deleted comes back."""
        policy = names.allow_policy(name)
        self.workloads.delete(namespace, policy, NETWORK_POLICIES)
        self.workloads.wait_object(NETWORK_POLICIES, namespace, policy, deadline=deadline)

    def clear(self) -> None:
        """Take all workloads away, whose certificates would be renewed in the next one's quiet time."""
        # A server that was just restarted says 429 until it has read what there is.
        found = self.lab.wait_for(
            lambda: self.lab.api.request("GET", SECURE_AI_WORKLOADS.path(None)), PATIENCE, "the workloads"
        )
        homes = {item["metadata"]["namespace"] for item in found["items"]}
        if homes and not self.is_running():
            self.forget_lease()
            self.start()
        for home in homes:
            self.lab.api.request("DELETE", SECURE_AI_WORKLOADS.path(home))
        self.lab.wait_for(
            lambda: not self.lab.api.request("GET", SECURE_AI_WORKLOADS.path(None))["items"],
            2 * PATIENCE,
            "all workloads to be gone",
        )
        for home in homes:
            self.lab.delete_namespace(home)

    # Writes

    def writes(self) -> Writes:
        """From now on."""
        return Writes.of(self.lab, self.vault_logs())

    def vault_logs(self) -> Mapping[str, Path]:
        return {name: vault.audit_log for name, vault in self.vaults.items() if vault.audit_log is not None}

    def passes(self, seconds: float) -> None:
        """Let time pass that is a part of what is tested."""
        end = time.monotonic() + seconds
        self.lab.wait_for(lambda: time.monotonic() >= end, seconds + 10, f"{seconds:g} s to pass")

    def recovers(
        self, outage: str, fleets: Iterable[Fleet], since: Writes, ended: float, **more: Any
    ) -> Recovery:
        """Wait until all is right again; from then on nobody may write until the site is used again."""
        try:
            found = recovered(self.lab, outage, list(fleets), since, ended, **more)
        except LabTimeout as error:
            error.add_note(self.operator.process.tail(40) if self.operator else "no operator")
            raise
        self.recoveries.found.append(found)
        self.quiet = Quiet(outage, self.writes(), time.monotonic())
        return found

    def rest(self) -> None:
        """Wait for the quiet time of the last outage, and find that nobody wrote."""
        quiet, self.quiet = self.quiet, None
        if quiet is not None:
            tail = self.operator.process.tail(40) if self.operator else ""
            assert self.is_running(), f"the operator ended after: {quiet.outage}\n{tail}"
            quiet.rest(self.lab)


@dataclass(slots=True)
class Sites:
    """The labs of a session; a second one is started when it is first needed."""

    recoveries: Recoveries
    labs: contextlib.ExitStack
    started: list[Site] = field(default_factory=list)

    @classmethod
    @contextmanager
    def running(cls, recoveries: Recoveries) -> Iterator[Sites]:
        with contextlib.ExitStack() as labs:
            yield cls(recoveries, labs)

    def rested(self) -> Site:
        """The one that has rested longest, after what is left of its quiet time."""
        if len(self.started) < MOST and all(site.quiet is not None for site in self.started):
            self.started.append(self.labs.enter_context(running_site(self.recoveries)))
        chosen = min(self.started, key=lambda one: 0.0 if one.quiet is None else one.quiet.began)
        chosen.rest()
        chosen.clear()
        chosen.stop()
        return chosen


@contextmanager
def running_site(recoveries: Recoveries) -> Iterator[Site]:
    with start_lab() as lab:
        product = Product(lab)
        product.install()
        vault = cast("LocalVault", lab.vault)
        site = Site(lab, product, Workloads(lab), recoveries, {"default": vault})
        try:
            yield site
        finally:
            site.stop()


async def _bootstrapped(spec: BootstrapSpec, token: str) -> None:
    async with VaultAdministrator(spec.connection, token) as administrator:
        await administrator.apply(bootstrap_items(spec))
