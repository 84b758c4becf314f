"""Finds the lab's binaries: on this machine if they are there, else built from their modules."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.modules import CLUSTER, KWOK, NODE, VAULT, Module, built, say

# The first that serves MutatingAdmissionPolicy in v1.
KUBERNETES_MINIMUM = (1, 36)


@dataclass(frozen=True)
class ClusterBinaries:
    """The control plane."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    kubectl: Path


@dataclass(frozen=True)
class VaultBinaries:
    """Vault; `kubernetes_plugin` is None where Vault has its kubernetes auth built in."""

    vault: Path
    kubernetes_plugin: Path | None


@dataclass(frozen=True)
class NodeBinaries:
    """What makes a machine a node; `folder` holds containerd, its shim and the CNI plugins."""

    folder: Path
    containerd: Path
    ctr: Path
    kube_router: Path
    kubelet: Path


def cluster_binaries(*, look_on_path: bool = True) -> ClusterBinaries:
    """Return the control plane's binaries, all of one origin."""
    found = _on_machine(CLUSTER) if look_on_path else None
    if found is not None and not _is_recent(found["kube-apiserver"]):
        say(
            f"{found['kube-apiserver']} is older than {KUBERNETES_MINIMUM[0]}.{KUBERNETES_MINIMUM[1]}: not used"
        )
        found = None
    tools = found or _built(CLUSTER)
    return ClusterBinaries(
        etcd=tools["etcd"],
        kube_apiserver=tools["kube-apiserver"],
        kube_controller_manager=tools["kube-controller-manager"],
        kube_scheduler=tools["kube-scheduler"],
        kubectl=tools["kubectl"],
    )


def vault_binaries(*, look_on_path: bool = True) -> VaultBinaries:
    """Return Vault and, unless it is built in, its kubernetes auth plugin."""
    on_path = shutil.which("vault") if look_on_path else None
    if on_path is not None:
        return VaultBinaries(Path(on_path).resolve(), None)
    tools = _built(VAULT)
    return VaultBinaries(tools["vault"], tools["vault-plugin-auth-kubernetes"])


def kwok_binary(*, look_on_path: bool = True) -> Path:
    """Return kwok, which plays the nodes."""
    return ((_on_machine(KWOK) if look_on_path else None) or _built(KWOK))["kwok"]


def node_binaries() -> NodeBinaries:
    """Return what a real node runs, always of our own build: versions of a machine's own would be any."""
    folder, cluster = built(NODE), built(CLUSTER)
    kubelet = cluster / "kubelet"
    if not kubelet.exists():
        raise LabError(f"{cluster} has no kubelet: remove that folder, and it is built again")
    return NodeBinaries(
        folder=folder,
        containerd=folder / "containerd",
        ctr=folder / "ctr",
        kube_router=folder / "kube-router",
        kubelet=kubelet,
    )


def kubectl_binary() -> Path:
    """Return a kubectl for a cluster that is not of our making."""
    found = shutil.which("kubectl")
    return Path(found) if found else _built(CLUSTER)["kubectl"]


def _built(module: Module) -> Mapping[str, Path]:
    folder = built(module)
    return {tool: folder / tool for tool in module.tools}


def _on_machine(module: Module) -> Mapping[str, Path] | None:
    """All tools of the module from KUBEBUILDER_ASSETS or PATH, or None if one is missing."""
    folders = os.pathsep.join(filter(None, [os.environ.get("KUBEBUILDER_ASSETS"), os.environ.get("PATH")]))
    found = {tool: shutil.which(tool, path=folders) for tool in module.tools}
    paths = {tool: Path(path).resolve() for tool, path in found.items() if path}
    return paths if len(paths) == len(module.tools) else None


def _is_recent(apiserver: Path) -> bool:
    answer = subprocess.run(
        [str(apiserver), "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    version = re.search(r"v(\d+)\.(\d+)", answer.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= KUBERNETES_MINIMUM
