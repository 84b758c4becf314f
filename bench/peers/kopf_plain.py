"""A plain Kopf operator, as Kopf's tutorial teaches: handlers for creation and update, a timer per CR for drift.

It makes what ours makes for the CRs of the storm: 8 objects, and as much in Vault. It is written for comparison only, with the
official synchronous clients, and knows no more than the tutorial tells. Run with `kopf run`; what it needs is in its environment.
"""

from __future__ import annotations

import base64
import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hvac
import kopf
import kubernetes
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kubernetes.client import ApiException, CoreV1Api, NetworkingV1Api, RbacAuthorizationV1Api

Json = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
NOT_FOUND, CONFLICT = 404, 409
DRIFT_SECONDS = float(os.environ.get("PEER_DRIFT_SECONDS", "30"))
WORKERS = int(os.environ.get("PEER_WORKERS", "32"))
TRANSIT, PKI, AUTH = (os.environ.get(f"PEER_{name}_MOUNT", "") for name in ("TRANSIT", "PKI", "AUTH"))
PREFIX = os.environ.get("PEER_VAULT_PREFIX", "")

vault = hvac.Client(url=os.environ.get("VAULT_ADDR"))


@kopf.on.startup()
def log_in(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Both clients, and as many threads as handlers may use: Kopf's own default is six on two cores."""
    settings.execution.max_workers = WORKERS
    kubernetes.config.load_kube_config()
    configuration = kubernetes.client.Configuration.get_default_copy()
    configuration.connection_pool_maxsize = WORKERS
    kubernetes.client.Configuration.set_default(configuration)
    token = Path(os.environ["PEER_TOKEN_FILE"]).read_text(encoding="utf-8")
    vault.auth.kubernetes.login(role=os.environ["PEER_VAULT_ROLE"], jwt=token, mount_point=AUTH)


@kopf.on.create("secureai.dev", "v1alpha1", "secureaiworkloads")
@kopf.on.update("secureai.dev", "v1alpha1", "secureaiworkloads")
def provide(body: kopf.Body, meta: kopf.Meta, patch: kopf.Patch, **_: Any) -> None:
    """Everything, one request after the other; then the status."""
    write_to_vault(body)
    for item in [*access(body), *policies(body)]:
        apply(body, item)
    for secret in (keys_secret, certificate_secret):
        if read(body, "Secret", secret_name(body, secret)) is None:
            apply(body, secret(body))
    patch.status["conditions"] = [
        {
            "type": "Ready",
            "status": "True",
            "reason": "AllReady",
            "lastTransitionTime": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "observedGeneration": meta["generation"],
        }
    ]


@kopf.timer(
    "secureai.dev", "v1alpha1", "secureaiworkloads", interval=DRIFT_SECONDS, initial_delay=DRIFT_SECONDS
)
def mend(body: kopf.Body, **_: Any) -> None:
    """Read each object and write what differs. Of a Secret only whether it is there: what was in it nobody knows any more."""
    for item in [*access(body), *policies(body)]:
        live = read(body, item["kind"], item["metadata"]["name"])
        if live is None or differs(item, live):
            apply(body, item)
    for secret in (keys_secret, certificate_secret):
        if read(body, "Secret", secret_name(body, secret)) is None:
            apply(body, secret(body))


@kopf.on.delete("secureai.dev", "v1alpha1", "secureaiworkloads")
def remove(body: kopf.Body, **_: Any) -> None:
    name = vault_name(body)
    vault.delete(f"auth/{AUTH}/role/{name}")
    vault.delete(f"{PKI}/roles/{name}")
    vault.sys.delete_policy(name)


# Vault


def write_to_vault(body: kopf.Body) -> None:
    """The key, the policy, the role to log in with, and the role of certificates."""
    name, namespace = vault_name(body), body["metadata"]["namespace"]
    vault.secrets.transit.create_key(name, key_type="aes256-gcm96", mount_point=TRANSIT)
    rules = [
        f'path "{TRANSIT}/{verb}/{name}" {{ capabilities = ["update"] }}' for verb in ("encrypt", "decrypt")
    ]
    vault.sys.create_or_update_policy(name, "\n".join(rules))
    vault.write_data(
        f"auth/{AUTH}/role/{name}",
        data={
            "bound_service_account_names": owned_name(body),
            "bound_service_account_namespaces": namespace,
            "audience": f"vault://{namespace}/{body['metadata']['name']}",
            "token_policies": name,
            "token_ttl": "15m",
        },
    )
    vault.write_data(
        f"{PKI}/roles/{name}",
        data={"allowed_domains": dns_name(body), "allow_bare_domains": True, "key_type": "any", "ttl": "24h"},
    )


def vault_name(body: kopf.Body) -> str:
    return f"{PREFIX}{body['metadata']['namespace']}.{body['metadata']['name']}"


def dns_name(body: kopf.Body) -> str:
    return f"{body['metadata']['name']}.{body['metadata']['namespace']}.svc"


# Kubernetes


def owned_name(body: kopf.Body, suffix: str = "") -> str:
    return f"saw-{body['metadata']['name']}{suffix}"


def access(body: kopf.Body) -> Iterator[Json]:
    account, granted = owned_name(body), body["spec"]["access"]
    yield {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": account},
        "automountServiceAccountToken": False,
    }
    yield {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": account},
        "rules": [dict(rule) for rule in granted["rules"]],
    }
    yield binding(body, "-rules", account)
    for index, reference in enumerate(granted["roleRefs"]):
        yield binding(body, f"-ref{index}", reference["name"])


def binding(body: kopf.Body, suffix: str, role: str) -> Json:
    namespace = body["metadata"]["namespace"]
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": owned_name(body, suffix)},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": owned_name(body), "namespace": namespace}],
    }


def policies(body: kopf.Body) -> Iterator[Json]:
    ingress = [
        {
            "from": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": peer["namespace"]}}}
                for peer in rule["from"]
            ],
            "ports": [{"port": port, "protocol": "TCP"} for port in rule["ports"]],
        }
        for rule in body["spec"]["network"]["ingress"]
    ]
    yield policy(body, "-allow", "DoesNotExist", {"ingress": ingress})
    yield policy(body, "-quarantine", "Exists", {})


def policy(body: kopf.Body, suffix: str, quarantine: str, rules: Json) -> Json:
    selector = {
        "matchLabels": {"secureai.dev/workload": body["metadata"]["name"]},
        "matchExpressions": [{"key": "secureai.dev/quarantine", "operator": quarantine}],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": owned_name(body, suffix)},
        "spec": {"podSelector": selector, "policyTypes": ["Ingress", "Egress"], **rules},
    }


def keys_secret(body: kopf.Body) -> Json:
    """New wrapped data keys: earlier ones are known from nowhere but the Secret."""
    data = {}
    for key in body["spec"]["keys"]["dataKeys"]:
        answer = vault.secrets.transit.generate_data_key(
            vault_name(body), key_type="wrapped", mount_point=TRANSIT
        )
        data[key["name"]] = encoded(answer["data"]["ciphertext"].encode())
    name = secret_name(body, keys_secret)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", "data": data}


def certificate_secret(body: kopf.Body) -> Json:
    """A new key and a certificate for it."""
    key, dns = ec.generate_private_key(ec.SECP256R1()), dns_name(body)
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns[:64])]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    csr = request.public_bytes(serialization.Encoding.PEM).decode()
    data = {"csr": csr, "common_name": dns, "ttl": "24h"}
    signed = vault.write_data(f"{PKI}/sign/{vault_name(body)}", data=data)["data"]
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret_name(body, certificate_secret)},
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": encoded(signed["certificate"].encode()),
            "tls.key": encoded(pem),
            "ca.crt": encoded(signed["issuing_ca"].encode()),
        },
    }


def secret_name(body: kopf.Body, made_by: Callable[[kopf.Body], Json]) -> str:
    return owned_name(body, "-keys" if made_by is keys_secret else "-tls")


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def verbs(kind: str) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Create, read and replace of one kind."""
    api, name = {
        "ServiceAccount": (CoreV1Api, "service_account"),
        "Secret": (CoreV1Api, "secret"),
        "Role": (RbacAuthorizationV1Api, "role"),
        "RoleBinding": (RbacAuthorizationV1Api, "role_binding"),
        "NetworkPolicy": (NetworkingV1Api, "network_policy"),
    }[kind]
    client = api(shared_client())
    return (
        getattr(client, f"create_namespaced_{name}"),
        getattr(client, f"read_namespaced_{name}"),
        getattr(client, f"replace_namespaced_{name}"),
    )


_shared: list[kubernetes.client.ApiClient] = []


def shared_client() -> kubernetes.client.ApiClient:
    """One for all threads, so that its connections are kept."""
    if not _shared:
        _shared.append(kubernetes.client.ApiClient())
    return _shared[0]


def apply(body: kopf.Body, item: Json) -> None:
    """Create it, owned by the CR; replace what is there already."""
    kopf.adopt(item, owner=body)
    create, _, replace = verbs(item["kind"])
    namespace = body["metadata"]["namespace"]
    try:
        create(namespace, item)
    except ApiException as error:
        if error.status != CONFLICT:
            raise
        replace(item["metadata"]["name"], namespace, item)


def read(body: kopf.Body, kind: str, name: str) -> Json | None:
    _, get, _ = verbs(kind)
    try:
        live = get(name, body["metadata"]["namespace"])
    except ApiException as error:
        if error.status == NOT_FOUND:
            return None
        raise
    found: Json = shared_client().sanitize_for_serialization(live)
    return found


def differs(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Whether something of what we want is otherwise; what the API server adds is not looked at."""
    parts = wanted.keys() - {"apiVersion", "kind", "metadata"}
    return any(_without_empty(wanted[part]) != _without_empty(live.get(part)) for part in parts)


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_empty(item) for key, item in value.items() if item not in (None, [], {})}
    return value
