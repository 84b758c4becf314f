"""Drift: which parts of a live object are ours, and whether they are exactly as desired.

Server-side apply leaves alone what other managers added, so the parts that decide about security are compared
closed-world: whatever stands in them and is not ours is drift.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from secureai_operator import names
from secureai_operator.api.certificate import CertificateFacts
from secureai_operator.core.facts import Manifest

_DIGEST_BYTES = 8
_as_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""Made once: `json.dumps` with these would make an encoder each time."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "ServiceAccount": ("automountServiceAccountToken",),
    "Role": ("rules",),
    "RoleBinding": ("roleRef", "subjects"),
    "NetworkPolicy": ("spec.podSelector", "spec.policyTypes", "spec.ingress", "spec.egress"),
    "Secret": ("type", "immutable", "data"),
}
"""What we own of each kind besides its metadata; everything under a part is ours alone."""

_IMMUTABLE_PARTS = frozenset({"roleRef", "type", "immutable"})
"""Parts that the API server never changes: the object is deleted and made again."""

_OUR_LABELS = (names.MANAGED_BY_LABEL, names.WORKLOAD_LABEL, names.ROLE_REF_LABEL)


@dataclass(frozen=True, slots=True)
class Child:
    """What is kept of a live object that some workload owns: enough to compare, a tenth of its size."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    digest: bytes
    """The digests of its parts one after the other, the metadata's first."""
    certificate: CertificateFacts | None = None
    entries: tuple[tuple[str, int | None], ...] = ()
    """Of a Secret: each entry with the version of the key that wraps it, None for one that is no ciphertext."""
    is_as_applied: bool = False
    """Whether nobody changed it since the operator last wrote it: what differs from it now is our own mind, of another version
    or setting. The object carries the seal of what was wanted then."""

    @property
    def wrapped_by(self) -> tuple[int | None, ...]:
        """The version that wraps each entry of a Secret of data keys."""
        return tuple(version for _, version in self.entries)


def seal(digests: bytes) -> str:
    """A short form of an object's digests, for its annotation."""
    return blake2b(digests, digest_size=_DIGEST_BYTES).hexdigest()


def digest(manifest: Manifest) -> bytes:
    """The digests of all parts of an object, desired or live alike."""
    kind = str(manifest["kind"])
    metadata = manifest["metadata"]
    labels = metadata.get("labels") or {}
    owners = [owner["uid"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    ours = [_part_digest([{key: labels.get(key) for key in _OUR_LABELS}, owners])]
    ours += [_part_digest(_at(manifest, part)) for part in PARTS[kind]]
    return b"".join(ours)


def differing_parts(kind: str, desired: bytes, live: bytes) -> tuple[str, ...]:
    """The names of the parts that differ, in the order of PARTS."""
    return tuple(
        part
        for place, part in enumerate(("metadata", *PARTS[kind]))
        if _slice(desired, place) != _slice(live, place)
    )


def needs_replacement(parts: tuple[str, ...]) -> bool:
    """Whether a difference in these parts can be undone only by deleting the object."""
    return not _IMMUTABLE_PARTS.isdisjoint(parts)


def controller_uid(manifest: Manifest) -> str:
    """The uid of the SecureAIWorkload that owns it by a controller reference, or ""."""
    for owner in manifest["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and str(owner.get("apiVersion", "")).startswith(f"{names.GROUP}/"):
            return str(owner["uid"])
    return ""


def is_adoptable(manifest: Manifest, workload_name: str) -> bool:
    """Whether an object of ours that lost its owner, or whose owner was restored with another uid, may be taken back."""
    metadata = manifest["metadata"]
    labels = metadata.get("labels") or {}
    controllers = [owner for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    return (
        labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY
        and labels.get(names.WORKLOAD_LABEL) == workload_name
        and all(
            owner.get("kind") == "SecureAIWorkload" and owner.get("name") == workload_name
            for owner in controllers
        )
    )


def foreign_entries(desired: Manifest, live: Iterable[str]) -> Iterator[str]:
    """Names among the entries of the live Secret that are not ours: server-side apply would leave them."""
    yield from sorted(set(live) - set(desired.get("data") or {}))


def _part_digest(value: Any) -> bytes:
    # An empty list, an empty map and an absent field mean the same to the API server; `false` and an absent field
    # do not: a ServiceAccount without a word on automounting mounts a token.
    text = _as_json(None if value in ([], {}) else value)
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def _slice(digests: bytes, place: int) -> bytes:
    return digests[place * _DIGEST_BYTES : (place + 1) * _DIGEST_BYTES]


def _at(manifest: Manifest, path: str) -> Any:
    value: Any = manifest
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    # A Secret that says it is not immutable is as good as one that does not say.
    return None if path == "immutable" and value is False else value
