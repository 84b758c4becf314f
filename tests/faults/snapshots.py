"""Older states of etcd and of Vault: taken from the running servers, and put back under everybody's feet."""

from __future__ import annotations

import http.client
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from lab import Lab
from lab.vault import LocalVault
from tests.integration.vaults import frozen

CLIENTS = ("kube-controller-manager", "kube-scheduler", "kwok")
"""Kubernetes' own clients: whoever restores etcd has to restart them, for what they remember is newer than etcd."""


def copy_of_etcd(lab: Lab) -> Path:
    """What is on etcd's disk at this moment, as it would be found after a crash."""
    copy = lab.directory / "etcd-snapshot"
    shutil.rmtree(copy, ignore_errors=True)
    with frozen(lab.component("etcd")):
        shutil.copytree(lab.directory / "etcd", copy)
    return copy


def stop_cluster(lab: Lab) -> None:
    """The API server and etcd are away."""
    lab.stop_apiserver()
    for name in (*CLIENTS, "etcd"):
        lab.component(name).kill()


def restore_etcd(lab: Lab, copy: Path) -> None:
    """Start the stopped cluster with the older data: resource versions go backwards, as with a plain restore."""
    data = lab.directory / "etcd"
    shutil.rmtree(data)
    shutil.copytree(copy, data)
    lab.component("etcd").start()
    lab.start_apiserver()
    for name in CLIENTS:
        lab.component(name).start()


def raft(vault: LocalVault, method: str, what: str, body: bytes | None = None) -> bytes:
    """A snapshot of the whole Vault, or its restoration."""
    connection = http.client.HTTPConnection(urlsplit(vault.address).netloc, timeout=30)
    try:
        headers = {"X-Vault-Token": vault.root_token}
        connection.request(method, f"/v1/sys/storage/raft/{what}", body, headers)
        answer = connection.getresponse()
        assert answer.status < 300
        return answer.read()
    finally:
        connection.close()
