"""Who this process is: the holder of the Lease, and the source of Events."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

POD_UID = "POD_UID"
"""The environment variable of the operator's manifests; without it a process knows of no predecessor."""
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Identity:
    """No two processes are the same holder, also in one pod: two that believed so would both lead."""

    holder: str
    pod: str = ""
    """How all holders begin that were processes of this pod; "" outside of one."""

    def succeeds(self, holder: str) -> bool:
        """Whether that holder is dead for certain: the kubelet starts a pod's container once the former one has ended.

        https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restarts
        """
        return self.pod != "" and holder.startswith(self.pod) and holder != self.holder


def own_identity(environment: Mapping[str, str]) -> Identity:
    """A new one for this process, in the pod whose UID the environment tells."""
    process = uuid.uuid4().hex[:8]
    uid = environment.get(POD_UID, "")
    if not _UID.fullmatch(uid):
        return Identity(f"{socket.gethostname()}_{process}")
    pod = f"{socket.gethostname()}_{uid}_"
    return Identity(f"{pod}{process}", pod)
