"""The SecureAIWorkloads that exist: kept packed, read as models, found by key and by uid."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from secureai_operator import errors, names
from secureai_operator.api import reasons
from secureai_operator.api.workload import SecureAIWorkloadSpec
from secureai_operator.controllers.packed import packed, unpacked
from secureai_operator.controllers.status_json import decoded
from secureai_operator.core.facts import NO_REQUESTS, Requests, Workload
from secureai_operator.runtime.versions import is_older

Key = tuple[str, str]
"""Namespace and name."""

REQUEST_MAX = 256
"""Longest id of a request that is told apart: as long as the fields of status that remember it."""

GONE_MAX = 4096
"""So many that are gone are remembered: a watch that repeats itself does so within minutes."""

_REQUESTS = {
    "rotate": names.ROTATE_ANNOTATION,
    "emergency": names.EMERGENCY_ANNOTATION,
    "data_keys": names.ROTATE_DATA_KEYS_ANNOTATION,
    "decrypt_failed": names.DECRYPT_FAILED_ANNOTATION,
    "retry_retirement": names.RETRY_RETIREMENT_ANNOTATION,
}
"""The annotation of each request."""


@dataclass(frozen=True, slots=True)
class StoredWorkload:
    """One CR, a twentieth of the size of its dictionary; `spec` and `status` are packed."""

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
    labels: Mapping[str, str]
    """What policies select it by."""
    requests: Requests
    connection: str
    pod_labels: Mapping[str, str]
    has_selector: bool
    """Whether it selects its pods by labels of their own and not by its name."""
    spec: bytes
    status: bytes

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    @property
    def is_held(self) -> bool:
        """Whether our finalizer is on it."""
        return names.FINALIZER in self.finalizers

    def is_same_order(self, other: StoredWorkload) -> bool:
        """Whether nothing changed, since `other`, that a user asks for: then only the status did, or what nobody looks at.

        That our finalizer came is our own doing; that it went is not.
        """
        return (
            self.uid == other.uid
            and self.generation == other.generation
            and self.deleting == other.deleting
            and _besides_ours(self.finalizers) == _besides_ours(other.finalizers)
            and self.is_held >= other.is_held
            and self.resync == other.resync
            and self.force_delete == other.force_delete
            and self.requests == other.requests
            and self.labels == other.labels
        )


def _sharing(new: StoredWorkload, old: StoredWorkload) -> StoredWorkload:
    """With the former one's own bytes where they are the same: others keep them too."""
    return replace(
        new,
        spec=old.spec if new.spec == old.spec else new.spec,
        status=old.status if new.status == old.status else new.status,
    )


def _besides_ours(finalizers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in finalizers if name != names.FINALIZER)


class Workloads:
    """The store of all CRs. Written by the watch, and by ourselves with what the API server answers to our patches."""

    def __init__(self) -> None:
        self._by_key: dict[Key, StoredWorkload] = {}
        self._key_by_uid: dict[str, Key] = {}
        self._namespaces: dict[str, set[str]] = {}
        self._selecting: dict[str, set[str]] = {}
        self._writing: set[Key] = set()
        self._gone: dict[Key, str] = {}
        """The versions at which the last ones went, the oldest first."""

    def __len__(self) -> int:
        return len(self._by_key)

    def put(self, raw: Mapping[str, Any], *, own: bool = False) -> bool:
        """Keep the CR; whether a pass is due. What is older than what is known is left out.

        So it is if it tells of another uid: what is to be done to one that is gone would be done to its successor.
        `own`: it is the answer to a write of ours. If it shows a change of somebody else's it is left out too: the watch will
        tell of that, and would find it known already, and not due.
        """
        new = stored(raw)
        old = self._by_key.get(new.key)
        if self._is_past(new, old) or (own and old is not None and not new.is_same_order(old)):
            return False
        if old is not None and old.uid != new.uid:
            self._key_by_uid.pop(old.uid, None)
        if old is not None:
            new = _sharing(new, old)
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

    def remove(self, key: Key, uid: str | None = None, version: str = "") -> StoredWorkload | None:
        """Forget the CR, unless it is another one of the same name by now; `version` is that of its end, if known.

        What comes late about one that is gone does not bring it back.
        """
        old = self._by_key.get(key)
        if old is None and is_older(self._gone.get(key, ""), version):
            # We found it gone before the watch told of its end: what happened to it in between may still come.
            self._gone[key] = version
        if old is None or (uid is not None and old.uid != uid):
            return None
        del self._by_key[key]
        self._gone.pop(key, None)
        self._gone[key] = version or old.resource_version
        if len(self._gone) > GONE_MAX:
            del self._gone[next(iter(self._gone))]
        self._key_by_uid.pop(old.uid, None)
        _discard(self._namespaces, key)
        _discard(self._selecting, key)
        return old

    def _is_past(self, new: StoredWorkload, old: StoredWorkload | None) -> bool:
        """Whether it tells of a time before what is known. The last state of one that is gone is of such a time."""
        if old is not None:
            return is_older(new.resource_version, old.resource_version)
        end = self._gone.get(new.key, "")
        return new.resource_version == end or is_older(new.resource_version, end)

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
        namespace=sys.intern(metadata["namespace"]),
        name=metadata["name"],
        uid=sys.intern(metadata["uid"]),
        generation=int(metadata.get("generation", 0)),
        resource_version=metadata["resourceVersion"],
        deleting=bool(metadata.get("deletionTimestamp")),
        finalizers=tuple(map(sys.intern, metadata.get("finalizers") or ())),
        resync=str(annotations.get(names.RESYNC_ANNOTATION, ""))[:256],
        force_delete=annotations.get(names.FORCE_DELETE_ANNOTATION) == "true",
        created=str(metadata.get("creationTimestamp", "")),
        labels=dict(metadata.get("labels") or {}),
        requests=_requests(annotations),
        connection=str((spec.get("vault") or {}).get("connection", "default")),
        has_selector=bool(selector),
        pod_labels=dict(selector) if selector else {names.WORKLOAD_LABEL: metadata["name"]},
        spec=packed(spec),
        status=packed(raw.get("status") or {}),
    )


def as_workload(item: StoredWorkload) -> Workload:
    """The CR as models. Raises errors.Terminal(InvalidSpec) for a spec that the schema let through and we cannot read."""
    try:
        spec = SecureAIWorkloadSpec.model_validate_json(unpacked(item.spec))
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
        status=decoded(item.status),
        deleting=item.deleting,
        has_finalizer=names.FINALIZER in item.finalizers,
        resync=item.resync,
        force_delete=item.force_delete,
        created=item.created,
        labels=item.labels,
        requests=item.requests,
    )


def _requests(annotations: Mapping[str, str]) -> Requests:
    found = {
        field: str(annotations[annotation])[:REQUEST_MAX]
        for field, annotation in _REQUESTS.items()
        if annotation in annotations
    }
    # Most workloads have none: they share one value.
    return Requests(**found) if found else NO_REQUESTS


def _discard(names_by_namespace: dict[str, set[str]], key: Key) -> None:
    """Take the name out, and its namespace with the last one."""
    siblings = names_by_namespace.get(key[0])
    if siblings is not None:
        siblings.discard(key[1])
        if not siblings:
            del names_by_namespace[key[0]]
