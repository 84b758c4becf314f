"""Mistakes and attacks as somebody applies them: each is refused where it stands, in words that say what to change."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest

from lab import Lab
from tests.integration.crd_objects import Answer, Json, create, install_crds, merge, policy, workload

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def _crds(lab: Lab) -> None:
    install_crds(lab)


@dataclass(frozen=True, slots=True)
class Mistake:
    """What somebody wrote, the field that the answer must name, and words that it must hold."""

    what: str
    spec: Json
    field: str
    says: str

    def __str__(self) -> str:
        return self.what


def rule(**change: Any) -> Json:
    whole = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], **change}
    return {"access": {"rules": [whole]}}


def peer(**change: Any) -> Json:
    return {"network": {"egress": [{"to": [change], "ports": [443]}]}}


def port(value: Any) -> Json:
    return {"network": {"ingress": [{"from": [{"namespace": "gateway"}], "ports": [value]}]}}


def selector(**labels: str) -> Json:
    return {"podSelector": {"matchLabels": {key.replace("__", "/"): value for key, value in labels.items()}}}


def keys(**change: Any) -> Json:
    return {"keys": change}


def names(*found: str) -> Json:
    return {"certificate": {"dnsNames": list(found)}}


def confidential(**change: Any) -> Json:
    return {"confidential": change}


_DNS_LABEL = "must be a DNS label: lower-case letters, digits and '-'"
_CIDR = "must be addresses in CIDR notation, such as 10.20.0.0/16"
_PORT = "must be a number from 1 to 65535 for TCP, such as 443"
_RULE = "spec.access.rules[0]"
_PEER = "spec.network.egress[0].to[0]"
_AT_LEAST_ONE = "should have at least 1 items"

WORKLOAD_MISTAKES = [
    # Fields and types
    Mistake("an unknown field", {"keyType": "rsa"}, "", 'unknown field "spec.keyType"'),
    Mistake("a misspelt field", keys(typ="rsa-4096"), "", 'unknown field "spec.keys.typ"'),
    Mistake("a Vault address in the CR", {"vault": {"address": "http://evil"}}, "", 'unknown field "spec.vault.address"'),
    Mistake("a Vault namespace in the CR", {"vault": {"namespace": "x"}}, "", 'unknown field "spec.vault.namespace"'),
    Mistake("matchExpressions", {"podSelector": {"matchExpressions": []}}, "", "unknown field"),
    Mistake("a text for a switch", {"suspend": "yes"}, "spec.suspend", "must be of type boolean"),
    Mistake("a text for an object", {"keys": "aes"}, "spec.keys", "must be of type object"),
    Mistake("a text for a list", keys(dataKeys="model"), "spec.keys.dataKeys", "must be of type array"),
    Mistake("a number for a duration", {"certificate": {"ttl": 24}}, "spec.certificate.ttl", "must be of type string"),
    Mistake("a word in the wrong case", {"enforcement": "enforce"}, "spec.enforcement", '"Enforce", "Audit"'),
    Mistake("an unknown drift policy", {"driftPolicy": "Ignore"}, "spec.driftPolicy", '"Heal", "Warn"'),
    Mistake("an unknown deletion policy", {"deletionPolicy": "Delete"}, "spec.deletionPolicy", '"Retain", "Destroy"'),
    # Keys
    Mistake("an unknown key type", keys(type="rsa-2048"), "spec.keys.type", "supported values"),
    Mistake("an unknown custody", keys(custody="mine"), "spec.keys.custody", '"customer-managed"'),
    Mistake("data keys under a signing key", keys(type="ed25519", dataKeys=[{"name": "a"}]), "spec.keys.type",
            "set type to one of aes256-gcm96, chacha20-poly1305, rsa-3072, rsa-4096, or remove dataKeys"),
    Mistake("two data keys of one name", keys(dataKeys=[{"name": "a"}, {"name": "a"}]), "spec.keys.dataKeys[1]",
            "Duplicate value"),
    Mistake("a data key without a name", keys(dataKeys=[{}]), "spec.keys.dataKeys[0].name", "Required value"),
    Mistake("a data key of odd length", keys(dataKeys=[{"name": "a", "bits": 100}]), "spec.keys.dataKeys[0].bits",
            '"128", "256", "512"'),
    Mistake("a signing key that derives", keys(type="ed25519", derived=True), "spec.keys.derived",
            "set type to one of aes256-gcm96, chacha20-poly1305, or remove derived"),
    Mistake("an RSA key that derives", keys(type="rsa-4096", derived=True), "spec.keys.derived", "or remove derived"),
    Mistake("a data key of a derived key without a context", keys(derived=True, dataKeys=[{"name": "a"}]), "spec.keys.dataKeys",
            "with derived: true every data key needs one"),
    Mistake("a context without a derived key", keys(dataKeys=[{"name": "a", "context": "t"}]), "spec.keys.dataKeys",
            "without it none may have one"),
    Mistake("a long context", keys(derived=True, dataKeys=[{"name": "a", "context": "t" * 257}]),
            "spec.keys.dataKeys[0].context", "may not be more than 256"),
    Mistake("too many data keys", keys(dataKeys=[{"name": f"k{n}"} for n in range(17)]), "spec.keys.dataKeys",
            "must have at most 16 items"),
    # Certificate
    Mistake("a short certificate", {"certificate": {"ttl": "4m59s"}}, "spec.certificate.ttl", "from 5m to 2160h"),
    Mistake("a long certificate", {"certificate": {"ttl": "2160h1s"}}, "spec.certificate.ttl", "from 5m to 2160h"),
    Mistake("days in a duration", {"certificate": {"ttl": "30d"}}, "spec.certificate.ttl", "hours, minutes and seconds"),
    Mistake("an empty duration", {"certificate": {"ttl": ""}}, "spec.certificate.ttl", "from 5m to 2160h"),
    Mistake("a negative duration", {"certificate": {"ttl": "-24h"}}, "spec.certificate.ttl", "from 5m to 2160h"),
    Mistake("a public name", names("example.com"), "spec.certificate.dnsNames[0]", "NAME.NAMESPACE.svc"),
    Mistake("a wildcard name", names("*.team-a.svc"), "spec.certificate.dnsNames[0]", "without wildcards"),
    Mistake("a name that Vault does not sign", names(f"{'d' * 64}.team-a.svc"), "spec.certificate.dnsNames[0]", "at most 63"),
    Mistake("a name without a namespace", names("llm.svc"), "spec.certificate.dnsNames[0]", "NAME.NAMESPACE.svc"),
    Mistake("a name of the whole cluster", names("llm.svc.cluster.local"), "spec.certificate.dnsNames[0]",
            "NAME.NAMESPACE.svc.cluster.local"),
    Mistake("a name that only looks inside", names("llm.team-a.svc.evil.com"), "spec.certificate.dnsNames[0]",
            "inside the workload's own namespace"),
    Mistake("an address for a name", names("10.0.0.1"), "spec.certificate.dnsNames[0]", "NAME.NAMESPACE.svc"),
    Mistake("a name twice", names("a.b.svc", "a.b.svc"), "spec.certificate.dnsNames[1]", "Duplicate value"),
    Mistake("no usage", {"certificate": {"usages": []}}, "spec.certificate.usages", _AT_LEAST_ONE),
    Mistake("an unknown usage", {"certificate": {"usages": ["mtls"]}}, "spec.certificate.usages[0]", '"server", "client"'),
    # Access
    Mistake("tokens too short for the kubelet", {"access": {"tokenTTL": "9m"}}, "spec.access.tokenTTL", "from 10m to 24h"),
    Mistake("tokens for ever", {"access": {"tokenTTL": "25h"}}, "spec.access.tokenTTL", "from 10m to 24h"),
    Mistake("all verbs", rule(verbs=["*"]), f"{_RULE}.verbs[0]", "wildcards are not allowed: list each"),
    Mistake("all resources", rule(resources=["*"]), f"{_RULE}.resources[0]", "wildcards are not allowed: list each"),
    Mistake("all subresources", rule(resources=["pods/*"]), f"{_RULE}.resources[0]", "wildcards are not allowed"),
    Mistake("all groups", rule(apiGroups=["*"]), f"{_RULE}.apiGroups[0]", "wildcards are not allowed: list each"),
    Mistake("all names", rule(resourceNames=["llm-*"]), f"{_RULE}.resourceNames[0]", "wildcards are not allowed"),
    Mistake("no verbs", rule(verbs=[]), f"{_RULE}.verbs", _AT_LEAST_ONE),
    Mistake("no groups", rule(apiGroups=[]), f"{_RULE}.apiGroups", _AT_LEAST_ONE),
    Mistake("escalate", rule(verbs=["get", "escalate"]), f"{_RULE}.verbs", "remove the verbs escalate, bind"),
    Mistake("bind", rule(verbs=["bind"]), f"{_RULE}.verbs", "remove the verbs escalate, bind"),
    Mistake("impersonate", rule(resources=["users"], verbs=["impersonate"]), f"{_RULE}.verbs", "remove the verbs"),
    Mistake("all Secrets", rule(resources=["secrets"]), f"{_RULE}.resources", "spec.keys.dataKeys"),
    Mistake("one Secret", rule(resources=["secrets"], resourceNames=["db"]), f"{_RULE}.resources", "remove secrets"),
    Mistake("a shell in pods", rule(resources=["pods/exec"], verbs=["create"]), f"{_RULE}.resources", "pods/exec"),
    Mistake("other identities' tokens", rule(resources=["serviceaccounts/token"], verbs=["create"]),
            f"{_RULE}.resources", "serviceaccounts/token"),
    Mistake("rights on roles", rule(apiGroups=["", "rbac.authorization.k8s.io"], resources=["rolebindings"], verbs=["patch"]),
            f"{_RULE}.resources", "rights on rights"),
    Mistake("rights on its own security", rule(apiGroups=["secureai.dev"], resources=["secureaiworkloads"], verbs=["patch"]),
            f"{_RULE}.verbs", "only get, list and watch are allowed on secureai.dev"),
    Mistake("create by name", rule(verbs=["create"], resourceNames=["a"]), f"{_RULE}.resourceNames", "would grant nothing"),
    Mistake("more than the author can be checked for",
            rule(resources=["pods", "services", "configmaps", "events", "endpoints"], verbs=["get", "list", "watch", "patch", "update"]),
            "spec.access.rules", "at most 24 combinations"),
    Mistake("names multiply too", rule(resourceNames=[f"n{n}" for n in range(7)], verbs=["get", "list", "watch", "patch"]),
            "spec.access.rules", "at most 24 combinations"),
    Mistake("cluster-admin", {"access": {"roleRefs": [{"kind": "ClusterRole", "name": "cluster-admin"}]}},
            "spec.access.roleRefs[0].name", "name a role that holds what it uses"),
    Mistake("a role of the system", {"access": {"roleRefs": [{"kind": "ClusterRole", "name": "system:node"}]}},
            "spec.access.roleRefs[0].name", "name a role that holds what it uses"),
    Mistake("an unknown kind of role", {"access": {"roleRefs": [{"kind": "User", "name": "a"}]}},
            "spec.access.roleRefs[0].kind", '"Role", "ClusterRole"'),
    # Network
    Mistake("an empty peer", peer(), _PEER, "say who the peer is"),
    Mistake("a peer with no labels", peer(podLabels={}), _PEER, "say who the peer is"),
    Mistake("nobody to connect to", {"network": {"egress": [{"to": [], "ports": [1]}]}}, "spec.network.egress[0].to", _AT_LEAST_ONE),
    Mistake("no ports", {"network": {"egress": [{"to": [{"workload": "a"}], "ports": []}]}}, "spec.network.egress[0].ports",
            _AT_LEAST_ONE),
    Mistake("ports left out", {"network": {"egress": [{"to": [{"workload": "a"}]}]}}, "spec.network.egress[0].ports", "Required"),
    Mistake("addresses and a namespace", peer(cidr="10.0.0.0/8", namespace="a"), _PEER, "cidr stands alone"),
    Mistake("a workload and labels", peer(workload="a", podLabels={"a": "b"}), _PEER, "use either workload or podLabels"),
    Mistake("an address without a prefix", peer(cidr="10.0.0.0"), f"{_PEER}.cidr", _CIDR),
    Mistake("an impossible address", peer(cidr="300.0.0.0/8"), f"{_PEER}.cidr", _CIDR),
    Mistake("an impossible prefix", peer(cidr="::/129"), f"{_PEER}.cidr", _CIDR),
    Mistake("a name for an address", peer(cidr="example.com"), f"{_PEER}.cidr", _CIDR),
    Mistake("an address inside its network", peer(cidr="10.0.0.1/8"), f"{_PEER}.cidr", "write the network's first address"),
    Mistake("a label key with a space", peer(podLabels={"a b": "c"}), f"{_PEER}.podLabels", "must be a label key"),
    Mistake("a label key that Kubernetes refuses", peer(podLabels={"k" * 64: "c"}), f"{_PEER}.podLabels", "at most 63"),
    Mistake("a label key's domain that is none", peer(podLabels={"a..b/c": "d"}), f"{_PEER}.podLabels", "must be a label key"),
    Mistake("a selector that nothing can match", selector(**{"k" * 64: "c"}), "spec.podSelector.matchLabels", "at most 63"),
    Mistake("a label value with a space", peer(podLabels={"a": "b c"}), f"{_PEER}.podLabels[a]", "must be a label value"),
    Mistake("port 0", port(0), "spec.network.ingress[0].ports[0]", _PORT),
    Mistake("port 65536", port(65536), "spec.network.ingress[0].ports[0]", _PORT),
    Mistake("a quoted port", port("443"), "spec.network.ingress[0].ports[0]", '"53/UDP"'),
    Mistake("a named port", port("http"), "spec.network.ingress[0].ports[0]", _PORT),
    Mistake("an unknown protocol", port("53/ICMP"), "spec.network.ingress[0].ports[0]", "TCP, UDP and SCTP"),
    Mistake("a large port with a protocol", port("65536/TCP"), "spec.network.ingress[0].ports[0]", _PORT),
    Mistake("half a port", port(1.5), "spec.network.ingress[0].ports[0]", "must be of type integer,string"),
    # Placement
    Mistake("a GPU without a place", confidential(mode="Off", gpu={"confidential": True}), "spec.confidential.mode",
            "set mode to Required or Preferred"),
    Mistake("a GPU where there is none", confidential(platform="aks", gpu={"confidential": True}), "spec.confidential.platform",
            "use another platform, or remove gpu.confidential"),
    Mistake("an unknown TEE", confidential(tee="sgx"), "spec.confidential.tee", '"tdx"'),
    Mistake("an unknown platform", confidential(platform="eks"), "spec.confidential.platform", '"bare-metal"'),
    Mistake("a runtime class in capitals", confidential(runtimeClassName="Kata"), "spec.confidential.runtimeClassName",
            "must be a DNS name"),
    Mistake("a toleration's value without Equal", confidential(tolerations=[{"key": "a", "value": "b"}]),
            "spec.confidential.tolerations[0].value", "needs operator: Equal"),
    Mistake("an unknown effect", confidential(tolerations=[{"key": "a", "effect": "Never"}]),
            "spec.confidential.tolerations[0].effect", '"NoSchedule"'),
    # Pods
    Mistake("no labels", {"podSelector": {}}, "spec.podSelector.matchLabels", "Required value"),
    Mistake("empty labels", selector(), "spec.podSelector.matchLabels", "should have at least 1 properties"),
    Mistake("another workload's pods", selector(**{"secureai.dev__workload": "other"}), "spec.podSelector.matchLabels",
            "use this workload's own name there"),
    Mistake("the pods under quarantine", selector(**{"secureai.dev__quarantine": "true"}), "spec.podSelector.matchLabels",
            "use another label"),
]  # fmt: skip


def schedule(**change: Any) -> Json:
    return {"selector": {}, "schedule": change}


_CRON = "must be five fields: minute (0-59), hour (0-23)"

POLICY_MISTAKES = [
    Mistake("no schedule", {"selector": {}}, "spec.schedule", "Required value"),
    Mistake("everything by mistake", {"schedule": {"interval": "2h"}}, "spec.selector", "Required value"),
    Mistake("an empty schedule", schedule(), "spec.schedule", "exactly one of cron and interval"),
    Mistake("two schedules", schedule(cron="0 3 * * 0", interval="2h"), "spec.schedule", "exactly one of cron and interval"),
    Mistake("a hot interval", schedule(interval="59m"), "spec.schedule.interval", "from 1h"),
    Mistake("four fields", schedule(cron="* * * *"), "spec.schedule.cron", _CRON),
    Mistake("minute 61", schedule(cron="61 * * * *"), "spec.schedule.cron", _CRON),
    Mistake("a macro", schedule(cron="@weekly"), "spec.schedule.cron", "such as 0 3 * * 0 for Sundays at three"),
    Mistake("a range that goes backwards", schedule(cron="0 22-4 * * *"), "spec.schedule.cron", "22-23,0-4"),
    Mistake("days backwards", schedule(cron="0 3 * * sat-sun"), "spec.schedule.cron", "ranges go forwards"),
    Mistake("a day that never comes", schedule(cron="0 3 30,31 feb *"), "spec.schedule.cron", "never comes"),
    Mistake("each minute", schedule(cron="* * * * *"), "spec.schedule.cron", "at most once an hour"),
    Mistake("twice an hour", schedule(cron="0,30 * * * *"), "spec.schedule.cron", "at most once an hour"),
    Mistake("a trial of no length", schedule(interval="2h") | {"retire": {"canary": "0s"}}, "spec.retire.canary", "from 1s"),
    Mistake("a zone of another planet", schedule(cron="0 3 * * 0", timeZone="Mars/Base"), "spec.schedule.timeZone", "IANA"),
    Mistake("the server's zone", schedule(cron="0 3 * * 0", timeZone="Local"), "spec.schedule.timeZone", "IANA"),
    Mistake("a path for a zone", schedule(cron="0 3 * * 0", timeZone="../etc"), "spec.schedule.timeZone", "IANA"),
    Mistake("more jitter than interval", schedule(interval="2h", jitter="2h"), "spec.schedule.jitter",
            "jitter must be shorter than interval"),
    Mistake("a window that never opens", schedule(interval="2h") | {"windows": [{"start": "x", "duration": "1h"}]},
            "spec.windows[0].start", _CRON),
    Mistake("a window on a day that never comes",
            schedule(interval="2h") | {"windows": [{"start": "0 1 31 4 *", "duration": "1h"}]}, "spec.windows[0].start",
            "never comes"),
    Mistake("a window of no length", schedule(interval="2h") | {"windows": [{"start": "0 1 * * *", "duration": "0h"}]},
            "spec.windows[0].duration", "from 5m"),
    Mistake("no rotation at once", schedule(interval="2h") | {"limits": {"maxConcurrent": 0}}, "spec.limits.maxConcurrent",
            "greater than or equal to 1"),
    Mistake("no version kept", schedule(interval="2h") | {"retire": {"keepVersions": 0}}, "spec.retire.keepVersions",
            "greater than or equal to 1"),
    Mistake("a priority over all", schedule(interval="2h") | {"priority": 1001}, "spec.priority", "less than or equal to 1000"),
]  # fmt: skip


def assert_refused(answer: Answer, mistake: Mistake) -> None:
    """Once, at the field, and in the words."""
    assert not answer.accepted
    assert answer.code in {400, 422}
    assert [cause.field for cause in answer.causes] == [mistake.field], answer.causes
    assert mistake.says in answer.causes[0].message


@pytest.mark.parametrize("mistake", WORKLOAD_MISTAKES, ids=str)
def test_a_mistake_in_a_workload_is_refused_and_explained(lab: Lab, mistake: Mistake) -> None:
    assert_refused(create(lab, "default", workload(mistake.spec), dry_run=True), mistake)


@pytest.mark.parametrize("mistake", POLICY_MISTAKES, ids=str)
def test_a_mistake_in_a_rotation_policy_is_refused_and_explained(lab: Lab, mistake: Mistake) -> None:
    assert_refused(create(lab, "default", policy(mistake.spec), dry_run=True), mistake)


# What must not be refused although it is near a mistake: a check that refuses everything proves nothing.
NEAR_MISSES = {
    "an encrypting key with data keys": keys(type="rsa-4096", dataKeys=[{"name": "a"}]),
    "a signing key without data keys": keys(type="ed25519"),
    "a derived key with contexts": keys(derived=True, dataKeys=[{"name": "a", "context": "t"}]),
    "a derived key without data keys": keys(derived=True, type="chacha20-poly1305"),
    "a signing key that says it does not derive": keys(type="ed25519", derived=False),
    "the shortest certificate": {"certificate": {"ttl": "5m"}},
    "the longest certificate": {"certificate": {"ttl": "2160h"}},
    "minutes and seconds": {"certificate": {"ttl": "59m60s"}},
    "names inside": names("llm.default.svc", "a.b.default.svc.cluster.local"),
    "the shortest token": {"access": {"tokenTTL": "10m"}},
    "24 combinations": rule(
        resources=["pods", "services", "configmaps", "events"],
        verbs=["get", "list", "watch", "patch", "update", "delete"],
    ),
    "secrets of another group": rule(apiGroups=["example.com"], resources=["secrets"]),
    "create without names": rule(verbs=["create"]),
    "create a subresource by name": rule(
        resources=["pods/eviction"], verbs=["create"], resourceNames=["llm-0"]
    ),
    "reading its own kind": rule(apiGroups=["secureai.dev"], resources=["secureaiworkloads"]),
    "a role of the team": {"access": {"roleRefs": [{"name": "team-a:reader.v1"}]}},
    "a workload of another namespace": peer(workload="db", namespace="team-b"),
    "labels in another namespace": peer(podLabels={"app": "db"}, namespace="team-b"),
    "one address": peer(cidr="10.0.0.1/32"),
    "IPv6": peer(cidr="2001:db8::/32"),
    "the largest port": port(65535),
    "a port with a protocol": port("53/UDP"),
    "a GPU on bare metal": confidential(platform="bare-metal", gpu={"confidential": True}),
    "a toleration with Equal": confidential(tolerations=[{"key": "a", "operator": "Equal", "value": "b"}]),
    "its own pods by name": selector(**{"secureai.dev__workload": "llm"}),
}


@pytest.mark.parametrize("spec", NEAR_MISSES.values(), ids=NEAR_MISSES.keys())
def test_what_is_right_is_accepted(lab: Lab, spec: Json) -> None:
    answer = create(lab, "default", workload(spec), dry_run=True)
    assert answer.accepted, answer.causes


HOSTILE = [
    "../admin", "a/b", "a.b", "a b", "A", "a%2fb", "a%00", "a\x00", "a\n", "\na", "a\r\nb", "+", "*", "a*", "-a", "a-", ".",
    "..", "", "a" * 64, "sys/policy", "ä", "a\u200b", "\u0430", "${a}", "{{identity.entity.id}}", 'a"}', "a#b", "a?b", "a;b", "a\\b",
]  # fmt: skip
"""What could step out of a path, a policy or a label, or look like another name. `\\u0430` is a Cyrillic a."""


def _named(place: str, value: str) -> Json:
    objects = {
        "metadata.name": workload({}, value),
        "spec.vault.connection": workload({"vault": {"connection": value}}),
        "spec.keys.dataKeys[0].name": workload(keys(dataKeys=[{"name": value}])),
        "spec.network.egress[0].to[0].workload": workload(peer(workload=value)),
        "spec.network.egress[0].to[0].namespace": workload(peer(namespace=value)),
    }
    return objects[place]


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
@pytest.mark.parametrize(
    "place",
    [
        "metadata.name",
        "spec.vault.connection",
        "spec.keys.dataKeys[0].name",
        "spec.network.egress[0].to[0].workload",
        "spec.network.egress[0].to[0].namespace",
    ],
)
def test_a_hostile_name_is_refused_everywhere(lab: Lab, place: str, value: str) -> None:
    answer = create(lab, "default", _named(place, value), dry_run=True)
    assert answer.code in {400, 422}
    assert {cause.field for cause in answer.causes} == {place}


@pytest.mark.parametrize("value", [name for name in HOSTILE if name not in {"a.b", "A"}], ids=ascii)
def test_a_hostile_name_of_a_role_or_object_is_refused(lab: Lab, value: str) -> None:
    longest = value if len(value) < 64 else "a" * 254
    for spec in ({"access": {"roleRefs": [{"name": longest}]}}, rule(resourceNames=[longest])):
        assert not create(lab, "default", workload(spec), dry_run=True).accepted


@pytest.mark.parametrize("name", ["a" * 53, "llm.v2"], ids=["53 characters", "a dot"])
def test_a_name_that_does_not_fit_is_refused_with_what_fits(lab: Lab, name: str) -> None:
    for manifest in (workload({}, name), policy(schedule(interval="2h"), name)):
        (cause,) = create(lab, "default", manifest, dry_run=True).causes
        assert cause.field == "metadata.name"
        assert "at most 52 characters" in cause.message
        assert "no dots" in cause.message


BASE: Json = {"keys": {"type": "rsa-4096", "dataKeys": [{"name": "a", "bits": 128}, {"name": "b"}]}}

IMMUTABLE = [
    Mistake("another Vault", {"vault": {"connection": "other"}}, "spec.vault.connection", "make a new workload"),
    Mistake("another custody", keys(custody="customer-managed"), "spec.keys.custody", "make a new workload"),
    Mistake("another key type", keys(type="rsa-3072"), "spec.keys.type", "make a new workload"),
    Mistake("the key type left out", keys(type=None), "spec.keys.type", "make a new workload"),
    Mistake("all of keys left out", {"keys": None}, "spec.keys.type", "make a new workload"),
    Mistake("a longer data key", keys(dataKeys=[{"name": "a", "bits": 256}, {"name": "b"}]), "spec.keys.dataKeys[0]",
            "add a data key with another name"),
    Mistake("the length left out", keys(dataKeys=[{"name": "a"}, {"name": "b"}]), "spec.keys.dataKeys[0]",
            "add a data key with another name"),
    Mistake("a shorter data key than the default", keys(dataKeys=[{"name": "a", "bits": 128}, {"name": "b", "bits": 128}]),
            "spec.keys.dataKeys[1]", "add a data key with another name"),
]  # fmt: skip

PLAIN: Json = {"keys": {}}
DERIVED: Json = {
    "keys": {"derived": True, "dataKeys": [{"name": "a", "context": "t"}, {"name": "b", "context": "t"}]}
}

IMMUTABLE_DERIVATION = [
    (PLAIN, Mistake("a key that derives now", keys(derived=True), "spec.keys.derived", "make a new workload")),
    (DERIVED, Mistake("a key that derives no more", keys(derived=False, dataKeys=[]), "spec.keys.derived", "make a new workload")),
    (DERIVED, Mistake("derived left out", keys(derived=None, dataKeys=[]), "spec.keys.derived", "make a new workload")),
    (DERIVED, Mistake("another context", keys(dataKeys=[{"name": "a", "context": "u"}, {"name": "b", "context": "t"}]),
                      "spec.keys.dataKeys[0]", "add a data key with another name")),
    (PLAIN, Mistake("a customer who brings the key now", keys(custody="customer-managed"), "spec.keys.custody",
                    "make a new workload")),
    (DERIVED, Mistake("a customer who holds the key now", keys(custody="hold-your-own-key"), "spec.keys.custody",
                      "make a new workload")),
]  # fmt: skip


@pytest.mark.parametrize("mistake", IMMUTABLE, ids=str)
def test_what_cannot_change_is_refused_and_explained(lab: Lab, namespace: str, mistake: Mistake) -> None:
    assert create(lab, namespace, workload(BASE)).accepted
    assert_refused(merge(lab, namespace, workload(), {"spec": mistake.spec}), mistake)


@pytest.mark.parametrize(
    ("base", "mistake"), IMMUTABLE_DERIVATION, ids=[mistake.what for _, mistake in IMMUTABLE_DERIVATION]
)
def test_a_derivation_or_custody_cannot_change_and_it_is_explained(
    lab: Lab, namespace: str, base: Json, mistake: Mistake
) -> None:
    assert create(lab, namespace, workload(base)).accepted
    assert_refused(merge(lab, namespace, workload(), {"spec": mistake.spec}), mistake)


def test_what_can_change_does(lab: Lab, namespace: str) -> None:
    assert create(lab, namespace, workload(BASE)).accepted
    grown = copy.deepcopy(BASE["keys"]["dataKeys"])
    grown = [{"name": "c", "bits": 512}, grown[1] | {"bits": 256}, grown[0]]
    answer = merge(lab, namespace, workload(), {"spec": {"keys": {"dataKeys": grown}, "suspend": True}})
    assert answer.accepted, answer.causes


def test_many_mistakes_are_all_named_at_once(lab: Lab) -> None:
    spec = port(0) | names("example.com") | {"access": {"tokenTTL": "1m", **rule(verbs=["*"])["access"]}}
    answer = create(lab, "default", workload(spec), dry_run=True)
    assert {cause.field for cause in answer.causes} == {
        "spec.network.ingress[0].ports[0]",
        "spec.certificate.dnsNames[0]",
        "spec.access.tokenTTL",
        "spec.access.rules[0].verbs[0]",
    }


def test_kubectl_shows_the_message_to_the_person_who_applies(lab: Lab, namespace: str) -> None:
    manifest = workload(keys(type="ed25519", dataKeys=[{"name": "a"}]))
    done = lab.kubectl(
        "-n", namespace, "apply", "-f", "-", input=str(manifest).replace("'", '"'), check=False
    )
    assert done.returncode != 0
    assert "or remove dataKeys" in done.stderr
