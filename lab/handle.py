"""A running lab, as tests, the demo and benchmarks hold it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from lab.cluster import Cluster
from lab.errors import CommandFailed, LabUnsupported, RequestFailed
from lab.kubeconfig import write_kubeconfig
from lab.nodes import Nodes, NodeSpec
from lab.ports import Ports
from lab.processes import Process, Processes, base_environment
from lab.rest import Json, JsonClient
from lab.vault import Vault
from lab.waiting import wait_for

T = TypeVar("T")

KUBECTL_SECONDS = 60.0
TOKEN_SECONDS = 6 * 3600
CUSTOMER_VAULT = "customer-vault"


@dataclass(frozen=True)
class Lab:
    """A cluster, a Vault and fake nodes; everything ends with `close`.

    `audit_log` and `vault_audit_log` are JSON lines, one request each; they are None on a cluster or Vault of the
    user's own, where the lab cannot read them, and there components cannot be stopped either (LabUnsupported).
    """

    directory: Path
    source: str
    cluster: Cluster
    vault: Vault
    nodes: Nodes
    processes: Processes = field(repr=False)
    ports: Ports = field(repr=False)
    start_seconds: float
    further_vault: Callable[[str], Vault] = field(repr=False)
    """Starts another Vault of that name, whose kubernetes auth reviews tokens at the same API server."""

    @property
    def api_url(self) -> str:
        """The API server's URL."""
        return self.cluster.access.url

    @property
    def ca_file(self) -> Path:
        """The API server's certificate authority, PEM."""
        return self.cluster.access.ca_file

    @property
    def admin_kubeconfig(self) -> Path:
        """A kubeconfig of the cluster's administrator."""
        return self.cluster.access.kubeconfig

    @property
    def audit_log(self) -> Path | None:
        """The API server's audit log, level Metadata, everything in it."""
        return self.cluster.audit_log

    @property
    def vault_address(self) -> str:
        """Vault's URL."""
        return self.vault.address

    @property
    def vault_root_token(self) -> str:
        """Vault's root token: a secret, never to be printed."""
        return self.vault.root_token

    @property
    def vault_audit_log(self) -> Path | None:
        """The log of Vault's file audit device."""
        return self.vault.audit_log

    @property
    def api(self) -> JsonClient:
        """Raw requests to the API server as administrator: `lab.api.request("GET", "/api/v1/nodes")`."""
        return self.cluster.access.api

    def kubectl(
        self,
        *args: str | Path,
        input: str | None = None,  # noqa: A002  # as subprocess.run calls it
        kubeconfig: Path | None = None,
        deadline: float = KUBECTL_SECONDS,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl, as administrator unless told otherwise; CommandFailed if it fails and `check`."""
        command = [
            str(self.cluster.kubectl),
            f"--kubeconfig={kubeconfig or self.admin_kubeconfig}",
            *map(str, args),
        ]
        done = subprocess.run(
            command,
            input=input,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
            env=base_environment(self.directory),
        )
        if check and done.returncode != 0:
            raise CommandFailed(f"kubectl {' '.join(map(str, args))}", done.returncode, done.stderr)
        return done

    def token(
        self, namespace: str, service_account: str, audience: str | None = None, seconds: int = TOKEN_SECONDS
    ) -> str:
        """A token of a ServiceAccount by the TokenRequest API, for the API server unless an audience is given."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        spec: Json = {"expirationSeconds": seconds}
        if audience is not None:
            spec["audiences"] = [audience]
        return str(self.api.request("POST", path, {"spec": spec})["status"]["token"])

    def kubeconfig_for(self, namespace: str, service_account: str) -> Path:
        """A kubeconfig with a fresh token of an existing ServiceAccount."""
        path = self.directory / "kubeconfigs" / f"{namespace}.{service_account}.yaml"
        token = self.token(namespace, service_account)
        return write_kubeconfig(path, self.api_url, self.ca_file, {"token": token})

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Create a namespace and wait until its default ServiceAccount exists, so that pods can be made in it."""
        metadata = {"name": name, "labels": {**self.processes.labels, **(labels or {})}}
        self.api.request("POST", "/api/v1/namespaces", {"metadata": metadata})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        # After a restart of the API server the controller manager may take a while to come back to its watches.
        wait_for(lambda: self.api.request("GET", account), 120, f"the ServiceAccount of namespace {name}")

    def delete_namespace(self, name: str) -> None:
        """Start deleting a namespace; nothing happens if it does not exist."""
        status, answer = self.api.raw("DELETE", f"/api/v1/namespaces/{name}")
        # 409: it is being deleted already.
        if status >= HTTPStatus.BAD_REQUEST and status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            raise RequestFailed(f"DELETE namespace {name}", status, answer)

    def vault_request(self, method: str, path: str, body: object = None, token: str | None = None) -> Json:
        """Send one request to Vault (path without `/v1/`), as root unless a token is given ("" sends none)."""
        return self.vault.request(method, path, body, token)

    def add_nodes(self, nodes: Iterable[NodeSpec]) -> None:
        """Create fake nodes and wait until they are Ready."""
        self.nodes.add(nodes)

    def process(
        self,
        name: str,
        argv: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Process:
        """A further process that ends with the lab (`.start()` it); its log is `directory/logs/NAME.log`."""
        return self.processes.process(name, argv, env, cwd)

    def wait_for(self, condition: Callable[[], T], deadline: float = 30.0, what: str = "the condition") -> T:
        """Return the first truthy value of `condition`, or raise LabTimeout."""
        return wait_for(condition, deadline, what)

    def stop_apiserver(self) -> None:
        """Stop the API server with SIGTERM; etcd and the controllers stay."""
        self.cluster.stop_apiserver()

    def start_apiserver(self) -> None:
        """Start it again on its port and data; returns when it is ready."""
        self.cluster.start_apiserver()

    def restart_apiserver(self) -> None:
        """Stop and start the API server."""
        self.stop_apiserver()
        self.start_apiserver()

    def stop_vault(self) -> None:
        """Stop Vault with SIGTERM."""
        self.vault.stop()

    def start_vault(self, *, unseal: bool = True) -> None:
        """Start Vault again with its data; returns when it is active (or sealed)."""
        self.vault.start(unseal=unseal)

    def restart_vault(self) -> None:
        """Stop, start and unseal Vault."""
        self.stop_vault()
        self.start_vault()

    def seal_vault(self) -> None:
        """Seal Vault."""
        self.vault.seal()

    def unseal_vault(self) -> None:
        """Unseal Vault; returns when it is active."""
        self.vault.unseal()

    def customer_vault(self) -> Vault:
        """A second Vault, as a customer of the platform runs it; started by the first call, always the lab's own.

        It has its own processes, root token and audit log; all methods above are about the first one.
        """
        return self._customer_vault

    @cached_property
    def _customer_vault(self) -> Vault:
        return self.further_vault(CUSTOMER_VAULT)

    def component(self, name: str) -> Process:
        """A component's process, to signal or kill it: `lab.component("kube-scheduler").kill()`."""
        attribute = {"kube-apiserver": "apiserver", "kube-controller-manager": "controller_manager"}.get(
            name, name.removeprefix("kube-")
        )
        owner = {"vault": self.vault, "kwok": self.nodes}.get(name, self.cluster)
        process = getattr(owner, "process" if name in ("vault", "kwok") else attribute, None)
        if not isinstance(process, Process):
            raise LabUnsupported(f"{name} is not a process of this lab ({self.source})")
        return process

    def environment(self) -> dict[str, str]:
        """What a user's shell needs to look around; holds Vault's root token."""
        return {
            "KUBECONFIG": str(self.admin_kubeconfig),
            "VAULT_ADDR": self.vault_address,
            "VAULT_TOKEN": self.vault_root_token,
        }

    def close(self) -> None:
        """End everything and remove the directory (unless it is kept); a second call does nothing."""
        self.processes.close()
        self.ports.close()
