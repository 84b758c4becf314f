"""Starts a lab from the best source this machine has."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

from lab import external
from lab.binaries import cluster_binaries, kubectl_binary, kwok_binary, vault_binaries
from lab.cluster import LOOPBACK, Cluster, LocalCluster, Place
from lab.errors import LabUnavailable
from lab.external import UserCluster, UserVault
from lab.handle import Lab
from lab.kind import KindCluster, docker_answers
from lab.nodes import DEFAULT_NODES, Nodes, NodeSpec
from lab.ports import Ports
from lab.processes import Processes
from lab.rest import JsonClient
from lab.vault import LocalVault, Vault

SOURCE = "SECUREAI_LAB_SOURCE"
REVIEWER = "vault-token-reviewer"
REVIEWER_TOKEN_SECONDS = 30 * 86400


class Source(Enum):
    """Where a lab comes from; the value is what SECUREAI_LAB_SOURCE says to force it."""

    USER = "user"
    KIND = "kind"
    MACHINE = "machine"
    BUILD = "build"


@dataclass(frozen=True)
class _Parts:
    """What a source gives, not yet started."""

    cluster: Cluster
    vault: Vault
    kwok: Path
    fake_nodes: bool


def _on_loopback(_: Processes) -> Place:
    return LOOPBACK


@contextlib.contextmanager
def start_lab(
    *,
    nodes: Sequence[NodeSpec] = DEFAULT_NODES,
    fsync: bool = False,
    keep: bool = False,
    placed: Callable[[Processes], Place] = _on_loopback,
) -> Iterator[Lab]:
    """A running lab for the length of the `with` block.

    `fsync` makes etcd write for real (benchmarks), `keep` leaves the directory with its logs behind; `placed` makes the
    address that a local control plane and Vault listen on, where loopback will not do (a real node).
    """
    started = time.monotonic()
    source = chosen_source()
    directory = Path(tempfile.mkdtemp(prefix="secureai-lab-"))
    ports = Ports()
    processes = Processes(directory, keep=keep)
    try:
        parts = _parts(source, processes, ports, fsync=fsync, place=placed(processes))
        fake = _start(parts, processes, nodes)
        yield Lab(
            directory=directory,
            source=source.value,
            cluster=parts.cluster,
            vault=parts.vault,
            nodes=fake,
            processes=processes,
            ports=ports,
            start_seconds=time.monotonic() - started,
            further_vault=partial(_further_vault, parts.cluster, processes, ports),
        )
    finally:
        processes.close()
        ports.close()


def prepare() -> None:
    """Have every binary ready that `start_lab` will need: minutes the first time, nothing later."""
    source = chosen_source()
    look = source is not Source.BUILD
    kwok_binary(look_on_path=look)
    if source in (Source.MACHINE, Source.BUILD):
        cluster_binaries(look_on_path=look)
    else:
        kubectl_binary()
    if source is not Source.USER or not os.environ.get(external.VAULT_ADDRESS):
        vault_binaries(look_on_path=look)


def chosen_source() -> Source:
    """The first source that can be had: the user's cluster if named, kind, this machine's binaries or built ones."""
    forced = os.environ.get(SOURCE)
    if forced:
        try:
            return Source(forced)
        except ValueError:
            known = ", ".join(source.value for source in Source)
            raise LabUnavailable(f"{SOURCE} is {forced!r}; it may be one of {known}") from None
    if os.environ.get(external.KUBECONFIG):
        return Source.USER
    if shutil.which("kind") and docker_answers():
        return Source.KIND
    return Source.MACHINE


def _parts(source: Source, processes: Processes, ports: Ports, *, fsync: bool, place: Place) -> _Parts:
    look = source is not Source.BUILD
    kwok = kwok_binary(look_on_path=look)
    cluster: Cluster
    match source:
        case Source.USER:
            if not os.environ.get(external.KUBECONFIG):
                raise LabUnavailable(f"set {external.KUBECONFIG} to the kubeconfig of the cluster to use")
            cluster = UserCluster(processes, kubectl_binary())
        case Source.KIND:
            cluster = KindCluster(processes, kubectl_binary())
        case Source.MACHINE | Source.BUILD:
            binaries = cluster_binaries(look_on_path=look)
            cluster = LocalCluster(processes, binaries, ports, fsync=fsync, place=place)
    vault: Vault
    if source is Source.USER and os.environ.get(external.VAULT_ADDRESS):
        vault = UserVault()
    else:
        vault = LocalVault(processes, vault_binaries(look_on_path=look), ports, place=place)
    wanted = source is not Source.USER or os.environ.get(external.FAKE_NODES) == "1"
    return _Parts(cluster, vault, kwok, wanted)


def _start(parts: _Parts, processes: Processes, nodes: Sequence[NodeSpec]) -> Nodes:
    """Start everything, side by side where one does not need the other."""
    cluster, vault = parts.cluster, parts.vault
    cluster.start()
    with ThreadPoolExecutor(2) as pool, _ended_on_error(processes):
        vault_started = pool.submit(vault.start_new)
        cluster.finish_start()
        access = cluster.access
        fake = Nodes(processes, parts.kwok, cluster.kwok_kubeconfig(), access.api)
        nodes_ready = pool.submit(_play, fake, nodes) if parts.fake_nodes else None
        _create_reviewer(access.api, processes.labels)
        reviewer_token = _reviewer_token(access.api, processes.labels)
        vault_started.result()
        vault.review_tokens_at(access.url, access.ca_file, reviewer_token)
        if nodes_ready is not None:
            nodes_ready.result()
        cluster.wait_controllers()
    return fake


@contextlib.contextmanager
def _ended_on_error(processes: Processes) -> Iterator[None]:
    """Without its processes nothing waits any longer for them: an error or Ctrl-C shows at once."""
    try:
        yield
    except BaseException:
        processes.close()
        raise


def _play(fake: Nodes, nodes: Sequence[NodeSpec]) -> None:
    fake.start()
    fake.create_runtime_classes()
    fake.add(nodes)


def _further_vault(cluster: Cluster, processes: Processes, ports: Ports, name: str) -> Vault:
    """Another Vault of the lab's own, whatever the first one is; its kubernetes auth asks the same API server."""
    look = chosen_source() is not Source.BUILD
    vault = LocalVault(processes, vault_binaries(look_on_path=look), ports, name)
    vault.start_new()
    access = cluster.access
    vault.review_tokens_at(access.url, access.ca_file, _reviewer_token(access.api, processes.labels))
    return vault


def _reviewers_namespace(labels: Mapping[str, str]) -> str:
    """A name of this lab's own: on a shared cluster the end of one lab must not take another's reviewer."""
    return "-".join(["secureai-lab", *labels.values()])


def _create_reviewer(api: JsonClient, labels: Mapping[str, str]) -> None:
    """Create the ServiceAccount by which Vaults review tokens."""
    name = _reviewers_namespace(labels)
    accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
    metadata = {"name": name, "labels": dict(labels)}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"}
    subject = {"kind": "ServiceAccount", "namespace": name, "name": REVIEWER}
    binding = {"metadata": metadata, "roleRef": role, "subjects": [subject]}
    api.request("POST", "/api/v1/namespaces", {"metadata": metadata})
    api.request("POST", accounts, {"metadata": {"name": REVIEWER}})
    api.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)


def _reviewer_token(api: JsonClient, labels: Mapping[str, str]) -> str:
    path = f"/api/v1/namespaces/{_reviewers_namespace(labels)}/serviceaccounts/{REVIEWER}/token"
    spec = {"expirationSeconds": REVIEWER_TOKEN_SECONDS}
    return str(api.request("POST", path, {"spec": spec})["status"]["token"])
