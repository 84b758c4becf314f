"""The node itself: nothing of it stays on the machine, however its lab ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab import wait_for
from lab.node_space import cgroup_roots
from tests.product import ROOT

PROGRAM = """
import json, signal
from lab.node import start_node_lab

with start_node_lab() as node:
    space = node.space
    found = {"directory": str(node.lab.directory), "cgroup": space.cgroup, "host": space.addresses.host}
    print(json.dumps({**found, "pods": space.addresses.pods}), flush=True)
    signal.pause()
"""
START_SECONDS = 240


def left_of(node: dict[str, Any]) -> list[str]:
    """What of the node is still on this machine."""
    routes = subprocess.run(
        ["ip", "-4", "route", "show", "table", "all"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = [line for line in routes.splitlines() if node["pods"] in line or node["host"] in line]
    found += [str(root / node["cgroup"]) for root in cgroup_roots() if (root / node["cgroup"]).exists()]
    found += [path for path in (node["directory"],) if Path(path).exists()]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = process.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if node["directory"] in text:
            found.append(text.replace("\0", " "))
    return found


def test_nothing_is_left_of_a_node_whose_test_was_killed() -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert started.stdout is not None
        node = json.loads(started.stdout.readline())
        assert len(left_of(node)) > 5
    finally:
        started.send_signal(signal.SIGKILL)
        started.wait(START_SECONDS)
    wait_for(lambda: not left_of(node), 60, f"nothing to be left of the node: {left_of(node)}")
