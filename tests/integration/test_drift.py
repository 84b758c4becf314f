"""Drift: whatever somebody else does to an owned object is undone, told, counted; and nothing that is not ours is touched."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

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
from tests.fixtures_operator import HEAL_SECONDS, SharedOperator, Workloads
from tests.integration.audits import Audit
from tests.integration.vault_identity import PKI, TRANSIT, vault_name

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

Json = dict[str, Any]

READ_CONFIG = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}
EVERYTHING = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}
STRANGER = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
PROBED_SECONDS = 40.0
"""A look at Vault comes every two seconds, jittered; and then there is the reaction."""
METADATA = ("labels", "ownerReferences")


@dataclass(frozen=True, slots=True)
class Owned:
    """One of the objects of a workload: how to find it, and what an attacker would do to it."""

    resource: Resource
    name: Callable[[str], str]
    change: Json
    changed_field: str
    foreign: Json | None = None
    foreign_field: str = ""

    def __str__(self) -> str:
        return self.name("llm").replace("saw-llm", self.resource.kind)

    def content(self, live: Json) -> Json:
        """All that decides about security; a certificate's is new each time, so only its shape."""
        kept = {
            key: live.get(key)
            for key in ("automountServiceAccountToken", "rules", "roleRef", "subjects", "type")
        }
        kept["spec"] = live.get("spec")
        kept["immutable"] = live.get("immutable")
        data = live.get("data") or {}
        kept["data"] = sorted(data) if self.name("x").endswith("-tls") else data
        kept["labels"] = live["metadata"].get("labels")
        kept["owners"] = [owner["uid"] for owner in live["metadata"].get("ownerReferences", [])]
        return kept


def _text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


_EVIL_SUBJECTS = {"subjects": [STRANGER]}
OWNED = (
    Owned(
        SERVICE_ACCOUNTS,
        names.service_account,
        {"automountServiceAccountToken": True},
        "automountServiceAccountToken",
        {"automountServiceAccountToken": None},
        "automountServiceAccountToken",
    ),
    Owned(ROLES, names.role, {"rules": [EVERYTHING]}, "rules", {"rules": [READ_CONFIG, EVERYTHING]}, "rules"),
    Owned(ROLE_BINDINGS, names.role_binding, _EVIL_SUBJECTS, "subjects"),
    Owned(ROLE_BINDINGS, lambda name: names.role_ref_binding(name, 0), _EVIL_SUBJECTS, "subjects"),
    Owned(
        NETWORK_POLICIES,
        names.allow_policy,
        {"spec": {"egress": [{}]}},
        "spec.egress",
        {"spec": {"ingress": [{"from": [{"namespaceSelector": {}}]}]}},
        "spec.ingress",
    ),
    Owned(
        NETWORK_POLICIES,
        names.quarantine_policy,
        {"spec": {"policyTypes": ["Ingress"]}},
        "spec.policyTypes",
        {"spec": {"ingress": [{}]}},
        "spec.ingress",
    ),
    Owned(
        SECRETS,
        names.keys_secret,
        {"data": {"model": _text("vault:v1:AAAA")}},
        "data",
        {"data": {"other": _text("x")}},
        "data",
    ),
    Owned(
        SECRETS,
        names.tls_secret,
        {"data": {"tls.crt": _text("x")}},
        "data",
        {"data": {"other": _text("x")}},
        "data",
    ),
)
OBJECTS = pytest.mark.parametrize("owned", OWNED, ids=str)


@pytest.fixture(scope="module")
def team(lab: Lab) -> Iterator[str]:
    """One namespace for all of these tests; each has a workload of its own."""
    namespace = f"test-{secrets.token_hex(4)}"
    lab.create_namespace(namespace)
    role = {"metadata": {"name": "reader"}, "rules": [READ_CONFIG]}
    lab.api.request("POST", ROLES.path(namespace), role)
    yield namespace
    lab.delete_namespace(namespace)


@pytest.fixture
def name(workloads: Workloads, team: str) -> Iterator[str]:
    """A Ready workload that owns one object of each kind there is."""
    found = f"w{secrets.token_hex(3)}"
    workloads.ready(
        team,
        found,
        keys={"dataKeys": [{"name": "model"}]},
        access={"rules": [READ_CONFIG], "roleRefs": [{"name": "reader"}]},
    )
    yield found
    workloads.delete(team, found)


@dataclass(frozen=True, slots=True)
class Target:
    """An owned object before somebody touches it."""

    lab: Lab
    workloads: Workloads
    namespace: str
    workload: str
    owned: Owned
    before: Json

    @property
    def name(self) -> str:
        return self.owned.name(self.workload)

    def patch(self, change: Json) -> None:
        self.workloads.patch(self.namespace, self.name, change, self.owned.resource)

    def healed(self, deadline: float = HEAL_SECONDS) -> Json:
        wanted = self.owned.content(self.before)
        return self.workloads.wait_object(
            self.owned.resource,
            self.namespace,
            self.name,
            lambda live: self.owned.content(live) == wanted,
            deadline,
        )

    def told(self, field: str) -> None:
        """Status and event name what was changed."""
        text = f"{self.owned.resource.kind} {self.name}: {field or 'deleted'}"
        self.workloads.wait_event(self.namespace, self.workload, "DriftHealed", contains=text)
        self.workloads.lab.wait_for(
            lambda: self._last() == (self.owned.resource.kind, self.name, field, "Healed"),
            HEAL_SECONDS,
            f"status.lastDrift to name {text}, which is {self._last()}",
        )
        condition = self.workloads.condition(self.namespace, self.workload, "DriftDetected")
        assert (condition["status"], condition["reason"]) == ("False", "DriftHealed")

    def _last(self) -> tuple[str, ...]:
        last = self.workloads.get(self.namespace, self.workload)["status"].get("lastDrift") or {}
        return tuple(last.get(key, "") for key in ("kind", "name", "field", "action"))


@pytest.fixture
def target(lab: Lab, workloads: Workloads, team: str, name: str, owned: Owned) -> Target:
    before = workloads.find(owned.resource, team, owned.name(name))
    assert before is not None
    return Target(lab, workloads, team, name, owned, before)


def writes(audit: Audit, target: Target) -> list[tuple[str, int]]:
    return [
        (request.verb, request.code)
        for request in audit.kube_writes(target.namespace)
        if request.resource == target.owned.resource.plural and request.name == target.name
    ]


# Every owned object


@OBJECTS
def test_a_deleted_object_comes_back(target: Target, operator: SharedOperator) -> None:
    audit, before = Audit(target.lab), _drifts(operator, target)
    target.workloads.delete(target.namespace, target.name, target.owned.resource)
    live = target.healed()
    assert live["metadata"]["uid"] != target.before["metadata"]["uid"]
    target.told("")
    # A create carries its name in the body: the audit log names it in the answer only.
    assert [verb for verb, _ in writes(audit, target)] in ([], ["create"])
    assert _drifts(operator, target) == before + 1


@OBJECTS
def test_a_changed_field_is_put_right_with_one_write(target: Target, operator: SharedOperator) -> None:
    audit, before = Audit(target.lab), _drifts(operator, target)
    target.patch(target.owned.change)
    live = target.healed()
    assert live["metadata"]["uid"] == target.before["metadata"]["uid"]
    target.told(target.owned.changed_field)
    assert writes(audit, target) == [("patch", 200)]
    assert _drifts(operator, target) == before + 1


@pytest.mark.parametrize("owned", [owned for owned in OWNED if owned.foreign], ids=str)
def test_what_somebody_added_is_taken_out(target: Target) -> None:
    audit = Audit(target.lab)
    assert target.owned.foreign is not None
    target.patch(target.owned.foreign)
    target.healed()
    target.told(target.owned.foreign_field)
    assert writes(audit, target) == [("patch", 200)]


@OBJECTS
def test_a_stripped_owner_comes_back(target: Target) -> None:
    """Without it the object would outlive its workload."""
    target.patch({"metadata": {"ownerReferences": None}})
    target.healed()
    target.told("metadata")


@OBJECTS
@pytest.mark.parametrize("label", [names.MANAGED_BY_LABEL, names.WORKLOAD_LABEL])
def test_a_stripped_label_comes_back(target: Target, label: str) -> None:
    """Without it the object would be out of the operator's sight."""
    target.patch({"metadata": {"labels": {label: None}}})
    live = target.healed()
    assert live["metadata"]["uid"] == target.before["metadata"]["uid"]
    target.told("metadata")


@OBJECTS
def test_an_object_given_to_another_controller_is_named_and_left_to_it(target: Target) -> None:
    """Two controllers never fight over an object: a person has to say whose it is."""
    account = target.workloads.find(SERVICE_ACCOUNTS, target.namespace, "default")
    assert account is not None
    stranger = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "name": "default",
        "uid": account["metadata"]["uid"],
        "controller": True,
    }
    target.patch({"metadata": {"ownerReferences": [stranger]}})
    lab, namespace, workload = target.lab, target.namespace, target.workload

    def conflict() -> bool:
        conditions = target.workloads.get(namespace, workload)["status"]["conditions"]
        return any(
            item["reason"] == "NameConflict"
            and f"{target.owned.resource.kind} {target.name}" in item["message"]
            for item in conditions
            if item["type"] not in ("Ready", "Stalled")
        )

    lab.wait_for(conflict, HEAL_SECONDS, f"a condition to name {target.name}")
    target.workloads.wait_condition(namespace, workload, "Ready", "False")
    target.patch({"metadata": {"ownerReferences": None}})
    target.healed(deadline=30)
    target.workloads.wait_ready(namespace, workload)


def _drifts(operator: SharedOperator, target: Target) -> float:
    return operator.telemetry.metric("secureai_drift_total", kind=target.owned.resource.kind, action="Healed")


# What cannot be changed in place


def test_an_immutable_secret_is_replaced(workloads: Workloads, team: str, name: str) -> None:
    place = names.keys_secret(name)
    before = workloads.find(SECRETS, team, place)
    assert before is not None
    workloads.patch(team, place, {"immutable": True, "data": {"model": _text("x")}}, SECRETS)
    live = workloads.wait_object(
        SECRETS, team, place, lambda live: not live.get("immutable") and live["data"] == before["data"]
    )
    assert live["metadata"]["uid"] != before["metadata"]["uid"]
    workloads.wait_event(team, name, "DriftHealed", contains="immutable")


@pytest.mark.parametrize(
    ("resource", "place", "change"),
    [
        pytest.param(
            ROLE_BINDINGS,
            names.role_binding,
            {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}},
            id="roleRef",
        ),
        pytest.param(SECRETS, names.keys_secret, {"type": "example.com/other"}, id="type"),
    ],
)
def test_a_forged_copy_is_replaced(
    lab: Lab, workloads: Workloads, team: str, name: str, resource: Resource, place: Any, change: Json
) -> None:
    """The object deleted, and made again with our labels and owner but another immutable field."""
    before = workloads.find(resource, team, place(name))
    assert before is not None
    metadata = {key: before["metadata"][key] for key in ("name", "labels", "ownerReferences")}
    forged = {**before, "metadata": metadata, **change}
    _swap(lab, workloads, resource, team, forged)
    field = next(iter(change))
    workloads.wait_object(resource, team, place(name), lambda live: live[field] == before[field])


def _swap(lab: Lab, workloads: Workloads, resource: Resource, namespace: str, forged: Json) -> None:
    """Delete and create before the operator does: it may win the race a few times."""

    def swapped() -> bool:
        workloads.delete(namespace, forged["metadata"]["name"], resource)
        try:
            lab.api.request("POST", resource.path(namespace), forged)
        except RequestFailed as error:
            if error.status != 409:
                raise
            return False
        return True

    lab.wait_for(swapped, 60, "the forged copy to be faster than the operator")


# What somebody does while nobody looks


def test_drift_behind_a_stopped_operator_is_healed_as_it_starts(
    workloads: Workloads, team: str, name: str, operator: SharedOperator
) -> None:
    operator.stop()
    allow = names.allow_policy(name)
    workloads.delete(team, names.quarantine_policy(name), NETWORK_POLICIES)
    workloads.patch(team, allow, {"spec": {"egress": [{}]}}, NETWORK_POLICIES)
    operator.start()
    workloads.wait_object(NETWORK_POLICIES, team, names.quarantine_policy(name))
    workloads.wait_object(NETWORK_POLICIES, team, allow, lambda live: live["spec"]["egress"] != [{}])
    workloads.wait_event(team, name, "DriftHealed", contains=allow)
    workloads.wait_event(team, name, "DriftHealed", contains=names.quarantine_policy(name))


# Vault


def _policy(lab: Lab, name: str) -> Any:
    return lab.vault_request("GET", f"sys/policies/acl/{name}")["data"]["policy"]


def _auth_role(lab: Lab, name: str) -> Any:
    return lab.vault_request("GET", f"auth/kubernetes/role/{name}")["data"]


def _pki_role(lab: Lab, name: str) -> Any:
    return lab.vault_request("GET", f"{PKI}/roles/{name}")["data"]


VAULT_DRIFT = [
    ("VaultPolicy", _policy, "sys/policies/acl/{}", {"policy": 'path "*" {\n capabilities = ["read"]\n}\n'}),
    ("VaultAuthRole", _auth_role, "auth/kubernetes/role/{}", {"bound_service_account_names": "default"}),
    ("VaultAuthRole", _auth_role, "auth/kubernetes/role/{}", {"token_policies": "root-ish"}),
    ("VaultAuthRole", _auth_role, "auth/kubernetes/role/{}", {"token_bound_cidrs": "10.0.0.0/8"}),
    (
        "VaultPkiRole",
        _pki_role,
        PKI + "/roles/{}",
        {"allow_any_name": True, "allowed_domains": "evil.example"},
    ),
    ("VaultPkiRole", _pki_role, PKI + "/roles/{}", {"max_ttl": "87600h"}),
]


@pytest.mark.parametrize(("kind", "read", "path", "change"), VAULT_DRIFT)
def test_drift_in_vault_is_healed(
    lab: Lab, workloads: Workloads, team: str, name: str, kind: str, read: Any, path: str, change: Json
) -> None:
    place = vault_name(team, name)
    before = read(lab, place)
    lab.vault_request("POST", path.format(place), _whole(before, change))
    assert read(lab, place) != before
    lab.wait_for(lambda: read(lab, place) == before, PROBED_SECONDS, f"{kind} to be as before")
    workloads.wait_event(team, name, "DriftHealed", contains=kind)

    def told() -> bool:
        last = workloads.get(team, name)["status"].get("lastDrift") or {}
        return (last.get("kind"), last.get("name")) == (kind, place)

    lab.wait_for(told, HEAL_SECONDS, f"status.lastDrift to name {kind}")


def _whole(before: Any, change: Json) -> Json:
    """Vault replaces a PKI role as a whole: keep what the drift does not touch."""
    return {**before, **change} if isinstance(before, dict) else change


@pytest.mark.parametrize(
    ("kind", "read", "path"),
    [(kind, read, path) for kind, read, path, _ in (VAULT_DRIFT[0], *VAULT_DRIFT[3:5])],
)
def test_what_is_deleted_in_vault_comes_back(
    lab: Lab, workloads: Workloads, team: str, name: str, kind: str, read: Any, path: str
) -> None:
    place = vault_name(team, name)
    before = read(lab, place)
    lab.vault_request("DELETE", path.format(place))
    lab.wait_for(lambda: read(lab, place) == before, PROBED_SECONDS, f"{kind} to be back")
    workloads.wait_event(team, name, "DriftHealed", contains=kind)


def test_deletion_of_the_key_is_forbidden_again(
    lab: Lab, workloads: Workloads, team: str, name: str, operator: SharedOperator
) -> None:
    place = vault_name(team, name)
    before = operator.telemetry.metric("secureai_security_events_total", reason="KeyDeletionEnabled")
    lab.vault_request("POST", f"{TRANSIT}/keys/{place}/config", {"deletion_allowed": True})

    def forbidden() -> bool:
        return not lab.vault_request("GET", f"{TRANSIT}/keys/{place}")["data"]["deletion_allowed"]

    lab.wait_for(forbidden, PROBED_SECONDS, "deletion_allowed to be off again")
    workloads.wait_event(team, name, "KeyDeletionEnabled")
    assert (
        operator.telemetry.metric("secureai_security_events_total", reason="KeyDeletionEnabled") == before + 1
    )


@pytest.mark.parametrize("flag", ["exportable", "allow_plaintext_backup"])
def test_an_exposed_key_is_told_and_stays_in_use(
    lab: Lab, workloads: Workloads, team: str, name: str, operator: SharedOperator, flag: str
) -> None:
    """Vault cannot turn it off again: the workload goes on, and nobody may believe that all is well."""
    place = vault_name(team, name)
    before = operator.telemetry.metric("secureai_security_events_total", reason="KeyExposed")
    lab.vault_request("POST", f"{TRANSIT}/keys/{place}/config", {flag: True})
    workloads.wait_condition(team, name, "KeyReady", "False", "KeyExposed", PROBED_SECONDS)
    workloads.wait_condition(team, name, "Ready", "False")
    workloads.wait_event(team, name, "KeyExposed", contains=flag)
    assert workloads.get(team, name)["status"]["binding"]["ready"] is True
    assert lab.vault_request("GET", f"{TRANSIT}/keys/{place}")["data"][flag] is True
    assert operator.telemetry.metric("secureai_security_events_total", reason="KeyExposed") == before + 1


# Under driftPolicy Warn


def test_warn_tells_and_leaves_alone(
    lab: Lab, workloads: Workloads, team: str, name: str, operator: SharedOperator
) -> None:
    workloads.respec(team, name, driftPolicy="Warn")
    workloads.wait_ready(team, name)
    before = operator.telemetry.metric("secureai_drift_total", action="Reported")
    audit, allow = Audit(lab), names.allow_policy(name)
    workloads.patch(team, allow, {"spec": {"egress": [{}]}}, NETWORK_POLICIES)

    workloads.wait_condition(team, name, "DriftDetected", "True", "DriftReported")
    workloads.wait_event(team, name, "DriftReported", contains=f"NetworkPolicy {allow}: spec.egress")
    last = workloads.get(team, name)["status"]["lastDrift"]
    assert (last["kind"], last["name"], last["field"], last["action"]) == (
        "NetworkPolicy",
        allow,
        "spec.egress",
        "Reported",
    )
    live = workloads.find(NETWORK_POLICIES, team, allow)
    assert live is not None
    assert live["spec"]["egress"] == [{}]
    assert [request for request in audit.kube_writes(team) if request.resource == "networkpolicies"] == []
    assert operator.telemetry.metric("secureai_drift_total", action="Reported") == before + 1

    workloads.respec(team, name, driftPolicy="Heal")
    workloads.wait_object(NETWORK_POLICIES, team, allow, lambda found: found["spec"]["egress"] != [{}])
    workloads.wait_condition(team, name, "DriftDetected", "False")


def test_warn_never_says_isolated_of_a_policy_that_is_gone(
    workloads: Workloads, team: str, name: str
) -> None:
    workloads.respec(team, name, driftPolicy="Warn")
    workloads.wait_ready(team, name)
    workloads.delete(team, names.allow_policy(name), NETWORK_POLICIES)
    workloads.wait_condition(team, name, "DriftDetected", "True", "DriftReported")
    workloads.wait_condition(team, name, "NetworkIsolated", "False", "DriftReported")
    workloads.wait_condition(team, name, "Ready", "False")


def test_warn_leaves_vault_alone_too(lab: Lab, workloads: Workloads, team: str, name: str) -> None:
    workloads.respec(team, name, driftPolicy="Warn")
    workloads.wait_ready(team, name)
    place = vault_name(team, name)
    changed = 'path "auth/token/lookup-self" {\n capabilities = ["read"]\n}\n'
    lab.vault_request("POST", f"sys/policies/acl/{place}", {"policy": changed})
    workloads.wait_condition(team, name, "DriftDetected", "True", "DriftReported", PROBED_SECONDS)
    workloads.wait_event(team, name, "DriftReported", contains="VaultPolicy")
    assert _policy(lab, place) == changed


# Others


def test_a_fight_is_named_and_slowed_down(lab: Lab, workloads: Workloads, team: str, name: str) -> None:
    allow = names.allow_policy(name)
    audit = Audit(lab)

    def fought() -> bool:
        workloads.patch(team, allow, {"spec": {"egress": [{}]}}, NETWORK_POLICIES)
        return bool(workloads.condition(team, name, "DriftDetected")["reason"] == "DriftContended")

    lab.wait_for(fought, 30, "the fight to be noticed")
    condition = workloads.condition(team, name, "DriftDetected")
    assert condition["status"] == "True"
    assert f"NetworkPolicy {allow}" in condition["message"]
    heals = [request for request in audit.kube_writes(team) if request.name == allow]
    assert len(heals) <= 21

    # The other side gives up: the object is healed as the pause ends.
    workloads.wait_object(NETWORK_POLICIES, team, allow, lambda live: live["spec"]["egress"] != [{}], 10)
    workloads.wait_condition(team, name, "DriftDetected", "False", "DriftHealed")


FOREIGN = [
    (SERVICE_ACCOUNTS, names.service_account, {}, "IdentityReady"),
    (NETWORK_POLICIES, names.allow_policy, {"spec": {"podSelector": {}}}, "NetworkIsolated"),
    (ROLES, names.role, {"rules": []}, "AccessGranted"),
    (SECRETS, names.keys_secret, {"data": {"mine": _text("x")}}, "KeyReady"),
    (SECRETS, names.tls_secret, {"data": {"mine": _text("x")}}, "CertificateReady"),
]


@pytest.mark.parametrize(("resource", "place", "content", "concern"), FOREIGN)
def test_a_strangers_object_is_not_taken_over(
    lab: Lab, workloads: Workloads, team: str, resource: Resource, place: Any, content: Json, concern: str
) -> None:
    name = f"w{secrets.token_hex(3)}"
    foreign = {"metadata": {"name": place(name), "labels": {"app": "theirs"}}, **content}
    before = lab.api.request("POST", resource.path(team), foreign)
    workloads.create(team, name, keys={"dataKeys": [{"name": "model"}]}, access={"rules": [READ_CONFIG]})
    condition = workloads.wait_condition(team, name, concern, "False", "NameConflict")
    assert f"{resource.kind} {place(name)}" in condition["message"]
    workloads.wait_condition(team, name, "Ready", "False")
    status = workloads.get(team, name)["status"]
    assert status["binding"]["ready"] is False
    live = workloads.find(resource, team, place(name))
    assert live is not None
    assert live["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    for other in {"IdentityReady", "NetworkIsolated", "AccessGranted", "KeyReady"} - {concern}:
        workloads.wait_condition(team, name, other, "True")

    workloads.delete(team, place(name), resource)
    workloads.wait_ready(team, name, deadline=30)
    workloads.delete(team, name)
    workloads.wait_gone(team, name)


def test_the_right_on_secrets_comes_back(workloads: Workloads, namespace: str) -> None:
    """Nobody owns the operator's own RoleBinding; without it no Secret of the namespace would heal."""
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    workloads.delete(namespace, names.NAMESPACE_SECRETS_ROLE, ROLE_BINDINGS)
    workloads.wait_object(ROLE_BINDINGS, namespace, names.NAMESPACE_SECRETS_ROLE)
    workloads.delete(namespace, names.keys_secret("llm"), SECRETS)
    workloads.wait_object(SECRETS, namespace, names.keys_secret("llm"))
    workloads.wait_ready(namespace)


def test_the_right_on_secrets_comes_back_however_late_the_authorizer_learns_of_its_loss(
    workloads: Workloads, namespace: str
) -> None:
    """For a moment the API server still says that the operator may, and then it may not."""
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    for _ in range(40):
        gone = workloads.wait_object(ROLE_BINDINGS, namespace, names.NAMESPACE_SECRETS_ROLE)["metadata"][
            "uid"
        ]
        workloads.delete(namespace, names.NAMESPACE_SECRETS_ROLE, ROLE_BINDINGS)
        workloads.wait_object(
            ROLE_BINDINGS,
            namespace,
            names.NAMESPACE_SECRETS_ROLE,
            partial(is_another, gone),
        )


def is_another(uid: str, live: Json) -> bool:
    return bool(live["metadata"]["uid"] != uid)
