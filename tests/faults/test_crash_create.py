"""The operator is killed at every request of a creation: all is made once, and what pods may have seen stays."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from secureai_operator import names
from tests.faults.declared import FULL, is_ready, offer_role
from tests.faults.holdings import ever_held, secrets_version
from tests.faults.orphans import Orphans
from tests.faults.rotations import BOTH, Json
from tests.faults.stage import Stage
from tests.faults.sweep import Sweep

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

AT_ONCE = 8
"""A creation has up to six requests under way at once, each of which takes a place of the operator's 24 as it is held."""
OBJECTS = {"ServiceAccount", "Role", "RoleBinding", "Secret", "NetworkPolicy"}


def test_a_creation_survives_a_crash_at_every_request(stage: Stage) -> None:
    """In a namespace whose Secrets the operator knows already."""
    offer_role(stage.lab, stage.namespace)
    stage.make(["there-before"], lambda _: None)
    creations(stage, "made", lambda _: None)
    assert Orphans(stage.lab, [stage.namespace]).found() == []


def test_the_first_creation_of_a_namespace_survives_a_crash_at_every_request(stage: Stage) -> None:
    """Each has a namespace of its own, in which the operator gives itself the right on Secrets first."""

    def settle(wanted: Collection[str]) -> None:
        stage.settle(wanted)
        for name in wanted:
            offer_role(stage.lab, stage.home(name))

    sweep = creations(stage, "first", settle)
    binds = [seen for seen in sweep.requests if names.NAMESPACE_SECRETS_ROLE in seen.target]
    assert len(binds) == 1
    assert sweep.clean["opened"] is True
    assert Orphans(stage.lab, stage.homes.values()).found() == []


def creations(stage: Stage, prefix: str, make: Callable[[Collection[str]], None]) -> Sweep:
    def ask(name: str) -> None:
        stage.workloads.create(stage.home(name), name, **FULL)

    sweep = Sweep(stage, prefix, FULL, ask, is_ready, make=make, at_once=AT_ONCE)
    sweep.run_clean()
    assert_is_whole(sweep.clean)
    since = secrets_version(stage.lab)
    for points in sweep.rounds(sweep.points(*BOTH)):
        sweep.bring(points)
        stage.restart()
        sweep.assert_same_end(points)
        held = ever_held(stage.lab, since)
        for name in points:
            # A pod may have read it, and encrypted with it.
            shown = held[stage.home(name), names.keys_secret(name)]
            assert len(shown - set(stage.wrapped(name).values())) == 0
            assert len(stage.plaintexts(name)) == len(FULL["keys"]["dataKeys"])
    sweep.assert_all_struck(*BOTH)
    return sweep


def assert_is_whole(clean: Json) -> None:
    assert {what.partition(" ")[0] for what in clean["kubernetes"]} == OBJECTS
    assert all(clean["vault"].values())
    assert (clean["latest_version"], clean["min_decryption_version"]) == (1, 1)
    assert clean["secret"] == {"model": "vault:v1:*", "prompts": "vault:v1:*"}
    assert "lastDrift" not in clean["status"]
