"""Metrics: what is counted appears, labels stay few, series go with their workload."""

from __future__ import annotations

import asyncio
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from secureai_operator.telemetry.labels import OTHER, Words, field_group
from secureai_operator.telemetry.metrics import Metrics
from secureai_operator.telemetry.workload_metrics import WorkloadFacts

FACTS = WorkloadFacts(
    conditions=(("Ready", "True"), ("KeyReady", "False"), ("PodsBound", "Unknown")),
    key_version=3,
    certificate_not_after=1_800_000_000.0,
)


def text(metrics: Metrics) -> str:
    metrics.refresh()
    return metrics.render()[0].decode()


def value(metrics: Metrics, series: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(series, labels)


def test_a_pass_is_counted_and_measured() -> None:
    metrics = Metrics()
    metrics.reconciled("done", 0.004, "urgent")
    assert value(metrics, "secureai_reconcile_total", outcome="done", trigger="urgent") == 1
    assert value(metrics, "secureai_reconcile_seconds_sum", outcome="done", trigger="urgent") == 0.004


def test_requests_to_both_systems_are_counted_by_what_was_asked_and_answered() -> None:
    metrics = Metrics()
    metrics.kubernetes_request("apply", "networkpolicies", 200, 0.01)
    metrics.vault_request("default", "token/renew", "breaker", 0.0)
    assert (
        value(
            metrics,
            "secureai_kubernetes_requests_total",
            verb="apply",
            resource="networkpolicies",
            code="200",
        )
        == 1
    )
    assert (
        value(
            metrics, "secureai_vault_requests_total", connection="default", op="token/renew", code="breaker"
        )
        == 1
    )


def test_drift_is_counted_by_the_group_of_the_field() -> None:
    metrics = Metrics()
    metrics.drifted("NetworkPolicy", "spec.egress[0].ports", "Healed")
    assert (
        value(
            metrics,
            "secureai_drift_total",
            kind="NetworkPolicy",
            field_group="spec.egress",
            action="Healed",
        )
        == 1
    )


@pytest.mark.parametrize(
    ("field", "group"),
    [
        ("", "object"),
        ("spec.egress[0].to", "spec.egress"),
        ("rules[3].verbs", "rules.verbs"),
        ("data.model", "data"),
        ("labels.team/whatever", "labels"),
    ],
)
def test_a_field_group_holds_no_name_that_a_user_chose(field: str, group: str) -> None:
    assert field_group(field) == group


def test_a_label_that_is_text_or_one_too_many_becomes_other() -> None:
    words = Words(limit=2)
    assert [words("a"), words("free text"), words("b"), words("c"), words("a")] == [
        "a",
        OTHER,
        "b",
        OTHER,
        "a",
    ]


def test_a_workloads_series_go_with_it() -> None:
    metrics = Metrics()
    metrics.workload("team-a", "llm", FACTS)
    metrics.workload("team-b", "llm", FACTS)
    metrics.workload_gone("team-a", "llm")
    assert 'namespace="team-a"' not in text(metrics)
    assert value(metrics, "secureai_key_latest_version", namespace="team-b", name="llm") == 3


def test_conditions_are_one_zero_or_unknown() -> None:
    metrics = Metrics()
    metrics.workload("team-a", "llm", FACTS)
    where = {"namespace": "team-a", "name": "llm"}
    statuses = [
        value(metrics, "secureai_workload_condition", type=kind, **where)
        for kind in ("Ready", "KeyReady", "PodsBound")
    ]
    assert statuses == [1, 0, -1]


def test_queues_and_informers_are_read_at_the_scrape() -> None:
    metrics = Metrics()
    depth = [0]
    metrics.watch_queue("urgent", lambda: depth[0], lambda: 1.5)
    metrics.watch_informer("roles", lambda: 12.0)
    depth[0] = 7
    text(metrics)
    assert value(metrics, "secureai_workqueue_depth", lane="urgent") == 7
    assert value(metrics, "secureai_workqueue_oldest_seconds", lane="urgent") == 1.5
    assert value(metrics, "secureai_informer_last_activity_seconds", informer="roles") == 12


async def test_tasks_are_counted_at_the_scrape() -> None:
    metrics = Metrics()
    metrics.watch_tasks(lambda: len(asyncio.all_tasks()))
    text(metrics)
    before = value(metrics, "secureai_tasks")
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
        text(metrics)
        assert value(metrics, "secureai_tasks") == (before or 0) + 1
    text(metrics)
    assert value(metrics, "secureai_tasks") == before == 1


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_both_formats_hold_every_workload(accept: str) -> None:
    metrics = Metrics()
    metrics.workload("team-a", "llm", FACTS)
    body, content_type = metrics.render(accept)
    assert 'name="llm"' in body.decode()
    assert ("openmetrics" in content_type) == bool(accept)


def test_names_follow_the_conventions() -> None:
    metrics = Metrics()
    metrics.workload("team-a", "llm", FACTS)
    metrics.reconciled("done", 0.1)
    families = list(text_string_to_metric_families(text(metrics)))
    assert families
    for family in families:
        assert re.fullmatch(r"secureai_[a-z_]+", family.name), family.name
        assert family.documentation, family.name
        assert not family.name.endswith("_milliseconds")


def test_every_registry_is_its_own() -> None:
    first, second = Metrics(), Metrics()
    first.security_event("KeyExposed")
    assert value(second, "secureai_security_events_total", reason="KeyExposed") == 0
