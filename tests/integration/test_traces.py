"""Traces of passes at a real collector: what they show, what they never hold, and what a collector that is away costs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import SECRETS
from tests.fixtures_operator import (
    READY_SECONDS,
    SharedOperator,
    Workloads,
    log_lines,
    telemetry,
    wait_leading,
)
from tests.integration.collector import ITS_WORDS, Collector, Span, collecting
from tests.product import Operator, Product

pytestmark = pytest.mark.integration

MODEL = {"dataKeys": [{"name": "model"}]}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture
def traced(
    lab: Lab, product: Product, shared_operator: SharedOperator, collector: Collector
) -> Iterator[Operator]:
    """An operator that sends its traces to the collector, in place of the shared one."""
    shared_operator.stop()
    operator = product.start_operator(
        tracing={"endpoint": collector.endpoint}, environment={"OTEL_BSP_SCHEDULE_DELAY": "200"}
    )
    try:
        yield wait_leading(lab, operator)
    finally:
        operator.stop()


def test_a_pass_is_a_trace_of_its_requests(
    lab: Lab, workloads: Workloads, namespace: str, collector: Collector, traced: Operator
) -> None:
    workloads.ready(namespace, keys=MODEL)

    def made() -> list[Span] | None:
        found = (trace for trace in collector.of_workload("llm") if len(trace) > 10)
        return next(found, None)

    root, *requests = lab.wait_for(made, READY_SECONDS, "the trace of a pass") or []
    assert (root.name, root.parent, root.failed) == ("reconcile", "", False)
    assert root.attributes["k8s.namespace.name"] == namespace
    asked = {one.name for one in requests}
    assert {"kubernetes create serviceaccounts", "kubernetes patch secureaiworkloads"} <= asked
    assert any(name.startswith("vault key/") for name in asked)
    assert {one.trace_id for one in requests} == {root.trace_id}
    said = [line for line in log_lines(traced.process.log) if line.get("trace_id")]
    assert {line["trace_id"] for line in said} <= {span.trace_id for span in collector.spans()}
    # The Lease, the watches and the probes of Vault belong to no pass.
    assert [one for one in collector.spans() if not one.parent and one.name != "reconcile"] == []
    assert telemetry(lab, traced).metric("secureai_trace_exports_total", result="failed") == 0


def test_no_secret_is_in_a_trace(
    lab: Lab, workloads: Workloads, namespace: str, collector: Collector, traced: Operator
) -> None:
    workloads.ready(namespace, keys=MODEL)
    lab.wait_for(lambda: collector.of_workload("llm"), READY_SECONDS, "a trace")
    assert traced.stop() == 0
    secrets = [lab.vault_root_token, (lab.directory / "operator-vault-token").read_text()]
    for name in (names.tls_secret("llm"), names.keys_secret("llm")):
        secrets += lab.api.request("GET", SECRETS.path(namespace, name))["data"].values()
    everything = b"".join(collector.bodies)
    assert b"reconcile" in everything
    for secret in secrets:
        for start in range(0, max(1, len(secret) - 24), 24):
            assert secret[start : start + 24].encode() not in everything
    assert b"vault:v1:" not in everything


def test_a_collector_that_refuses_costs_spans_and_nothing_else(
    lab: Lab, workloads: Workloads, namespace: str, collector: Collector, traced: Operator
) -> None:
    collector.refuses = True
    workloads.ready(namespace, keys=MODEL)

    def failed() -> bool:
        return telemetry(lab, traced).metric("secureai_trace_exports_total", result="failed") > 0

    lab.wait_for(failed, READY_SECONDS, "an export to fail")
    workloads.ready(namespace, "another")
    assert traced.stop() == 0
    assert ITS_WORDS not in traced.process.log.read_text()
