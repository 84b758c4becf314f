"""Peers are counted alike, run in the full form only, and the report says what each did not do."""

from __future__ import annotations

from typing import Any

import pytest

from bench import plan, report_peers
from bench.peers.kopf_plain import differs
from bench.peers.requests import requests_of
from bench.plan import Form

USER = "system:serviceaccount:bench-peer:somebody"
SERIES = {"samples": 50, "min": 1.0, "p50": 2.0, "p90": 3.0, "p99": 4.0, "max": 5.0}
NONE = {"samples": 0}


def _kubernetes(
    verb: str, resource: str, *, user: str = USER, stage: str = "ResponseComplete"
) -> dict[str, Any]:
    return {"verb": verb, "stage": stage, "user": {"username": user}, "objectRef": {"resource": resource}}


def _vault(operation: str, *, name: str = "kubernetes-somebody", kind: str = "response") -> dict[str, Any]:
    return {"type": kind, "request": {"operation": operation}, "auth": {"display_name": name}}


def _measured(**changes: Any) -> dict[str, Any]:
    requests = {
        "kubernetesWrites": 11.0,
        "kubernetesReads": 2.0,
        "lease": 0.5,
        "vaultWrites": 6.0,
        "vaultReads": 0.25,
    }
    return {
        "workloads": 1000,
        "ownedObjects": 8,
        "seconds": 60.0,
        "millisecondsPerWorkload": 60.0,
        "machine": {"othersShare": 0.0},
        "perCR": requests,
        "cpuMillisecondsPerSample": {"peer": 34.0, "vault": 17.0},
        "emptyMiB": 99.0,
        "fullMiB": 199.0,
        "kibPerWorkload": 102.4,
        "kibPerObject": 12.8,
        "idle": {"cpuPercent": 5.0, "perSecond": requests},
        "healing": {"deleted": SERIES, "changed": SERIES},
        **changes,
    }


def _section(**results: Any) -> str:
    return "\n".join(report_peers.section({"results": results}))


def test_only_the_peers_own_requests_are_counted() -> None:
    kubernetes = [_kubernetes("create", "secrets"), _kubernetes("create", "secrets", user="somebody else")]
    vault = [_vault("update"), _vault("read", name="root"), _vault("update", kind="request")]
    found = requests_of(USER, kubernetes, vault)
    assert (dict(found.writes), found.vault_writes, found.vault_reads) == ({"create secrets": 1}, 1, 0)


def test_a_watch_counts_as_it_begins_and_once() -> None:
    entries = [
        _kubernetes("watch", "secrets", stage=stage) for stage in ("ResponseStarted", "ResponseComplete")
    ]
    assert dict(requests_of(USER, entries, []).reads) == {"watch secrets": 1}


def test_questions_and_the_lease_are_no_writes() -> None:
    entries = [_kubernetes("create", "selfsubjectaccessreviews"), _kubernetes("update", "leases")]
    found = requests_of(USER, entries, [])
    assert (found.writes.total(), found.reads.total(), found.lease) == (0, 1, 1)


def test_peers_are_measured_in_the_full_form_only() -> None:
    scenarios = [scenario for scenario in plan.load().scenarios if scenario.name.startswith("peer")]
    assert {scenario.name for scenario in scenarios} == set(report_peers.NAMES)
    assert not any(scenario.is_in(Form.SHORT) for scenario in scenarios)


@pytest.mark.parametrize("name", report_peers.NAMES)
def test_each_peer_is_told_with_its_numbers_and_what_it_did(name: str) -> None:
    text = _section(**{name: _measured()})
    assert text.startswith("## Beside us")
    assert "| 8 | 60 | 60 | 2, 4 | 2, 4 | 99 | 102.4 | 12.8 | 13.5 | 6.25 | 5 |" in text
    assert report_peers._DID[name] in text


def test_nothing_is_told_of_peers_that_were_not_measured() -> None:
    assert report_peers.section({"results": {}}) == []
    assert report_peers._DID["peerVso"] not in _section(peerKopf=_measured())


def test_a_change_that_nobody_mends_is_no_number() -> None:
    text = _section(peerCertManager=_measured(healing={"deleted": SERIES, "changed": NONE}))
    assert "| 2, 4 | not looked at |" in text


def test_the_plain_operator_sees_a_change_and_not_what_the_server_adds() -> None:
    wanted = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "a"},
        "spec": {"policyTypes": ["Egress"], "egress": []},
    }
    live = {
        "kind": "NetworkPolicy",
        "metadata": {"uid": "1"},
        "spec": {"policyTypes": ["Egress"]},
        "status": {},
    }
    assert not differs(wanted, live)
    assert differs(wanted, {**live, "spec": {"policyTypes": ["Egress"], "egress": [{}]}})
