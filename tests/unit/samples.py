"""Workloads, facts and live objects, for tests of what the pure core makes of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import strategies as st

from secureai_operator.api.certificate import CertificateFacts
from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload import SecureAIWorkloadSpec
from secureai_operator.api.workload_status import SecureAIWorkloadStatus
from secureai_operator.core.desired import desired_objects
from secureai_operator.core.desired.keys import desired_keys_secret
from secureai_operator.core.desired.objects import DesiredObject
from secureai_operator.core.facts import (
    CeilingRule,
    ClusterFacts,
    Connection,
    Facts,
    NodeFacts,
    PeerAddress,
    PlatformConfig,
    PodFacts,
    Workload,
)

Json = dict[str, Any]

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
HOUR = 3600
TDX = {"intel.feature.node.kubernetes.io/tdx": "true"}
CONNECTION = Connection(
    name="default",
    transit_mount="saw-transit",
    pki_mount="saw-pki",
    auth_mount="kubernetes",
    peers=(PeerAddress(cidr="10.1.0.0/16"),),
    port=8200,
    may_destroy=False,
)
CUSTOMERS = replace(CONNECTION, name="customer-a", customer_held=True)
CONFIG = PlatformConfig(
    cluster="main",
    connections={"default": CONNECTION, "customer-a": CUSTOMERS},
    dns_peers=(PeerAddress(namespace="kube-system", pod_labels={"k8s-app": "kube-dns"}),),
    api_server_peers=(PeerAddress(cidr="10.0.0.1/32"),),
    api_server_port=6443,
)
CEILING = (
    CeilingRule(
        frozenset({""}), frozenset({"configmaps", "pods"}), frozenset(), frozenset({"get", "list", "watch"})
    ),
)


def workload(
    spec: Mapping[str, Any] | None = None,
    *,
    name: str = "llm",
    namespace: str = "team-a",
    uid: str = "uid-1",
    generation: int = 1,
    status: SecureAIWorkloadStatus | None = None,
    created: str = "2026-01-01T00:00:00Z",
) -> Workload:
    """A workload with this spec, as a user writes it."""
    return Workload(
        namespace=namespace,
        name=name,
        uid=uid,
        generation=generation,
        spec=SecureAIWorkloadSpec.model_validate(spec or {}),
        status=status or SecureAIWorkloadStatus(),
        has_finalizer=True,
        created=created,
    )


def node(
    name: str = "n1", labels: Mapping[str, str] = TDX, *, schedulable: bool = True, keys: int | None = None
) -> NodeFacts:
    return NodeFacts(name, dict(labels), schedulable, keys)


def cluster(*nodes: NodeFacts, classes: tuple[str, ...] = (), in_use: int = 0) -> ClusterFacts:
    return ClusterFacts(nodes, frozenset(classes), in_use, known=True)


TDX_CLUSTER = cluster(node(), classes=("kata-qemu-tdx",))


def facts(*, cluster: ClusterFacts = TDX_CLUSTER, config: PlatformConfig = CONFIG, **others: Any) -> Facts:
    return Facts(config=config, cluster=cluster, **{"ceiling": CEILING, "now": NOW, **others})


def pod(name: str = "p", problem: str = "", *, quarantined: bool = False) -> PodFacts:
    return PodFacts("team-a", name, f"uid-{name}", problem, quarantined, controlled=True)


def key_state(**changed: Any) -> KeyState:
    """A key as Vault describes the one that the operator makes."""
    fields = {
        "type": "aes256-gcm96",
        "latest_version": 1,
        "min_decryption_version": 1,
        "min_encryption_version": 0,
        "versions": {1: int(NOW.timestamp())},
    }
    return KeyState(**cast("dict[str, Any]", {**fields, **changed}))


def certificate(**changed: Any) -> CertificateFacts:
    """The certificate of the default workload, with two thirds of its day to go until its renewal."""
    start = int(NOW.timestamp())
    fields = {
        "serial": "1f",
        "not_before": start,
        "not_after": start + 24 * HOUR,
        "dns_names": frozenset({"llm.team-a.svc"}),
        "usages": frozenset({"serverAuth", "clientAuth"}),
        "intact": True,
        "ca_digest": "ca",
    }
    return CertificateFacts(**cast("dict[str, Any]", {**fields, **changed}))


def made_for(item: Workload, known: Facts | None = None) -> list[DesiredObject]:
    """Every Kubernetes object that the workload makes, its keys Secret included."""
    secret = desired_keys_secret(item, item.status.data_keys)
    return [*desired_objects(item, known or facts()), *([secret] if secret else [])]


def live(desired: DesiredObject, version: str = "10", uid: str = "uid-live") -> Json:
    """The object as the API server returns it: with its own metadata, and without what is empty."""
    found: Json = copy.deepcopy(dict(desired.manifest))
    found["metadata"] |= {
        "uid": uid,
        "resourceVersion": version,
        "generation": 1,
        "creationTimestamp": "2026-01-31T12:00:00Z",
        "annotations": {"example.com/note": "somebody's"},
    }
    found["metadata"]["labels"]["example.com/team"] = "a"
    spec = found.get("spec", {})
    for direction in ("ingress", "egress"):
        if spec.get(direction) == []:
            del spec[direction]
    return found


# Mutations ---------------------------------------------------------------------------------------------------


def mutations(value: Any) -> Iterator[tuple[str, Any]]:
    """Copies of a JSON value, each different in one place: a field changed, removed or added, an item more or less."""
    for path in list(_places(value)):
        for how in ("change", "remove", "add"):
            changed = copy.deepcopy(value)
            if _mutated(changed, path, how):
                yield f"{how} {'.'.join(map(str, path))}", changed


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _mutated(value: Any, path: tuple[str | int, ...], how: str) -> bool:
    target = value
    for step in path[:-1]:
        target = target[step]
    here = target[path[-1]] if path else value
    if how == "add":
        if isinstance(here, dict):
            here["foreign"] = "x"
        elif isinstance(here, list):
            here.append("foreign")
        return isinstance(here, dict | list)
    if not path:
        return False
    if how == "remove":
        del target[path[-1]]
        return True
    if isinstance(here, dict | list):
        return False
    target[path[-1]] = (
        not here if isinstance(here, bool) else f"{here}x" if isinstance(here, str) else here + 1
    )
    return True


# Specs -------------------------------------------------------------------------------------------------------

labels = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
_peers = st.one_of(
    st.builds(lambda name: {"workload": name}, labels),
    st.builds(lambda name: {"namespace": name}, labels),
    st.builds(lambda name, other: {"namespace": name, "podLabels": {"app": other}}, labels, labels),
    st.sampled_from([{"cidr": "10.20.0.0/16"}, {"cidr": "10.30.0.1/32"}]),
)
_ports = st.one_of(st.integers(1, 65535), st.sampled_from(["53/UDP", "443/TCP"]))
_verbs = st.lists(st.sampled_from(["get", "list", "watch"]), min_size=1, max_size=3, unique=True)
_rules = st.fixed_dictionaries(
    {
        "apiGroups": st.just([""]),
        "resources": st.lists(st.sampled_from(["configmaps", "pods"]), min_size=1, max_size=2, unique=True),
        "verbs": _verbs,
    },
    optional={"resourceNames": st.lists(labels, max_size=2, unique=True)},
)


def _network(direction: str, peers: str) -> st.SearchStrategy[Json]:
    rule = st.fixed_dictionaries(
        {
            peers: st.lists(_peers, min_size=1, max_size=2),
            "ports": st.lists(_ports, min_size=1, max_size=2),
        }
    )
    return st.fixed_dictionaries({}, optional={direction: st.lists(rule, max_size=2)})


specs: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {},
    optional={
        "podSelector": st.builds(
            lambda value: {"matchLabels": value}, st.dictionaries(labels, labels, min_size=1, max_size=3)
        ),
        "access": st.fixed_dictionaries(
            {},
            optional={
                "rules": st.lists(_rules, max_size=2),
                "roleRefs": st.lists(st.builds(lambda name: {"name": name}, labels), max_size=2),
            },
        ),
        "network": st.builds(
            lambda one, other, dns, vault, api: {
                **one,
                **other,
                "dns": dns,
                "vault": vault,
                "kubernetesAPI": api,
            },
            _network("ingress", "from"),
            _network("egress", "to"),
            st.booleans(),
            st.booleans(),
            st.booleans(),
        ),
        "confidential": st.fixed_dictionaries(
            {"mode": st.sampled_from(["Off", "Preferred", "Required"])},
            optional={"platform": st.sampled_from(["auto", "bare-metal", "gke", "aks", "peer-pods"])},
        ),
        "certificate": st.sampled_from([{"delivery": "None"}, {"ttl": "1h", "usages": ["server"]}]),
        "enforcement": st.sampled_from(["Enforce", "Audit"]),
        "driftPolicy": st.sampled_from(["Heal", "Warn"]),
    },
)
"""Specs that the API server would take, small."""
