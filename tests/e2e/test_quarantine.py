"""Quarantine with packets: what one label cuts, what it leaves open without the node agent, and what brings all back.

The CNI's part and ours are told apart: the first half has no agent, the second has.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from tests.e2e.measures import Measures
from tests.e2e.stage import Loop, Pod, Stage

QUIET_SECONDS = 4.0
"""A client asks every 20 ms: without an answer for so long, it is cut off."""
CUT_SECONDS = 15.0
RESUMED_SECONDS = 40.0
"""TCP sends again at intervals that double: after a cut of ten seconds it takes up to as long again."""
LOOP_SECONDS = 120.0


@dataclass(frozen=True)
class Talk:
    """Two workloads that may talk, and two clients of the one that ask the other all the time."""

    asking: Pod
    model: Pod
    kept: Loop
    fresh: Loop


@pytest.fixture
def talk(stage: Stage, team: str) -> Iterator[Talk]:
    stage.workload(team, "asking", network={"egress": [{"to": [{"workload": "model"}], "ports": [8000]}]})
    stage.workload(team, "model", network={"ingress": [{"from": [{"workload": "asking"}], "ports": [8000]}]})
    asking, model = stage.pod(team, "asking", "asking"), stage.pod(team, "model", "model")
    kept = asking.loop("kept", host=model.address, seconds=LOOP_SECONDS)
    fresh = asking.loop("fresh", host=model.address, seconds=LOOP_SECONDS, timeout=0.5)
    yield Talk(asking, model, kept, fresh)
    kept.process.stop()
    fresh.process.stop()


@pytest.fixture(scope="module")
def agent(stage: Stage) -> Iterator[None]:
    """The node agent, as manifests/node-agent installs it."""
    stage.install_agent()
    yield
    stage.remove_agent()


def last_answer(stage: Stage, loop: Loop, deadline: float = CUT_SECONDS) -> float:
    """The time of the last answer, once there has been none for a while."""
    stage.lab.wait_for(
        lambda: time.time() - loop.answered()[-1] > QUIET_SECONDS, deadline, "the answers to end"
    )
    return loop.answered()[-1]


def first_answer(stage: Stage, loop: Loop, since: float, deadline: float = 30.0) -> float:
    """The time of the first answer after that time."""
    stage.lab.wait_for(lambda: loop.answered()[-1] > since, deadline, "an answer")
    return next(at for at in loop.answered() if at > since)


def test_without_the_agent_the_label_cuts_new_connections_and_what_the_cni_leaves_open_is_measured(
    stage: Stage, talk: Talk, measures: Measures
) -> None:
    labelled = talk.model.quarantine()
    cut = last_answer(stage, talk.fresh)
    measures.seconds("without agent: label → last answer to a new connection", max(0.0, cut - labelled))
    assert not talk.asking.reaches(talk.model)
    open_for = talk.kept.answered()[-1] - labelled
    still = time.time() - talk.kept.answered()[-1] < 1
    words = (
        f"yes, still answered {open_for:.1f} s after the label"
        if still
        else f"no, cut after {open_for:.3f} s"
    )
    measures.note("without agent: an established connection goes on (kube-router)", words)
    released = talk.model.release()
    back = first_answer(stage, talk.fresh, released)
    measures.seconds("without agent: release → first answer to a new connection", back - released)


@pytest.mark.usefixtures("agent")
def test_with_the_agent_the_label_on_a_server_cuts_established_connections_and_releasing_restores_them(
    stage: Stage, talk: Talk, measures: Measures
) -> None:
    port = talk.kept.outcomes()[0]["port"]
    labelled = talk.model.quarantine()
    cut_fresh, cut_kept = last_answer(stage, talk.fresh), last_answer(stage, talk.kept)
    measures.seconds("with agent: label → last answer to a new connection", max(0.0, cut_fresh - labelled))
    measures.seconds(
        "with agent: label → last answer on an established connection", max(0.0, cut_kept - labelled)
    )
    assert not talk.asking.reaches(talk.model)
    assert talk.kept.answered()[-1] == cut_kept
    released = talk.model.release()
    back = first_answer(stage, talk.fresh, released)
    measures.seconds("with agent: release → first answer to a new connection", back - released)
    again = first_answer(stage, talk.kept, released, RESUMED_SECONDS)
    measures.seconds("with agent: release → the same connection is answered again", again - released)
    measures.seconds("with agent: that connection had been cut for", released - cut_kept)
    # Whatever was answered, was answered on the one connection that was cut.
    assert {outcome["port"] for outcome in talk.kept.outcomes()} == {port}


@pytest.mark.usefixtures("agent")
def test_with_the_agent_the_label_on_a_client_cuts_its_established_connections_as_well(
    stage: Stage, talk: Talk, measures: Measures
) -> None:
    labelled = talk.asking.quarantine()
    cut_fresh, cut_kept = last_answer(stage, talk.fresh), last_answer(stage, talk.kept)
    measures.seconds("client quarantined: label → its last new connection", max(0.0, cut_fresh - labelled))
    measures.seconds(
        "client quarantined: label → last answer on its established connection", max(0.0, cut_kept - labelled)
    )
    released = talk.asking.release()
    back = first_answer(stage, talk.fresh, released)
    measures.seconds("client quarantined: release → first answer to a new connection", back - released)
    again = first_answer(stage, talk.kept, released, RESUMED_SECONDS)
    measures.seconds("client quarantined: release → its same connection is answered again", again - released)


@pytest.mark.usefixtures("agent")
def test_with_the_agent_a_quarantined_pod_loses_its_established_connection_to_vault_and_others_keep_theirs(
    stage: Stage, team: str
) -> None:
    keys = {"dataKeys": [{"name": "model"}]}
    llm, other = stage.workload(team, "llm", keys=keys), stage.workload(team, "other", keys=keys)
    bad, good = stage.pod(team, "llm", "llm"), stage.pod(team, "other", "other")
    host = stage.node.host
    one = bad.loop("use", seconds=60, **stage.vault_options(llm))
    two = good.loop("use", seconds=60, **stage.vault_options(other))
    bad.quarantine()
    last_answer(stage, one)
    assert not bad.probe("get", host=host, port=8200)["ok"]
    assert time.time() - two.answered()[-1] < 2
    assert two.refused() == []
    one.process.stop()
    two.process.stop()


@pytest.mark.usefixtures("agent")
def test_the_status_counts_the_quarantined_and_healing_does_not_release_them(
    stage: Stage, talk: Talk, team: str
) -> None:
    talk.model.quarantine()
    last_answer(stage, talk.kept)

    def counted() -> bool:
        live = stage.lab.api.request("GET", SECURE_AI_WORKLOADS.path(team, "model"))
        return bool(live["status"]["pods"]["quarantined"] == 1)

    stage.lab.wait_for(counted, 10, "the quarantined pod to be counted")
    policy = (
        f"/apis/networking.k8s.io/v1/namespaces/{team}/networkpolicies/{names.quarantine_policy('model')}"
    )
    stage.lab.api.request("DELETE", policy)
    stage.lab.wait_for(lambda: stage.lab.api.request("GET", policy), 10, "the standing policy to be back")
    cut = time.time()
    last_answer(stage, talk.kept)
    last_answer(stage, talk.fresh)
    assert not talk.asking.reaches(talk.model)
    assert time.time() - cut < 60


@pytest.mark.usefixtures("agent")
def test_the_agent_has_the_rights_that_it_says_and_no_others(stage: Stage) -> None:
    account = "system:serviceaccount:secureai-node-agent:secureai-node-agent"

    def may(*what: str) -> bool:
        asked = stage.lab.kubectl("auth", "can-i", *what, f"--as={account}", check=False)
        return asked.stdout.strip() == "yes"

    assert may("list", "pods", "-A")
    assert may("watch", "pods", "-A")
    for verb in ("create", "patch", "delete", "update"):
        assert not may(verb, "pods", "-A")
    assert not may("list", "secrets", "-A")
    assert not may("list", "nodes")
    (pod,) = stage.pods_of("secureai-node-agent", "app.kubernetes.io/name=secureai-node-agent")
    words = (
        "exec",
        "-n",
        "secureai-node-agent",
        pod["metadata"]["name"],
        "--",
        "/opt/secureai/bin/python",
        "-c",
    )
    program = "print(next(line.split()[1] for line in open('/proc/1/status') if line.startswith('CapEff')))"
    # CAP_NET_ADMIN is bit 12.
    assert int(stage.lab.kubectl(*words, program).stdout, 16) == 1 << 12
