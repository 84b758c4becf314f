"""The SecureAIWorkloads that exist: kept as bytes, read as models, found by key and by uid."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from secureai_operator import errors, names
from secureai_operator.api import reasons
from secureai_operator.api.workload import SecureAIWorkloadSpec
from secureai_operator.api.workload_status import SecureAIWorkloadStatus
from secureai_operator.core.facts import Workload

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class StoredWorkload:
    """One CR, a tenth of the size of its dictionary; `spec` and `status` are JSON."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    deleting: bool
    finalizers: tuple[str, ...]
    resync: str
    force_delete: bool
    created: str
    connection: str
    pod_labels: Mapping[str, str]
    has_selector: bool
    """Whether it selects its pods by labels of their own and not by its name."""
    spec: bytes
    status: bytes

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    def is_same_order(self, other: StoredWorkload) -> bool:
        """Whether nothing changed that a user asks for: then only status or labels did."""
        return (
            self.uid == other.uid
            and self.generation == other.generation
            and self.deleting == other.deleting
            and self.finalizers == other.finalizers
            and self.resync == other.resync
            and self.force_delete == other.force_delete
        )


class Workloads:
    """The store of all CRs. Written by the watch, and by ourselves with what the API server answers to our patches."""

    def __init__(self) -> None:
        self._by_key: dict[Key, StoredWorkload] = {}
        self._key_by_uid: dict[str, Key] = {}
        self._namespaces: dict[str, set[str]] = {}
        self._selecting: dict[str, set[str]] = {}
        self._writing: set[Key] = set()

    def __len__(self) -> int:
        return len(self._by_key)

    def put(self, raw: Mapping[str, Any]) -> bool:
        """Keep the CR; whether a pass is due. What is older than what is known is left out."""
        new = stored(raw)
        old = self._by_key.get(new.key)
        if old is not None and old.uid == new.uid and _is_older(new.resource_version, old.resource_version):
            return False
        if old is not None and old.uid != new.uid:
            self._key_by_uid.pop(old.uid, None)
        self._by_key[new.key] = new
        self._key_by_uid[new.uid] = new.key
        self._namespaces.setdefault(new.namespace, set()).add(new.name)
        if new.has_selector:
            self._selecting.setdefault(new.namespace, set()).add(new.name)
        elif old is not None and old.has_selector:
            _discard(self._selecting, new.key)
        if old is None or not new.is_same_order(old):
            return True
        return new.status != old.status and new.key not in self._writing

    @contextlib.contextmanager
    def writing_status(self, key: Key) -> Iterator[None]:
        """While we write the status a change of it is our own: the watch often tells before the API server answers."""
        self._writing.add(key)
        try:
            yield
        finally:
            self._writing.discard(key)

    def remove(self, key: Key, uid: str | None = None) -> StoredWorkload | None:
        """Forget the CR, unless it is another one of the same name by now."""
        old = self._by_key.get(key)
        if old is None or (uid is not None and old.uid != uid):
            return None
        del self._by_key[key]
        self._key_by_uid.pop(old.uid, None)
        _discard(self._namespaces, key)
        _discard(self._selecting, key)
        return old

    def get(self, key: Key) -> StoredWorkload | None:
        return self._by_key.get(key)

    def key_of(self, uid: str) -> Key | None:
        return self._key_by_uid.get(uid)

    def selecting(self, namespace: str) -> Iterator[StoredWorkload]:
        """Those that select their pods by other labels than their name: few, and the only ones that can overlap."""
        for name in sorted(self._selecting.get(namespace, ())):
            yield self._by_key[namespace, name]

    def in_namespace(self, namespace: str) -> Iterator[StoredWorkload]:
        for name in sorted(self._namespaces.get(namespace, ())):
            yield self._by_key[namespace, name]

    def namespaces(self) -> frozenset[str]:
        return frozenset(self._namespaces)

    def keys(self) -> list[Key]:
        return list(self._by_key)

    def values(self) -> list[StoredWorkload]:
        return list(self._by_key.values())


def stored(raw: Mapping[str, Any]) -> StoredWorkload:
    metadata, spec = raw["metadata"], raw.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    selector = (spec.get("podSelector") or {}).get("matchLabels")
    return StoredWorkload(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 0)),
        resource_version=metadata["resourceVersion"],
        deleting=bool(metadata.get("deletionTimestamp")),
        finalizers=tuple(metadata.get("finalizers") or ()),
        resync=str(annotations.get(names.RESYNC_ANNOTATION, ""))[:256],
        force_delete=annotations.get(names.FORCE_DELETE_ANNOTATION) == "true",
        created=str(metadata.get("creationTimestamp", "")),
        connection=str((spec.get("vault") or {}).get("connection", "default")),
        has_selector=bool(selector),
        pod_labels=dict(selector) if selector else {names.WORKLOAD_LABEL: metadata["name"]},
        spec=_bytes(spec),
        status=_bytes(raw.get("status") or {}),
    )


def as_workload(item: StoredWorkload) -> Workload:
    """The CR as models. Raises errors.Terminal(InvalidSpec) for a spec that the schema let through and we cannot read."""
    try:
        spec = SecureAIWorkloadSpec.model_validate_json(item.spec)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise errors.Terminal(reasons.INVALID_SPEC.name, f"spec.{where}: {first['msg']}") from None
    return Workload(
        namespace=item.namespace,
        name=item.name,
        uid=item.uid,
        generation=item.generation,
        spec=spec,
        status=as_status(item),
        deleting=item.deleting,
        has_finalizer=names.FINALIZER in item.finalizers,
        resync=item.resync,
        force_delete=item.force_delete,
        created=item.created,
    )


def as_status(item: StoredWorkload) -> SecureAIWorkloadStatus:
    """The last status; an unreadable one counts as none, and is written anew."""
    try:
        return SecureAIWorkloadStatus.model_validate_json(item.status)
    except ValidationError:
        return SecureAIWorkloadStatus()


def _discard(names_by_namespace: dict[str, set[str]], key: Key) -> None:
    """Take the name out, and its namespace with the last one."""
    siblings = names_by_namespace.get(key[0])
    if siblings is not None:
        siblings.discard(key[1])
        if not siblings:
            del names_by_namespace[key[0]]


def _bytes(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _is_older(new: str, old: str) -> bool:
    # Resource versions of one resource are ordered numbers since Kubernetes 1.35; elsewhere the watch's order counts.
    return new.isdigit() and old.isdigit() and int(new) < int(old)
