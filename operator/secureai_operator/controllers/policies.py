"""The KeyRotationPolicies that exist, as models, and the selection that they make together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from secureai_operator import names
from secureai_operator.api import reasons
from secureai_operator.api.rotation import KeyRotationPolicySpec, KeyRotationPolicyStatus
from secureai_operator.controllers.workloads import REQUEST_MAX, Key
from secureai_operator.core.rotation.ruling import schedule_digest
from secureai_operator.core.rotation.schedule import Timetable, timetable
from secureai_operator.core.rotation.selection import (
    Candidate,
    Labels,
    Policy,
    Ruling,
    Selection,
    policy_verdict,
)
from secureai_operator.core.rotation.situation import moment
from secureai_operator.core.verdict import Verdict, bad
from secureai_operator.runtime.versions import is_older


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """One KeyRotationPolicy; there are few, so it is kept as models."""

    policy: Policy
    uid: str
    generation: int
    resource_version: str
    request: str
    """Value of the rotate annotation."""
    status: KeyRotationPolicyStatus
    table: Timetable | None
    """None for one whose schedule names no time."""
    digest: str
    problem: Verdict | None
    """Why it rules nothing."""

    @property
    def key(self) -> Key:
        return self.policy.key

    @property
    def requested_at(self) -> datetime | None:
        return None if self.status.requested_at is None else moment(self.status.requested_at)

    def is_same_order(self, other: StoredPolicy) -> bool:
        """Whether nothing changed that decides about a workload."""
        return (
            self.uid == other.uid
            and self.generation == other.generation
            and self.request == other.request
            and self.status.requested_at == other.status.requested_at
        )


@dataclass(frozen=True, slots=True)
class NamespaceLabels:
    """A namespace by what policies select it by."""

    name: str
    labels: Labels


def namespace_labels(raw: Mapping[str, Any]) -> NamespaceLabels:
    metadata = raw["metadata"]
    return NamespaceLabels(metadata["name"], dict(metadata.get("labels") or {}))


class Policies:
    """The store of all policies. `namespaces` tells the labels of each namespace that is known."""

    def __init__(self, operator_namespace: str, namespaces: Callable[[], Mapping[str, Labels]]) -> None:
        self._operator_namespace = operator_namespace
        self._namespaces = namespaces
        self._by_key: dict[Key, StoredPolicy] = {}
        self._selection: Selection | None = None

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[StoredPolicy]:
        return iter(list(self._by_key.values()))

    def get(self, key: Key) -> StoredPolicy | None:
        return self._by_key.get(key)

    def put(self, new: StoredPolicy) -> bool:
        """Keep the policy; whether anything changed that decides about a workload."""
        old = self._by_key.get(new.key)
        if old is not None and is_older(new.resource_version, old.resource_version):
            return False
        self._by_key[new.key] = new
        if old is not None and new.is_same_order(old):
            return False
        self._selection = None
        return True

    def remove(self, key: Key, uid: str | None = None) -> bool:
        old = self._by_key.get(key)
        if old is None or (uid is not None and old.uid != uid):
            return False
        del self._by_key[key]
        self._selection = None
        return True

    def forget_selection(self) -> None:
        """The labels of a namespace changed."""
        self._selection = None

    @property
    def span_namespaces(self) -> bool:
        """Whether any policy selects by the labels of namespaces."""
        return any(one.policy.spec.namespace_selector is not None for one in self._by_key.values())

    def ruling(self, namespace: str, name: str, labels: Labels) -> Ruling:
        """Which policy rules the workload, and whom it masks."""
        if self._selection is None:
            valid = [one.policy for one in self._by_key.values() if one.problem is None]
            self._selection = Selection(valid, self._namespaces(), self._operator_namespace)
        return self._selection.ruling(Candidate(namespace, name, labels))


def stored_policy(raw: Mapping[str, Any], operator_namespace: str) -> StoredPolicy:
    metadata = raw["metadata"]
    annotations = metadata.get("annotations") or {}
    spec, problem = _spec(raw.get("spec") or {})
    policy = Policy(metadata["namespace"], metadata["name"], str(metadata.get("creationTimestamp", "")), spec)
    table = timetable(spec.schedule, spec.windows)
    problem = problem or policy_verdict(policy, operator_namespace)
    if isinstance(table, Verdict):
        problem = problem or table
    return StoredPolicy(
        policy=policy,
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 0)),
        resource_version=metadata["resourceVersion"],
        request=str(annotations.get(names.ROTATE_ANNOTATION, ""))[:REQUEST_MAX],
        status=_status(raw.get("status") or {}),
        table=None if isinstance(table, Verdict) else table,
        digest=schedule_digest(spec),
        problem=problem,
    )


_UNREADABLE = KeyRotationPolicySpec.model_validate({"selector": {}, "schedule": {"interval": "87600h"}})
"""Stands for a spec that cannot be read; such a policy rules nothing."""


def _spec(raw: Mapping[str, Any]) -> tuple[KeyRotationPolicySpec, Verdict | None]:
    try:
        return KeyRotationPolicySpec.model_validate_json(json.dumps(raw)), None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        return _UNREADABLE, bad(reasons.INVALID_SPEC, f"spec.{where}: {first['msg']}", terminal=True)


def _status(raw: Mapping[str, Any]) -> KeyRotationPolicyStatus:
    """The last status; an unreadable one counts as none, and is written anew."""
    try:
        return KeyRotationPolicyStatus.model_validate_json(json.dumps(raw))
    except ValidationError:
        return KeyRotationPolicyStatus()
