"""Thousands of changes derived from the CRDs' own schemas: refused in words that name a field, or carried out for good.

What is carried out ends as if it had been made so, and taken back it leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lab import Lab, LabTimeout
from secureai_operator.api import crd
from secureai_operator.api.resources import KEY_ROTATION_POLICIES, SECURE_AI_WORKLOADS
from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.api.workload import SecureAIWorkloadSpec
from tests.faults import policies, transitions
from tests.faults.extent import IS_FULL, extent
from tests.faults.fleet import Fleet
from tests.faults.judge import Judge
from tests.faults.policies import PolicyFleet
from tests.faults.schema import Change, spec_of
from tests.faults.trial import PATIENCE, Trial
from tests.fixtures_operator import START_SECONDS, Workloads, log_lines, logged, stop_shared_operator
from tests.product import Operator, Product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SEED = 5
BASES = extent(40, 24)
CHANGES = extent(4600, 800)
ROUNDS = extent(13, 2)
"""Changes that are carried out of each workload, and taken back again."""
POLICY_BASES = extent(20, 10)
POLICY_CHANGES = extent(1200, 200)
POLICY_ROUNDS = extent(4, 2)
WANTED = extent(5000, 800)
"""Changes, with which the claim stands."""
SHOWN = 25

Json = dict[str, Any]

FIXED: tuple[Json, ...] = (
    {},
    {"keys": {"type": "ed25519"}},
    {"keys": {"derived": True, "dataKeys": [{"name": "model", "context": "tenant-42"}]}},
    {"keys": {"custody": "customer-managed"}},
    {"keys": {"custody": "hold-your-own-key"}},
    {"vault": {"connection": "nowhere"}},
    {"enforcement": "Audit", "keys": {"dataKeys": [{"name": "model"}]}},
    {"certificate": {"delivery": "None"}},
    {"suspend": True},
)
"""What cannot be changed later has to be there from the start."""
WEEKLY: Json = {"selector": {}, "schedule": {"cron": "0 3 * * 0"}}


@pytest.fixture
def lone_operator(request: pytest.FixtureRequest, lab: Lab, product: Product) -> Iterator[Operator]:
    """An operator that looks at Vault when a spec changes, and not every two seconds."""
    stop_shared_operator(request.session)
    operator = product.start_operator(workers=32, vaultProbeSeconds=3600, leaseSeconds=60)
    try:
        lab.wait_for(lambda: logged(operator, "leading"), START_SECONDS, "the operator to lead")
        yield operator
    finally:
        operator.stop()


@pytest.fixture
def workload_trial(lab: Lab, lone_operator: Operator, namespace: str) -> Iterator[Trial]:
    judge = Judge(lab, SECURE_AI_WORKLOADS, namespace)
    found = Trial(
        judge,
        Fleet(lab, namespace),
        spec_of(crd.SECURE_AI_WORKLOAD.name),
        SecureAIWorkloadSpec,
        transitions.expected,
        transitions.unexplained,
    )
    yield found
    judge.close()
    _remove_workloads(lab, lone_operator, namespace)


@pytest.fixture
def policy_trial(lab: Lab, lone_operator: Operator, namespace: str, workloads: Workloads) -> Iterator[Trial]:
    """Beside workloads that are there to be selected."""
    for number in range(3):
        workloads.create(namespace, f"llm-{number}")
        labels = {"metadata": {"labels": {"tier": "prod", "app": "llm"}}}
        workloads.patch(namespace, f"llm-{number}", labels)
    judge = Judge(lab, KEY_ROTATION_POLICIES, namespace)
    yield Trial(
        judge,
        PolicyFleet(lab, namespace),
        spec_of(crd.KEY_ROTATION_POLICY.name),
        KeyRotationPolicySpec,
        policies.expected,
        policies.unexplained,
    )
    judge.close()
    lab.api.request("DELETE", KEY_ROTATION_POLICIES.path(namespace))
    _remove_workloads(lab, lone_operator, namespace)


def test_a_changed_workload_ends_as_if_it_had_been_made_so(
    workload_trial: Trial, lone_operator: Operator
) -> None:
    bases = workload_trial.draw_bases(BASES, SEED, *FIXED)
    accepted = _carried_out(workload_trial, bases, CHANGES, ROUNDS)
    _assert_calm(workload_trial, lone_operator)
    assert _untouched_fields(workload_trial) == set()
    assert workload_trial.judged + accepted >= WANTED
    assert accepted >= extent(1000, 60)


def test_a_changed_policy_ends_as_if_it_had_been_made_so(
    policy_trial: Trial, lone_operator: Operator
) -> None:
    bases = policy_trial.draw_bases(POLICY_BASES, SEED, WEEKLY)
    accepted = _carried_out(policy_trial, bases, POLICY_CHANGES, POLICY_ROUNDS)
    _assert_calm(policy_trial, lone_operator)
    assert _untouched_fields(policy_trial) == set()
    assert policy_trial.judged >= POLICY_CHANGES * 0.8
    assert accepted >= extent(3, 1) * POLICY_BASES


def _carried_out(trial: Trial, bases: Mapping[str, Json], count: int, rounds: int) -> int:
    """Judge the changes, and carry out so many of each object; returns how many that were."""
    made = dict(trial.make(bases))
    accepted = trial.rule(bases, count, SEED)
    for number in range(rounds):
        chosen = {name: found[number] for name, found in accepted.items() if number < len(found)}
        _change(trial, number, chosen)
        trial.change({name: bases[name] for name in chosen})
        trial.compare_with_earlier({name: made[name] for name in chosen}, chosen)
    print(f"{trial.judged} judged, {trial.refused} of them refused, {trial.carried_out} carried out")  # noqa: T201
    return trial.carried_out


def _change(trial: Trial, number: int, chosen: Mapping[str, Change]) -> None:
    """Change each object, and compare it with one that was made so."""
    fresh = {name: f"{name.replace('from', 'made')}-{number:02}" for name in chosen}
    trial.make({fresh[name]: change.spec for name, change in chosen.items()})
    trial.change({name: change.spec for name, change in chosen.items()})
    trial.compare(fresh, chosen)


def _untouched_fields(trial: Trial) -> set[str]:
    """The fields that no change of the whole trial was about."""
    if not IS_FULL:
        return set()
    changed = {where.split(":")[0] for where in trial.touched}
    return {field.name for field in list(trial.whole.walk())[1:]} - changed


def _assert_calm(trial: Trial, operator: Operator) -> None:
    alarms = "\n".join(trial.alarms[:SHOWN])
    assert not trial.alarms, f"{len(trial.alarms)} alarms\n{alarms}"
    assert operator.process.running
    lines = log_lines(operator.process.log)
    assert [line for line in lines if line.get("level") not in {"debug", "info"} or "exception" in line] == []


def _remove_workloads(lab: Lab, operator: Operator, namespace: str) -> None:
    """Left to the operator of another test, so many deletions would be in its way."""
    if not operator.process.running:
        return
    fleet = Fleet(lab, namespace)
    lab.api.request("DELETE", SECURE_AI_WORKLOADS.path(namespace))
    try:
        lab.wait_for(lambda: not fleet.listed(), 2 * PATIENCE, "the workloads to be gone")
    except LabTimeout as error:
        error.add_note(str(list(fleet.listed().values())[:2]))
        raise
