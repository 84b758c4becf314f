"""Network: nothing declared is nothing allowed, in both directions, and quarantine is one label."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings

from secureai_operator import names
from secureai_operator.core.desired.network import desired_network_policies
from secureai_operator.core.facts import Workload
from tests.unit.samples import CONFIG, CONNECTION, Json, facts, specs, workload

CLOSED = {"network": {"dns": False, "vault": False, "kubernetesAPI": False}}


def policies(item: Workload, **known: Any) -> tuple[Json, Json]:
    """The specs of the allowing and of the standing policy."""
    allow, quarantine = desired_network_policies(item, facts(**known))
    assert (allow.name, quarantine.name) == ("saw-llm-allow", "saw-llm-quarantine")
    return allow.manifest["spec"], quarantine.manifest["spec"]


def egress(spec: Json, **known: Any) -> list[Json]:
    found: list[Json] = policies(workload({"network": spec}), **known)[0]["egress"]
    return found


def test_nothing_declared_denies_everything_both_ways() -> None:
    allow, _ = policies(workload(CLOSED))
    assert allow["policyTypes"] == ["Ingress", "Egress"]
    assert allow["ingress"] == []
    assert allow["egress"] == []


def test_an_empty_spec_lets_nothing_in_and_out_only_to_the_platform_s_dns_and_vault() -> None:
    allow, _ = policies(workload())
    assert allow["ingress"] == []
    assert allow["egress"] == [
        {
            "to": [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                }
            ],
            "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
        },
        {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 8200, "protocol": "TCP"}]},
    ]


def test_a_platform_that_names_no_peers_opens_nothing_instead_of_everything() -> None:
    bare = replace(
        CONFIG,
        connections={"default": replace(CONNECTION, peers=())},
        dns_peers=(),
        api_server_peers=(),
    )
    assert egress({"kubernetesAPI": True}, config=bare) == []
    assert egress({}, config=replace(bare, connections={})) == []


def test_the_api_server_is_reached_only_if_asked_for() -> None:
    (rule,) = egress({**CLOSED["network"], "kubernetesAPI": True})
    assert rule == {
        "to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
        "ports": [{"port": 6443, "protocol": "TCP"}],
    }


def test_peers_are_what_they_say() -> None:
    peers = [
        {"workload": "gateway"},
        {"workload": "gateway", "namespace": "edge"},
        {"namespace": "edge"},
        {"podLabels": {"b": "2", "a": "1"}},
        {"cidr": "10.2.0.0/16"},
    ]
    allow, _ = policies(
        workload({"network": {"ingress": [{"from": peers, "ports": [8000, "53/UDP", "5000/SCTP"]}]}})
    )
    (rule,) = allow["ingress"]
    edge = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}
    gateway = {"podSelector": {"matchLabels": {names.WORKLOAD_LABEL: "gateway"}}}
    assert rule["from"] == [
        gateway,
        {**edge, **gateway},
        edge,
        {"podSelector": {"matchLabels": {"a": "1", "b": "2"}}},
        {"ipBlock": {"cidr": "10.2.0.0/16"}},
    ]
    assert rule["ports"] == [
        {"port": 8000, "protocol": "TCP"},
        {"port": 53, "protocol": "UDP"},
        {"port": 5000, "protocol": "SCTP"},
    ]


@given(specs)
@settings(max_examples=60, deadline=None)
def test_no_spec_opens_a_direction_to_everybody(spec: Json) -> None:
    for item in desired_network_policies(workload(spec), facts()):
        found = item.manifest["spec"]
        assert found["policyTypes"] == ["Ingress", "Egress"]
        for rules, peers in ((found["ingress"], "from"), (found["egress"], "to")):
            for rule in rules:
                # An absent or empty list of peers or ports means all of them.
                assert rule[peers]
                assert rule["ports"]
                assert all(rule[peers])


@given(specs)
@settings(max_examples=40, deadline=None)
def test_a_pod_is_under_exactly_one_of_the_two_and_quarantine_allows_nothing(spec: Json) -> None:
    item = workload({**spec, "enforcement": "Enforce"})
    allow, quarantine = policies(item)
    assert quarantine["ingress"] == []
    assert quarantine["egress"] == []
    assert quarantine["policyTypes"] == ["Ingress", "Egress"]
    assert allow["podSelector"]["matchLabels"] == quarantine["podSelector"]["matchLabels"] == item.pod_labels
    assert [allow["podSelector"]["matchExpressions"], quarantine["podSelector"]["matchExpressions"]] == [
        [{"key": names.QUARANTINE_LABEL, "operator": operator}] for operator in ("DoesNotExist", "Exists")
    ]


def test_under_audit_there_is_no_policy() -> None:
    assert list(desired_network_policies(workload({"enforcement": "Audit"}), facts())) == []
