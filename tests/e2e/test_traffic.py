"""Default deny and declared peers, with packets."""

from __future__ import annotations

from tests.e2e.stage import Stage


def test_a_workload_that_declares_nothing_is_reached_by_nobody_and_reaches_nobody(
    stage: Stage, team: str
) -> None:
    stage.workload(team, "closed")
    closed, free, other = (
        stage.pod(team, "closed", "closed"),
        stage.pod(team, "free"),
        stage.pod(team, "other"),
    )
    assert free.reaches(other)
    assert not free.reaches(closed)
    assert not closed.reaches(free)


def test_declared_peers_talk_on_the_declared_port_in_the_declared_direction_and_nobody_else_does(
    stage: Stage, team: str
) -> None:
    stage.workload(team, "asking", network={"egress": [{"to": [{"workload": "model"}], "ports": [8000]}]})
    stage.workload(team, "model", network={"ingress": [{"from": [{"workload": "asking"}], "ports": [8000]}]})
    stage.workload(team, "stranger", network={"egress": [{"to": [{"workload": "model"}], "ports": [8000]}]})
    asking, model = stage.pod(team, "asking", "asking"), stage.pod(team, "model", "model")
    stranger, free = stage.pod(team, "stranger", "stranger"), stage.pod(team, "free")
    assert asking.reaches(model)
    assert not model.reaches(asking)
    assert not stranger.reaches(model)
    assert not free.reaches(model)
    second = model.loop_server(9000)
    try:
        # The node itself may always talk to its pods: the server is there, and the policy is what refuses.
        assert model.probe("get", host="127.0.0.1", port=9000)["ok"]
        assert not asking.reaches(model, port=9000)
    finally:
        second.stop()


def test_a_peer_that_is_taken_out_of_the_spec_is_cut_off(stage: Stage, team: str) -> None:
    stage.workload(team, "asking", network={"egress": [{"to": [{"workload": "model"}], "ports": [8000]}]})
    stage.workload(team, "model", network={"ingress": [{"from": [{"workload": "asking"}], "ports": [8000]}]})
    asking, model = stage.pod(team, "asking", "asking"), stage.pod(team, "model", "model")
    assert asking.reaches(model)
    stage.respec(team, "model", network={"ingress": []})
    stage.lab.wait_for(lambda: not asking.reaches(model), 20, "the peer to be refused")
    stage.respec(team, "model", network={"ingress": [{"from": [{"workload": "asking"}], "ports": [8000]}]})
    stage.lab.wait_for(lambda: asking.reaches(model), 20, "the peer to be admitted again")
