"""The operator where it belongs: in pods, under its own ServiceAccount and NetworkPolicy, and killed."""

from __future__ import annotations

import time

from secureai_operator import names
from secureai_operator.api.resources import DEPLOYMENTS, LEASES, NETWORK_POLICIES, PODS
from tests.e2e.measures import Measures
from tests.e2e.stage import PYTHON, Stage

OPERATOR = names.OPERATOR_NAMESPACE
SELECTOR = "app.kubernetes.io/name=secureai-operator"
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
    print("open")
except OSError as error:
    print("closed")
"""


def leader(stage: Stage) -> str:
    """The pod that holds the Lease."""
    lease = stage.lab.api.request("GET", LEASES.path(OPERATOR, "secureai-operator"))
    return str(lease["spec"].get("holderIdentity") or "").partition("_")[0]


def connects(stage: Stage, pod: str, host: str, port: int) -> bool:
    words = ("exec", "-n", OPERATOR, pod, "-c", "operator", "--", PYTHON, "-c", CONNECT, host, str(port))
    return stage.lab.kubectl(*words).stdout.strip() == "open"


def test_it_runs_as_its_own_account_from_the_projects_own_image_without_root(stage: Stage) -> None:
    pods = stage.pods_of(OPERATOR, SELECTOR)
    assert len(pods) == 2
    for pod in pods:
        assert pod["spec"]["serviceAccountName"] == names.OPERATOR_SERVICE_ACCOUNT
        assert pod["status"]["containerStatuses"][0]["image"].endswith("secureai-operator:dev")
        words = ("exec", "-n", OPERATOR, pod["metadata"]["name"], "-c", "operator", "--", PYTHON, "-c")
        program = (
            "import os; print(os.getuid(), os.access('/', os.W_OK), os.access('/opt/secureai', os.W_OK))"
        )
        assert stage.lab.kubectl(*words, program).stdout.split() == ["65532", "False", "False"]
    assert leader(stage) in {pod["metadata"]["name"] for pod in pods}


def test_its_own_network_policy_lets_it_reach_the_api_server_and_vault_and_nothing_else(
    stage: Stage, team: str
) -> None:
    pod, host = leader(stage), stage.node.host
    free = stage.pod(team, "free")
    other = stage.pod(team, "other")
    # Whoever is under no policy reaches it: what refuses the operator is its own policy.
    assert other.reaches(free)
    assert not connects(stage, pod, free.address, 8000)
    assert connects(stage, pod, host, 6443)
    assert connects(stage, pod, host, 8200)


def kill(stage: Stage, *pods: str) -> None:
    """SIGKILL the operator's process in these pods; the kubelet starts it again."""
    for pod in pods:
        live = stage.lab.api.request("GET", PODS.path(OPERATOR, pod))
        stage.node.kill_container(live["status"]["containerStatuses"][0]["containerID"])


def healing(stage: Stage, path: str, deadline: float) -> float:
    """Delete an object and wait until there is another of its name; how long that took."""
    uid = stage.lab.api.request("GET", path)["metadata"]["uid"]
    started = time.monotonic()
    stage.lab.api.request("DELETE", path)

    def healed() -> bool:
        code, text = stage.lab.api.raw("GET", path)
        return code == 200 and uid not in text

    stage.lab.wait_for(healed, deadline, f"{path} to be back")
    return time.monotonic() - started


def test_the_leading_pod_is_deleted_and_the_other_heals_what_is_deleted_meanwhile(
    stage: Stage, team: str, measures: Measures
) -> None:
    stage.workload(team, "llm")
    gone = leader(stage)
    stage.lab.api.request("DELETE", PODS.path(OPERATOR, gone))
    took = healing(stage, NETWORK_POLICIES.path(team, names.allow_policy("llm")), 45)
    measures.seconds("leading pod deleted, and a NetworkPolicy → policy back", took)
    stage.wait_rolled_out(DEPLOYMENTS, OPERATOR, "secureai-operator")
    assert leader(stage) != gone


def test_the_leading_process_is_killed_and_the_other_heals_what_is_deleted_meanwhile(
    stage: Stage, team: str, measures: Measures
) -> None:
    stage.workload(team, "llm")
    killed = leader(stage)
    kill(stage, killed)
    took = healing(stage, NETWORK_POLICIES.path(team, names.allow_policy("llm")), 60)
    measures.seconds("leading process killed (SIGKILL), NetworkPolicy deleted → policy back", took)
    stage.wait_rolled_out(DEPLOYMENTS, OPERATOR, "secureai-operator")
    restarts = stage.lab.api.request("GET", PODS.path(OPERATOR, killed))["status"]["containerStatuses"]
    assert restarts[0]["restartCount"] >= 1


def test_all_processes_are_killed_and_everything_still_heals(
    stage: Stage, team: str, measures: Measures
) -> None:
    stage.workload(team, "llm")
    kill(stage, *(pod["metadata"]["name"] for pod in stage.pods_of(OPERATOR, SELECTOR)))
    took = healing(stage, NETWORK_POLICIES.path(team, names.quarantine_policy("llm")), 90)
    measures.seconds("all operator processes killed (SIGKILL), NetworkPolicy deleted → policy back", took)
    stage.wait_rolled_out(DEPLOYMENTS, OPERATOR, "secureai-operator")
    stage.workload(team, "later")
