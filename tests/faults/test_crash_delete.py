"""The operator is killed at every request of a deletion: access is gone for good, and only what is to be kept is left."""

from __future__ import annotations

import base64
from collections.abc import Collection

import pytest

from secureai_operator import names
from secureai_operator.api.resources import SECRETS
from tests.faults.declared import FULL, is_gone, offer_role
from tests.faults.holdings import ACCESS
from tests.faults.orphans import Orphans
from tests.faults.proxy import Seen
from tests.faults.rotations import BOTH, Json
from tests.faults.stage import PATIENCE, Stage
from tests.faults.sweep import Sweep

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

NOTHING = dict.fromkeys(ACCESS)


def test_a_deletion_that_keeps_the_key_survives_a_crash_at_every_request(stage: Stage) -> None:
    offer_role(stage.lab, stage.namespace)
    stage.make(["stays"], lambda _: None)
    sweep = deletions(stage, "kept", FULL)
    keys = {"model": "vault:v1:*", "prompts": "vault:v1:*"}
    assert (sweep.clean["secret"], sweep.clean["latest_version"]) == (keys, 1)
    assert list(sweep.clean["kubernetes"]) == ["Secret saw-NAME-keys"]
    strike(sweep)
    # The key alone decrypts nothing: the Secret stays with it.
    orphans = Orphans(stage.lab, [stage.namespace], kept=[(stage.namespace, name) for name in stage.plain])
    wait_for_none(stage, orphans)


def test_a_deletion_that_destroys_the_key_survives_a_crash_at_every_request(stage: Stage) -> None:
    """Each is the last workload of its namespace, so that the operator's right on Secrets goes with it."""
    stage.allow(destroyRole="secureai-destroyer")
    sweep = deletions(stage, "razed", {**FULL, "deletionPolicy": "Destroy"}, alone=True)
    assert (sweep.clean["secret"], sweep.clean["latest_version"]) == ({}, None)
    assert (sweep.clean["kubernetes"], sweep.clean["opened"]) == ({}, False)
    strike(sweep)
    wait_for_none(stage, Orphans(stage.lab, stage.homes.values()))


def test_the_right_on_secrets_that_a_former_operator_left_behind_is_given_back(stage: Stage) -> None:
    """It died after the last workload was gone and before it took the right from the namespace."""
    name = "left-0000"
    stage.settle([name])
    stage.make([name], lambda _: None)
    stage.stop()
    stage.workloads.patch(name, name, {"metadata": {"finalizers": None}})
    stage.workloads.delete(name, name)
    binding = f"RoleBinding {name}/{names.NAMESPACE_SECRETS_ROLE}"
    orphans = Orphans(stage.lab, [name])
    assert binding in orphans.found()
    stage.start()
    stage.lab.wait_for(lambda: binding not in orphans.found(), PATIENCE, "the right to be given back")


def deletions(stage: Stage, prefix: str, spec: Json, *, alone: bool = False) -> Sweep:
    """One deletion, of workloads that were Ready and held everything; it was run once, and that was right."""

    def make(wanted: Collection[str]) -> None:
        if alone:
            stage.settle(wanted)
            for name in wanted:
                offer_role(stage.lab, stage.home(name))
        stage.make(wanted, lambda _: None, **spec)

    def ask(name: str) -> None:
        stage.workloads.delete(stage.home(name), name)

    def known_by(name: str) -> tuple[str, ...]:
        return (certificate_line(stage, name),)

    sweep = Sweep(
        stage,
        prefix,
        spec,
        ask,
        is_gone,
        also=known_by,
        make=make,
        keeps_data_keys=not alone,
        is_certain=changes,
    )
    sweep.run_clean()
    assert (sweep.clean["status"], sweep.clean["vault"]) == (None, NOTHING)
    return sweep


def changes(seen: Seen) -> bool:
    return seen.method != "GET"


def strike(sweep: Sweep) -> None:
    for points in sweep.rounds(sweep.points(*BOTH)):
        sweep.bring(points)
        sweep.stage.restart()
        sweep.assert_same_end(points)
    sweep.assert_all_struck(*BOTH)


def wait_for_none(stage: Stage, orphans: Orphans) -> None:
    """The garbage collector takes its time with what the workloads owned."""
    stage.lab.wait_for(lambda: not orphans.found(), PATIENCE, "nothing to be left")


def certificate_line(stage: Stage, name: str) -> str:
    """By what its revocation is known: the serial number is in the first line after the header."""
    secret = stage.workloads.find(SECRETS, stage.home(name), names.tls_secret(name))
    assert secret is not None
    _, line, *_ = base64.b64decode(secret["data"]["tls.crt"]).decode().splitlines()
    return line
