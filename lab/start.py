"""Starts a lab from the best source this machine has."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.binaries import cluster_binaries, kwok_binary, vault_binaries
from lab.cluster import LocalCluster
from lab.handle import Lab
from lab.nodes import DEFAULT_NODES, Nodes, NodeSpec
from lab.ports import Ports
from lab.processes import Processes
from lab.rest import Json, JsonClient
from lab.vault import LocalVault, configure_token_review

REVIEWER_NAMESPACE = "vault"
REVIEWER = "vault-token-reviewer"
REVIEWER_TOKEN_SECONDS = 30 * 86400


@contextlib.contextmanager
def start_lab(
    *,
    nodes: Sequence[NodeSpec] = DEFAULT_NODES,
    fsync: bool = False,
    keep: bool = False,
) -> Iterator[Lab]:
    """A running lab for the length of the `with` block.

    `fsync` makes etcd write for real (benchmarks), `keep` leaves the directory with its logs behind.
    """
    started = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="secureai-lab-"))
    ports = Ports()
    processes = Processes(directory, keep=keep)
    try:
        yield _local_lab(processes, ports, nodes, started, fsync=fsync)
    finally:
        processes.close()
        ports.close()


def _local_lab(
    processes: Processes, ports: Ports, nodes: Sequence[NodeSpec], started: float, *, fsync: bool
) -> Lab:
    cluster_tools, vault_tools, kwok = cluster_binaries(), vault_binaries(), kwok_binary()
    cluster = LocalCluster(processes, cluster_tools, ports, fsync=fsync)
    cluster.start()
    vault = LocalVault(processes, vault_tools, ports)
    fake = Nodes(processes, kwok, cluster.kubeconfig_of("kwok", "system:masters"), cluster.access.api)
    with ThreadPoolExecutor(2) as pool:
        vault_started = pool.submit(vault.start_new)
        cluster.finish_start()
        fake.start()
        fake.create_runtime_classes()
        nodes_ready = pool.submit(fake.add, nodes)
        reviewer_token = _create_reviewer(cluster.access.api)
        vault_started.result()
        configure_token_review(vault, cluster.access.url, cluster.access.ca_file, reviewer_token)
        nodes_ready.result()
        cluster.wait_controllers()
    return Lab(
        directory=processes.directory,
        source="local",
        cluster=cluster,
        vault=vault,
        nodes=fake,
        processes=processes,
        ports=ports,
        start_seconds=time.monotonic() - started,
    )


def _create_reviewer(api: JsonClient) -> str:
    """Create the ServiceAccount by which Vault reviews tokens, and return a token of it."""
    accounts = f"/api/v1/namespaces/{REVIEWER_NAMESPACE}/serviceaccounts"
    api.request("POST", "/api/v1/namespaces", _named("v1", "Namespace", REVIEWER_NAMESPACE))
    api.request("POST", accounts, _named("v1", "ServiceAccount", REVIEWER))
    binding = {
        **_named("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", REVIEWER),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:auth-delegator",
        },
        "subjects": [{"kind": "ServiceAccount", "namespace": REVIEWER_NAMESPACE, "name": REVIEWER}],
    }
    api.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    spec = {"expirationSeconds": REVIEWER_TOKEN_SECONDS}
    return str(api.request("POST", f"{accounts}/{REVIEWER}/token", {"spec": spec})["status"]["token"])


def _named(api_version: str, kind: str, name: str) -> Json:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
