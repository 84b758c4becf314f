"""Values of the chart, by a real Helm: all that can be set arrives, and what is wrong is refused before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureai_operator.settings import Settings, load
from tests.integration.charts import CERTIFICATE, NAMESPACE, charted, helm, template
from tests.unit.test_helm import CHART, Json

# The first one builds Helm: minutes on a machine that never did.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

ALL_SETTINGS: Json = {
    "cluster": "other",
    "operatorNamespace": NAMESPACE,
    "connections": {
        "default": {
            "address": "https://vault.example.com",
            "caFile": "/etc/secureai/vault-ca/ca.crt",
            "vaultNamespace": "team",
            "transitMount": "transit",
            "pkiMount": "pki/two",
            "authMount": "k8s",
            "role": "other",
            "tokenFile": "/var/run/token",
            "allowInsecureHttp": True,
            "destroyRole": "destroy",
            "retireRole": "retire",
            "customerHeld": True,
            "timeoutSeconds": 2.5,
            "maxInFlight": 9,
            "requestsPerSecond": 12345678,
            "burst": 3000000,
            "peers": [{"cidr": "10.0.0.0/8"}],
            "port": 443,
        },
        "second": {"address": "http://10.0.0.1:8300", "allowInsecureHttp": True},
    },
    "binding": "Webhook",
    "webhook": {
        "host": "a.b.svc",
        "port": 9555,
        "certificateFile": "/a",
        "keyFile": "/b",
        "caFile": "/c",
    },
    "workers": 17,
    "vaultProbeSeconds": 0.5,
    "leaseSeconds": 15,
    "httpPort": 8081,
    "httpHost": "::",
    "dnsPeers": [{"namespace": "dns", "podLabels": {"a": "b"}}, {"cidr": "10.0.0.10/32"}],
    "apiServerPeers": [{"cidr": "10.0.0.1/32"}],
    "apiServerPort": 443,
    "evictUnboundPods": False,
    "orphanDeadlineSeconds": 31,
    "shutdownSeconds": 20,
    "tracing": {"endpoint": "http://collector.observability.svc:4318", "sampleRatio": 0.25},
}
"""A value that is no default for each setting but the one that is fixed."""


def test_every_setting_arrives_at_the_operator_as_it_was_set(tmp_path: Path) -> None:
    plain, expected = Settings(), Settings.model_validate(ALL_SETTINGS)
    same = {name for name in Settings.model_fields if getattr(plain, name) == getattr(expected, name)}
    assert same == {"operator_namespace"}
    given = {"config": ALL_SETTINGS}
    config = tmp_path / "config.yaml"
    config.write_text(
        charted(tmp_path, given)["ConfigMap", NAMESPACE, "secureai-operator"]["data"]["config.yaml"]
    )
    assert load(config) == expected


def test_ports_grace_and_network_follow_the_settings(tmp_path: Path) -> None:
    made = charted(tmp_path, {"config": ALL_SETTINGS})
    pod = made["Deployment", NAMESPACE, "secureai-operator"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [9555, 8081]
    assert pod["terminationGracePeriodSeconds"] == 33
    (port,) = made["Service", NAMESPACE, "secureai-operator"]["spec"]["ports"]
    assert port["port"] == 8081
    policy = made["NetworkPolicy", NAMESPACE, "secureai-operator"]["spec"]
    assert [rule["ports"][0]["port"] for rule in policy["ingress"]] == [8081, 9555]
    dns, _, vault, traces = policy["egress"]
    assert dns["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dns"}},
            "podSelector": {"matchLabels": {"a": "b"}},
        },
        {"ipBlock": {"cidr": "10.0.0.10/32"}},
    ]
    assert [port["port"] for port in vault["ports"]] == [443, 8300]
    assert [port["port"] for port in traces["ports"]] == [4318]


def test_what_a_cluster_needs_of_its_own_can_be_set(tmp_path: Path) -> None:
    peers = [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    digest = f"sha256:{'a' * 64}"
    made = charted(
        tmp_path,
        {
            "image": {"repository": "registry.example.com:5000/a/b", "digest": digest},
            "imagePullSecrets": [{"name": "pull"}],
            "nodeSelector": {"a": "b"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "podAnnotations": {"a": "1"},
            "vaultCertificates": {"ca.crt": CERTIFICATE},
            "config": {"connections": {"default": None, "own": {"address": "https://v:1"}}},
            "networkPolicy": dict.fromkeys(("apiServerPeers", "vaultPeers", "metricsPeers"), peers),
            "nodeAgent": {"enabled": True, "nodeSelector": {"c": "d"}, "tolerations": []},
        },
    )
    template = made["Deployment", NAMESPACE, "secureai-operator"]["spec"]["template"]
    pod, agent = template["spec"], made["DaemonSet", "secureai-node-agent", "secureai-node-agent"]
    assert pod["containers"][0]["image"] == f"registry.example.com:5000/a/b@{digest}"
    assert agent["spec"]["template"]["spec"]["containers"][0]["image"] == pod["containers"][0]["image"]
    assert agent["spec"]["template"]["spec"]["nodeSelector"] == {"c": "d"}
    assert "tolerations" not in agent["spec"]["template"]["spec"]
    assert (pod["imagePullSecrets"], pod["nodeSelector"]) == ([{"name": "pull"}], {"a": "b"})
    assert (pod["tolerations"], pod["affinity"]) == ([{"operator": "Exists"}], {"nodeAffinity": {}})
    assert template["metadata"]["annotations"]["a"] == "1"
    assert made["ConfigMap", NAMESPACE, "secureai-vault-ca"]["data"] == {"ca.crt": CERTIFICATE}
    policy = made["NetworkPolicy", NAMESPACE, "secureai-operator"]["spec"]
    assert [rule["to"] for rule in policy["egress"][1:]] == [peers, peers]
    assert policy["ingress"][0]["from"] == peers
    config = yaml.safe_load(made["ConfigMap", NAMESPACE, "secureai-operator"]["data"]["config.yaml"])
    assert config["connections"] == {"own": {"address": "https://v:1"}}


def test_a_new_configuration_makes_new_pods_and_a_new_replica_count_does_not(tmp_path: Path) -> None:
    def pods(given: Json) -> Any:
        return charted(tmp_path, given)["Deployment", NAMESPACE, "secureai-operator"]["spec"]["template"]

    plain = pods({})
    assert pods({"replicas": 3}) == plain
    assert pods({"config": {"workers": 17}}) != plain
    assert pods({"vaultCertificates": {"ca.crt": CERTIFICATE}}) != plain


def test_the_webhook_s_certificate_is_one_s_own_or_an_issuer_s(tmp_path: Path) -> None:
    binding = {"config": {"binding": "Webhook"}}
    key = ("MutatingWebhookConfiguration", "", "secureai-bind-pods")
    own = charted(tmp_path, {**binding, "webhook": {"caBundle": CERTIFICATE}})
    assert own[key]["webhooks"][0]["clientConfig"]["caBundle"]
    assert "annotations" not in own[key]["metadata"]
    issued = charted(tmp_path, {**binding, "webhook": {"issuerRef": {"name": "ca", "kind": "ClusterIssuer"}}})
    certificate = issued["Certificate", NAMESPACE, "secureai-operator-webhook"]["spec"]
    assert certificate["issuerRef"] == {"name": "ca", "kind": "ClusterIssuer"}
    assert certificate["dnsNames"] == ["secureai-operator-webhook.secureai-system.svc"]
    assert certificate["secretName"] == "secureai-operator-webhook"


def rule(**other: Any) -> Json:
    return {
        "grantCeiling": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], **other}]}
    }


def connection(**settings: Any) -> Json:
    return {"config": {"connections": {"default": settings}}}


BAD: Mapping[str, tuple[Json, str]] = {
    "a value that is not known": ({"replica": 3}, "additional properties 'replica'"),
    "a setting that is not known": ({"config": {"worker": 3}}, "additional properties 'worker'"),
    "a connection's setting that is not known": (connection(adress="x"), "additional properties 'adress'"),
    "a connection that no workload could name": (
        {"config": {"connections": {"My_Vault": {"address": "https://v"}}}},
        "additional properties 'My_Vault'",
    ),
    "no replica": ({"replicas": 0}, "replicas"),
    "another namespace for the operator": ({"config": {"operatorNamespace": "other"}}, "operatorNamespace"),
    "a port that only root may take": ({"config": {"httpPort": 80}}, "httpPort"),
    "probes that nobody reaches": ({"config": {"httpHost": "127.0.0.1"}}, "httpHost"),
    "Vault in the open": (connection(address="http://vault.vault.svc:8200"), "allowInsecureHttp"),
    "an address with a path": (connection(address="https://vault/v1"), "address"),
    "a peer that is everywhere": (connection(peers=[{}]), "peers"),
    "a peer in two places": (connection(peers=[{"cidr": "10.0.0.0/8", "namespace": "a"}]), "peers"),
    "a binding that is not known": ({"config": {"binding": "Hook"}}, "binding"),
    "secrets within the ceiling": (rule(resources=["secrets"]), "resources"),
    "everything within the ceiling": (rule(resources=["*"]), "resources"),
    "all verbs within the ceiling": (rule(verbs=["*"]), "verbs"),
    "escalation within the ceiling": (rule(verbs=["escalate"]), "verbs"),
    "a private key among certificates": (
        {"vaultCertificates": {"tls.pem": CERTIFICATE + "-----BEGIN PRIVATE KEY-----\n"}},
        "vaultCertificates",
    ),
    "a file outside of its folder": ({"vaultCertificates": {"../ca.crt": CERTIFICATE}}, "../ca.crt"),
    "an image with a space": ({"image": {"repository": "a b"}}, "repository"),
    "nothing for the image": ({"image": None}, "missing property 'image'"),
    "an issuer without a name": ({"webhook": {"issuerRef": {"kind": "Issuer"}}}, "issuerRef"),
    "a peer of the policy that says nothing": ({"networkPolicy": {"vaultPeers": [{}]}}, "vaultPeers"),
}
"""What a value does, the values, and a word of the refusal."""


@pytest.mark.parametrize("what", BAD)
def test_a_bad_value_is_refused_by_name(tmp_path: Path, what: str) -> None:
    given, word = BAD[what]
    done = template(tmp_path, given, check=False)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr
    assert word in done.stderr


def test_another_namespace_is_refused_with_what_to_add(tmp_path: Path) -> None:
    done = template(tmp_path, None, "--namespace", "other", check=False)
    assert done.returncode != 0
    assert "Add: --namespace secureai-system" in done.stderr


def test_helm_has_nothing_to_say_against_the_chart(tmp_path: Path) -> None:
    said = helm("lint", "--strict", CHART, "--namespace", NAMESPACE, home=tmp_path).stdout
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said
