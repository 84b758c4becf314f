"""The operator is killed at every request of a rotation, before and after the reply: every run ends in the same state.

The workloads of a round stand at one point each, and one SIGKILL takes the operator away from all of them.
"""

from __future__ import annotations

import random
import signal

import pytest

from secureai_operator import names
from tests.faults.orphans import Orphans
from tests.faults.rotations import BOTH, Json, is_rotate, is_rotated, key_rotations, part
from tests.faults.stage import PATIENCE, Stage
from tests.faults.trap import Point, Side, is_event

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

LEASE_SECONDS = 5


def test_a_rotation_survives_a_crash_at_every_request(stage: Stage) -> None:
    sweep = key_rotations(stage, "crash")
    assert sum(map(is_rotate, sweep.requests)) == 1
    for points in sweep.rounds(sweep.points(*BOTH)):
        sweep.bring(points)
        arrived = sweep.arrived(points)
        stage.crash()
        for name in points:
            # The crash was where it was meant to be.
            assert stage.key(name)["latest_version"] == 1 + sum(map(is_rotate, arrived[name]))
        stage.start()
        sweep.assert_same_end(points)
    sweep.assert_all_struck(*BOTH)
    assert Orphans(stage.lab, [stage.namespace]).found() == []


def test_a_rotation_survives_a_second_crash_as_it_recovers(stage: Stage) -> None:
    sweep = key_rotations(stage, "again")
    chance = random.Random(4)  # noqa: S311 - which points are tried is no secret
    points = sweep.points(*BOTH)
    chance.shuffle(points)
    for first in sweep.rounds(points[: sweep.at_once]):
        sweep.bring(first)
        stage.crash()
        second = {name: Point(chance.randint(1, len(sweep.requests)), chance.choice(BOTH)) for name in first}
        sweep.watch(second)
        stage.start()
        sweep.wait_standing_or_over(second)
        stage.restart()
        sweep.assert_same_end(first)


def test_a_rotation_survives_a_crash_as_an_event_is_told(stage: Stage) -> None:
    sweep = key_rotations(stage, "event", kind=is_event, at_once=1)
    assert sweep.requests
    for points in sweep.rounds(sweep.points(*BOTH)):
        sweep.bring(points)
        stage.restart()
        sweep.assert_same_end(points)


def test_a_rotate_that_arrives_after_its_operator_died_is_adopted_and_said(stage: Stage) -> None:
    """It is on its way as the operator dies, and another one takes over: Vault has no rotate that would be refused then.

    Nobody can tell it from a stranger's. There is one version more than was asked for, and all that follows from that is done.
    """
    sweep = key_rotations(stage, "late")
    number = next(number for number, seen in enumerate(sweep.requests, 1) if is_rotate(seen))
    (points,) = sweep.rounds([Point(number, Side.BEFORE)])
    (name,) = points
    sweep.bring(points)
    stage.abandon()
    stage.start_beside()
    sweep.wait_over(points)
    assert stage.key(name)["latest_version"] == 2

    stage.proxies.call(stage.trap.let_go)
    stage.lab.wait_for(lambda: stage.key(name)["latest_version"] == 3, PATIENCE, "the late rotate to arrive")
    stage.annotate(name, names.RESYNC_ANNOTATION, "1")
    stage.lab.wait_for(
        lambda: _is_at(stage, name, 3), PATIENCE, "all to be at the version that was not asked for"
    )
    stage.lab.wait_for(lambda: len(_history(stage, name)) == 2, PATIENCE, "status to say so")
    history = _history(stage, name)
    said = [(one["fromVersion"], one["toVersion"], one["trigger"], one["result"]) for one in history]
    assert sorted(said) == [(1, 2, "Manual", "Done"), (2, 3, "External", "Adopted")]
    assert stage.changed_data_keys(name) == []
    stage.workloads.wait_event(stage.namespace, name, "KeyRotated", contains="External")


def _history(stage: Stage, name: str) -> list[Json]:
    found: list[Json] = part(stage.listed()[name], "rotation").get("history", [])
    return found


def _is_at(stage: Stage, name: str, version: int) -> bool:
    wrapped = stage.wrapped(name).values()
    return is_rotated(stage.listed()[name]) and all(one.startswith(f"vault:v{version}:") for one in wrapped)


def test_another_leader_ends_a_rotation_and_the_deposed_one_adds_nothing(stage: Stage) -> None:
    """The one that stood still wakes up with the answers that it waited for, and its Lease is gone."""
    sweep = key_rotations(stage, "heir")
    stage.stop()
    deposed = stage.start(leaseSeconds=LEASE_SECONDS)
    for points in sweep.rounds(sweep.points(Side.AFTER)):
        sweep.bring(points)
        deposed.process.signal(signal.SIGSTOP)
        try:
            # It has to wait until the Lease runs out.
            stage.start_beside(leaseSeconds=LEASE_SECONDS)
            sweep.wait_over(points)
        finally:
            deposed.process.signal(signal.SIGCONT)
        stage.proxies.call(stage.trap.let_go)
        assert deposed.process.wait(PATIENCE) == 1
        sweep.assert_same_end(points)
