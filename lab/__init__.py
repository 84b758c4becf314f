"""A lab of the real thing: etcd, Kubernetes' control plane, Vault and fake nodes, for as long as wanted."""

from __future__ import annotations

from lab.errors import (
    CommandFailed,
    LabError,
    LabTimeout,
    LabUnavailable,
    LabUnsupported,
    RequestFailed,
)
from lab.handle import Lab
from lab.nodes import DEFAULT_NODES, Kind, NodeSpec
from lab.processes import Process
from lab.start import start_lab
from lab.waiting import wait_for, wait_until

__all__ = [
    "DEFAULT_NODES",
    "CommandFailed",
    "Kind",
    "Lab",
    "LabError",
    "LabTimeout",
    "LabUnavailable",
    "LabUnsupported",
    "NodeSpec",
    "Process",
    "RequestFailed",
    "start_lab",
    "wait_for",
    "wait_until",
]
