"""What containerd, CNI and the kubelet of a real node are told, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def containerd_config(folder: Path, binaries: Path, pause: str) -> str:
    """Of containerd 2 (version 3 of its configuration), everything under the lab's own folder."""
    return f"""\
version = 3
root = "{folder}/containerd"
state = "/run/containerd"

[grpc]
  address = "{SOCKET}"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
  # Without CAP_SYS_RESOURCE (root in a container) no sandbox starts otherwise.
  restrict_oom_score_adj = true
  enable_cdi = false

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{binaries}"]
  conf_dir = "{folder}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


SOCKET = "/run/containerd/containerd.sock"


def network_config(pods: str) -> Json:
    """One cable for each pod: a bridge would need br_netfilter for policies to see its traffic."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    return {
        "cniVersion": "1.0.0",
        "name": "lab",
        "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}],
    }


def kubelet_config(folder: Path, cgroup: str, files: Mapping[str, Path]) -> Json:
    """A kubelet that evicts nobody; `files` are its serving `certificate` and `key` and the cluster's `authority`."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(files["authority"])},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(files["certificate"]),
        "tlsPrivateKeyFile": str(files["key"]),
        "podLogsDir": str(folder / "pod-logs"),
        "resolvConf": str(folder / "resolv.conf"),
        # A pod that comes back has to come back soon; a test waits for it.
        "nodeStatusUpdateFrequency": "2s",
        "syncFrequency": "5s",
        "crashLoopBackOff": {"maxContainerRestartPeriod": "5s"},
        "shutdownGracePeriod": "0s",
    }
