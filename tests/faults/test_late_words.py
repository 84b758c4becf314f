"""Each defect that watches out of step have shown, by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest

from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS, SERVICE_ACCOUNTS
from tests.faults.deeds import DEEDS, EGRESS, SPEC, Deed, create, nudge, usurp
from tests.faults.stage import PATIENCE, Stage
from tests.faults.theatre import LEASE_SECONDS, OVER_SECONDS, Theatre, running_theatre
from tests.faults.watches import CHILDREN, CRS, Fault, Plan, Strike
from tests.faults.witness import Witness
from tests.fixtures_operator import log_lines

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

SEED = 5
ECHO_SECONDS = 11.0
"""Longer than the operator remembers its own writes without hearing of them."""
DEED = {deed.name: deed for deed in DEEDS}
NAME = "late"


@pytest.fixture
def theatre(stage: Stage) -> Iterator[Theatre]:
    with running_theatre(stage, SEED) as running:
        yield running


def plan(theatre: Theatre, fault: Fault, *plurals: str) -> None:
    theatre.stage.proxies.call(partial(theatre.views.plan, {NAME: Plan(fault, frozenset(plurals))}))


def release(theatre: Theatre) -> None:
    theatre.stage.proxies.call(theatre.views.release)


def wait_ready(stage: Stage) -> None:
    stage.workloads.wait_ready(stage.namespace, NAME, OVER_SECONDS)


def assert_nothing_wrong(witness: Witness, deed: Deed) -> None:
    witness.look()
    assert [*witness.wrongs(NAME, deed)] == []


def test_a_change_that_our_own_write_shows_first_is_not_lost(theatre: Theatre) -> None:
    """The status is written while the watch has not told of a new spec: that one is in the answer, and due all the same."""
    stage = theatre.stage
    stage.make([NAME], lambda _: None, **SPEC)
    plan(theatre, Fault.FREEZE, CRS)
    stage.workloads.respec(stage.namespace, NAME, network=EGRESS)
    nudge(stage, NAME)
    stage.lab.wait_for(
        lambda: "lastDrift" in stage.listed()[NAME]["status"], OVER_SECONDS, "the status to be written"
    )
    release(theatre)
    wait_ready(stage)


def test_what_the_garbage_collector_took_is_not_made_again_for_one_that_is_gone(theatre: Theatre) -> None:
    stage = theatre.stage
    stage.make([NAME], lambda _: None, **SPEC)
    witness = Witness(stage)
    plan(theatre, Fault.FREEZE, CRS)
    usurp(stage, NAME)
    account = names.service_account(NAME)
    stage.workloads.wait_absent(SERVICE_ACCOUNTS, stage.namespace, account, OVER_SECONDS)
    theatre.wait_window()
    release(theatre)
    wait_ready(stage)
    assert_nothing_wrong(witness, DEED["usurp"])


def test_a_deletion_that_is_under_way_takes_nothing_from_the_successor(theatre: Theatre) -> None:
    """Vault was away when the first one went; when it is back another one has the name, and nobody told of it."""
    stage = theatre.stage
    stage.make([NAME], lambda _: None, **SPEC)
    stage.proxies.call(stage.vault.cut)
    stage.workloads.delete(stage.namespace, NAME)
    stage.lab.wait_for(lambda: is_waiting(stage), OVER_SECONDS, "the revocation to wait for Vault")
    plan(theatre, Fault.FREEZE, CRS)
    stage.workloads.patch(stage.namespace, NAME, {"metadata": {"finalizers": []}})
    stage.workloads.wait_gone(stage.namespace, NAME)
    witness = Witness(stage)
    create(stage, NAME)
    stage.proxies.call(stage.vault.mend)
    theatre.wait_window()
    release(theatre)
    wait_ready(stage)
    witness.look()
    assert [request.path for request in witness.vault if request.operation == "delete"] == []


def is_waiting(stage: Stage) -> bool:
    assert stage.operator is not None
    lines = log_lines(stage.operator.process.log)
    return any(line["message"] == "revocation waits" and line["workload"] == NAME for line in lines)


def test_an_old_word_of_one_that_is_gone_makes_nothing_for_it(theatre: Theatre) -> None:
    stage = theatre.stage
    stage.make([NAME], lambda _: None, **SPEC)
    plan(theatre, Fault.REWIND, CRS)
    stage.annotate(NAME, names.RESYNC_ANNOTATION, "1")
    stage.lab.wait_for(
        lambda: stage.listed()[NAME]["status"]["resync"] == "1", OVER_SECONDS, "the pass to be over"
    )
    stage.workloads.delete(stage.namespace, NAME)
    stage.workloads.wait_gone(stage.namespace, NAME, OVER_SECONDS)
    stage.wait_quiet([NAME])
    witness = Witness(stage)
    release(theatre)
    theatre.wait_window()
    assert not witness.writes()


def test_who_hears_nothing_for_long_makes_nothing_twice_and_calls_nothing_drift(theatre: Theatre) -> None:
    stage = theatre.stage
    witness = Witness(stage)
    plan(theatre, Fault.FREEZE, *CHILDREN)
    create(stage, NAME)
    wait_ready(stage)
    until = time.monotonic() + ECHO_SECONDS
    stage.lab.wait_for(lambda: time.monotonic() > until, PATIENCE, "own writes to be forgotten")
    before = witness.writes()
    stage.annotate(NAME, names.RESYNC_ANNOTATION, "1")
    stage.lab.wait_for(
        lambda: stage.listed()[NAME]["status"]["resync"] == "1", OVER_SECONDS, "the pass to be over"
    )
    release(theatre)
    stage.wait_quiet([NAME])
    assert witness.writes() - before == {f"patch {SECURE_AI_WORKLOADS.plural} {NAME}": 1}
    assert "DriftHealed" not in stage.told(NAME)
    assert_nothing_wrong(witness, DEED["create"])


def test_an_operator_whose_watch_of_the_workloads_died_does_not_live_on_blind(theatre: Theatre) -> None:
    """Kopf gives the watch up for a status of 410: the process ends, and the next one sees again."""
    stage = theatre.stage
    stage.make([NAME], lambda _: None, **SPEC)
    theatre.call((CRS, Strike.REFUSE))
    assert stage.operator is not None
    assert stage.operator.process.wait(OVER_SECONDS) == 1
    stage.workloads.respec(stage.namespace, NAME, network=EGRESS)
    stage.start(leaseSeconds=LEASE_SECONDS)
    wait_ready(stage)
