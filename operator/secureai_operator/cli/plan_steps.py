"""What the operator would do after an apply: the core's own desired state, compared with what there is."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from secureai_operator import names
from secureai_operator.api.condition_types import ConditionType as C
from secureai_operator.api.resources import ROLE_BINDINGS, ROLES, SECRETS
from secureai_operator.api.workload import CertificateDelivery
from secureai_operator.cli.plan_facts import as_workload_model, facts_of
from secureai_operator.clients.kube_user import Json, KubeUser
from secureai_operator.core.desired import desired_objects
from secureai_operator.core.desired.access import access_verdict
from secureai_operator.core.desired.keys import (
    key_awaited_verdict,
    may_create_key,
    never_had_key,
    spec_verdict,
)
from secureai_operator.core.desired.objects import DesiredObject
from secureai_operator.core.desired.placement import placement
from secureai_operator.core.desired.vault import desired_vault, foreign_dns_names, vault_differences
from secureai_operator.core.drift import PARTS, controller_uid, differing_parts, digest
from secureai_operator.core.facts import Facts, VaultObserved, Workload
from secureai_operator.core.verdict import Verdict
from secureai_operator.errors import KubeForbidden, Terminal
from secureai_operator.settings import Settings

_DIFF_LINES = 40


class Action(StrEnum):
    """What would happen to one object."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True)
class Change:
    """One object that would not stay as it is."""

    action: Action
    system: str
    name: str
    what: str = ""
    diff: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preview:
    """The changes, and what a person should know besides."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def previewed(kube: KubeUser, settings: Settings | None, accepted: Json, live: Json | None) -> Preview:
    """What would follow from a SecureAIWorkload that the API server would accept."""
    try:
        workload = as_workload_model(accepted)
    except Terminal as error:
        return Preview((), (f"Stalled, InvalidSpec: {error.message}",))
    facts, notes = facts_of(kube, settings, workload)
    objects = list(desired_objects(workload, facts))
    if settings is None:
        objects = [item for item in objects if item.concern is not C.NETWORK_ISOLATED]
        notes.append(
            "the operator's configuration is not visible (use --config): NetworkPolicies and Vault are not compared"
        )
    changes = [*_kubernetes(kube, workload, objects, live)]
    if settings is None or workload.spec.vault.connection in settings.connections:
        changes += _secrets(kube, workload)
    if settings is not None:
        changes += _vault(workload, None if live is None else as_workload_model(live), facts)
    notes += _problems(workload, facts, settings)
    return Preview(tuple(changes), tuple(notes))


def changed_fields(old: Any, new: Any, path: str = "spec") -> list[str]:
    """The paths at which two JSON values differ, no deeper than the first difference of each branch."""
    if old == new:
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [
            found
            for key in sorted({*old, *new})
            for found in changed_fields(old.get(key), new.get(key), f"{path}.{key}")
        ]
    return [path]


def _kubernetes(
    kube: KubeUser, workload: Workload, objects: list[DesiredObject], live: Json | None
) -> Iterator[Change]:
    wanted = {(item.resource.kind, item.name) for item in objects}
    for item in objects:
        present = kube.get(item.resource, workload.namespace, item.name)
        label = f"{item.resource.kind}/{item.name}"
        if present is None:
            yield Change(Action.CREATE, "Kubernetes", label)
            continue
        parts = _parts(item, present)
        if parts:
            yield Change(Action.CHANGE, "Kubernetes", label, ", ".join(parts), _diff(present, item, parts))
    if live is not None:
        yield from _superfluous(kube, workload, wanted)


def _parts(item: DesiredObject, present: Json) -> tuple[str, ...]:
    live = {**present, "kind": item.resource.kind}
    wanted: Mapping[str, Any] = item.manifest
    if not controller_uid(live):
        return ("metadata.ownerReferences",)
    return differing_parts(item.resource.kind, digest(wanted), digest(live))


def _superfluous(kube: KubeUser, workload: Workload, wanted: set[tuple[str, str]]) -> Iterator[Change]:
    """Objects that the workload owns and would no longer want; network policies only under a visible configuration."""
    selector = f"{names.MANAGED_SELECTOR},{names.WORKLOAD_LABEL}={workload.name}"
    for resource in (ROLES, ROLE_BINDINGS):
        for found in kube.list(resource, workload.namespace, labels=selector, metadata_only=True):
            place = (resource.kind, str(found["metadata"]["name"]))
            if place not in wanted and controller_uid(found) == workload.uid:
                yield Change(Action.DELETE, "Kubernetes", "/".join(place))


def _secrets(kube: KubeUser, workload: Workload) -> Iterator[Change]:
    """Only whether they exist: what is in them comes from Vault."""
    wanted = []
    if workload.spec.keys.data_keys:
        wanted.append(names.keys_secret(workload.name))
    if workload.spec.certificate.delivery is not CertificateDelivery.NONE:
        wanted.append(names.tls_secret(workload.name))
    selector = f"{names.MANAGED_SELECTOR},{names.WORKLOAD_LABEL}={workload.name}"
    try:
        listed = kube.list(SECRETS, workload.namespace, labels=selector, metadata_only=True)
    except KubeForbidden:
        return
    present = {str(item["metadata"]["name"]) for item in listed}
    for name in wanted:
        if name not in present:
            yield Change(Action.CREATE, "Kubernetes", f"Secret/{name}")
    known = {key.name for key in workload.status.data_keys}
    new = [key.name for key in workload.spec.keys.data_keys if key.name not in known]
    if new and names.keys_secret(workload.name) in present:
        what = f"new data keys: {', '.join(new)}"
        yield Change(Action.CHANGE, "Kubernetes", f"Secret/{names.keys_secret(workload.name)}", what)


def _vault(workload: Workload, before: Workload | None, facts: Facts) -> Iterator[Change]:
    """By what the operator would want now and then; what others did in Vault meanwhile is healed in any case."""
    connection = facts.config.connections.get(workload.spec.vault.connection)
    if connection is None:
        return
    new = desired_vault(workload, facts.config, connection)
    old_connection = before and facts.config.connections.get(before.spec.vault.connection)
    if before is None or not old_connection or before.status.key is None:
        if may_create_key(workload):
            yield Change(Action.CREATE, "Vault", f"Key/{new.name}", f"type {new.key_type}")
        yield Change(Action.CREATE, "Vault", f"Policy/{new.name}")
        yield Change(Action.CREATE, "Vault", f"AuthRole/{new.name}")
        if new.pki_role is not None:
            yield Change(Action.CREATE, "Vault", f"PkiRole/{new.name}")
        return
    old = desired_vault(before, facts.config, old_connection)
    observed = VaultObserved(None, old.policy, old.auth_role, old.pki_role)
    for found in vault_differences(new, observed):
        action = Action.CHANGE if found.field else Action.CREATE
        yield Change(action, "Vault", f"{found.kind.removeprefix('Vault')}/{found.name}", found.field)


def _problems(workload: Workload, facts: Facts, settings: Settings | None) -> list[str]:
    """What the operator would say of it that an apply would not."""
    found: list[str] = []
    verdicts: list[tuple[C, Verdict | None]] = [
        (C.KEY_READY, _key_problem(workload, facts)),
        (C.ACCESS_GRANTED, access_verdict(workload, facts) if facts.ceiling else None),
    ]
    if facts.cluster.known:
        verdicts.append((C.CONFIDENTIAL_SCHEDULABLE, placement(workload, facts).verdict))
    for kind, verdict in verdicts:
        if verdict is not None and verdict.status == "False":
            found.append(f"{kind.value} would be False, {verdict.reason.name}: {verdict.message}")
    if settings is not None and workload.spec.vault.connection not in settings.connections:
        known = ", ".join(sorted(settings.connections)) or "none"
        found.append(
            f"VaultReachable would be False, ConnectionNotConfigured: {workload.spec.vault.connection}; configured: {known}"
        )
    if foreign := foreign_dns_names(workload):
        found.append(f"names outside the namespace get no certificate: {', '.join(foreign)}")
    return found


def _key_problem(workload: Workload, facts: Facts) -> Verdict | None:
    connection = facts.config.connections.get(workload.spec.vault.connection)
    if connection is None:
        return None
    problem = spec_verdict(workload, connection)
    if problem is None and never_had_key(workload) and not may_create_key(workload):
        name = names.vault_name(facts.config.cluster, workload.namespace, workload.name)
        return key_awaited_verdict(workload, name)
    return problem


def _diff(present: Json, item: DesiredObject, parts: tuple[str, ...]) -> tuple[str, ...]:
    """The differing parts as a unified diff of their YAML."""
    import yaml  # noqa: PLC0415 - only for a difference

    lines: list[str] = []
    for part in parts:
        if part not in PARTS[item.resource.kind]:
            continue
        before, after = (
            yaml.safe_dump({part: _at(source, part)}, sort_keys=True).splitlines()
            for source in (present, item.manifest)
        )
        lines += list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]
    return tuple(line for line in lines if not line.startswith("@@"))[:_DIFF_LINES]


def _at(manifest: Mapping[str, Any], path: str) -> Any:
    value: Any = manifest
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
