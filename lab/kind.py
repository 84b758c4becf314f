"""A cluster of kind's: the control plane in a container, reached on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

import yaml

from lab.cluster import AUDIT_POLICY, READY_SECONDS, Access, is_ready
from lab.errors import CommandFailed, LabUnavailable
from lab.kubeconfig import Kubeconfig
from lab.modules import say
from lab.processes import Processes
from lab.rest import Json
from lab.waiting import wait_for

CREATE_SECONDS = 600.0
COMMAND_SECONDS = 60.0
DOCKER_SECONDS = 10.0
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
# The lab's folder inside the node's container; a manifest that is moved here is a stopped component.
SHARED = "/secureai-lab"


def docker_answers() -> bool:
    """Whether a Docker engine is there to be used."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        asked = subprocess.run([docker, "info"], capture_output=True, timeout=DOCKER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


class KindCluster:
    """One kind cluster of this lab's own, deleted with it even if this process is killed."""

    def __init__(self, processes: Processes, kubectl: Path) -> None:
        kind = shutil.which("kind")
        if kind is None:
            raise LabUnavailable("kind is not on PATH: install it from https://kind.sigs.k8s.io")
        self._kind = kind
        self._processes = processes
        self._directory = processes.directory
        self._name = f"secureai-lab-{secrets.token_hex(3)}"
        self._shared = self._directory / "kind"
        self._kubeconfig = self._directory / "kubeconfigs" / "admin.yaml"
        self.kubectl = kubectl
        self.audit_log: Path | None = self._shared / "audit.log"

    @cached_property
    def access(self) -> Access:
        """How to reach it as its administrator."""
        config = Kubeconfig(self._kubeconfig.read_text())
        ca_file = config.write_ca(self._directory / "ca.crt")
        return Access(config.server, ca_file, self._kubeconfig, config.client(ca_file))

    def start(self) -> None:
        """Prepare what the node mounts."""
        self._kubeconfig.parent.mkdir(mode=0o700, exist_ok=True)
        self._shared.mkdir()
        (self._shared / "audit-policy.yaml").write_text(yaml.safe_dump(AUDIT_POLICY))
        # The API server runs as root in the node and keeps the mode of a log that exists.
        (self._shared / "audit.log").touch(mode=0o666)
        (self._directory / "kind.yaml").write_text(yaml.safe_dump(self._configuration()))

    def finish_start(self) -> None:
        """Create the cluster, turn on its audit log and keep its real node free of the lab's pods."""
        say(f"creating the kind cluster {self._name}")
        self._processes.at_end(
            [self._kind, "delete", "cluster", "--name", self._name], os.environ, COMMAND_SECONDS * 2
        )
        config, kubeconfig = self._directory / "kind.yaml", self._kubeconfig
        create: list[str | Path] = [self._kind, "create", "cluster", "--name", self._name, "--wait=300s"]
        _run([*create, "--config", config, "--kubeconfig", kubeconfig], CREATE_SECONDS)
        manifest = yaml.safe_load(self._on_node("cat", MANIFEST))
        self._on_node("cp", "/dev/stdin", MANIFEST, text=yaml.safe_dump(audited(manifest)))
        wait_for(self._audits, READY_SECONDS * 2, "the API server of kind to write its audit log")
        self._wait_ready()
        taint = "node-role.kubernetes.io/control-plane=:NoSchedule"
        selector = "node-role.kubernetes.io/control-plane"
        admin = f"--kubeconfig={kubeconfig}"
        _run([self.kubectl, admin, "taint", "node", "-l", selector, taint, "--overwrite"], COMMAND_SECONDS)

    def wait_controllers(self) -> None:
        """Wait until the controllers have made what every namespace gets."""
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        wait_for(lambda: self.access.api.request("GET", account), READY_SECONDS, "the controllers to work")

    def kwok_kubeconfig(self) -> Path:
        """The administrator's."""
        return self._kubeconfig

    def stop_apiserver(self) -> None:
        """Take its manifest away, which is how a static pod is stopped."""
        self._on_node("mv", MANIFEST, f"{SHARED}/kube-apiserver.yaml")
        wait_for(lambda: not is_ready(self.access.api), READY_SECONDS, "the API server to stop")

    def start_apiserver(self) -> None:
        """Give its manifest back and wait until it is ready."""
        self._on_node("mv", f"{SHARED}/kube-apiserver.yaml", MANIFEST)
        self._wait_ready()

    def _wait_ready(self) -> None:
        wait_for(lambda: is_ready(self.access.api), READY_SECONDS * 2, "the API server of kind to be ready")

    def _audits(self) -> bool:
        return (self._shared / "audit.log").stat().st_size > 0

    def _on_node(self, *command: str, text: str | None = None) -> str:
        node = f"{self._name}-control-plane"
        return _run(["docker", "exec", "-i", node, *command], COMMAND_SECONDS, text)

    def _configuration(self) -> Json:
        mount = {"hostPath": str(self._shared), "containerPath": SHARED}
        return {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "networking": {"apiServerAddress": "127.0.0.1"},
            "nodes": [{"role": "control-plane", "extraMounts": [mount]}],
        }


def audited(manifest: Json) -> Json:
    """The API server's static pod with an audit log in the shared folder.

    Its manifest is edited, and not kubeadm's configuration, because the form of that one changes between versions.
    """
    spec = manifest["spec"]
    container = spec["containers"][0]
    flags = [
        f"--audit-policy-file={SHARED}/audit-policy.yaml",
        f"--audit-log-path={SHARED}/audit.log",
        "--audit-log-maxsize=4096",
    ]
    mounts = [*container.get("volumeMounts", []), {"name": "secureai-lab", "mountPath": SHARED}]
    volumes = [
        *spec.get("volumes", []),
        {"name": "secureai-lab", "hostPath": {"path": SHARED, "type": "Directory"}},
    ]
    container = {**container, "command": [*container["command"], *flags], "volumeMounts": mounts}
    return {**manifest, "spec": {**spec, "containers": [container], "volumes": volumes}}


def _run(command: list[str | Path], deadline: float, text: str | None = None) -> str:
    argv = [str(part) for part in command]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=deadline, check=False)
    if done.returncode != 0:
        raise CommandFailed(" ".join(argv[:4]), done.returncode, done.stderr[-2000:])
    return done.stdout
