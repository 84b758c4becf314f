"""Attacks by what happens to a CR: deletion, ownership, forged status, annotations, labels, policies, other workloads' pods."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from secureai_operator import names
from secureai_operator.api.resources import (
    DEPLOYMENTS,
    KEY_ROTATION_POLICIES,
    NETWORK_POLICIES,
    SECURE_AI_WORKLOADS,
)
from tests.fixtures_operator import Json, condition
from tests.integration.crd_objects import policy, workload
from tests.integration.vault_identity import Identity, pod_token, vault_name
from tests.security.arena import MERGE, SETTLED_SECONDS, Arena
from tests.security.catalogue import HARMLESS, REFUSED, Attack, add, attack

DELETION = "CR deletion destroying transit keys"
STATUS = "status forged by a tenant"
ANNOTATION = "forged annotations"
OTHERS_PODS = "another workload's pods"
QUARANTINE = "quarantine used as denial of service"
POLICY = "KeyRotationPolicy over other namespaces"
DATA_KEYS: Json = {"keys": {"dataKeys": [{"name": "model"}]}}


def has_no_access(arena: Arena, name: str) -> None:
    """Nobody logs in as the workload any more, and what is logged in may nothing."""
    for kind in ("login", "policy", "issuer"):
        assert arena.in_vault(kind, name) is None, f"the {kind} of {name} is left in Vault"


# Deletion


@attack(
    "deletion with Destroy, without the platform's leave",
    DELETION,
    "`deletionPolicy: Destroy`, and the workload is deleted; the platform has configured no role for it",
    HARMLESS,
    "access is revoked, and the key stays in Vault with its version",
)
def destroy(arena: Arena) -> None:
    name = arena.ready({"deletionPolicy": "Destroy"})
    before = arena.key(name)
    assert arena.tenant.delete(name).accepted
    arena.gone(name)
    assert arena.key(name) == before
    has_no_access(arena, name)


@attack(
    "a workload deleted and made again",
    DELETION,
    "ten times in a row, without waiting for what happens",
    HARMLESS,
    "the key is the same with one version, and the last workload is Ready or says why not",
)
def again_and_again(arena: Arena) -> None:
    name = arena.ready(DATA_KEYS)
    before = arena.key(name)
    for _ in range(10):
        arena.tenant.delete(name)
        arena.tenant.create(workload(DATA_KEYS, name))
    arena.lab.wait_for(
        lambda: (
            arena.workloads.find(SECURE_AI_WORKLOADS, arena.namespace, name) is not None
            or arena.tenant.create(workload(DATA_KEYS, name)).accepted
        ),
        SETTLED_SECONDS,
        "a workload of that name",
    )
    arena.lab.wait_for(lambda: _has_verdict(arena, name), SETTLED_SECONDS, "the last of them to be settled")
    assert arena.key(name)["keys"] == before["keys"]
    arena.clear()


def _has_verdict(arena: Arena, name: str) -> bool:
    live = arena.workloads.find(SECURE_AI_WORKLOADS, arena.namespace, name)
    if live is None or live["metadata"].get("deletionTimestamp"):
        arena.tenant.create(workload(DATA_KEYS, name))
        return False
    return (
        condition(live, "Ready").get("status") == "True" or condition(live, "Stalled").get("status") == "True"
    )


@attack(
    "another type over a key that was kept",
    DELETION,
    "a workload of a name that had an AES key, made again with an RSA key",
    HARMLESS,
    "the key is as it was; KeyReady is False with ImmutableFieldDrift",
)
def another_type(arena: Arena) -> None:
    name = arena.ready({})
    before = arena.key(name)
    assert arena.tenant.delete(name).accepted
    arena.gone(name)
    arena.declared({"keys": {"type": "rsa-3072"}}, name)
    arena.workloads.wait_condition(
        arena.namespace, name, "KeyReady", "False", "ImmutableFieldDrift", SETTLED_SECONDS
    )
    assert arena.key(name) == before
    arena.clear()


@attack(
    "the finalizer taken off a living workload",
    DELETION,
    "`metadata.finalizers: []`",
    HARMLESS,
    "it is put back, and deletion revokes as always",
)
def finalizer_of_the_living(arena: Arena) -> None:
    name = arena.ready({})
    assert arena.tenant.merge(name, {"metadata": {"finalizers": []}}).accepted
    arena.workloads.wait_object(
        SECURE_AI_WORKLOADS,
        arena.namespace,
        name,
        lambda live: names.FINALIZER in live["metadata"].get("finalizers", []),
    )
    assert arena.tenant.delete(name).accepted
    arena.gone(name)
    has_no_access(arena, name)


@attack(
    "the finalizer taken off in the moment of deletion",
    DELETION,
    "`metadata.finalizers: []` at once with the deletion, so that the CR is gone before anything is revoked",
    HARMLESS,
    "access in Vault is revoked although the CR is gone",
)
def finalizer_of_the_dying(arena: Arena) -> None:
    name = arena.ready({})
    # The other way round the API server deletes it at once, and the operator has no time to put it back.
    assert arena.tenant.merge(name, {"metadata": {"finalizers": []}}).accepted
    assert arena.tenant.delete(name).accepted
    arena.tenant.merge(name, {"metadata": {"finalizers": []}})
    arena.gone(name)
    arena.lab.wait_for(lambda: arena.in_vault("login", name) is None, 60, "the login to be revoked")
    arena.lab.wait_for(lambda: arena.in_vault("policy", name) is None, 60, "the policy to be revoked")
    has_no_access(arena, name)


@attack(
    "a finalizer of the tenant's own",
    DELETION,
    "`metadata.finalizers` with `example.com/never`, and deletion: the CR stays for ever",
    HARMLESS,
    "access is revoked all the same, and other workloads are looked at as before",
)
def finalizer_of_ones_own(arena: Arena) -> None:
    name = arena.name()
    manifest = workload({}, name)
    manifest["metadata"]["finalizers"] = ["example.com/never"]
    assert arena.tenant.create(manifest).accepted
    arena.workloads.wait_ready(arena.namespace, name, SETTLED_SECONDS)
    assert arena.tenant.delete(name).accepted
    arena.lab.wait_for(lambda: arena.in_vault("login", name) is None, 60, "the login to be revoked")
    arena.ready({})
    has_no_access(arena, name)
    assert arena.tenant.merge(name, {"metadata": {"finalizers": []}}).accepted
    arena.gone(name)
    arena.clear()


@attack(
    "force-delete while Vault is there",
    DELETION,
    f"`{names.FORCE_DELETE_ANNOTATION}: true` on a healthy workload, and deletion",
    HARMLESS,
    "access is revoked as always: the word counts only where Vault refuses",
)
def forced(arena: Arena) -> None:
    name = arena.ready({})
    assert arena.tenant.annotate(name, names.FORCE_DELETE_ANNOTATION, "true").accepted
    assert arena.tenant.delete(name).accepted
    arena.gone(name)
    has_no_access(arena, name)


@attack(
    "deletion of all that the tenant has",
    DELETION,
    "`deletecollection` with fifteen workloads",
    HARMLESS,
    "all are revoked, and nothing of the victim's",
)
def all_at_once(arena: Arena) -> None:
    made = [arena.declared({}) for _ in range(15)]
    for name in made:
        arena.workloads.wait_ready(arena.namespace, name, SETTLED_SECONDS)
    answer = arena.tenant("DELETE", SECURE_AI_WORKLOADS.path(arena.namespace))
    assert answer.accepted
    for name in made:
        arena.gone(name)
        has_no_access(arena, name)


# Ownership


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom the tenant's CR names as its owner."""

    name: str
    kind: str
    api_version: str


OWNERS = (
    Owner("the victim's workload", "SecureAIWorkload", names.API_VERSION),
    Owner("the operator's Deployment", "Deployment", "apps/v1"),
    Owner("a cluster-wide role", "ClusterRole", "rbac.authorization.k8s.io/v1"),
)


def _owned_by(owner: Owner, arena: Arena) -> None:
    uid = "00000000-0000-4000-8000-000000000000"
    if owner.kind == "SecureAIWorkload":
        uid = arena.workloads.get(arena.victim, "llm")["metadata"]["uid"]
    name = arena.name()
    manifest = workload({}, name)
    manifest["metadata"]["ownerReferences"] = [
        {
            "apiVersion": owner.api_version,
            "kind": owner.kind,
            "name": "llm",
            "uid": uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert arena.tenant.create(manifest).accepted
    # The garbage collector looks for the owner here, finds none, and takes the tenant's own workload away.
    arena.gone(name)
    arena.lab.wait_for(lambda: arena.in_vault("login", name) is None, 60, "the login to be revoked")


for _owner in OWNERS:
    add(
        Attack(
            f"an owner reference to {_owner.name}",
            "foreign objects through ownerReferences",
            f"the tenant's workload names {_owner.name} as its controller, with `blockOwnerDeletion`",
            HARMLESS,
            "the garbage collector takes the tenant's own workload, and the one that was named is as it was",
            partial(_owned_by, _owner),
        )
    )


# Status


FORGED: Json = {
    "observedGeneration": 99,
    "key": {"type": "aes256-gcm96", "latestVersion": 7, "createdAt": "2020-01-01T00:00:00Z"},
    "vault": {"connection": "default", "name": "saw.main.VICTIM.llm", "transitMount": "sys"},
    "dataKeys": [{"name": "model", "keyVersion": 1, "wrapped": "vault:v1:" + "A" * 64}],
    "binding": {"ready": True, "serviceAccountName": "tenant", "podLabels": {"app": "all"}},
}


@attack(
    "status in what is created",
    STATUS,
    "a workload with a whole status in its manifest: a key, a name in Vault, wrapped data keys, a binding",
    HARMLESS,
    "the API server leaves it out, and the operator's own is there",
)
def status_at_creation(arena: Arena) -> None:
    name = arena.name()
    manifest = {**workload(DATA_KEYS, name), "status": _forged(arena)}
    assert arena.tenant.create(manifest).accepted
    arena.workloads.wait_ready(arena.namespace, name, SETTLED_SECONDS)
    _has_own_status(arena, name)


@attack(
    "status by an update of the whole object",
    STATUS,
    "PUT of the workload with a forged status",
    HARMLESS,
    "the API server keeps the old status",
)
def status_by_put(arena: Arena) -> None:
    name = arena.ready(DATA_KEYS)
    live = arena.workloads.get(arena.namespace, name)
    before = live["status"]
    answer = arena.tenant(
        "PUT", SECURE_AI_WORKLOADS.path(arena.namespace, name), {**live, "status": _forged(arena)}
    )
    assert answer.body["status"] == before
    _has_own_status(arena, name)


@attack(
    "status by its subresource",
    STATUS,
    "PATCH, PUT and apply of `/status` by somebody who may write the two kinds",
    REFUSED,
    "403 for all three: the right on the kind is none on its status",
)
def status_by_subresource(arena: Arena) -> None:
    name = arena.ready({})
    where = SECURE_AI_WORKLOADS.path(arena.namespace, name, "status")
    body = {"status": _forged(arena)}
    arena.is_forbidden("PATCH", where, body, MERGE)
    arena.is_forbidden("PUT", where, {**arena.workloads.get(arena.namespace, name), **body})
    applied = {**workload(None, name), **body}
    arena.is_forbidden("PATCH", f"{where}?fieldManager=x&force=true", applied, "application/apply-patch+yaml")
    arena.clear()


@attack(
    "a whole status forged by somebody who may",
    STATUS,
    "an administrator gave somebody the right on status: another key, another name in Vault, other ciphertext, another account",
    HARMLESS,
    "the operator writes what is true again; the key has one version, and the Secret and the victim are as they were",
)
def status_by_right(arena: Arena) -> None:
    name = arena.ready(DATA_KEYS)
    before = arena.workloads.get(arena.namespace, name)["status"]
    arena.workloads.patch_status(arena.namespace, name, _forged(arena))

    def is_true_again(live: Json) -> bool:
        status = live["status"]
        return all(status.get(part) == before[part] for part in ("vault", "key", "dataKeys", "binding"))

    arena.workloads.wait_object(SECURE_AI_WORKLOADS, arena.namespace, name, is_true_again, 15)
    _has_own_status(arena, name)


def _forged(arena: Arena) -> Json:
    return {**FORGED, "vault": {**FORGED["vault"], "name": vault_name(arena.victim)}}


def _has_own_status(arena: Arena, name: str) -> None:
    status = arena.workloads.get(arena.namespace, name)["status"]
    assert status["vault"]["name"] == vault_name(arena.namespace, name)
    assert status["binding"]["serviceAccountName"] == names.service_account(name)
    assert status["key"]["latestVersion"] == 1
    assert arena.key(name)["latest_version"] == 1
    identity = Identity.login(
        arena.lab, vault_name(arena.namespace, name), pod_token(arena.lab, arena.namespace, name)
    )
    wrapped = status["dataKeys"][0]["wrapped"]
    assert len(identity.decrypt(vault_name(arena.namespace, name), wrapped)) == 32
    arena.clear()


# Annotations and labels


@dataclass(frozen=True, slots=True)
class Flood:
    """An annotation with ever new values."""

    annotation: str
    count: int
    most_versions: int
    """More the key may not have afterwards."""


FLOODS = (
    Flood(names.ROTATE_ANNOTATION, 30, 31),
    Flood(names.EMERGENCY_ANNOTATION, 10, 11),
    Flood(names.ROTATE_DATA_KEYS_ANNOTATION, 10, 1),
    Flood(names.RESYNC_ANNOTATION, 100, 1),
    Flood(names.DECRYPT_FAILED_ANNOTATION, 30, 1),
    Flood(names.RETRY_RETIREMENT_ANNOTATION, 30, 1),
)


def _flooded(flood: Flood, arena: Arena) -> None:
    name = arena.ready(DATA_KEYS)
    for number in range(flood.count):
        assert arena.tenant.annotate(name, flood.annotation, f"request-{number}").accepted
    _heals_in_time(arena)
    assert arena.key(name)["latest_version"] <= flood.most_versions
    arena.clear()


def _heals_in_time(arena: Arena) -> None:
    """Somebody else's object is back as soon as ever."""
    arena.workloads.delete(arena.victim, "saw-llm-allow", NETWORK_POLICIES)
    arena.workloads.wait_object(NETWORK_POLICIES, arena.victim, "saw-llm-allow")
    arena.workloads.wait_object(
        SECURE_AI_WORKLOADS,
        arena.victim,
        "llm",
        lambda live: live["status"].get("lastDrift", {}).get("name") == "saw-llm-allow",
    )
    arena.rest()


for _flood in FLOODS:
    add(
        Attack(
            f"{_flood.count} values of {_flood.annotation.rpartition('/')[2]}",
            "requests without end",
            f"`{_flood.annotation}` with {_flood.count} values one after the other",
            HARMLESS,
            f"a deleted object of the victim's is back within its time, and the key has at most {_flood.most_versions} versions",
            partial(_flooded, _flood),
        )
    )


@attack(
    "an annotation of a quarter of a megabyte",
    ANNOTATION,
    f"`{names.ROTATE_ANNOTATION}` with 250,000 letters, then with quotes, line ends and a policy",
    HARMLESS,
    "each is acted on once, cut to 256 letters; the status stays small and the log has one line for each line",
)
def large_annotation(arena: Arena) -> None:
    name = arena.ready({})
    for number, value in enumerate(("x" * 250_000, 'a"\n{"event": "forged"}\npath "*" {', "\x1b[2J")):
        assert arena.tenant.annotate(name, names.ROTATE_ANNOTATION, value).accepted
        arena.lab.wait_for(
            lambda wanted=number + 2: arena.key(name)["latest_version"] == wanted,  # type: ignore[misc]
            SETTLED_SECONDS,
            "the key to be rotated",
        )
    live = arena.workloads.wait_ready(arena.namespace, name, SETTLED_SECONDS)
    assert len(str(live["status"])) < 10_000
    assert arena.operator.current is not None
    assert '\n{"event": "forged"}' not in arena.operator.current.process.log.read_text()
    arena.clear()


@attack(
    "labels and annotations of the operator's own on the CR",
    ANNOTATION,
    "`managed-by`, `workload`, `retained`, `role-ref`, `applied` and Kopf's own annotation, with others' names",
    HARMLESS,
    "the workload is as any other; nothing of the victim's is adopted",
)
def forged_marks(arena: Arena) -> None:
    name = arena.name()
    manifest = workload(DATA_KEYS, name)
    manifest["metadata"]["labels"] = {
        names.MANAGED_BY_LABEL: names.MANAGED_BY,
        names.WORKLOAD_LABEL: "llm",
        names.RETAINED_LABEL: "true",
        names.ROLE_REF_LABEL: "true",
        names.QUARANTINE_LABEL: "true",
    }
    manifest["metadata"]["annotations"] = {
        names.APPLIED_ANNOTATION: "0000000000000000",
        names.RESTARTED_FOR_ANNOTATION: "x",
        "kopf.zalando.org/last-handled-configuration": '{"spec": {}}',
    }
    assert arena.tenant.create(manifest).accepted
    arena.workloads.wait_ready(arena.namespace, name, SETTLED_SECONDS)
    for item in arena.objects(name):
        assert item["metadata"]["labels"][names.WORKLOAD_LABEL] == name
    arena.clear()


# Policies


def _policy(arena: Arena, name: str, **spec: Any) -> None:
    whole = {"selector": {}, "schedule": {"interval": "1h"}, **spec}
    assert arena.tenant.create(policy(whole, name)).accepted


@attack(
    "a policy over all namespaces",
    POLICY,
    "`namespaceSelector: {}` in a policy of the tenant's, of the highest priority, and a request to rotate at once",
    HARMLESS,
    "the policy rules nothing and says so; the victim's key has its version and no policy",
)
def policy_over_all(arena: Arena) -> None:
    _policy(arena, "all", namespaceSelector={}, priority=1000)
    where = KEY_ROTATION_POLICIES.path(arena.namespace, "all")
    asked = {"metadata": {"annotations": {names.ROTATE_ANNOTATION: "now"}}}
    assert arena.tenant("PATCH", where, asked, MERGE).accepted
    arena.workloads.wait_object(
        KEY_ROTATION_POLICIES,
        arena.namespace,
        "all",
        lambda live: condition(live, "Ready").get("status") == "False",
        SETTLED_SECONDS,
    )
    assert arena.key("llm", arena.victim)["latest_version"] == 1
    assert not arena.workloads.get(arena.victim, "llm")["status"].get("rotation", {}).get("policy")
    arena.clear()


@attack(
    "a policy that selects everything here",
    POLICY,
    "`selector: {}`, 1000 at once, and a request to rotate at once, over five workloads of the tenant's",
    HARMLESS,
    "the tenant's own keys rotate once, the victim's does not",
)
def policy_over_own(arena: Arena) -> None:
    made = [arena.declared({}) for _ in range(5)]
    for name in made:
        arena.workloads.wait_ready(arena.namespace, name, SETTLED_SECONDS)
    _policy(arena, "own", limits={"maxConcurrent": 1000, "perSecond": 1000})
    where = KEY_ROTATION_POLICIES.path(arena.namespace, "own")
    asked = {"metadata": {"annotations": {names.ROTATE_ANNOTATION: "now"}}}
    assert arena.tenant("PATCH", where, asked, MERGE).accepted
    arena.lab.wait_for(
        lambda: all(arena.key(name)["latest_version"] == 2 for name in made),
        SETTLED_SECONDS,
        "the keys to be rotated",
    )
    assert arena.key("llm", arena.victim)["latest_version"] == 1
    arena.clear()


@attack(
    "destruction of versions without the platform's leave",
    POLICY,
    "`retire` with `after: 1s`, one version kept, and `trim: true`",
    HARMLESS,
    "no version is destroyed: that takes a role in Vault that the platform did not configure",
)
def trimming(arena: Arena) -> None:
    name = arena.ready(DATA_KEYS)
    _policy(arena, "trim", retire={"after": "1s", "keepVersions": 1, "canary": "1s", "trim": True})
    assert arena.tenant.annotate(name, names.ROTATE_ANNOTATION, "now").accepted
    arena.lab.wait_for(
        lambda: arena.key(name)["latest_version"] == 2, SETTLED_SECONDS, "the key to be rotated"
    )
    arena.workloads.wait_condition(
        arena.namespace, name, "RotationOnTrack", "False", "RetireRoleMissing", SETTLED_SECONDS
    )
    assert not arena.key(name).get("min_available_version")
    arena.clear()


# Pods


@attack(
    "the pods under quarantine as a workload's own",
    QUARANTINE,
    f"`podSelector` with `{names.QUARANTINE_LABEL}`",
    REFUSED,
    "the schema refuses it: that label isolates single pods and belongs to nobody",
)
def quarantined_pods(arena: Arena) -> None:
    arena.is_refused({"podSelector": {"matchLabels": {names.QUARANTINE_LABEL: "true"}}}, "cannot select by")


@attack(
    "another workload's pods by its name",
    OTHERS_PODS,
    f"`podSelector` with `{names.WORKLOAD_LABEL}: other`",
    REFUSED,
    "the schema allows a workload its own name there",
)
def pods_by_name(arena: Arena) -> None:
    labels = {names.WORKLOAD_LABEL: "other"}
    arena.is_refused({"podSelector": {"matchLabels": labels}}, "use this workload's own name there")


@attack(
    "another workload's pods by part of its labels",
    OTHERS_PODS,
    "a younger workload that selects by one of the two labels of an older one",
    HARMLESS,
    "the older keeps its pods; the younger has no NetworkPolicy for them and says PodsClaimedTwice",
)
def pods_by_part(arena: Arena) -> None:
    older = arena.ready({"podSelector": {"matchLabels": {"app": "db", "tier": "one"}}})
    # The API server counts in seconds, and the older one keeps the pods.
    made = arena.workloads.get(arena.namespace, older)["metadata"]["creationTimestamp"]
    younger = arena.name()
    evil = workload({"podSelector": {"matchLabels": {"app": "db"}}}, younger)
    arena.lab.wait_for(lambda: arena.server_time() > made, 30, "the next second")
    assert arena.tenant.create(evil).accepted
    arena.workloads.wait_condition(
        arena.namespace, younger, "NetworkIsolated", "False", deadline=SETTLED_SECONDS
    )
    assert arena.workloads.find(NETWORK_POLICIES, arena.namespace, names.allow_policy(younger)) is None
    assert arena.workloads.find(NETWORK_POLICIES, arena.namespace, names.allow_policy(older)) is not None
    arena.clear()


@attack(
    "the labels of pods in another namespace",
    OTHERS_PODS,
    "a workload that selects by the labels that pods in the victim's namespace carry, isolates them and lets itself in",
    HARMLESS,
    "its NetworkPolicies and its binding are in its own namespace; a pod of the victim's is bound to nothing of the tenant's",
)
def labels_elsewhere(arena: Arena) -> None:
    labels = {"app": "theirs"}
    name = arena.ready(
        {
            "podSelector": {"matchLabels": labels},
            "network": {"ingress": [{"from": [{"cidr": "0.0.0.0/0"}], "ports": [1]}]},
        }
    )
    pod = {
        "metadata": {"name": "p", "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "main"}]},
    }
    where = f"/api/v1/namespaces/{arena.victim}/pods?dryRun=All"
    made = arena.lab.api.request("POST", where, pod)
    assert made["spec"]["serviceAccountName"] == "default"
    assert names.WORKLOAD_LABEL not in made["metadata"]["labels"]
    assert all(item["metadata"]["namespace"] == arena.namespace for item in arena.objects(name))
    arena.clear()


@attack(
    "a pod with another workload's account",
    OTHERS_PODS,
    "somebody who may make pods makes one that runs as a workload's ServiceAccount, and one that names it and takes another's",
    REFUSED,
    "admission refuses the first; the second runs as the workload it names, and as no other",
)
def pod_with_anothers_account(arena: Arena) -> None:
    one, other = arena.ready({}), arena.ready({})
    pods = f"/api/v1/namespaces/{arena.namespace}/pods?dryRun=All"
    containers = [{"name": "main", "image": "main"}]
    spec: Json = {"containers": containers, "serviceAccountName": names.service_account(one)}
    for labels in ({}, {"app": "x"}):
        pod = {"metadata": {"name": "p", "labels": labels}, "spec": spec}
        answer = arena.administrator("POST", pods, pod)
        assert "is the identity of SecureAIWorkload" in answer.causes[0].message
    pod = {"metadata": {"name": "p", "labels": {names.WORKLOAD_LABEL: other}}, "spec": spec}
    answer = arena.administrator("POST", pods, pod)
    assert not answer.accepted or answer.body["spec"]["serviceAccountName"] == names.service_account(other)
    arena.clear()


@attack(
    "somebody else's Deployment by the rollout of data keys",
    OTHERS_PODS,
    "new data keys are asked for of a workload that selects no pod of a Deployment beside it",
    HARMLESS,
    "the Deployment is not restarted",
)
def others_rollout(arena: Arena) -> None:
    name = arena.ready(DATA_KEYS)
    labels = {"app": "beside"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    body = {
        "metadata": {"name": "beside"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    made = arena.lab.api.request("POST", DEPLOYMENTS.path(arena.namespace), body)
    assert arena.tenant.annotate(name, names.ROTATE_DATA_KEYS_ANNOTATION, "now").accepted
    arena.workloads.wait_object(
        SECURE_AI_WORKLOADS,
        arena.namespace,
        name,
        lambda live: bool((live["status"].get("dataKeyRotation") or {}).get("requestId")),
        SETTLED_SECONDS,
    )
    live = arena.lab.api.request("GET", DEPLOYMENTS.path(arena.namespace, "beside"))
    assert live["spec"]["template"] == made["spec"]["template"]
    arena.lab.api.request("DELETE", DEPLOYMENTS.path(arena.namespace, "beside"))
    arena.clear()


@attack(
    "a name that is taken by somebody's object",
    "adoption of what is another's",
    "a workload whose ServiceAccount, Role or Secret would have the name of an object that is there already",
    HARMLESS,
    "the object is left as it is, and the workload says NameConflict",
)
def taken_name(arena: Arena) -> None:
    name = arena.name()
    where = f"/api/v1/namespaces/{arena.namespace}/serviceaccounts"
    theirs = arena.lab.api.request("POST", where, {"metadata": {"name": names.service_account(name)}})
    arena.declared({}, name)
    arena.workloads.wait_condition(
        arena.namespace, name, "IdentityReady", "False", "NameConflict", SETTLED_SECONDS
    )
    live = arena.lab.api.request("GET", f"{where}/{names.service_account(name)}")
    assert live["metadata"]["resourceVersion"] == theirs["metadata"]["resourceVersion"]
    arena.lab.api.request("DELETE", f"{where}/{names.service_account(name)}")
    arena.clear()


@attack(
    "another connection",
    "Vault's address in a CR",
    "`vault.connection` of a name that is not configured, and its change on a workload that lives",
    HARMLESS,
    "the first says ConnectionNotConfigured and has nothing in Vault; the change is refused",
)
def another_connection(arena: Arena) -> None:
    name = arena.declared({"vault": {"connection": "evil"}})
    arena.workloads.wait_condition(
        arena.namespace, name, "VaultReachable", "False", "ConnectionNotConfigured", 30
    )
    has_no_access(arena, name)
    assert not arena.tenant.merge(name, {"spec": {"vault": {"connection": "default"}}}).accepted
    arena.clear()
