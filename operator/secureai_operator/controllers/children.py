"""The live objects that workloads own, as the informers saw them and as our own writes left them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from secureai_operator import names
from secureai_operator.api.certificate import CertificateFacts
from secureai_operator.clients.x509 import certificate_facts
from secureai_operator.core.desired.keys import key_version
from secureai_operator.core.drift import Child, controller_uid, digest, seal
from secureai_operator.runtime.informer import Informer
from secureai_operator.runtime.informer_set import InformerSet

Place = tuple[str, str]
"""Kind and name, within a namespace."""

_ECHO_SECONDS = 10.0
"""How long our own write counts before the watch shows it. A watch that is later than this has trouble of its own."""


def child_of(kind: str) -> Callable[[dict[str, Any]], Child | None]:
    """The projection of an informer of that kind (the items of a list do not carry their kind)."""

    def project(raw: dict[str, Any]) -> Child | None:
        raw["kind"] = kind
        return as_child(raw)

    return project


def as_child(raw: Mapping[str, Any]) -> Child:
    metadata = raw["metadata"]
    found = digest(raw)
    return Child(
        kind=raw["kind"],
        # Many objects have the same: each answer of the API server brings a copy of its own.
        namespace=sys.intern(metadata["namespace"]),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner_uid=sys.intern(controller_uid(raw)),
        digest=found,
        certificate=_certificate(raw),
        entries=_entries(raw) if raw["kind"] == "Secret" else (),
        is_as_applied=(metadata.get("annotations") or {}).get(names.APPLIED_ANNOTATION) == seal(found),
    )


@dataclass(frozen=True, slots=True)
class _Echo:
    """What our own write left: the object, or that we deleted the one of this uid."""

    child: Child
    deleted: bool
    until: float


class Children:
    """All owned objects, by owner. What we wrote ourselves is known before the watch tells of it.

    The watch may also be faster than the API server's answer to our write: what it told last counts, whichever comes first.
    Everything remembered besides the informers' stores is forgotten after `_ECHO_SECONDS`.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._informers: list[Informer[Child]] = []
        self._secrets: InformerSet[Child] | None = None
        self._echoes: dict[str, dict[Place, _Echo]] = {}
        self._gone: dict[str, float] = {}
        """When to forget the uid of an object that the watch said is gone."""
        self._due: deque[tuple[float, str, Place]] = deque()
        """Echoes in the order in which they end."""
        self._writing: dict[tuple[str, Place], bytes] = {}
        """The digests of what is being written, by owner and place."""

    def follow(self, informers: list[Informer[Child]], secrets: InformerSet[Child]) -> None:
        self._informers = informers
        self._secrets = secrets

    def owned(self, namespace: str, owner_uid: str) -> dict[Place, Child]:
        """The objects of the namespace's workload by (kind, name)."""
        sources = [informer.store.owned(owner_uid) for informer in self._informers]
        if self._secrets is not None:
            sources.append(self._secrets.owned_in(namespace, owner_uid))
        found = {(child.kind, child.name): child for source in sources for child in source.values()}
        for place, echo in self._live_echoes(owner_uid):
            seen = found.get(place)
            if echo.deleted:
                if seen is not None and seen.uid == echo.child.uid:
                    del found[place]
            elif seen is None or not _is_later(seen, echo.child):
                found[place] = echo.child
        return found

    def wrote(self, raw: Mapping[str, Any]) -> Child:
        """Remember what the API server answered to our write."""
        child = as_child(raw)
        self._forget_old()
        if child.uid not in self._gone:
            self._remember(child, deleted=False)
        return child

    def deleted(self, child: Child) -> None:
        """Remember that we deleted it."""
        self._forget_old()
        if child.uid not in self._gone:
            self._remember(child, deleted=True)

    def exists(self, uid: str) -> None:
        """A read found an object that the watch may have called gone: it only lost the label that we watch by."""
        self._gone.pop(uid, None)

    def forget(self, owner_uid: str) -> None:
        """The workload is gone."""
        self._echoes.pop(owner_uid, None)

    @contextlib.contextmanager
    def writing(self, owner_uid: str, place: Place, wanted: bytes) -> Iterator[None]:
        """While we write what has this digest: the watch often shows it before the API server answers, and that is no news."""
        self._writing[owner_uid, place] = wanted
        try:
            yield
        finally:
            del self._writing[owner_uid, place]

    def saw(self, old: Child | None, new: Child | None) -> bool:
        """The watch told of a change; whether it is news and not the echo of our own write."""
        seen = new or old
        if seen is None:
            return False
        self._forget_old()
        if old is not None and (new is None or new.uid != old.uid):
            # Taken out first: the dictionary is in the order of the times.
            self._gone.pop(old.uid, None)
            self._gone[old.uid] = self._now() + _ECHO_SECONDS
        place = (seen.kind, seen.name)
        owner = old.owner_uid if old is not None and old.owner_uid else seen.owner_uid
        echo = self._echoes.get(owner, {}).get(place)
        if echo is None:
            return new is None or new.digest != self._writing.get((owner, place))
        news, over = _is_news(echo, old, new)
        if over:
            self._drop(owner, place)
        return news

    def _remember(self, child: Child, *, deleted: bool) -> None:
        place = (child.kind, child.name)
        until = self._now() + _ECHO_SECONDS
        self._echoes.setdefault(child.owner_uid, {})[place] = _Echo(child, deleted, until)
        self._due.append((until, child.owner_uid, place))

    def _live_echoes(self, owner_uid: str) -> list[tuple[Place, _Echo]]:
        self._forget_old()
        return list(self._echoes.get(owner_uid, {}).items())

    def _drop(self, owner_uid: str, place: Place) -> None:
        echoes = self._echoes[owner_uid]
        del echoes[place]
        if not echoes:
            del self._echoes[owner_uid]

    def _forget_old(self) -> None:
        """Drop what is too old; what is written or seen costs one look later, whoever it belonged to."""
        now = self._now()
        while self._due and self._due[0][0] <= now:
            _, owner, place = self._due.popleft()
            echo = self._echoes.get(owner, {}).get(place)
            if echo is not None and echo.until <= now:
                self._drop(owner, place)
        while self._gone and self._gone[first := next(iter(self._gone))] <= now:
            del self._gone[first]


def _is_news(echo: _Echo, old: Child | None, new: Child | None) -> tuple[bool, bool]:
    """(whether the change is somebody else's, whether our write has now been seen)."""
    ours = echo.child
    if echo.deleted:
        # The object that we deleted may still be told of; another one is news.
        seen = new or old
        is_late = seen is not None and seen.uid == ours.uid
        return not is_late, new is None or not is_late
    if new is None:
        # Made anew by us after a deletion: the watch may still tell of the one before.
        is_ours = old is not None and old.uid == ours.uid
        return is_ours, is_ours
    if _version(new) < _version(ours):
        return False, False
    return _is_later(new, ours) and (new.digest != ours.digest or new.uid != ours.uid), True


def _is_later(child: Child, other: Child) -> bool:
    """Whether the watch's `child` is what became of `other`, or what came after it."""
    return _version(child) > _version(other)


def _version(child: Child) -> int:
    return int(child.resource_version) if child.resource_version.isdigit() else 0


def _certificate(raw: Mapping[str, Any]) -> CertificateFacts | None:
    if raw.get("type") != "kubernetes.io/tls":
        return None
    data = raw.get("data") or {}
    try:
        parts = [base64.b64decode(data[entry], validate=True) for entry in ("tls.crt", "tls.key", "ca.crt")]
    except (KeyError, TypeError, binascii.Error, ValueError):
        return None
    if set(data) - {"tls.crt", "tls.key", "ca.crt"}:
        return None
    return certificate_facts(*parts)


def _entries(raw: Mapping[str, Any]) -> tuple[tuple[str, int | None], ...]:
    wrapped = wrapped_entries(raw)
    return tuple((name, key_version(wrapped.get(name, ""))) for name in raw.get("data") or {})


def wrapped_entries(raw: Mapping[str, Any]) -> dict[str, str]:
    """The entries of an Opaque Secret as text; one that is none counts as empty, and so as no ciphertext."""
    if raw.get("type") != "Opaque":
        return {}
    return {name: _text(value) for name, value in (raw.get("data") or {}).items()}


def _text(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("ascii")
    except (TypeError, binascii.Error, ValueError):
        return ""


def is_secrets_binding(child: Child) -> bool:
    """The operator's own right on a namespace's Secrets, which no workload owns."""
    return child.kind == "RoleBinding" and child.name == names.NAMESPACE_SECRETS_ROLE
