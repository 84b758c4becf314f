"""A real node: containerd, kubelet, CNI and an enforced NetworkPolicy (kube-router), joined to a lab of its own.

Its pods run, their logins reach the lab's Vault, and their traffic is cut by what the cluster says. The API server and Vault
listen on the lab's end of the node's cable, under the usual ports, for pods cannot reach the machine's loopback.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from lab.binaries import NodeBinaries, node_binaries
from lab.cluster import SERVICE_ADDRESS, LocalCluster, Place
from lab.errors import LabUnavailable
from lab.handle import Lab
from lab.images import Image, write_archive
from lab.node_config import SOCKET, containerd_config, kubelet_config, network_config
from lab.node_space import Space, missing
from lab.nodes import MERGE_PATCH
from lab.nodes import is_ready as node_is_ready
from lab.processes import Process, Processes
from lab.roots import PAUSE, operator_image, pause_image
from lab.start import SOURCE, Source, chosen_source, start_lab

NAME = "node-0"
API_PORT = 6443
VAULT_PORT = 8200
START_SECONDS = 120.0


@dataclass(frozen=True)
class RealNode:
    """The one node of a lab; its processes end with the lab's."""

    lab: Lab
    space: Space
    binaries: NodeBinaries

    @property
    def host(self) -> str:
        """The address by which pods reach the API server and Vault."""
        return self.space.addresses.host

    def start(self, cluster: LocalCluster) -> None:
        """Start everything; returns when the node is Ready and has its images."""
        self._write_configuration(cluster)
        self._serve_kubernetes()
        containerd = self.space.process(
            "containerd",
            self.binaries.containerd,
            "--config",
            self.space.folder / "containerd.toml",
            # It finds its shim there.
            path=self.binaries.folder,
        ).start()
        containerd.wait_ready(
            lambda: self._ctr("version", check=False), START_SECONDS, "containerd to answer"
        )
        self.load_image(pause_image())
        kubelet = self._kubelet(cluster)
        kubelet.wait_ready(self._is_ready, START_SECONDS, "the node to be Ready")
        self._tell_storage()
        # Not earlier: it ends if it does not find its node.
        kube_router = self._kube_router(cluster)
        kube_router.wait_ready(self._has_firewall, START_SECONDS, "NetworkPolicies to be enforced")

    def load_image(self, image: Image) -> None:
        """Have containerd know an image."""
        archive = self.space.folder / "image.tar"
        write_archive(archive, image)
        self._ctr("--namespace", "k8s.io", "image", "import", "--local", str(archive), deadline=300.0)
        archive.unlink()

    def load_operator(self) -> None:
        """Have containerd know the project's own image."""
        self.load_image(operator_image())

    def kill_container(self, container: str) -> None:
        """SIGKILL its process, as a crash would; `container` is as the pod's status names it."""
        name = container.removeprefix("containerd://")
        self._ctr("--namespace", "k8s.io", "task", "kill", "--signal", "SIGKILL", name)

    def _ctr(self, *args: str, check: bool = True, deadline: float = 60.0) -> bool:
        done = self.space.run(self.binaries.ctr, "--address", SOCKET, *args, check=check, deadline=deadline)
        return done.returncode == 0

    def _is_ready(self) -> bool:
        return node_is_ready(self.lab.api.request("GET", f"/api/v1/nodes/{NAME}"))

    def _tell_storage(self) -> None:
        """The kubelet does not measure the disk (not every machine lets it), so it is told; pods request of it."""
        storage = {"ephemeral-storage": "10Gi"}
        change = {"status": {"capacity": storage, "allocatable": storage}}
        self.lab.api.request("PATCH", f"/api/v1/nodes/{NAME}/status", change, MERGE_PATCH)

    def _has_firewall(self) -> bool:
        return self.space.run("iptables", "-w", "-S", "KUBE-ROUTER-FORWARD", check=False).returncode == 0

    def _serve_kubernetes(self) -> None:
        """The Service `kubernetes`, as kube-proxy would: for pods, and for what runs on the node itself."""
        to = f"{self.host}:{API_PORT}"
        for chain in ("PREROUTING", "OUTPUT"):
            match = ["-d", f"{SERVICE_ADDRESS}/32", "-p", "tcp", "--dport", "443"]
            command = ["iptables", "-w", "-t", "nat", "-A", chain, *match]
            self.space.run(*command, "-j", "DNAT", "--to-destination", to)

    def _write_configuration(self, cluster: LocalCluster) -> None:
        folder = self.space.folder
        serving = cluster.serving_certificate("kubelet", [NAME, self.space.addresses.node])
        files = {
            "certificate": serving.certificate,
            "key": serving.key,
            "authority": cluster.access.ca_file,
        }
        (folder / "cni").mkdir()
        (folder / "cni/lab.conflist").write_text(json.dumps(network_config(self.space.addresses.pods)))
        (folder / "containerd.toml").write_text(containerd_config(folder, self.binaries.folder, PAUSE))
        # Nobody serves names here; a question is refused at once.
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        config = kubelet_config(folder, self.space.cgroup, files)
        (folder / "kubelet.yaml").write_text(yaml.safe_dump(config))

    def _kubelet(self, cluster: LocalCluster) -> Process:
        kubeconfig = cluster.kubeconfig_of(f"system:node:{NAME}", "system:nodes")
        flags = [
            f"--config={self.space.folder / 'kubelet.yaml'}",
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={NAME}",
            f"--node-ip={self.space.addresses.node}",
            f"--root-dir={self.space.folder / 'kubelet'}",
        ]
        return self.space.process("kubelet", self.binaries.kubelet, *flags).start()

    def _kube_router(self, cluster: LocalCluster) -> Process:
        flags = [
            f"--kubeconfig={cluster.kubeconfig_of('kube-router', 'system:masters')}",
            f"--hostname-override={NAME}",
            "--run-router=false",
            "--run-service-proxy=false",
            "--run-firewall=true",
            "--enable-cni=false",
            "--health-port=0",
        ]
        return self.space.process("kube-router", self.binaries.kube_router, *flags).start()


@contextlib.contextmanager
def start_node_lab(*, keep: bool = False) -> Iterator[RealNode]:
    """A lab with a real node instead of played ones; LabUnavailable says what this machine lacks."""
    if reason := unavailable():
        raise LabUnavailable(reason)
    binaries = node_binaries()
    made: list[Space] = []

    def placed(processes: Processes) -> Place:
        space = Space(processes)
        space.start()
        made.append(space)
        return Place(space.addresses.host, API_PORT, VAULT_PORT, kubelets=True)

    with start_lab(nodes=(), keep=keep, placed=placed) as lab:
        node = RealNode(lab, made[0], binaries)
        # A node needs a control plane of the lab's own, and `unavailable` has refused every other.
        assert isinstance(lab.cluster, LocalCluster)  # noqa: S101
        node.start(lab.cluster)
        yield node


def prepare_node() -> None:
    """Have the binaries and images ready that a real node needs: minutes the first time, nothing later."""
    node_binaries()
    operator_image()


def unavailable() -> str | None:
    """Why this machine cannot be given a real node, or None if it can."""
    if reason := missing():
        return reason
    source = chosen_source()
    if source not in (Source.MACHINE, Source.BUILD):
        return f"a real node joins a control plane of the lab's own, not one from {source.value}: set {SOURCE}=build"
    return None
