"""A real Vault on loopback: raft storage, real seal, a file audit device, kubernetes auth that reviews tokens."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from lab.binaries import VaultBinaries
from lab.cluster import LOOPBACK, Place
from lab.errors import LabError
from lab.ports import Ports
from lab.processes import Process, Processes
from lab.rest import Json, JsonClient

READY_SECONDS = 30.0
AUTH_PATH = "kubernetes"
PLUGIN_NAME = "vault-plugin-auth-kubernetes"


class Vault(Protocol):
    """What the lab needs of a Vault, wherever it comes from."""

    @property
    def address(self) -> str:
        """Its URL."""

    @property
    def root_token(self) -> str:
        """A token that may do everything; known after `start_new`."""

    @property
    def audit_log(self) -> Path | None:
        """The log of its file audit device, if the lab can read it."""

    def start_new(self) -> None:
        """Start for the first time; returns when it is active."""

    def review_tokens_at(self, url: str, ca_file: Path, reviewer_token: str) -> None:
        """Let kubernetes auth review tokens at this API server with this token."""

    def request(self, method: str, path: str, body: object = None, token: str | None = None) -> Json:
        """Send one request (path without `/v1/`), as root unless a token is given ("" sends none)."""

    def seal(self) -> None:
        """Seal it."""

    def unseal(self) -> None:
        """Unseal it and wait until it is active."""

    def stop(self) -> None:
        """Stop its process."""

    def start(self, *, unseal: bool = True) -> None:
        """Start its process again with its data."""


class LocalVault:
    """One Vault process with its data; it can be sealed, stopped, killed and started again.

    Its process and its directory in the lab's are called `name`.
    """

    def __init__(
        self,
        processes: Processes,
        binaries: VaultBinaries,
        ports: Ports,
        name: str = "vault",
        place: Place = LOOPBACK,
    ) -> None:
        self.name = name
        self._host = place.address
        self._directory = processes.directory / name
        self._directory.mkdir(mode=0o700)
        self._binaries = binaries
        port, cluster_port = place.vault_port or ports.take(), ports.take()
        self.address = f"http://{place.address}:{port}"
        self.audit_log: Path | None = self._directory / "audit.log"
        self.root_token = ""
        self._unseal_key = ""
        self._client = JsonClient(self.address)
        self.process = self._process(processes, port, cluster_port)

    def start_new(self) -> None:
        """Start for the first time: initialise, unseal, turn on audit and kubernetes auth."""
        self.process.start()
        self._wait_answering()
        answer = self._client.request("PUT", "/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self._unseal_key, self.root_token = answer["keys_base64"][0], answer["root_token"]
        self.unseal()
        self._enable_audit()
        self._enable_kubernetes_auth()

    def request(self, method: str, path: str, body: object = None, token: str | None = None) -> Json:
        """Send one request (path without `/v1/`), as root unless a token is given ("" sends none)."""
        secret = self.root_token if token is None else token
        headers = {"X-Vault-Token": secret} if secret else {}
        return JsonClient(self.address, headers).request(method, f"/v1/{path}", body)

    def seal(self) -> None:
        """Seal it: it answers 503 to everything until `unseal`."""
        self.request("PUT", "sys/seal")
        self.process.wait_ready(
            lambda: self._health() == HTTPStatus.SERVICE_UNAVAILABLE, READY_SECONDS, "Vault to be sealed"
        )

    def unseal(self) -> None:
        """Unseal it and wait until it is active."""
        self._client.request("PUT", "/v1/sys/unseal", {"key": self._unseal_key})
        self.process.wait_ready(lambda: self._health() == HTTPStatus.OK, READY_SECONDS, "Vault to be active")

    def stop(self) -> None:
        """Stop it with SIGTERM."""
        self.process.stop()

    def start(self, *, unseal: bool = True) -> None:
        """Start it again with its data, unsealed unless `unseal` is False."""
        self.process.start()
        self._wait_answering()
        if unseal:
            self.unseal()

    def review_tokens_at(self, url: str, ca_file: Path, reviewer_token: str) -> None:
        """Let kubernetes auth review tokens at this API server with this token."""
        self.request("POST", f"auth/{AUTH_PATH}/config", token_review(url, ca_file, reviewer_token))

    def _wait_answering(self) -> None:
        self.process.wait_ready(lambda: self._health() != 0, READY_SECONDS, "Vault to answer")

    def _health(self) -> int:
        """Status of sys/health: 200 active, 501 not initialised, 503 sealed; 0 when nobody answers."""
        try:
            return self._client.raw("GET", "/v1/sys/health", timeout=5)[0]
        except LabError:
            return 0

    def _enable_audit(self) -> None:
        options = {"file_path": str(self.audit_log), "mode": "0600"}
        self.request("PUT", "sys/audit/file", {"type": "file", "options": options})

    def _enable_kubernetes_auth(self) -> None:
        plugin = self._binaries.kubernetes_plugin
        if plugin is not None:
            digest = hashlib.sha256(plugin.read_bytes()).hexdigest()
            entry = {"sha256": digest, "command": plugin.name}
            self.request("PUT", "sys/plugins/catalog/auth/kubernetes", entry)
        self.request("POST", f"sys/auth/{AUTH_PATH}", {"type": "kubernetes"})

    def _process(self, processes: Processes, port: int, cluster_port: int) -> Process:
        data = self._directory / "data"
        data.mkdir(mode=0o700)
        configuration: Json = {
            # The minimal build knows no file storage. The multiplier of 1 is the fastest election there is.
            "storage": {
                "raft": {
                    "path": str(data),
                    "node_id": "lab",
                    "performance_multiplier": "1",
                }
            },
            "cluster_addr": f"https://127.0.0.1:{cluster_port}",
            "listener": {
                "tcp": {
                    "address": f"{self._host}:{port}",
                    "cluster_address": f"127.0.0.1:{cluster_port}",
                    "tls_disable": True,
                }
            },
            "api_addr": self.address,
            "disable_mlock": True,
            "ui": False,
            "log_level": "info",
            "default_lease_ttl": "768h",
        }
        if self._binaries.kubernetes_plugin is not None:
            configuration["plugin_directory"] = str(self._binaries.kubernetes_plugin.resolve().parent)
        file = self._directory / "config.json"
        file.write_text(json.dumps(configuration, indent=2))
        return processes.process(self.name, [self._binaries.vault, "server", f"-config={file}"])


def token_review(url: str, ca_file: Path, reviewer_token: str) -> Json:
    """The configuration of kubernetes auth for reviewing tokens at this API server."""
    return {
        "kubernetes_host": url,
        "kubernetes_ca_cert": ca_file.read_text(),
        "token_reviewer_jwt": reviewer_token,
        "disable_local_ca_jwt": True,
    }
