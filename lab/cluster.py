"""A control plane of real components on loopback: etcd, kube-apiserver, kube-controller-manager, kube-scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import yaml

from lab.binaries import ClusterBinaries
from lab.certificates import Authority, CertificateFiles, signing_key
from lab.errors import LabError
from lab.kubeconfig import certificate_user, client_for, write_kubeconfig
from lab.ports import Ports
from lab.processes import Process, Processes
from lab.rest import JsonClient

READY_SECONDS = 60.0
STOP_SECONDS = 1.0
ISSUER = "https://kubernetes.default.svc.cluster.local"
SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
API_NAMES = (
    "127.0.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    SERVICE_ADDRESS,
)
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True)
class Place:
    """Where the API server and Vault listen; a port that is None is any free one."""

    address: str = "127.0.0.1"
    api_port: int | None = None
    vault_port: int | None = None
    kubelets: bool = False
    """Whether real kubelets join, which the API server then calls (logs, exec)."""


LOOPBACK = Place()


@dataclass(frozen=True)
class Access:
    """How to reach a cluster as its administrator."""

    url: str
    ca_file: Path
    kubeconfig: Path
    api: JsonClient


class Cluster(Protocol):
    """What the lab needs of a cluster, wherever it comes from."""

    @property
    def access(self) -> Access:
        """How to reach it; known after `start`."""

    @property
    def kubectl(self) -> Path:
        """The kubectl to use with it."""

    @property
    def audit_log(self) -> Path | None:
        """The API server's audit log, if the lab can read it."""

    def start(self) -> None:
        """Begin to start; returns before it is ready."""

    def finish_start(self) -> None:
        """Wait until the API server is ready and start what needs it."""

    def wait_controllers(self) -> None:
        """Wait until the controllers work."""

    def kwok_kubeconfig(self) -> Path:
        """The identity kwok plays nodes with."""

    def stop_apiserver(self) -> None:
        """Stop the API server; everything else stays."""

    def start_apiserver(self) -> None:
        """Start it again, on the same port and data, and wait until it is ready."""


class LocalCluster:
    """Four processes; each can be stopped and started again on its port and data."""

    def __init__(
        self,
        processes: Processes,
        binaries: ClusterBinaries,
        ports: Ports,
        *,
        fsync: bool = False,
        place: Place = LOOPBACK,
    ) -> None:
        self._directory = processes.directory
        self._place = place
        self._processes = processes
        self._binaries = binaries
        self._fsync = fsync
        self._authority = Authority(self._directory / "pki")
        self._token_keys = signing_key(self._directory / "pki", "service-account")
        self._etcd_port, self._etcd_peer_port = ports.take(), ports.take()
        self._api_port = place.api_port or ports.take()
        self.kubectl = binaries.kubectl
        self.audit_log: Path | None = self._directory / "audit.log"
        self.access = self._admin_access(f"https://{place.address}:{self._api_port}")
        self.etcd = self._etcd()
        self.apiserver = self._apiserver()
        self.controller_manager = self._controller_manager()
        self.scheduler = self._scheduler()

    def start(self) -> None:
        """Start etcd and the API server; `finish_start` waits for them and starts the rest."""
        self.etcd.start()
        self.apiserver.start()

    def finish_start(self) -> None:
        """Wait for the API server and start the controllers and the scheduler."""
        self.wait_ready()
        self.controller_manager.start()
        self.scheduler.start()

    def wait_ready(self, deadline: float = READY_SECONDS) -> None:
        """Wait until the API server says it is ready."""
        self.apiserver.wait_ready(lambda: is_ready(self.access.api), deadline, "the API server to be ready")

    def wait_controllers(self) -> None:
        """Wait until the controllers have made what every namespace gets."""
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self.controller_manager.wait_ready(
            lambda: self.access.api.request("GET", account), READY_SECONDS, "the controllers to work"
        )

    def stop_apiserver(self) -> None:
        """Stop the API server; everything else stays."""
        # On SIGTERM alone it waits for its watches to end, which takes as long as their clients like.
        self.apiserver.stop(grace=STOP_SECONDS)

    def start_apiserver(self) -> None:
        """Start the API server again, on its port and data, and wait until it is ready."""
        self.apiserver.start()
        self.wait_ready()

    def kwok_kubeconfig(self) -> Path:
        """An administrator's rights under kwok's own name, so that the audit log tells them apart."""
        return self.kubeconfig_of("kwok", "system:masters")

    def kubeconfig_of(self, user: str, group: str | None = None) -> Path:
        """A kubeconfig for a user by client certificate."""
        files = self._authority.client(user, group)
        path = self._directory / "kubeconfigs" / f"{user.replace(':', '-')}.yaml"
        return write_kubeconfig(path, self.access.url, self._authority.certificate, certificate_user(files))

    def serving_certificate(self, name: str, hosts: Sequence[str]) -> CertificateFiles:
        """A certificate for a server of the lab, of the cluster's own authority."""
        return self._authority.server(name, hosts)

    def _admin_access(self, url: str) -> Access:
        files = self._authority.client("lab-admin", "system:masters")
        ca_file = self._authority.certificate
        kubeconfig = write_kubeconfig(
            self._directory / "kubeconfigs" / "admin.yaml", url, ca_file, certificate_user(files)
        )
        return Access(url, ca_file, kubeconfig, client_for(ca_file, url, files))

    def _etcd(self) -> Process:
        client = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{self._etcd_peer_port}"
        flags = [
            f"--data-dir={self._directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--quota-backend-bytes=4294967296",
            "--log-level=warn",
        ]
        if not self._fsync:
            flags.append("--unsafe-no-fsync")
        return self._processes.process("etcd", [self._binaries.etcd, *flags])

    def _apiserver(self) -> Process:
        pki = self._directory / "pki"
        serving = self._authority.server(
            "kube-apiserver", list(dict.fromkeys((*API_NAMES, self._place.address)))
        )
        policy = self._directory / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(AUDIT_POLICY))
        flags = [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--bind-address={self._place.address}",
            f"--secure-port={self._api_port}",
            f"--cert-dir={pki}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self._authority.certificate}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={self._token_keys.certificate}",
            f"--service-account-signing-key-file={self._token_keys.key}",
            "--authorization-mode=Node,RBAC",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--allow-privileged=true",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            # In megabytes: one file, never rotated away under a test that counts in it.
            "--audit-log-maxsize=4096",
            # There is no address but loopback to announce, which endpoints may not be.
            "--endpoint-reconciler-type=none",
            "--profiling=false",
            *(self._kubelet_flags() if self._place.kubelets else ()),
        ]
        return self._processes.process("kube-apiserver", [self._binaries.kube_apiserver, *flags])

    def _kubelet_flags(self) -> list[str]:
        files = self._authority.client("kube-apiserver-kubelet-client", "system:masters")
        return [
            f"--kubelet-client-certificate={files.certificate}",
            f"--kubelet-client-key={files.key}",
            f"--kubelet-certificate-authority={self._authority.certificate}",
            "--kubelet-preferred-address-types=InternalIP",
        ]

    def _controller_manager(self) -> Process:
        flags = [
            f"--kubeconfig={self.kubeconfig_of('system:kube-controller-manager')}",
            "--leader-elect=false",
            "--secure-port=0",
            # Each controller with its own identity and rights, as real clusters do it.
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self._token_keys.key}",
            f"--root-ca-file={self._authority.certificate}",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--profiling=false",
        ]
        return self._processes.process(
            "kube-controller-manager", [self._binaries.kube_controller_manager, *flags]
        )

    def _scheduler(self) -> Process:
        flags = [
            f"--kubeconfig={self.kubeconfig_of('system:kube-scheduler')}",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        ]
        return self._processes.process("kube-scheduler", [self._binaries.kube_scheduler, *flags])


def is_ready(api: JsonClient) -> bool:
    """Whether the API server says it is ready; False when nobody answers."""
    try:
        return api.raw("GET", "/readyz", timeout=5)[0] == HTTPStatus.OK
    except LabError:
        return False
