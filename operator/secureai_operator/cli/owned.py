"""Everything that a workload owns, in Kubernetes and in Vault, as it is found there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from secureai_operator import names
from secureai_operator.api.condition_types import ConditionType as C
from secureai_operator.api.resources import (
    NETWORK_POLICIES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from secureai_operator.cli.output import Mark, Word, moment, string
from secureai_operator.cli.workloads import WorkloadView
from secureai_operator.clients.kube_user import Json, KubeUser
from secureai_operator.errors import KubeForbidden, VaultDenied

KINDS: tuple[tuple[Resource, C], ...] = (
    (SERVICE_ACCOUNTS, C.IDENTITY_READY),
    (ROLES, C.ACCESS_GRANTED),
    (ROLE_BINDINGS, C.ACCESS_GRANTED),
    (SECRETS, C.KEY_READY),
    (NETWORK_POLICIES, C.NETWORK_ISOLATED),
)
"""The kinds that a workload may own, and the condition that speaks of them."""


@dataclass(frozen=True)
class Owned:
    """One thing that belongs to the workload; `note` says what there is to say about it."""

    kind: str
    name: str
    state: Word
    created: datetime | None = None
    note: str = ""


OK = Word("ok", Mark.GOOD)
MISSING = Word("MISSING", Mark.ERROR)
HIDDEN = Word("hidden", Mark.QUIET)


def expected_names(workload: WorkloadView) -> dict[str, tuple[str, ...]]:
    """The names by kind that must exist, as far as the spec alone tells."""
    name, spec = workload.name, workload.spec
    access = spec.get("access") or {}
    secrets = [names.keys_secret(name)] if (spec.get("keys") or {}).get("dataKeys") else []
    if (spec.get("certificate") or {}).get("delivery", "Secret") != "None":
        secrets.append(names.tls_secret(name))
    bindings = [names.role_binding(name)] if access.get("rules") else []
    policies = (names.allow_policy(name), names.quarantine_policy(name))
    bindings += [names.role_ref_binding(name, index) for index, _ in enumerate(access.get("roleRefs") or ())]
    return {
        "ServiceAccount": (names.service_account(name),),
        "Role": (names.role(name),) if access.get("rules") else (),
        "RoleBinding": tuple(bindings),
        "Secret": tuple(secrets),
        # Under Audit nothing that runs is cut off.
        "NetworkPolicy": () if spec.get("enforcement") == "Audit" else policies,
    }


def in_kubernetes(kube: KubeUser, workload: WorkloadView) -> Iterator[Owned]:
    """The owned objects in their order, the missing ones included."""
    expected = expected_names(workload)
    selector = f"{names.MANAGED_SELECTOR},{names.WORKLOAD_LABEL}={workload.name}"
    for resource, concern in KINDS:
        try:
            found = kube.list(resource, workload.namespace, labels=selector, metadata_only=True)
        except KubeForbidden:
            yield Owned(resource.kind, "?", HIDDEN, note=f"you may not list {resource.plural}")
            continue
        yield from of_kind(workload, resource.kind, concern, found, expected[resource.kind])


def of_kind(
    workload: WorkloadView, kind: str, concern: C, found: Iterable[Json], expected: Iterable[str]
) -> Iterator[Owned]:
    """The objects of one kind: what is there, and what should be."""
    condition = workload.condition(concern)
    missing_note = "" if condition is None or condition.holds else condition.reason
    live = {item["metadata"]["name"]: item for item in found}
    for name in expected:
        if name not in live:
            yield Owned(kind, name, MISSING, note=missing_note)
    for name, item in sorted(live.items()):
        yield Owned(kind, name, _state(workload, item), _created(item), _note(workload, kind, name))


def pods(kube: KubeUser, workload: WorkloadView) -> Iterator[Owned]:
    labels = workload.pod_labels or {names.WORKLOAD_LABEL: workload.name}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    try:
        found = kube.list(PODS, workload.namespace, labels=selector)
    except KubeForbidden:
        yield Owned("Pod", "?", HIDDEN, note="you may not list pods")
        return
    unbound = set((workload.status.get("pods") or {}).get("unboundNames") or ())
    for pod in sorted(found, key=lambda item: string(item, "metadata", "name")):
        yield _pod(pod, unbound)


def in_vault_by_status(workload: WorkloadView) -> Iterator[Owned]:
    """The Vault half as the operator last saw it."""
    vault = workload.status.get("vault")
    if not vault or not string(vault, "name"):
        return
    name = string(vault, "name")
    key = workload.status.get("key") or {}
    since = moment(string(key, "createdAt"))
    yield Owned(
        "Key",
        f"{string(vault, 'transitMount')}/{name}",
        _by_condition(workload, C.KEY_READY),
        since,
        _key_note(key),
    )
    identity = _by_condition(workload, C.IDENTITY_READY)
    yield Owned("Policy", name, identity)
    yield Owned("AuthRole", f"{string(vault, 'authMount')}/{name}", identity)
    if (workload.spec.get("certificate") or {}).get("delivery", "Secret") != "None":
        state = _by_condition(workload, C.CERTIFICATE_READY)
        yield Owned("PkiRole", f"{string(vault, 'pkiMount')}/{name}", state)


def in_vault(vault: Any, workload: WorkloadView) -> Iterator[Owned]:
    """The Vault half as Vault has it now, read with the user's own token (a `clients.vault_user.VaultUser`)."""
    where = workload.status.get("vault") or {}
    name = string(where, "name")
    if not name:
        return
    transit, auth, pki = (string(where, mount) for mount in ("transitMount", "authMount", "pkiMount"))
    try:
        key = vault.key(transit, name)
        versions = None if key is None else min(key.versions.values(), default=None)
        created = None if versions is None else datetime.fromtimestamp(versions, UTC)
        note = "" if key is None else f"v{key.latest_version} {key.type}"
        yield Owned("Key", f"{transit}/{name}", OK if key else MISSING, created, note)
        yield _there("Policy", name, vault.policy(name))
        role = vault.auth_role(auth, name)
        note = "" if role is None else f"for {', '.join(role.bound_service_account_names)}"
        yield _there("AuthRole", f"{auth}/{name}", role, note)
        if (workload.spec.get("certificate") or {}).get("delivery", "Secret") != "None":
            pki_role = vault.pki_role(pki, name)
            note = "" if pki_role is None else f"for {', '.join(pki_role.allowed_domains)}"
            yield _there("PkiRole", f"{pki}/{name}", pki_role, note)
    except VaultDenied:
        yield Owned("?", name, HIDDEN, note="VAULT_TOKEN may not read it")


def _there(kind: str, name: str, found: object | None, note: str = "") -> Owned:
    return Owned(kind, name, MISSING if found is None else OK, note=note)


def _state(workload: WorkloadView, item: Mapping[str, Any]) -> Word:
    if item["metadata"].get("deletionTimestamp"):
        return Word("deleting", Mark.PROGRESS)
    owners = item["metadata"].get("ownerReferences") or ()
    if any(owner.get("uid") == workload.uid for owner in owners):
        return OK
    return Word("not owned", Mark.WARNING)


def _created(item: Mapping[str, Any]) -> datetime | None:
    return moment(string(item, "metadata", "creationTimestamp"))


def _note(workload: WorkloadView, kind: str, name: str) -> str:
    if kind == "Secret" and name == names.keys_secret(workload.name):
        keys = workload.status.get("dataKeys") or ()
        return ", ".join(f"{string(key, 'name')} (v{key.get('keyVersion')})" for key in keys)
    if kind == "Secret" and name == names.tls_secret(workload.name):
        until = string(workload.status.get("certificate"), "notAfter")
        return f"certificate until {until}" if until else ""
    drift = workload.status.get("lastDrift") or {}
    if (string(drift, "kind"), string(drift, "name")) == (kind, name):
        return f"{string(drift, 'action').lower()} at {string(drift, 'time')}"
    return ""


def _pod(pod: Json, unbound: set[str]) -> Owned:
    metadata, name = pod["metadata"], string(pod, "metadata", "name")
    phase = string(pod, "status", "phase") or "Pending"
    node = string(pod, "spec", "nodeName")
    note = f"on {node}" if node else _waiting(pod)
    state = Word(phase, Mark.GOOD if phase in ("Running", "Succeeded") else Mark.WARNING)
    if names.QUARANTINE_LABEL in (metadata.get("labels") or {}):
        state = Word("quarantined", Mark.WARNING)
    elif name in unbound:
        state, note = Word("UNBOUND", Mark.ERROR), note or "runs without the workload's protection"
    return Owned("Pod", name, state, _created(pod), note)


def _waiting(pod: Json) -> str:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return next(
        (string(one, "reason") for one in conditions if one.get("type") == "PodScheduled"), "not scheduled"
    )


def _by_condition(workload: WorkloadView, concern: C) -> Word:
    condition = workload.condition(concern)
    if condition is None:
        return Word("unknown", Mark.QUIET)
    return OK if condition.holds else Word(condition.reason, condition.mark)


def _key_note(key: Mapping[str, Any]) -> str:
    return f"v{key.get('latestVersion', 0)} {string(key, 'type')}" if key else ""
