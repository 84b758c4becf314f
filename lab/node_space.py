"""A machine of its own for a real node: mount, process and network namespaces, and a cable to the lab.

Everything that a node leaves behind on a machine (mounts, network devices, iptables rules, ipsets, connections that are
tracked, processes that leave their session) lives in these namespaces and ends with their first process, which the lab's
guard ends. Only the cgroups are the machine's; they are removed by name.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import CommandFailed, LabUnavailable
from lab.processes import Process, Processes, base_environment

READY_SECONDS = 30.0
COMMAND_SECONDS = 60.0
CGROUPS = Path("/sys/fs/cgroup")
CABLES = ipaddress.ip_network("10.213.0.0/16")
PODS = ipaddress.ip_network("10.214.0.0/16")
_REMOVE_CGROUPS = (
    'for root in /sys/fs/cgroup /sys/fs/cgroup/*; do test -d "$root/$0" && '
    'find "$root/$0" -depth -type d -exec rmdir {} +; done; true'
)


@dataclass(frozen=True)
class Addresses:
    """The two ends of the cable, the range that they are of, and the range that pods get theirs from."""

    cables: str
    host: str
    node: str
    pods: str


class Space:
    """The namespaces of one node; `start` makes them, the end of the lab removes them."""

    def __init__(self, processes: Processes) -> None:
        self.folder = processes.directory / "node"
        self.folder.mkdir()
        self.cgroup = f"secureai-lab-{secrets.token_hex(4)}"
        self.addresses = free_addresses(addresses_in_use())
        self._processes = processes
        self._ready = self.folder / "ready"
        self._init = processes.process("node", self._init_command())
        self._pid = 0

    def start(self) -> None:
        """Make the namespaces, lay the cable and make the cgroup of everything that runs on the node."""
        self._processes.at_end(
            ["/bin/sh", "-c", _REMOVE_CGROUPS, self.cgroup], base_environment(self.folder), 20
        )
        for root in cgroup_roots():
            (root / self.cgroup).mkdir(exist_ok=True)
        self._init.start()
        self._init.wait_ready(self._ready.exists, READY_SECONDS, "the node's namespaces")
        self._pid = _only_child(self._init.pid or 0)
        self._lay_cable()

    def enter(self, *command: str | Path) -> list[str]:
        """The command that runs another one inside."""
        target = ["nsenter", f"--target={self._pid}", "--net", "--mount", "--pid", "--"]
        return [*target, *map(str, command)]

    def process(self, name: str, *command: str | Path, path: Path | None = None) -> Process:
        """A process of the lab that runs inside; it finds programs in `path` first."""
        environment = base_environment(self.folder)
        if path is not None:
            environment["PATH"] = os.pathsep.join([str(path), environment.get("PATH", os.defpath)])
        return self._processes.process(name, self.enter(*command), environment)

    def run(
        self, *command: str | Path, check: bool = True, deadline: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end; CommandFailed if it fails and `check`."""
        return _run(self.enter(*command), check=check, deadline=deadline)

    def _lay_cable(self) -> None:
        """A pair of devices; both are gone as soon as one of their namespaces is.

        What is sent to these addresses then is refused at once, and does not leave the machine by its default route.
        """
        near, far = f"sa{self.cgroup[-8:]}h", f"sa{self.cgroup[-8:]}n"
        addresses = self.addresses
        for network in (addresses.cables, addresses.pods):
            _run(["ip", "route", "add", "unreachable", network, "metric", "1000"])
            undo = ["ip", "route", "delete", "unreachable", network, "metric", "1000"]
            self._processes.at_end(undo, base_environment(self.folder), 10)
        _run(["ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", str(self._pid)])
        _run(["ip", "address", "add", f"{addresses.host}/30", "dev", near])
        _run(["ip", "link", "set", near, "up"])
        _run(["ip", "route", "add", addresses.pods, "via", addresses.node, "dev", near, "onlink"])
        self.run("ip", "address", "add", f"{addresses.node}/30", "dev", far)
        self.run("ip", "link", "set", far, "up")
        self.run("ip", "route", "add", "default", "via", addresses.host)

    def _init_command(self) -> Sequence[str | Path]:
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        script = Path(__file__).with_name("node_init.py")
        return [*unshare, sys.executable, "-I", "-S", script, self.folder / "written", self._ready]


def free_addresses(used: Iterator[str]) -> Addresses:
    """Addresses that nothing on this machine has or reaches by a route of its own."""
    taken = [ipaddress.ip_network(one, strict=False) for one in used]
    cables, pods = list(CABLES.subnets(new_prefix=24)), list(PODS.subnets(new_prefix=24))
    start = secrets.randbelow(len(cables))
    for index in (*range(start, len(cables)), *range(start)):
        cable, range_ = cables[index], pods[index]
        if not any(cable.overlaps(one) or range_.overlaps(one) for one in taken if one.prefixlen):
            return Addresses(str(cable), str(cable[1]), str(cable[2]), str(range_))
    raise LabUnavailable(f"all of {CABLES} and {PODS} is in use on this machine")


def addresses_in_use() -> Iterator[str]:
    """Destinations of this machine's IPv4 routes."""
    listed = _run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout
    for route in json.loads(listed):
        destination = route.get("dst", "default")
        if destination != "default":
            yield str(destination)


def cgroup_roots() -> list[Path]:
    """Where a cgroup has to be made: once for the unified hierarchy, or in each one of the old ones."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir() and (path / "cgroup.procs").exists()]


def missing() -> str | None:
    """What this machine lacks for a real node and what to do about it, or None if it lacks nothing."""
    if not sys.platform.startswith("linux"):
        return "a real node needs Linux"
    if os.geteuid() != 0:
        return "a real node needs root: it makes network namespaces, mounts and cgroups"
    lacking = [tool for tool in NEEDED if not any((Path(folder) / tool).exists() for folder in _path())]
    if lacking:
        packages = " ".join(sorted({NEEDED[tool] for tool in lacking}))
        return f"{', '.join(lacking)} not found: apt-get install --no-install-recommends {packages}"
    return None


NEEDED = {
    "runc": "runc",
    "iptables": "iptables",
    "ipset": "ipset",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
"""Programs and the Debian packages that have them."""


def _path() -> list[str]:
    return os.environ.get("PATH", os.defpath).split(os.pathsep)


def _only_child(pid: int) -> int:
    """The process that `unshare` forked, by its number outside."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _run(
    command: Sequence[str], *, check: bool = True, deadline: float = COMMAND_SECONDS
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=deadline, check=False)
    if check and done.returncode != 0:
        raise CommandFailed(" ".join(command), done.returncode, done.stderr)
    return done
