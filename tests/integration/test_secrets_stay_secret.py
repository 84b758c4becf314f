"""Nothing that the operator tells, to whomever, holds a secret: neither one it works with nor what merely looks like one.

One life with everything that makes the operator speak (a start, creations, drift, a refusal by Vault, a deletion), and
then everything it has said is searched for the very secrets that were in use, and for the shapes of all others. No
failure shows what was found: only what kind of secret it was, and where.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import Lab
from lab.json_lines import end_of_lines
from secureai_operator import names
from secureai_operator.api.resources import (
    CONFIG_MAPS,
    EVENTS,
    NETWORK_POLICIES,
    ROLES,
    SECRETS,
    SECURE_AI_WORKLOADS,
)
from secureai_operator.core.bootstrap import BootstrapSpec, routine_policy_name
from secureai_operator.telemetry.redaction import REDACTED
from tests.fixtures_operator import SharedOperator, Workloads
from tests.integration.vault_identity import Identity, pod_token, vault_name
from tests.product import Product

pytestmark = [pytest.mark.integration]

FULL = {
    "keys": {"dataKeys": [{"name": "model"}, {"name": "prompts"}]},
    "access": {
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}]
    },
}
FOREIGN = "canary-written-by-somebody-else-0123456789"
"""What an intruder writes into a Secret: it is to go, and to be repeated nowhere."""
HEALED_IN_VAULT_SECONDS = 60.0
PIECE = 24
"""Characters of a secret in a row that count as telling it."""

SHAPES: Mapping[str, re.Pattern[str]] = {
    "a JSON web token": re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    "a Vault token": re.compile(r"hv[sbr]\.[\w-]{20,}"),
    "an old Vault token": re.compile(r"(?<![\w.-])[sbr]\.[A-Za-z0-9]{24}\b"),
    "a private key": re.compile(r"PRIVATE KEY-----"),
    # The three ways that base64 writes "PRIVATE KEY", by its place within a group of three bytes.
    "a private key in base64": re.compile(r"UFJJVkFURSBLRV|BSSVZBVEUgS0VZ|QUklWQVRFIEtFW"),
}

Json = dict[str, Any]


def pieces(secret: str) -> tuple[str, ...]:
    """Parts by which a secret is recognised even if only some of it was told; of a PEM, parts of its body."""
    lines = [line for line in secret.splitlines() if not line.startswith("-----")]
    starts = ((line, start) for line in lines for start in range(0, len(line) - PIECE + 1, PIECE))
    return tuple(line[start : start + PIECE] for line, start in starts)


def forms(raw: bytes) -> tuple[str, ...]:
    """How bytes are written into text."""
    return (
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
        raw.hex().upper(),
        repr(raw)[2:-1],
    )


@dataclass(slots=True)
class Canaries:
    """The secrets that were really in use, each by what it is."""

    known: dict[str, set[str]] = field(default_factory=dict, repr=False)

    def add(self, kind: str, *secrets: str) -> None:
        parts = [piece for secret in secrets for piece in pieces(secret)]
        assert parts, f"{kind} is too short to be recognised"
        self.known.setdefault(kind, set()).update(parts)

    def add_private_key(self, secret: Json) -> None:
        """The key of a TLS Secret, as it is, and as the Secret holds it."""
        encoded = secret["data"]["tls.key"]
        self.add("the private key of a certificate", base64.b64decode(encoded).decode())
        self.add("the private key of a certificate, encoded", encoded)

    def add_token(self, kind: str, jwt: str) -> None:
        """By its signature: all tokens begin alike, and without it one is worth nothing."""
        self.add(kind, jwt.strip().split(".")[2])

    def told_by(self, text: str) -> set[str]:
        """The kinds of secrets in the text."""
        known = {kind for kind, parts in self.known.items() if any(part in text for part in parts)}
        return known | {kind for kind, shape in SHAPES.items() if shape.search(text)}


@dataclass(slots=True)
class Life:
    """What happened, with which secrets, and where its traces are."""

    lab: Lab
    workloads: Workloads
    operator: SharedOperator
    audit: Path
    since: int
    canaries: Canaries = field(default_factory=Canaries)

    def traces(self) -> Iterator[tuple[str, str]]:
        """Everything that the operator told, by where it is read."""
        for log in self.operator.logs:
            yield f"the log {log.name}", log.read_text()
        yield "the metrics", self.operator.telemetry.metrics()
        for event in self._items(EVENTS.path(None)):
            yield f"Event {event['reason']}", json.dumps(event)
        for workload in self._items(SECURE_AI_WORKLOADS.path(None)):
            yield f"the status of {workload['metadata']['name']}", json.dumps(workload.get("status"))
        for found in self._items(CONFIG_MAPS.path(names.OPERATOR_NAMESPACE)):
            yield f"ConfigMap {found['metadata']['name']}", json.dumps(found)
        with self.audit.open("rb") as file:
            file.seek(self.since)
            yield "the API server's audit log", file.read().decode()

    def _items(self, path: str) -> list[Json]:
        items: list[Json] = self.lab.api.request("GET", path)["items"]
        return items

    def learn_identities(self) -> None:
        """The operator's own two tokens, and root's, which it should never meet."""
        self.canaries.add_token("the operator's Kubernetes token", self.operator_token())
        (token_file,) = self._connection_token_files()
        self.canaries.add_token("the operator's token for Vault", token_file.read_text())
        self.canaries.add("Vault's root token", self.lab.vault_root_token)

    def operator_token(self) -> str:
        account = f"{names.OPERATOR_NAMESPACE}.{names.OPERATOR_SERVICE_ACCOUNT}.yaml"
        (user,) = yaml.safe_load((self.lab.directory / "kubeconfigs" / account).read_text())["users"]
        return str(user["user"]["token"])

    def _connection_token_files(self) -> list[Path]:
        assert self.operator.current is not None
        settings = yaml.safe_load(self.operator.current.config.read_text())
        return [Path(connection["tokenFile"]) for connection in settings["connections"].values()]

    def learn_workload(self, namespace: str, name: str) -> None:
        """Its certificate's key, its data keys as only its own identity gets them, and that identity's tokens."""
        self.learn_certificate(namespace, name)
        jwt = pod_token(self.lab, namespace, name)
        self.canaries.add_token("a workload's token", jwt)
        identity = Identity.login(self.lab, vault_name(namespace, name), jwt)
        self.canaries.add("a workload's Vault token", identity.token)
        wrapped = self.find_secret(namespace, names.keys_secret(name))["data"]
        for encoded in wrapped.values():
            plaintext = identity.decrypt(vault_name(namespace, name), base64.b64decode(encoded).decode())
            assert len(plaintext) == 32
            self.canaries.add("a data key", *forms(plaintext))

    def learn_certificate(self, namespace: str, name: str) -> None:
        self.canaries.add_private_key(self.find_secret(namespace, names.tls_secret(name)))

    def find_secret(self, namespace: str, name: str) -> Json:
        found = self.workloads.find(SECRETS, namespace, name)
        assert found is not None
        return found


def drift(life: Life, namespace: str) -> None:
    """Changes and deletions of everything that is near a secret, and the repair of each."""
    workloads = life.workloads
    keys, tls = names.keys_secret("llm"), names.tls_secret("llm")
    before = life.find_secret(namespace, keys)["data"]
    foreign = base64.b64encode(FOREIGN.encode()).decode()
    life.canaries.add("what somebody wrote into a Secret", FOREIGN)
    life.canaries.add("what somebody wrote into a Secret, encoded", foreign)

    workloads.patch(namespace, keys, {"data": {"model": foreign, "more": foreign}}, SECRETS)
    workloads.wait_object(SECRETS, namespace, keys, lambda live: live["data"]["model"] == before["model"])
    issued = life.find_secret(namespace, tls)["data"]["tls.crt"]
    workloads.patch(namespace, tls, {"data": {"tls.key": foreign}}, SECRETS)
    workloads.wait_object(SECRETS, namespace, tls, lambda live: live["data"]["tls.key"] != foreign)
    life.learn_certificate(namespace, "llm")
    workloads.delete(namespace, tls, SECRETS)
    workloads.wait_object(SECRETS, namespace, tls, lambda live: live["data"]["tls.crt"] != issued)
    life.learn_certificate(namespace, "llm")

    for resource, name in ((NETWORK_POLICIES, names.allow_policy("llm")), (ROLES, names.role("llm"))):
        workloads.delete(namespace, name, resource)
        workloads.wait_object(resource, namespace, name)
    workloads.wait_event(namespace, "llm", "DriftHealed")


def drift_in_vault(life: Life, namespace: str) -> None:
    """A policy that somebody widened; the operator reads it, and tells of it."""
    policy = f"sys/policies/acl/{vault_name(namespace)}"
    wanted = life.lab.vault_request("GET", policy)["data"]["policy"]
    widened = f'# {FOREIGN}\npath "secret/*" {{ capabilities = ["read"] }}\n'
    life.lab.vault_request("PUT", policy, {"policy": widened})
    life.lab.wait_for(
        lambda: life.lab.vault_request("GET", policy)["data"]["policy"] == wanted,
        HEALED_IN_VAULT_SECONDS,
        "the policy to be healed",
    )


def refusal_by_vault(life: Life, namespace: str, product: Product) -> None:
    """The operator may do nothing any more, is told so by Vault, and tells it to the workload."""
    policy = routine_policy_name(BootstrapSpec(product.vault_connection()))
    life.lab.vault_request("DELETE", f"sys/policies/acl/{policy}")
    try:
        life.workloads.wait_condition(namespace, "llm", "VaultReachable", "False")
    finally:
        product.bootstrap_vault()
    life.workloads.wait_condition(namespace, "llm", "VaultReachable", "True")
    life.workloads.wait_ready(namespace)


@pytest.fixture
def life(lab: Lab, workloads: Workloads, operator: SharedOperator, namespace: str, product: Product) -> Life:
    """All of it, from the operator's start to a workload's end."""
    assert lab.audit_log is not None
    lived = Life(lab, workloads, operator, lab.audit_log, end_of_lines(lab.audit_log))
    operator.restart()
    lived.learn_identities()
    for name in ("llm", "gone"):
        workloads.create(namespace, name, **FULL)
    for name in ("llm", "gone"):
        workloads.wait_ready(namespace, name)
        lived.learn_workload(namespace, name)
    drift(lived, namespace)
    drift_in_vault(lived, namespace)
    refusal_by_vault(lived, namespace, product)
    workloads.delete(namespace, "gone")
    workloads.wait_gone(namespace, "gone")
    workloads.wait_event(namespace, "gone", "AccessRevoked")
    return lived


def findings(canaries: Canaries, traces: Iterable[tuple[str, str]]) -> list[str]:
    """What was told where; never the secret itself, for this goes into a test's output."""
    return sorted({f"{where} tells {kind}" for where, text in traces for kind in canaries.told_by(text)})


def test_nothing_that_the_operator_tells_holds_a_secret(life: Life, namespace: str) -> None:
    told = list(life.traces())
    places = {where.split(" ")[0] for where, _ in told} | {where for where, _ in told}
    assert {"Event", "the metrics", "ConfigMap", "the status of llm", "the API server's audit log"} <= places
    assert all(text for _, text in told), "a place without any text was not searched"
    assert any(namespace in text for where, text in told if where.startswith("the log "))
    assert findings(life.canaries, told) == []

    # Redaction is for the mistake that nobody has seen yet: it is to find nothing in a life like this one.
    assert [where for where, text in told if where.startswith("the log ") and REDACTED in text] == []


def test_what_is_planted_is_found(
    lab: Lab, workloads: Workloads, operator: SharedOperator, namespace: str, tmp_path: Path
) -> None:
    """The search above is only worth what it finds: every kind of secret, wherever it is told."""
    assert lab.audit_log is not None
    life = Life(lab, workloads, operator, lab.audit_log, end_of_lines(lab.audit_log))
    workloads.ready(namespace, **FULL)
    life.learn_identities()
    life.learn_workload(namespace, "llm")
    assert findings(life.canaries, life.traces()) == []

    with planted(life, namespace, tmp_path / "planted.log"):
        found = findings(life.canaries, life.traces())
    assert set(found) >= {
        "ConfigMap planted tells the private key of a certificate",
        "Event Planted tells the operator's Kubernetes token",
        "Event Planted tells a JSON web token",
        "the API server's audit log tells a Vault token",
        "the log planted.log tells the private key of a certificate, encoded",
        "the log planted.log tells a data key",
    }
    assert findings(life.canaries, (trace for trace in life.traces() if "audit" not in trace[0])) == []


@contextlib.contextmanager
def planted(life: Life, namespace: str, log: Path) -> Iterator[None]:
    """Secrets where the operator might tell them, for as long as the search takes."""
    key = life.find_secret(namespace, names.tls_secret("llm"))["data"]["tls.key"]
    body = base64.b64decode(key).decode().splitlines()[1]
    log.write_text(json.dumps({"message": "planted", "note": f"{key} {data_key(life, namespace).hex()}"}))
    life.operator.logs.append(log)
    config_maps = CONFIG_MAPS.path(names.OPERATOR_NAMESPACE)
    life.lab.api.request("POST", config_maps, {"metadata": {"name": "planted"}, "data": {"key": body}})
    life.lab.api.request("POST", EVENTS.path(namespace), event(life.operator_token(), namespace))
    life.lab.api.request("GET", f"{config_maps}?labelSelector=token%3Dhvs.{'A' * 24}")
    try:
        yield
    finally:
        life.operator.logs.remove(log)
        life.workloads.delete(names.OPERATOR_NAMESPACE, "planted", CONFIG_MAPS)
        life.workloads.delete(namespace, "planted", EVENTS)


def data_key(life: Life, namespace: str) -> bytes:
    wrapped = life.find_secret(namespace, names.keys_secret("llm"))["data"]["model"]
    identity = Identity.of(life.lab, namespace)
    return identity.decrypt(vault_name(namespace), base64.b64decode(wrapped).decode())


def event(message: str, namespace: str) -> Json:
    return {
        "metadata": {"name": "planted"},
        "involvedObject": {"kind": "SecureAIWorkload", "name": "llm", "namespace": namespace},
        "reason": "Planted",
        "message": message,
        "type": "Normal",
    }


def test_every_kind_of_secret_is_recognised_in_the_midst_of_text() -> None:
    canaries = Canaries()
    pem = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(letter * 64 for letter in "pqr") + "\n-----END"
    encoded = base64.b64encode(pem.encode()).decode()
    canaries.add_private_key({"data": {"tls.key": encoded}})
    raw = bytes(range(100, 132))
    canaries.add("a data key", *forms(raw))

    assert canaries.told_by("about eyJ, hvs. and PRIVATE things") == set()
    assert canaries.told_by(json.dumps({"note": pem})) >= {
        "the private key of a certificate",
        "a private key",
    }
    assert "a private key in base64" in canaries.told_by(f"{{data={encoded}}}")
    for shift in range(3):
        shifted = base64.b64encode(b"x" * shift + b"-----BEGIN EC PRIVATE KEY-----").decode()
        assert "a private key in base64" in canaries.told_by(shifted)
    for form in forms(raw):
        assert canaries.told_by(f"key={form};") == {"a data key"}
    assert canaries.told_by(f"x hvs.{'A' * 24} y") == {"a Vault token"}
    assert canaries.told_by(f'"s.{"A" * 24}"') == {"an old Vault token"}
    assert canaries.told_by(f"Bearer eyJ{'a' * 20}.eyJ{'b' * 20}.{'c' * 43}") == {"a JSON web token"}
