"""Vault or the API server goes away in the middle of a rotation, or an answer does: it goes on where it was."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from secureai_operator import names
from tests.faults.rotations import BOTH, is_rotate, is_rotated, key_rotations, part
from tests.faults.stage import PATIENCE, Stage
from tests.faults.trap import Point, Side
from tests.integration.vault_identity import TRANSIT, vault_name

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

AWAY_SECONDS = 2.0
"""Shorter than a leader may go without renewing its Lease: the operator lives through it."""


def test_a_rotation_goes_on_after_vault_was_sealed(stage: Stage) -> None:
    sweep = key_rotations(stage, "sealed")
    for points in sweep.rounds(sweep.points(*BOTH)):
        sweep.bring(points)
        with sealed(stage):
            stage.proxies.call(stage.trap.let_go)
            for name in points:
                stage.workloads.wait_condition(
                    stage.namespace, name, "VaultReachable", "False", deadline=PATIENCE
                )
        sweep.assert_same_end(points)


@contextlib.contextmanager
def sealed(stage: Stage) -> Iterator[None]:
    stage.lab.seal_vault()
    try:
        yield
    finally:
        stage.lab.unseal_vault()


def test_a_rotation_goes_on_after_the_api_server_was_away(stage: Stage) -> None:
    sweep = key_rotations(stage, "cut")
    for points in sweep.rounds(sweep.points(*BOTH)):
        sweep.bring(points)
        stage.proxies.call(stage.kubernetes.cut)
        stage.proxies.call(stage.trap.let_go)
        wait_away(stage)
        stage.proxies.call(stage.kubernetes.mend)
        sweep.assert_same_end(points)


def wait_away(stage: Stage) -> None:
    back = time.monotonic() + AWAY_SECONDS
    stage.lab.wait_for(lambda: time.monotonic() > back, PATIENCE, "the outage to have lasted")


def test_a_lost_answer_repeats_no_rotation(stage: Stage) -> None:
    sweep = key_rotations(stage, "lost")
    for points in sweep.rounds(sweep.points(Side.AFTER)):
        sweep.bring(points)
        stage.proxies.call(stage.trap.drop)
        sweep.assert_same_end(points)


def test_a_rotation_that_may_be_under_way_in_vault_is_waited_for(stage: Stage) -> None:
    """The request is lost; for all that the operator knows Vault works on it, and so it does in the end."""
    sweep = key_rotations(stage, "doubt")
    number = next(number for number, seen in enumerate(sweep.requests, 1) if is_rotate(seen))
    (points,) = sweep.rounds([Point(number, Side.BEFORE)])
    (name,) = points
    sweep.bring(points)
    stage.proxies.call(stage.trap.drop)
    stage.lab.wait_for(lambda: doubt(stage, name), PATIENCE, "the doubt to be written down")
    doubted = doubt(stage, name)
    assert doubted is not None
    assert doubted > datetime.now(UTC) + timedelta(seconds=90)

    # Neither another pass nor another process sends it again.
    stage.annotate(name, names.RESYNC_ANNOTATION, "1")
    stage.restart()
    stage.wait_quiet([name])
    assert (stage.key(name)["latest_version"], is_rotated(stage.listed()[name])) == (1, False)

    stage.lab.vault_request("POST", f"{TRANSIT}/keys/{vault_name(stage.namespace, name)}/rotate", {})
    stage.annotate(name, names.RESYNC_ANNOTATION, "2")
    sweep.wait_over([name])
    stage.wait_quiet([name])
    (entry,) = part(stage.listed()[name], "rotation")["history"]
    assert (entry["toVersion"], entry["trigger"], entry["result"]) == (2, "Manual", "Done")
    assert stage.changed_data_keys(name) == []


def doubt(stage: Stage, name: str) -> datetime | None:
    stamp = part(stage.listed()[name], "rotation").get("doubtUntil")
    return None if stamp is None else datetime.fromisoformat(stamp)
