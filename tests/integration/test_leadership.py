"""Two operators: one acts, the other takes over; and what the probes of a process say."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import LEASES, NETWORK_POLICIES
from tests.fixtures_operator import START_SECONDS, SharedOperator, Workloads, logged, telemetry
from tests.integration.audits import Audit
from tests.product import Operator, Product

pytestmark = [pytest.mark.integration]

HANDOVER_SECONDS = 2.0
"""After SIGTERM; the promise of the product."""
LEASE_SECONDS = 3
CRASH_SECONDS = LEASE_SECONDS * 2.0 + 4
"""After SIGKILL: the Lease has to run out first, then a standby has to look."""


class Pair:
    """A leader and a standby that is warm."""

    def __init__(self, lab: Lab, product: Product) -> None:
        self.lab = lab
        self.product = product
        self.started: list[Operator] = []

    def start(self) -> None:
        leader, lab = self._start(), self.lab
        lab.wait_for(lambda: logged(leader, "leading"), START_SECONDS, "the first operator to lead")
        standby = telemetry(lab, self._start())
        lab.wait_for(
            lambda: standby.get("/readyz") == (200, "standby"), START_SECONDS, "the second to stand by"
        )

    @property
    def first(self) -> Operator:
        return self.started[0]

    @property
    def second(self) -> Operator:
        return self.started[1]

    def _start(self) -> Operator:
        operator = self.product.start_operator(leaseSeconds=LEASE_SECONDS, vaultProbeSeconds=2)
        self.started.append(operator)
        return operator

    def end(self) -> None:
        for operator in reversed(self.started):
            if operator.process.running:
                operator.stop()


@pytest.fixture
def pair(lab: Lab, product: Product) -> Iterator[Pair]:
    both = Pair(lab, product)
    try:
        both.start()
        yield both
    finally:
        both.end()


def holder(workloads: Workloads) -> str:
    lease = workloads.find(LEASES, names.OPERATOR_NAMESPACE, "secureai-operator")
    return str((lease or {}).get("spec", {}).get("holderIdentity") or "")


def heals(workloads: Workloads, namespace: str) -> None:
    """An object that is deleted comes back."""
    place = names.allow_policy("llm")
    workloads.delete(namespace, place, NETWORK_POLICIES)
    workloads.wait_object(NETWORK_POLICIES, namespace, place)


def test_a_stopped_leader_hands_over_at_once(
    lab: Lab, workloads: Workloads, pair: Pair, namespace: str
) -> None:
    workloads.ready(namespace)
    before = holder(workloads)
    start = time.monotonic()
    pair.first.process.signal(signal.SIGTERM)
    lab.wait_for(lambda: logged(pair.second, "leading"), HANDOVER_SECONDS * 2, "the standby to lead")
    seconds = time.monotonic() - start
    assert pair.first.process.wait(5) == 0
    assert holder(workloads) not in ("", before)
    heals(workloads, namespace)
    assert telemetry(lab, pair.second).metric("secureai_leader") == 1
    print(f"handed over in {seconds:.2f} s")  # noqa: T201 - a measurement


def test_a_killed_leader_is_followed_as_its_lease_runs_out(
    workloads: Workloads, pair: Pair, namespace: str
) -> None:
    workloads.ready(namespace)
    workloads.create(namespace, "another")
    pair.first.process.kill()
    workloads.delete(namespace, names.allow_policy("llm"), NETWORK_POLICIES)
    workloads.wait_object(
        NETWORK_POLICIES, namespace, names.allow_policy("llm"), deadline=CRASH_SECONDS + START_SECONDS / 3
    )
    assert logged(pair.second, "leading")
    workloads.wait_ready(namespace, "another")


def test_a_frozen_leader_does_not_act_when_it_wakes(
    lab: Lab, workloads: Workloads, pair: Pair, namespace: str
) -> None:
    """Its Lease ran out while it stood still: it has to end, and not to write what it thought of before."""
    workloads.ready(namespace)
    pair.first.process.signal(signal.SIGSTOP)
    try:
        lab.wait_for(lambda: logged(pair.second, "leading"), CRASH_SECONDS, "the standby to lead")
        mine = holder(workloads)
    finally:
        pair.first.process.signal(signal.SIGCONT)
    pair.first.process.wait(15)
    assert holder(workloads) == mine
    heals(workloads, namespace)


def test_only_the_leader_writes(lab: Lab, workloads: Workloads, pair: Pair, namespace: str) -> None:
    """Both see every change; each is answered once."""
    workloads.ready(namespace)
    audit = Audit(lab)
    heals(workloads, namespace)
    workloads.wait_event(namespace, "llm", "DriftHealed")
    writes = [request for request in audit.kube_writes(namespace) if request.resource == "networkpolicies"]
    assert [request.verb for request in writes] == ["create"]
    assert telemetry(lab, pair.first).metric("secureai_leader") == 1
    assert telemetry(lab, pair.second).metric("secureai_leader") == 0
    assert telemetry(lab, pair.second).metric("secureai_reconcile_total") == 0


def test_the_probes_answer(operator: SharedOperator, lab: Lab) -> None:
    probes = telemetry(lab, operator.ensure_running())
    assert probes.get("/healthz") == (200, "ok")
    assert probes.get("/readyz") == (200, "leading")
    status, text = probes.get("/metrics")
    assert status == 200
    assert "# TYPE secureai_reconcile_total counter" in text
    assert probes.get("/nothing")[0] == 404


def test_a_stopped_operator_ends_in_order_and_in_time(lab: Lab, product: Product) -> None:
    alone = product.start_operator()
    try:
        lab.wait_for(lambda: logged(alone, "leading"), START_SECONDS, "the operator to lead")
        alone.process.signal(signal.SIGTERM)
        assert alone.process.wait(3) == 0
    finally:
        alone.process.kill()
    assert logged(alone, "lease released") is not None
