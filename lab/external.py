"""A cluster and a Vault of the user's own, named explicitly: the lab uses them and cannot stop them."""

from __future__ import annotations

import os
import ssl
import subprocess
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from lab.cluster import READY_SECONDS, Access, is_ready
from lab.errors import CommandFailed, LabUnavailable, LabUnsupported
from lab.kubeconfig import Kubeconfig
from lab.processes import Processes
from lab.rest import Json, JsonClient
from lab.vault import AUTH_PATH, token_review
from lab.waiting import wait_for

KUBECONFIG = "SECUREAI_LAB_KUBECONFIG"
VAULT_ADDRESS = "SECUREAI_LAB_VAULT_ADDR"
VAULT_TOKEN = "SECUREAI_LAB_VAULT_TOKEN"  # noqa: S105  # the name of a variable
VAULT_CA = "SECUREAI_LAB_VAULT_CACERT"
# Fake nodes attract a cluster's real pods, so the user has to want them.
FAKE_NODES = "SECUREAI_LAB_FAKE_NODES"
CLEAN_UP_SECONDS = 60.0
# The description by which a mount of an earlier lab is told from one of the user's.
OUR_MOUNT = "made by the SecureAI lab"
KINDS = "namespaces,nodes,runtimeclasses.node.k8s.io,clusterrolebindings.rbac.authorization.k8s.io"


class UserCluster:
    """The current context of the kubeconfig in SECUREAI_LAB_KUBECONFIG."""

    def __init__(self, processes: Processes, kubectl: Path) -> None:
        self._directory = processes.directory
        self._processes = processes
        self._named = Path(os.environ[KUBECONFIG]).expanduser()
        if not self._named.is_file():
            raise LabUnavailable(f"{KUBECONFIG} names {self._named}, which is not a file")
        self.kubectl = kubectl
        self.audit_log: Path | None = None

    @cached_property
    def access(self) -> Access:
        """How to reach it, as the user who is named there."""
        view = ["config", "view", "--raw", "--minify", "--flatten"]
        asked = subprocess.run(
            [str(self.kubectl), f"--kubeconfig={self._named}", *view],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if asked.returncode != 0:
            raise CommandFailed("kubectl config view", asked.returncode, asked.stderr)
        config = Kubeconfig(asked.stdout)
        path = self._directory / "kubeconfigs" / "admin.yaml"
        path.parent.mkdir(mode=0o700)
        path.touch(mode=0o600)
        path.write_text(asked.stdout)
        ca_file = config.write_ca(self._directory / "ca.crt")
        return Access(config.server, ca_file, path, config.client(ca_file))

    def start(self) -> None:
        """See that somebody answers, and have the lab's objects removed at the end."""
        if not is_ready(self.access.api):
            raise LabUnavailable(f"the cluster of {KUBECONFIG} ({self.access.url}) does not say it is ready")
        selector = ",".join(f"{key}={value}" for key, value in self._processes.labels.items())
        command: list[str | Path] = [self.kubectl, f"--kubeconfig={self._named}"]
        clean_up = ["delete", KINDS, "-l", selector, "--ignore-not-found", "--wait=false"]
        self._processes.at_end([*command, *clean_up], os.environ, CLEAN_UP_SECONDS)

    def finish_start(self) -> None:
        """It runs already."""

    def wait_controllers(self) -> None:
        """Wait until the default namespace has what every namespace gets."""
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        wait_for(lambda: self.access.api.request("GET", account), READY_SECONDS, "the controllers to work")

    def kwok_kubeconfig(self) -> Path:
        """The user's."""
        return self.access.kubeconfig

    def stop_apiserver(self) -> None:
        """Not ours to stop."""
        _refuse("the API server")

    def start_apiserver(self) -> None:
        """Not ours to start."""
        _refuse("the API server")


class UserVault:
    """The Vault of SECUREAI_LAB_VAULT_ADDR and _TOKEN; what the lab turns on there stays on."""

    def __init__(self) -> None:
        self.address = os.environ[VAULT_ADDRESS].rstrip("/")
        self.root_token = os.environ.get(VAULT_TOKEN, "")
        self.audit_log: Path | None = None
        self._is_ours = False
        if not self.root_token:
            raise LabUnavailable(f"{VAULT_ADDRESS} is set: set {VAULT_TOKEN} as well")
        ca_file = os.environ.get(VAULT_CA)
        secure = self.address.startswith("https://")
        self._tls = ssl.create_default_context(cafile=ca_file) if secure else None

    def start_new(self) -> None:
        """See that it is unsealed and that kubernetes auth is there."""
        health = JsonClient(self.address, tls=self._tls).request("GET", "/v1/sys/health?standbyok=true")
        if health.get("sealed", True):
            raise LabUnavailable(f"the Vault of {VAULT_ADDRESS} is sealed")
        mounts = self.request("GET", "sys/auth")["data"]
        if f"{AUTH_PATH}/" not in mounts:
            self.request("POST", f"sys/auth/{AUTH_PATH}", {"type": "kubernetes", "description": OUR_MOUNT})
            self._is_ours = True
        else:
            self._is_ours = mounts[f"{AUTH_PATH}/"]["description"] == OUR_MOUNT

    def review_tokens_at(self, url: str, ca_file: Path, reviewer_token: str) -> None:
        """Configure kubernetes auth, unless it is the user's."""
        if self._is_ours:
            self.request("POST", f"auth/{AUTH_PATH}/config", token_review(url, ca_file, reviewer_token))

    def request(self, method: str, path: str, body: object = None, token: str | None = None) -> Json:
        """Send one request (path without `/v1/`), with the user's token unless one is given ("" sends none)."""
        secret = self.root_token if token is None else token
        headers = {"X-Vault-Token": secret} if secret else {}
        return JsonClient(self.address, headers, self._tls).request(method, f"/v1/{path}", body)

    def seal(self) -> None:
        """Not ours to seal."""
        _refuse("Vault")

    def unseal(self) -> None:
        """Not ours to unseal."""
        _refuse("Vault")

    def stop(self) -> None:
        """Not ours to stop."""
        _refuse("Vault")

    def start(self, *, unseal: bool = True) -> None:
        """Not ours to start."""
        del unseal
        _refuse("Vault")


def _refuse(what: str) -> NoReturn:
    raise LabUnsupported(f"{what} of a user's own cannot be stopped, started or sealed by the lab")
