"""The first process of a real node's namespaces: what it mounts and starts is gone with it.

Runs as a script of its own (standard library only), as pid 1 of a new pid namespace with a mount and a network namespace of
its own. Arguments: a folder for what is written to the system's folders, and a file to create when ready.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

WRITTEN_TO = ("/etc", "/var/lib", "/var/log", "/opt")
"""What kubelet, containerd and CNI write to whatever they are configured with; the machine's own stay as they are."""


def main() -> None:
    """Prepare the namespaces and wait for the end, taking in whoever loses its parent."""
    folder, ready = map(Path, sys.argv[1:])
    for target in WRITTEN_TO:
        _overlay(target, folder / target.strip("/").replace("/", "-"))
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    _run("ip", "link", "set", "lo", "up")
    # Of this network namespace only.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    # Children that nobody waits for (the shims' parents end at once) leave no zombies.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    ready.touch()
    while True:
        signal.pause()


def _overlay(target: str, folder: Path) -> None:
    upper, work = folder / "upper", folder / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    options = f"lowerdir={target},upperdir={upper},workdir={work}"
    _run("mount", "-t", "overlay", "-o", options, "overlay", target)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
