"""An operator between two proxies, workloads whose requests are held, and the state in which they end."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab import Lab
from lab.kubeconfig import write_kubeconfig
from secureai_operator import names
from secureai_operator.api.resources import LEASES, ROLE_BINDINGS, SECRETS, SECURE_AI_WORKLOADS
from secureai_operator.assembly import LEASE
from tests.faults.holdings import KEYS, in_kubernetes, in_vault
from tests.faults.proxy import KUBERNETES, VAULT, Proxies, Proxy
from tests.faults.tally import TALLY
from tests.faults.trap import Trap
from tests.fixtures_operator import Workloads, wait_leading
from tests.integration.vault_identity import TRANSIT, vault_name
from tests.integration.vault_reads import found_in
from tests.product import Operator, Product

QUIET_SECONDS = 0.5
"""Nothing came for so long: whatever was under way is over."""
MANY = 64
"""Workloads that may stand at their points at once, without one of them holding up another."""
PATIENCE = 30.0
"""How long the operator waits for an answer of Vault that is held, and a test for what takes a moment."""
GONE_SECONDS = 120.0
"""For all workloads of a sweep at once, a hundred or more, on a machine that is busy with other things."""

Json = dict[str, Any]

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_WRAPPED = re.compile(r"(vault:v\d+:)\S+")
_OWN = frozenset(
    {"applied", "certificate", "milliseconds", "serial", "serviceAccount", names.APPLIED_ANNOTATION}
)
"""Values that differ from workload to workload and from run to run."""


@dataclass(slots=True)
class Stage:
    """One operator whose every request goes through the trap; it can be killed and started again."""

    lab: Lab
    product: Product
    workloads: Workloads
    namespace: str
    trap: Trap
    kubernetes: Proxy
    vault: Proxy
    proxies: Proxies
    operator: Operator | None = None
    plain: dict[str, Mapping[str, bytes]] = field(default_factory=dict, repr=False)
    """Each workload's data keys as they were first. Never printed."""
    homes: dict[str, str] = field(default_factory=dict)
    """The namespaces of workloads that do not share one."""
    connection: Json = field(default_factory=dict)
    """What the operator's connection to Vault has besides what it always has."""

    def start(self, **settings: Any) -> Operator:
        """Start the operator; it leads when this returns."""
        account = names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT
        kubeconfig = write_kubeconfig(
            self.lab.directory / "kubeconfigs" / "through-proxy.yaml",
            self.kubernetes.address,
            self.lab.ca_file,
            {"token": self.lab.token(*account)},
        )
        (connection,) = self.product.base_settings()["connections"].values()
        through = {"address": self.vault.address, "maxInFlight": MANY, "timeoutSeconds": PATIENCE}
        connections = {"default": {**connection, **through, **self.connection}}
        return self._leading(
            self.product.start_operator(kubeconfig, workers=MANY, connections=connections, **settings)
        )

    def start_beside(self, **settings: Any) -> Operator:
        """Start another one that goes past the proxies; it leads when this returns."""
        return self._leading(self.product.start_operator(**settings))

    def _leading(self, operator: Operator) -> Operator:
        self.operator = operator
        return wait_leading(self.lab, operator)

    def crash(self) -> None:
        """Kill the operator as it is: what was held before its point never arrives."""
        self.abandon()
        self.proxies.call(self.trap.drop)

    def abandon(self) -> None:
        """Kill the operator as it is; what is held is still on its way."""
        assert self.operator is not None
        self.operator.process.kill()
        TALLY.struck(self.trap.standing())
        # Nobody gave the Lease back, and its time would be waited for at each crash: tests of leadership do that.
        self.workloads.delete(names.OPERATOR_NAMESPACE, LEASE, LEASES)

    def restart(self) -> None:
        self.crash()
        self.start()

    def allow(self, **roles: str) -> None:
        """Have the platform name roles of Vault that destroy what workloads or policies ask to be destroyed."""
        self.connection.update(roles)
        connections = self.product.base_settings()["connections"]
        connections["default"].update(roles)
        self.product.bootstrap_vault(connections=connections)
        self.restart()

    @property
    def is_running(self) -> bool:
        return self.operator is not None and self.operator.process.running

    def stop(self) -> None:
        if self.is_running and self.operator is not None:
            self.operator.stop()

    def make(self, wanted: Collection[str], prepare: Callable[[Collection[str]], None], **spec: Any) -> None:
        """Workloads with these names, Ready and prepared, and with nothing under way any more."""
        for name in wanted:
            self.workloads.create(self.home(name), name, **spec)
        for name in wanted:
            self.workloads.wait_ready(self.home(name), name, PATIENCE)
        prepare(wanted)
        self.wait_quiet(wanted)
        for name in wanted:
            self.plain[name] = self.plaintexts(name)

    def wait_quiet(self, wanted: Iterable[str]) -> None:
        """Until none of them asks for anything any more."""
        for name in wanted:
            self.trap.watch(name)
        self.lab.wait_for(lambda: self.trap.quiet_for() > QUIET_SECONDS, PATIENCE, "quiet")
        self.proxies.call(self.trap.let_go)

    def home(self, name: str) -> str:
        """The namespace of the workload."""
        return self.homes.get(name, self.namespace)

    def settle(self, wanted: Iterable[str]) -> None:
        """Give each of the workloads that are to come a namespace of its own name."""
        for name in wanted:
            self.lab.create_namespace(name)
            self.homes[name] = name

    def annotate(self, name: str, annotation: str, value: str) -> None:
        self.workloads.patch(self.home(name), name, {"metadata": {"annotations": {annotation: value}}})

    def listed(self) -> dict[str, Json]:
        """All workloads by name, in one request."""
        items = self.lab.api.request("GET", SECURE_AI_WORKLOADS.path(None))["items"]
        places = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in items}
        return {name: item for (home, name), item in places.items() if home == self.home(name)}

    # What there is at the end

    def wrapped(self, name: str) -> dict[str, str]:
        """What the Secret holds."""
        secret = self.workloads.find(SECRETS, self.home(name), names.keys_secret(name))
        data = {} if secret is None else secret["data"]
        return {entry: base64.b64decode(value).decode() for entry, value in data.items()}

    def plaintexts(self, name: str) -> dict[str, bytes]:
        """The data keys of the Secret, decrypted as an administrator of Vault."""
        wrapped = self.wrapped(name)
        if not wrapped:
            return {}
        batch = [{"ciphertext": value} for value in wrapped.values()]
        path = f"{TRANSIT}/decrypt/{self.vault_name(name)}"
        answer = self.lab.vault_request("POST", path, {"batch_input": batch})["data"]["batch_results"]
        return {
            entry: base64.b64decode(result["plaintext"])
            for entry, result in zip(wrapped, answer, strict=True)
        }

    def changed_data_keys(self, name: str) -> list[str]:
        """The data keys that are not what they were first: an earlier one has a number after its name."""
        first, now = self.plain.get(name, {}), self.plaintexts(name)
        return [
            entry for entry, plain in first.items() if plain not in {now.get(entry), now.get(f"{entry}.1")}
        ]

    def vault_name(self, name: str) -> str:
        return vault_name(self.home(name), name)

    def key(self, name: str) -> Json:
        """The key in Vault, or {} if there is none."""
        return found_in(self.lab.vault, f"{KEYS}/{self.vault_name(name)}") or {}

    def told(self, name: str) -> set[str]:
        """The reasons of the events about it."""
        return {event["reason"] for event in self.workloads.events(self.home(name), name)}

    def end_state(self, name: str) -> Json:
        """All that is to be the same however often the operator crashed: without times, serials and its name."""
        key, workload = self.key(name), self.workloads.find(SECURE_AI_WORKLOADS, self.home(name), name)
        found = {
            "status": None if workload is None else workload.get("status"),
            "secret": self.wrapped(name),
            "latest_version": key.get("latest_version"),
            "min_decryption_version": key.get("min_decryption_version"),
            "min_encryption_version": key.get("min_encryption_version"),
            "min_available_version": key.get("min_available_version"),
            "kubernetes": in_kubernetes(self.lab, self.home(name), name),
            "vault": in_vault(self.lab, self.vault_name(name)),
            "opened": self._is_opened(name),
        }
        comparable: Json = _comparable(json.loads(json.dumps(found).replace(name, "NAME")))
        return comparable

    def _is_opened(self, name: str) -> bool | None:
        """Whether the operator has its right on the Secrets of the workload's own namespace; None if it shares one."""
        home = self.homes.get(name)
        if home is None:
            return None
        return self.workloads.find(ROLE_BINDINGS, home, names.NAMESPACE_SECRETS_ROLE) is not None


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "*" if key in _OWN and isinstance(item, str | int) else _comparable(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, str):
        return _WRAPPED.sub(r"\1*", _STAMP.sub("*", value))
    return value


@contextlib.contextmanager
def running_stage(lab: Lab, product: Product, workloads: Workloads, namespace: str) -> Iterator[Stage]:
    """A stage with its operator; at the end the namespace's workloads are gone, and then the operator."""
    trap = Trap()
    tls = ssl.create_default_context(cafile=str(lab.ca_file))
    kubernetes = Proxy(KUBERNETES, lab.api_url, tls, trap)
    vault = Proxy(VAULT, lab.vault_address, None, trap)
    with Proxies(kubernetes, vault).running() as proxies:
        stage = Stage(lab, product, workloads, namespace, trap, kubernetes, vault, proxies)
        try:
            stage.start()
            yield stage
            # A test that failed may have left some standing, and no operator.
            proxies.call(trap.let_go)
            if not stage.is_running:
                stage.start()
            # Left to the operator of another test, so many deletions would be in its way.
            for home in {namespace, *stage.homes.values()}:
                lab.api.request("DELETE", SECURE_AI_WORKLOADS.path(home))
            lab.wait_for(lambda: not stage.listed(), GONE_SECONDS, "the workloads to be gone")
        finally:
            stage.stop()
            for home in stage.homes.values():
                lab.delete_namespace(home)
