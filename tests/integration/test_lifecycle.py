"""What a SecureAIWorkload makes, in Kubernetes and in Vault; that changes are carried out; and that nothing else is written."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from lab import Lab, RequestFailed
from secureai_operator import names
from secureai_operator.api.resources import (
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from tests.fixtures_operator import SharedOperator, Workloads
from tests.integration.audits import Audit
from tests.integration.vault_identity import PKI, TRANSIT, Identity, pod_token, vault_name

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

READ_CONFIG = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}
MODEL = {"dataKeys": [{"name": "model"}]}

Json = dict[str, Any]


def owned(workloads: Workloads, namespace: str, resource: Resource, name: str) -> Json:
    """The object, with the metadata that every owned object has."""
    found = workloads.find(resource, namespace, name)
    assert found is not None, f"{resource.kind} {name} does not exist"
    metadata, cr = found["metadata"], workloads.get(namespace)["metadata"]
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.WORKLOAD_LABEL: cr["name"]}
    assert labels.items() <= metadata["labels"].items()
    (owner,) = metadata["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["kind"]) == (cr["uid"], True, "SecureAIWorkload")
    return found


def data(secret: Json) -> dict[str, bytes]:
    return {entry: base64.b64decode(value) for entry, value in secret["data"].items()}


def certificate(workloads: Workloads, namespace: str, name: str = "llm") -> x509.Certificate:
    secret = workloads.find(SECRETS, namespace, names.tls_secret(name))
    assert secret is not None
    return x509.load_pem_x509_certificate(data(secret)["tls.crt"])


def sans(found: x509.Certificate) -> list[str]:
    extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return extension.value.get_values_for_type(x509.DNSName)


def refused(request: RequestFailed) -> bool:
    return request.status in (400, 403)


# What it makes


def test_an_empty_spec_becomes_ready_and_secure(workloads: Workloads, namespace: str) -> None:
    status = workloads.ready(namespace)["status"]

    reasons = {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}
    assert reasons == {
        "Ready": ("True", "AllReady"),
        "Reconciling": ("False", "Settled"),
        "Stalled": ("False", "Settled"),
        "IdentityReady": ("True", "IdentityEstablished"),
        "KeyReady": ("True", "KeyAvailable"),
        "CertificateReady": ("True", "CertificateIssued"),
        "AccessGranted": ("True", "NoAccessRequested"),
        "NetworkIsolated": ("True", "PoliciesApplied"),
        "ConfidentialSchedulable": ("True", "Schedulable"),
        "PodsBound": ("True", "NoPods"),
        "VaultReachable": ("True", "VaultHealthy"),
        "RotationOnTrack": ("True", "NoRotationPolicy"),
        "DriftDetected": ("False", "NoDrift"),
    }
    assert status["binding"]["ready"] is True
    assert status["binding"]["serviceAccountName"] == "saw-llm"
    assert status["binding"]["audience"] == f"vault://main/{namespace}/llm"
    assert names.FINALIZER in workloads.get(namespace)["metadata"]["finalizers"]


def test_the_service_account_has_no_standing_token(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    account = owned(workloads, namespace, SERVICE_ACCOUNTS, "saw-llm")
    assert account["automountServiceAccountToken"] is False
    assert "secrets" not in account


def test_access_is_a_role_with_exactly_the_declared_rules(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, access={"rules": [READ_CONFIG]})

    assert owned(workloads, namespace, ROLES, "saw-llm")["rules"] == [READ_CONFIG]
    binding = owned(workloads, namespace, ROLE_BINDINGS, "saw-llm-rules")
    assert binding["roleRef"]["name"] == "saw-llm"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "saw-llm", "namespace": namespace}]


def test_without_rules_there_is_no_role(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    assert workloads.find(ROLES, namespace, "saw-llm") is None
    assert workloads.find(ROLE_BINDINGS, namespace, "saw-llm-rules") is None


def test_the_network_is_closed_but_for_what_is_declared(workloads: Workloads, namespace: str) -> None:
    workloads.ready(
        namespace,
        network={
            "ingress": [{"from": [{"namespace": "gateway"}], "ports": [8000]}],
            "egress": [{"to": [{"cidr": "10.20.0.0/16"}], "ports": [443]}],
        },
    )

    spec = owned(workloads, namespace, NETWORK_POLICIES, "saw-llm-allow")["spec"]
    own = {names.WORKLOAD_LABEL: "llm"}
    assert spec["podSelector"] == {
        "matchLabels": own,
        "matchExpressions": [{"key": names.QUARANTINE_LABEL, "operator": "DoesNotExist"}],
    }
    assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
    gateway = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}}
    assert spec["ingress"] == [{"from": [gateway], "ports": [{"port": 8000, "protocol": "TCP"}]}]
    declared, dns, vault = spec["egress"]
    assert declared == {
        "to": [{"ipBlock": {"cidr": "10.20.0.0/16"}}],
        "ports": [{"port": 443, "protocol": "TCP"}],
    }
    assert {port["port"] for port in dns["ports"]} == {53}
    assert vault["to"] == [{"ipBlock": {"cidr": "127.0.0.1/32"}}]

    standing = owned(workloads, namespace, NETWORK_POLICIES, "saw-llm-quarantine")["spec"]
    assert sorted(standing["policyTypes"]) == ["Egress", "Ingress"]
    assert standing["podSelector"]["matchExpressions"][0]["operator"] == "Exists"
    assert not standing.get("ingress")
    assert not standing.get("egress")


def test_the_keys_secret_holds_wrapped_data_keys_and_nothing_else(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    keys = {"dataKeys": [{"name": "model"}, {"name": "prompts", "bits": 512}]}
    status = workloads.ready(namespace, keys=keys)["status"]

    secret = owned(workloads, namespace, SECRETS, "saw-llm-keys")
    wrapped = {entry: value.decode() for entry, value in data(secret).items()}
    assert secret["type"] == "Opaque"
    assert wrapped == {item["name"]: item["wrapped"] for item in status["dataKeys"]}
    assert all(value.startswith("vault:v1:") for value in wrapped.values())
    identity = Identity.of(lab, namespace)
    name = vault_name(namespace)
    assert len(identity.decrypt(name, wrapped["model"])) == 32
    assert len(identity.decrypt(name, wrapped["prompts"])) == 64


def test_without_data_keys_there_is_no_keys_secret(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    assert workloads.find(SECRETS, namespace, "saw-llm-keys") is None


def test_the_certificate_verifies_and_says_the_names(lab: Lab, workloads: Workloads, namespace: str) -> None:
    wanted = [f"a.llm.{namespace}.svc", f"llm.{namespace}.svc"]
    workloads.ready(namespace, certificate={"dnsNames": wanted, "ttl": "1h"})

    secret = owned(workloads, namespace, SECRETS, "saw-llm-tls")
    content = data(secret)
    assert (secret["type"], sorted(content)) == ("kubernetes.io/tls", ["ca.crt", "tls.crt", "tls.key"])
    leaf = x509.load_pem_x509_certificate(content["tls.crt"])
    roots = x509.load_pem_x509_certificates(content["ca.crt"])
    now = datetime.now(UTC)
    for name in wanted:
        verifier = PolicyBuilder().store(Store(roots)).time(now).build_server_verifier(x509.DNSName(name))
        verifier.verify(leaf, [])
    PolicyBuilder().store(Store(roots)).time(now).build_client_verifier().verify(leaf, [])
    assert sorted(sans(leaf)) == wanted
    assert 0 < (leaf.not_valid_after_utc - now).total_seconds() <= 3600
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    ca = lab.vault_request("GET", f"{PKI}/cert/ca")["data"]["certificate"].strip()
    assert ca in content["ca.crt"].decode()


def test_no_certificate_where_none_is_asked_for(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, certificate={"delivery": "None"})
    assert workloads.condition(namespace, "llm", "CertificateReady")["reason"] == "CertificateNotRequested"
    assert workloads.find(SECRETS, namespace, "saw-llm-tls") is None
    with pytest.raises(RequestFailed):
        lab.vault_request("GET", f"{PKI}/roles/{vault_name(namespace)}")


def test_vault_holds_a_key_that_cannot_leave_it(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    key = lab.vault_request("GET", f"{TRANSIT}/keys/{vault_name(namespace)}")["data"]
    assert key["type"] == "aes256-gcm96"
    assert not any(key[flag] for flag in ("exportable", "allow_plaintext_backup", "deletion_allowed"))


def test_the_policy_names_exactly_the_workloads_own_paths(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace)
    name = vault_name(namespace)
    text = lab.vault_request("GET", f"sys/policies/acl/{name}")["data"]["policy"]
    paths = {line.split('"')[1] for line in text.splitlines() if line.startswith("path ")}
    own = {path for path in paths if not path.startswith("auth/token/")}
    assert own
    assert all(path.endswith(f"/{name}") for path in own)
    assert not any("*" in path or "+" in path for path in paths)


def test_the_auth_role_is_bound_to_this_account_and_audience(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace, access={"tokenTTL": "20m"})
    role = lab.vault_request("GET", f"auth/kubernetes/role/{vault_name(namespace)}")["data"]
    assert role["bound_service_account_names"] == ["saw-llm"]
    assert role["bound_service_account_namespaces"] == [namespace]
    assert role["audience"] == f"vault://main/{namespace}/llm"
    assert role["token_policies"] == [vault_name(namespace)]
    assert role["token_no_default_policy"] is True
    assert role["token_ttl"] == 1200


def test_the_pki_role_signs_only_the_declared_names(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    role = lab.vault_request("GET", f"{PKI}/roles/{vault_name(namespace)}")["data"]
    assert role["allowed_domains"] == [f"llm.{namespace}.svc"]
    assert not any(role[flag] for flag in ("allow_subdomains", "allow_any_name", "allow_glob_domains"))


# Its identity


def test_the_workloads_own_token_encrypts_and_decrypts(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace)
    identity, name = Identity.of(lab, namespace), vault_name(namespace)
    assert identity.auth["policies"] == [name]
    assert identity.decrypt(name, identity.encrypt(name, b"weights")) == b"weights"


def test_another_workloads_token_opens_nothing(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, "one")
    workloads.ready(namespace, "two")
    one, two = vault_name(namespace, "one"), vault_name(namespace, "two")
    ciphertext = Identity.of(lab, namespace, "one").encrypt(one, b"weights")
    stranger = Identity.of(lab, namespace, "two")

    for request in (
        lambda: Identity.login(lab, one, pod_token(lab, namespace, "two")),
        lambda: stranger.decrypt(one, ciphertext),
        lambda: stranger.encrypt(one, b"x"),
        lambda: stranger.request("GET", f"{TRANSIT}/keys/{one}"),
        lambda: stranger.request("POST", f"{PKI}/sign/{one}", {"csr": "x"}),
        lambda: stranger.request("POST", f"{TRANSIT}/keys/{two}/rotate"),
        lambda: stranger.request("GET", f"{TRANSIT}/export/encryption-key/{two}"),
    ):
        with pytest.raises(RequestFailed) as denied:
            request()
        assert refused(denied.value)


@pytest.mark.parametrize("audience", [None, "vault", "vault://main/elsewhere/llm"])
def test_a_token_for_another_audience_does_not_log_in(
    lab: Lab, workloads: Workloads, namespace: str, audience: str | None
) -> None:
    workloads.ready(namespace)
    token = lab.token(namespace, "saw-llm", audience, seconds=600)
    with pytest.raises(RequestFailed) as denied:
        Identity.login(lab, vault_name(namespace), token)
    assert refused(denied.value)


def test_the_declared_access_is_what_the_account_has(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, access={"rules": [READ_CONFIG]})
    kubeconfig = lab.kubeconfig_for(namespace, "saw-llm")

    def may(*question: str) -> bool:
        answer = lab.kubectl("auth", "can-i", *question, "-n", namespace, kubeconfig=kubeconfig, check=False)
        return answer.returncode == 0

    assert may("get", "configmaps/a")
    assert not may("get", "configmaps/b")
    assert not may("list", "configmaps")
    assert not may("get", "secrets/saw-llm-keys")


# Changes


def test_access_rules_come_and_go_with_the_spec(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    workloads.respec(namespace, access={"rules": [READ_CONFIG]})
    workloads.wait_ready(namespace)
    assert owned(workloads, namespace, ROLES, "saw-llm")["rules"] == [READ_CONFIG]
    assert owned(workloads, namespace, ROLE_BINDINGS, "saw-llm-rules")

    workloads.respec(namespace, access={"rules": [{**READ_CONFIG, "resourceNames": ["b"]}]})
    workloads.wait_ready(namespace)
    assert owned(workloads, namespace, ROLES, "saw-llm")["rules"][0]["resourceNames"] == ["b"]

    workloads.respec(namespace, access={"rules": []})
    workloads.wait_ready(namespace)
    assert workloads.find(ROLES, namespace, "saw-llm") is None
    assert workloads.find(ROLE_BINDINGS, namespace, "saw-llm-rules") is None
    assert workloads.get(namespace)["status"].get("lastDrift") is None


def test_role_references_come_and_go_with_the_spec(lab: Lab, workloads: Workloads, namespace: str) -> None:
    role = {"metadata": {"name": "reader"}, "rules": [{**READ_CONFIG, "resourceNames": ["x"]}]}
    lab.api.request("POST", ROLES.path(namespace), role)
    workloads.ready(namespace, access={"roleRefs": [{"name": "reader"}]})
    binding = owned(workloads, namespace, ROLE_BINDINGS, "saw-llm-ref0")
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", "reader")

    workloads.respec(namespace, access={"roleRefs": []})
    workloads.wait_ready(namespace)
    assert workloads.find(ROLE_BINDINGS, namespace, "saw-llm-ref0") is None


def test_a_data_key_is_added_and_the_others_stay(lab: Lab, workloads: Workloads, namespace: str) -> None:
    before = workloads.ready(namespace, keys=MODEL)["status"]["dataKeys"]
    workloads.respec(namespace, keys={"dataKeys": [{"name": "model"}, {"name": "prompts"}]})
    workloads.wait_ready(namespace)

    found = data(owned(workloads, namespace, SECRETS, "saw-llm-keys"))
    assert sorted(found) == ["model", "prompts"]
    assert found["model"].decode() == before[0]["wrapped"]
    assert len(Identity.of(lab, namespace).decrypt(vault_name(namespace), found["prompts"].decode())) == 32


def test_a_data_key_that_is_no_longer_declared_is_kept(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}, {"name": "prompts"}]})
    workloads.respec(namespace, keys=MODEL)
    workloads.wait_ready(namespace)
    assert sorted(data(owned(workloads, namespace, SECRETS, "saw-llm-keys"))) == ["model", "prompts"]


def test_changed_certificate_names_are_issued_anew(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    first = certificate(workloads, namespace)
    wanted = [f"a.{namespace}.svc", f"b.{namespace}.svc"]
    workloads.respec(namespace, certificate={"dnsNames": wanted})
    workloads.wait_ready(namespace)

    second = certificate(workloads, namespace)
    assert sorted(sans(second)) == wanted
    assert second.serial_number != first.serial_number
    status = workloads.get(namespace)["status"]
    assert int(status["certificate"]["serial"].replace(":", ""), 16) == second.serial_number
    assert status.get("lastDrift") is None


def test_changed_usages_are_issued_anew(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    workloads.respec(namespace, certificate={"usages": ["client"]})
    workloads.wait_ready(namespace)
    usages = certificate(workloads, namespace).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usages.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_the_certificate_goes_when_it_is_no_longer_wanted(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    workloads.respec(namespace, certificate={"delivery": "None"})
    workloads.wait_ready(namespace)
    workloads.wait_absent(SECRETS, namespace, "saw-llm-tls")


def test_network_changes_are_carried_out(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    workloads.respec(
        namespace, network={"dns": False, "ingress": [{"from": [{"workload": "gateway"}], "ports": [8000]}]}
    )
    workloads.wait_ready(namespace)
    spec = owned(workloads, namespace, NETWORK_POLICIES, "saw-llm-allow")["spec"]
    peer = {"podSelector": {"matchLabels": {names.WORKLOAD_LABEL: "gateway"}}}
    assert spec["ingress"] == [{"from": [peer], "ports": [{"port": 8000, "protocol": "TCP"}]}]
    assert len(spec["egress"]) == 1


def test_the_token_lifetime_follows_the_spec(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    workloads.respec(namespace, access={"tokenTTL": "30m"})
    binding = workloads.wait_ready(namespace)["status"]["binding"]
    assert binding["tokenExpirationSeconds"] == 1800
    assert (
        lab.vault_request("GET", f"auth/kubernetes/role/{vault_name(namespace)}")["data"]["token_ttl"] == 1800
    )
    assert workloads.get(namespace)["status"].get("lastDrift") is None


# How little it writes


def test_a_new_workload_costs_few_writes(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, "first")  # pays for the namespace's own RoleBinding
    audit = Audit(lab)
    workloads.ready(namespace)

    owned_objects = 4  # ServiceAccount, two NetworkPolicies, the certificate's Secret
    writes = audit.kube_writes(namespace)
    assert len(writes) <= owned_objects + 2, writes
    assert len(audit.vault_writes(vault_name(namespace))) <= 5, audit.vault_writes(vault_name(namespace))


def test_a_pass_over_a_healthy_workload_writes_nothing(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    """Asked for by the annotation, whose value the status repeats once the pass is done: that is the one write."""
    workloads.ready(namespace, keys=MODEL, access={"rules": [READ_CONFIG]})
    audit = Audit(lab)
    workloads.patch(namespace, "llm", {"metadata": {"annotations": {names.RESYNC_ANNOTATION: "1"}}})
    lab.wait_for(lambda: workloads.get(namespace)["status"].get("resync") == "1", 60, "the pass")

    def probed() -> bool:
        reads = [request for request in audit.vault(vault_name(namespace)) if request.operation == "read"]
        return len(reads) >= 12  # four things each time

    lab.wait_for(probed, 60, "two more looks at Vault")
    (write,) = audit.kube_writes(namespace)
    assert (write.resource, write.subresource) == ("secureaiworkloads", "status")
    assert audit.vault_writes(vault_name(namespace)) == []


def test_a_restart_over_a_healthy_fleet_writes_nothing(
    lab: Lab, workloads: Workloads, namespace: str, operator: SharedOperator
) -> None:
    for name in ("one", "two", "three"):
        workloads.create(namespace, name, keys=MODEL, access={"rules": [READ_CONFIG]})
    for name in ("one", "two", "three"):
        workloads.wait_ready(namespace, name)
    operator.stop()
    audit = Audit(lab)
    operator.start()

    def looked() -> bool:
        paths = {request.path for request in audit.vault(f".{namespace}.") if "policies" in request.path}
        return len(paths) == 3

    lab.wait_for(looked, 60, "a look at each workload in Vault")
    telemetry = operator.telemetry
    lab.wait_for(
        lambda: telemetry.metric("secureai_workload_condition", namespace=namespace, type="Ready") == 3,
        15,
        "a finished pass over each workload",
    )
    assert audit.kube_writes(namespace) == []
    assert audit.vault_writes(f".{namespace}.") == []


def test_a_status_that_somebody_changed_is_put_right(lab: Lab, workloads: Workloads, namespace: str) -> None:
    """Pods are bound by what the status says: nobody else may say it."""
    workloads.ready(namespace)
    body = {"status": {"binding": {"serviceAccountName": "someone-elses"}}}
    lab.api.request(
        "PATCH",
        f"/apis/{names.API_VERSION}/namespaces/{namespace}/secureaiworkloads/llm/status",
        body,
        "application/merge-patch+json",
    )
    lab.wait_for(
        lambda: workloads.get(namespace)["status"]["binding"]["serviceAccountName"] == "saw-llm",
        5,
        "the status to be put right",
    )
