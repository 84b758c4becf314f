"""Network: default deny both ways, the declared peers, and a standing policy for quarantined pods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from secureai_operator import names
from secureai_operator.api.conditions import ConditionType
from secureai_operator.api.network import NetworkPeer
from secureai_operator.api.resources import NETWORK_POLICIES
from secureai_operator.api.workload import Enforcement
from secureai_operator.core.desired.objects import DesiredObject, desired_object
from secureai_operator.core.facts import Facts, PeerAddress, Workload

_BOTH = ["Ingress", "Egress"]
_NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Set by the API server on every namespace, and not changeable by its owner."""


def desired_network_policies(workload: Workload, facts: Facts) -> Iterator[DesiredObject]:
    """Nothing under Audit: a policy would cut what runs.

    The allowing policy leaves quarantined pods out and the standing one selects only them, so that a
    label alone moves a pod from one to the other: NetworkPolicies only ever add.
    """
    if workload.spec.enforcement is Enforcement.AUDIT:
        return
    yield _policy(
        workload,
        names.allow_policy(workload.name),
        "DoesNotExist",
        ingress=list(_ingress(workload)),
        egress=list(_egress(workload, facts)),
    )
    yield _policy(workload, names.quarantine_policy(workload.name), "Exists", ingress=[], egress=[])


def _policy(
    workload: Workload, name: str, quarantine: str, *, ingress: list[Any], egress: list[Any]
) -> DesiredObject:
    selector = {
        "matchLabels": dict(sorted(workload.pod_labels.items())),
        "matchExpressions": [{"key": names.QUARANTINE_LABEL, "operator": quarantine}],
    }
    return desired_object(
        workload,
        NETWORK_POLICIES,
        name,
        ConditionType.NETWORK_ISOLATED,
        {"spec": {"podSelector": selector, "policyTypes": _BOTH, "ingress": ingress, "egress": egress}},
    )


def _ingress(workload: Workload) -> Iterator[dict[str, Any]]:
    for rule in workload.spec.network.ingress:
        yield {"from": [_peer(peer) for peer in rule.from_], "ports": _ports(rule.ports)}


def _egress(workload: Workload, facts: Facts) -> Iterator[dict[str, Any]]:
    network, config = workload.spec.network, facts.config
    for rule in network.egress:
        yield {"to": [_peer(peer) for peer in rule.to], "ports": _ports(rule.ports)}
    if network.dns and config.dns_peers:
        yield {"to": _addresses(config.dns_peers), "ports": _ports(["53/UDP", "53/TCP"])}
    connection = config.connections.get(workload.spec.vault.connection)
    if network.vault and connection and connection.peers:
        yield {"to": _addresses(connection.peers), "ports": _ports([connection.port])}
    if network.kubernetes_api and config.api_server_peers:
        yield {"to": _addresses(config.api_server_peers), "ports": _ports([config.api_server_port])}


def _peer(peer: NetworkPeer) -> dict[str, Any]:
    if peer.cidr:
        return {"ipBlock": {"cidr": peer.cidr}}
    labels = dict(sorted(peer.pod_labels.items()))
    if peer.workload:
        labels = {names.WORKLOAD_LABEL: peer.workload}
    return _pods(peer.namespace, labels)


def _pods(namespace: str | None, labels: dict[str, str]) -> dict[str, Any]:
    selector: dict[str, Any] = {}
    if namespace:
        selector["namespaceSelector"] = {"matchLabels": {_NAMESPACE_NAME: namespace}}
    if labels:
        selector["podSelector"] = {"matchLabels": labels}
    # Without either key a peer would be invalid; a bare `podSelector: {}` is "all pods of this namespace".
    return selector or {"podSelector": {}}


def _addresses(addresses: Iterable[PeerAddress]) -> list[dict[str, Any]]:
    return [
        {"ipBlock": {"cidr": address.cidr}}
        if address.cidr
        else _pods(address.namespace, dict(sorted(address.pod_labels.items())))
        for address in addresses
    ]


def _ports(ports: Iterable[int | str]) -> list[dict[str, Any]]:
    return [
        {"port": int(number), "protocol": protocol or "TCP"}
        for number, _, protocol in (str(port).partition("/") for port in ports)
    ]
