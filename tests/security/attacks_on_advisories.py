"""What went wrong in operators like this one, tried here: a row for each advisory."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
from collections.abc import Iterator

from lab.json_lines import end_of_lines
from secureai_operator import names
from secureai_operator.api.resources import CONFIG_MAPS, EVENTS, SECRETS, SECURE_AI_WORKLOADS
from tests.integration.audits import kube_requests
from tests.integration.crd_objects import Json
from tests.integration.installation import operator as operators_identity
from tests.security.arena import SETTLED_SECONDS, Arena
from tests.security.attacks_by_load import heals_in_time
from tests.security.catalogue import HARMLESS, REFUSED, attack
from tests.security.fields import declared_texts, fields

CANARY = "canary-in-a-secret-of-the-victims-0123456789"


def _everything_told(arena: Arena) -> Iterator[str]:
    """Logs, events and statuses of the tenant's, and metrics."""
    for log in arena.operator.logs:
        yield log.read_text()
    yield arena.operator.telemetry.metrics()
    yield json.dumps(arena.lab.api.request("GET", EVENTS.path(arena.namespace)))
    yield json.dumps(arena.lab.api.request("GET", SECURE_AI_WORKLOADS.path(arena.namespace)))


@contextlib.contextmanager
def _canary(arena: Arena) -> Iterator[str]:
    """A Secret and a ConfigMap of the victim's that nobody may read."""
    data = {"key": base64.b64encode(CANARY.encode()).decode()}
    arena.lab.api.request("POST", SECRETS.path(arena.victim), {"metadata": {"name": "canary"}, "data": data})
    arena.lab.api.request(
        "POST", CONFIG_MAPS.path(arena.victim), {"metadata": {"name": "canary"}, "data": {"key": CANARY}}
    )
    arena.remember()
    try:
        yield "canary"
    finally:
        arena.nobody_else_was_touched()
        arena.lab.api.request("DELETE", SECRETS.path(arena.victim, "canary"))
        arena.lab.api.request("DELETE", CONFIG_MAPS.path(arena.victim, "canary"))
        arena.remember()


def _lookups_find_nothing(arena: Arena, *texts: str) -> None:
    """Each text in each field; what is accepted is made; the canary is told nowhere and was read by nobody."""
    assert arena.lab.audit_log is not None
    start = end_of_lines(arena.lab.audit_log)
    for text in texts:
        for field in fields():
            manifest = field.manifest(arena.namespace, arena.name(), text.replace("VICTIM", arena.victim))
            answer = arena.tenant.create(manifest)
            if answer.accepted and field.kind == "SecureAIWorkload":
                arena.answered(manifest["metadata"]["name"])
    assert not any(CANARY in told for told in _everything_told(arena))
    reads = [one for one in kube_requests(arena.lab.audit_log, start) if one.name == "canary"]
    assert not reads
    arena.clear()


@attack(
    "a template that looks a Secret up",
    "GHSA-77v3-r3jw-j2v2",
    '`{{ getSecretKey "canary" "VICTIM" "key" }}` and `{{identity...}}` in every text, with a canary in a Secret of the victim\'s',
    HARMLESS,
    "there are no templates: the operator read nothing of that name by the audit log, and the canary is told nowhere",
)
def template(arena: Arena) -> None:
    with _canary(arena):
        _lookups_find_nothing(arena, '{{ getSecretKey "canary" "VICTIM" "key" }}', "{{ .data.key | b64dec }}")


@attack(
    "a list without a namespace",
    "GHSA-fcxq-v2r3-cc8h",
    "everything that the operator has asked of the API server since it was started is searched for lists without a namespace",
    HARMLESS,
    "only what it watches for the whole cluster by a label of its own, and never Secrets or ConfigMaps",
)
def lists_have_a_namespace(arena: Arena) -> None:
    assert arena.lab.audit_log is not None
    watched = {
        "secureaiworkloads", "keyrotationpolicies", "serviceaccounts", "roles", "rolebindings", "networkpolicies",
        "pods", "nodes", "runtimeclasses", "namespaces",
    }  # fmt: skip
    asked = kube_requests(arena.lab.audit_log)
    everywhere = {one.resource for one in asked if one.verb in {"list", "watch"} and not one.namespace}
    assert everywhere - watched <= {""}, everywhere - watched
    labelled = {"serviceaccounts", "roles", "rolebindings", "networkpolicies"}
    for one in asked:
        if one.verb in {"list", "watch"} and not one.namespace and one.resource in labelled:
            assert "labelSelector=" in one.uri, one.uri


@attack(
    "a namespace in a reference",
    "CVE-2026-42875",
    "the schemas are searched for fields by which a namespace can be named; `caProvider` and `namespace` are put into every object",
    REFUSED,
    "only network peers and the platform's own policies name one; everything else is an unknown field",
)
def namespace_in_a_reference(arena: Arena) -> None:
    named = {
        text
        for kind in ("SecureAIWorkload", "KeyRotationPolicy")
        for text in declared_texts(kind)
        if "amespace" in text
    }
    assert named == {
        "spec.network.ingress[].from[].namespace",
        "spec.network.egress[].to[].namespace",
        "spec.namespaceSelector.matchLabels{}",
        "spec.namespaceSelector.matchLabels{key}",
    }
    for part in ("vault", "keys", "certificate", "access", "confidential"):
        for more in (
            {"namespace": arena.victim},
            {"caProvider": {"namespace": arena.victim}},
            {"secretRef": {"name": "canary"}},
        ):
            arena.is_refused({part: more}, "unknown field")


@attack(
    "a Secret that Kubernetes fills with a token",
    "CVE-2026-42876",
    "a Secret of type `kubernetes.io/service-account-token` is there under the name that the workload's keys would have",
    HARMLESS,
    "it is not adopted, not written to and not mounted: the workload says NameConflict, and no Secret of the operator's has that type",
)
def token_secret(arena: Arena) -> None:
    name = arena.name()
    theirs = {
        "metadata": {
            "name": f"saw-{name}-keys",
            "annotations": {"kubernetes.io/service-account.name": "default"},
        },
        "type": "kubernetes.io/service-account-token",
    }
    arena.lab.api.request("POST", SECRETS.path(arena.namespace), theirs)
    arena.declared({"keys": {"dataKeys": [{"name": "model"}]}}, name)
    arena.workloads.wait_condition(
        arena.namespace, name, "KeyReady", "False", "NameConflict", SETTLED_SECONDS
    )
    live = arena.workloads.find(SECRETS, arena.namespace, f"saw-{name}-keys")
    assert live is not None
    assert names.MANAGED_BY_LABEL not in live["metadata"].get("labels", {})
    assert "model" not in live.get("data", {})
    for secret in arena.lab.api.request("GET", SECRETS.path(None))["items"]:
        if secret["metadata"].get("labels", {}).get(names.MANAGED_BY_LABEL) == names.MANAGED_BY:
            assert secret["type"] in {"Opaque", "kubernetes.io/tls"}
    arena.workloads.delete(arena.namespace, f"saw-{name}-keys", SECRETS)
    arena.clear()


@attack(
    "all Secrets and the webhooks by the operator's identity",
    "CVE-2024-45041",
    "the API server is asked, as the operator, for Secrets of the whole cluster and of namespaces without a workload, and for webhooks",
    REFUSED,
    "403 for each",
)
def operators_rights(arena: Arena) -> None:
    user = operators_identity(arena.lab)
    for where in (
        SECRETS.path(None),
        SECRETS.path("kube-system"),
        SECRETS.path("default"),
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    ):
        assert user("GET", where).code == 403, where


@attack(
    "the operator's rights by way of a CR",
    "GHSA-8p9x-46gm-qfx2 CVE-2026-41068",
    "paths of a Secret and of a ConfigMap of the victim's, and of the operator's own, in every text",
    HARMLESS,
    "one door for all reads on behalf of a CR: by the audit log none of them went to another namespace, for no kind",
)
def rights_of_the_operator(arena: Arena) -> None:
    with _canary(arena):
        _lookups_find_nothing(
            arena, "VICTIM.canary", "/api/v1/namespaces/VICTIM/configmaps/canary", "configmap:VICTIM:canary"
        )


@contextlib.contextmanager
def _listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port that keeps what it is told first by whoever connects."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        ended = threading.Event()

        def listen() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError, OSError):
                    connection, _ = server.accept()
                    with connection:
                        heard.append(connection.recv(4096))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], heard
        finally:
            ended.set()
            thread.join(5)


@attack(
    "a token to an address of the tenant's choice",
    "CVE-2026-41323 CVE-2026-40868 GHSA-8wfp",
    "the address of a port that listens, as URL, as host and port and as a Vault address, in every text and in fields that peers have",
    REFUSED,
    "no field takes it, nobody connected, and the connection's address is the platform's",
)
def address_of_choice(arena: Arena) -> None:
    with _listener() as (port, heard):
        for text in (f"http://127.0.0.1:{port}", f"127.0.0.1:{port}", f"//127.0.0.1:{port}/v1/auth"):
            _addresses_are_refused(arena, text)
        for part in (
            {"vault": {"address": f"http://127.0.0.1:{port}"}},
            {"certificate": {"issuerURL": f"http://127.0.0.1:{port}"}},
        ):
            arena.is_refused(part, "unknown field")
        arena.ready({})
        assert not heard
    arena.clear()


def _addresses_are_refused(arena: Arena, text: str) -> None:
    """But for the context of a data key, which is a value, and the names of RBAC, which the tenant may not declare."""
    for field in fields():
        if field.path.endswith(".context"):
            continue
        assert not arena.tenant.create(field.manifest(arena.namespace, arena.name(), text)).accepted, field


@attack(
    "the metadata service",
    "CVE-2026-4789 GHSA-459x GHSA-fmqp",
    "`http://169.254.169.254/latest/meta-data` and its kin in every text",
    REFUSED,
    "no field takes it; what the operator may connect to is its configuration and its own NetworkPolicy",
)
def metadata_service(arena: Arena) -> None:
    for text in (
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/",
        "http://metadata.google.internal/",
    ):
        _addresses_are_refused(arena, text)


_MESSAGE = "canary-in-the-words-of-a-remote-side-0123456789"


@attack(
    "an answer that comes back in a message",
    "GHSA-qr4g",
    "the API server refuses the workload's Role in words with a canary, as an admission policy of somebody's would; then Vault, "
    "by a policy with one",
    HARMLESS,
    "status, events and log say who refused and why by a reason of ours; the canary is in none of them",
)
def quoted_answer(arena: Arena) -> None:
    name = arena.name()
    with _refusing(arena, f"saw-{name}-allow"):
        arena.declared({}, name)
        arena.workloads.wait_condition(
            arena.namespace, name, "NetworkIsolated", "False", deadline=SETTLED_SECONDS
        )
        told = list(_everything_told(arena))
    assert not any(_MESSAGE in text for text in told)
    arena.workloads.wait_ready(arena.namespace, name, 60)
    arena.clear()


@contextlib.contextmanager
def _refusing(arena: Arena, object_name: str) -> Iterator[None]:
    """Somebody's admission policy that refuses the operator one object, in words with the canary."""
    where = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    rule = {
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["networkpolicies"],
    }
    spec: Json = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": f"object.metadata.name != '{object_name}'", "message": _MESSAGE}],
    }
    mark = f"evil-words-{object_name}"
    arena.lab.api.request("POST", where, {"metadata": {"name": mark}, "spec": spec})
    binding = {"metadata": {"name": mark}, "spec": {"policyName": mark, "validationActions": ["Deny"]}}
    arena.lab.api.request("POST", f"{where.removesuffix('ies')}ybindings", binding)
    probe = {"metadata": {"name": object_name}, "spec": {"podSelector": {}}}
    policies = f"/apis/networking.k8s.io/v1/namespaces/{arena.namespace}/networkpolicies?dryRun=All"
    arena.lab.wait_for(
        lambda: _MESSAGE in arena.lab.api.raw("POST", policies, probe)[1],
        SETTLED_SECONDS,
        "the policy to be in force",
    )
    try:
        yield
    finally:
        arena.lab.api.request("DELETE", f"{where.removesuffix('ies')}ybindings/{mark}")
        arena.lab.api.request("DELETE", f"{where}/{mark}")


@attack(
    "a crafted PEM",
    "CVE-2024-12401",
    "thousands of nested headers, headers without an end and a key of 16,384 bits, in the Secret that the operator parses",
    HARMLESS,
    "not parsed beyond 64 KiB; somebody else's object is back within 5 s, and the certificate is new",
)
def crafted_pem(arena: Arena) -> None:
    name = arena.ready({})
    tls = f"saw-{name}-tls"
    for crafted in (
        b"-----BEGIN CERTIFICATE-----" * 20_000,
        b"-----BEGIN " * 40_000,
        b"-----BEGIN CERTIFICATE-----\n" + b"A" * 64_000 + b"\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n\x00\xff" + b"-" * 60_000,
    ):
        change = {"data": {"tls.crt": base64.b64encode(crafted).decode()}}
        arena.workloads.patch(arena.namespace, tls, change, SECRETS)
        heals_in_time(arena)
        arena.workloads.wait_object(
            SECRETS, arena.namespace, tls, lambda live: len(live["data"]["tls.crt"]) < 20_000, 15
        )
    arena.clear()
    arena.rest()


@attack(
    "keys that are expensive to make",
    "cert-manager: scaling",
    "eight workloads with RSA keys of 4096 bits at once; and other kinds of keys for certificates",
    HARMLESS,
    "certificates are P-256 whatever is asked for; somebody else's object is back within 5 s while Vault makes the keys",
)
def expensive_keys(arena: Arena) -> None:
    for _ in range(8):
        arena.declared({"keys": {"type": "rsa-4096"}})
    heals_in_time(arena)
    arena.is_refused({"certificate": {"keyType": "rsa-4096"}}, "unknown field")
    arena.is_refused({"keys": {"type": "rsa-16384"}}, "supported values")
    arena.clear()
    arena.rest()


@attack(
    "a workload from before this version",
    "External Secrets #6313",
    "a CR with only what an older operator knew, its status without what came later",
    HARMLESS,
    "it is Ready again, with the key that it had, and nothing was made anew",
)
def older_workload(arena: Arena) -> None:
    name = arena.ready({"keys": {"dataKeys": [{"name": "model"}]}})
    before = arena.workloads.get(arena.namespace, name)["status"]
    older = {part: before[part] for part in ("observedGeneration", "conditions", "key", "dataKeys")}
    older["vault"] = {part: before["vault"][part] for part in ("connection", "name")}
    arena.operator.stop()
    arena.workloads.patch_status(arena.namespace, name, dict.fromkeys(before, None) | older)
    arena.operator.start()
    arena.workloads.wait_object(
        SECURE_AI_WORKLOADS, arena.namespace, name, lambda live: bool(live["status"].get("binding")), 30
    )
    live = arena.workloads.wait_ready(arena.namespace, name, SETTLED_SECONDS)
    assert live["status"]["key"]["createdAt"] == before["key"]["createdAt"]
    assert live["status"]["dataKeys"] == before["dataKeys"]
    assert arena.key(name)["latest_version"] == 1
    arena.clear()
    arena.rest()
