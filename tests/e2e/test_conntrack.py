"""The kernel's table of connections, without a cluster: in a network namespace of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.product import ROOT

PROGRAM = """
import json, socket
from ipaddress import ip_address
from secureai_operator.node_agent.conntrack import open_conntrack

one, other = ip_address("127.0.0.2"), ip_address("127.0.0.3")
servers = [socket.create_server((str(address), 9000)) for address in (one, other)]
clients = [socket.create_connection((str(address), 9000)) for address in (one, other)]
accepted = [server.accept()[0] for server in servers]
table = open_conntrack()
found = {"before": [len(table.flows([one])), len(table.flows([other])), len(table.flows([one, other]))]}
(flow,) = table.flows([one])
found["forgotten"] = [table.forget(flow), table.forget(flow)]
found["after"] = [len(table.flows([one])), len(table.flows([other]))]
clients[0].sendall(b"x")
found["goes on"] = [accepted[0].recv(1).decode(), len(table.flows([one]))]
gone = table.cut([one])
found["cut"] = [len(gone), len(table.cut([one])), len(table.flows([other]))]
found["back"] = [table.bring_back(gone), table.bring_back(gone), len(table.flows([one]))]
(again,) = table.flows([one])
# The side that was called speaks first, and the connection is still the other side's.
accepted[0].sendall(b"y")
found["speaks"] = [clients[0].recv(1).decode(), table.flows([one])[0].whole[:2] == again.whole[:2]]
print(json.dumps(found))
"""
TRACKED = "ip link set lo up; iptables -A INPUT -m conntrack --ctstate NEW -j ACCEPT; "


def run(*before: str, program: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    """Run the program in a fresh network namespace that tracks connections."""
    return subprocess.run(
        ["unshare", "--net", "sh", "-c", f'{TRACKED} exec "$@"', "-", *before, sys.executable, "-c", program],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(ROOT / "operator"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )


def test_only_the_flows_of_the_address_are_forgotten_and_brought_back_as_they_were() -> None:
    done = run()
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["before"] == [1, 1, 2]
    assert found["forgotten"] == [True, False]
    assert found["after"] == [0, 1]
    assert found["goes on"] == ["x", 1]
    assert found["cut"] == [1, 0, 1]
    assert found["back"] == [1, 0, 1]
    assert found["speaks"] == ["y", True]


def test_without_the_capability_the_agent_says_what_it_lacks() -> None:
    program = "from secureai_operator.node_agent.conntrack import open_conntrack; open_conntrack()"
    done = run("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", program=program)
    assert done.returncode != 0
    assert "NET_ADMIN" in done.stderr.splitlines()[-1]
