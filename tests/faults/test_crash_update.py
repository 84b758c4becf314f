"""The operator is killed at every request of an update: what is new is there, what is old is gone, and nothing is drift."""

from __future__ import annotations

import pytest

from tests.faults.declared import FULL, SMALL, is_ready, offer_role, without_nulls
from tests.faults.orphans import Orphans
from tests.faults.rotations import BOTH, Json
from tests.faults.stage import Stage
from tests.faults.sweep import Sweep

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

AT_ONCE = 10
"""A wave of an update is smaller than that of a creation."""


@pytest.mark.parametrize(
    ("prefix", "before", "after"), [("grown", SMALL, FULL), ("shrunk", FULL, SMALL)], ids=["more", "less"]
)
def test_an_update_survives_a_crash_at_every_request(
    stage: Stage, prefix: str, before: Json, after: Json
) -> None:
    """One adds objects and Vault paths and changes others, the other takes them away again."""

    def ask(name: str) -> None:
        stage.workloads.respec(stage.namespace, name, **after)

    offer_role(stage.lab, stage.namespace)
    sweep = Sweep(stage, prefix, without_nulls(before), ask, is_ready, at_once=AT_ONCE)
    sweep.run_clean()
    assert_is_of(sweep.clean, after)
    for points in sweep.rounds(sweep.points(*BOTH)):
        sweep.bring(points)
        stage.restart()
        sweep.assert_same_end(points)
    sweep.assert_all_struck(*BOTH)
    assert Orphans(stage.lab, [stage.namespace]).found() == []


def assert_is_of(clean: Json, spec: Json) -> None:
    is_full = spec is FULL
    kinds = {what.partition(" ")[0] for what in clean["kubernetes"]}
    assert {"Role", "RoleBinding"} <= kinds if is_full else not {"Role", "RoleBinding"} & kinds
    assert (clean["vault"]["pki role"] is not None) is is_full
    assert clean["vault"]["auth role"]["token_ttl"] == (1200 if is_full else 600)
    assert clean["latest_version"] == 1
    assert "lastDrift" not in clean["status"]
