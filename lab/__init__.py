"""A lab of the real thing: etcd, Kubernetes' control plane, Vault and fake nodes, for as long as wanted.

Where it comes from, the first that can be had, or the one SECUREAI_LAB_SOURCE names:

- `user`: the current context of SECUREAI_LAB_KUBECONFIG (never of KUBECONFIG by accident), with the Vault of
  SECUREAI_LAB_VAULT_ADDR, SECUREAI_LAB_VAULT_TOKEN and SECUREAI_LAB_VAULT_CACERT, or else one of the lab's own.
  SECUREAI_LAB_FAKE_NODES=1 adds fake nodes, which attract that cluster's pods.
- `kind`: a kind cluster, if kind is on PATH and Docker answers.
- `machine`: etcd, the control plane, kubectl, vault and kwok from KUBEBUILDER_ASSETS or PATH; what is missing is built.
- `build`: everything built with Go from the pinned modules in `modules/`, cached per user.

`lab.node.start_node_lab` gives a lab with one real node in place of the fake ones (root on Linux).
"""

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
from lab.start import prepare, start_lab
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
    "prepare",
    "start_lab",
    "wait_for",
    "wait_until",
]
