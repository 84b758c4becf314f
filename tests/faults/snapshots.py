"""Older states of etcd: taken from the running server, and put back under everybody's feet."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab import Lab
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
