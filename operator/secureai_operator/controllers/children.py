"""The live objects that workloads own, as the informers saw them and as our own writes left them."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Mapping
from typing import Any

from secureai_operator import names
from secureai_operator.api.certificate import CertificateFacts
from secureai_operator.clients.x509 import certificate_facts
from secureai_operator.core.drift import Child, controller_uid, digest
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
    return Child(
        kind=raw["kind"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner_uid=controller_uid(raw),
        digest=digest(raw),
        certificate=_certificate(raw),
    )


class Children:
    """All owned objects, by owner. What we wrote ourselves is known before the watch tells of it."""

    def __init__(self) -> None:
        self._informers: list[Informer[Child]] = []
        self._secrets: InformerSet[Child] | None = None
        self._echoes: dict[str, dict[Place, tuple[Child | None, float]]] = {}

    def follow(self, informers: list[Informer[Child]], secrets: InformerSet[Child]) -> None:
        self._informers = informers
        self._secrets = secrets

    def owned(self, owner_uid: str) -> dict[Place, Child]:
        """The workload's objects by (kind, name)."""
        sources = [informer.store.owned(owner_uid) for informer in self._informers]
        if self._secrets is not None:
            sources.append(self._secrets.owned(owner_uid))
        found = {(child.kind, child.name): child for source in sources for child in source.values()}
        for place, child in self._live_echoes(owner_uid):
            if child is None:
                found.pop(place, None)
            else:
                found[place] = child
        return found

    def wrote(self, raw: Mapping[str, Any]) -> Child:
        """Remember what the API server answered to our write."""
        child = as_child(raw)
        self._remember(child, child)
        return child

    def deleted(self, child: Child) -> None:
        """Remember that we deleted it."""
        self._remember(child, None)

    def forget(self, owner_uid: str) -> None:
        """The workload is gone."""
        self._echoes.pop(owner_uid, None)

    def saw(self, old: Child | None, new: Child | None) -> bool:
        """The watch told of a change; whether it is news and not the echo of our own write."""
        seen = new or old
        if seen is None:
            return False
        place = (seen.kind, seen.name)
        owner = old.owner_uid if old is not None and old.owner_uid else seen.owner_uid
        echoes = self._echoes.get(owner, {})
        echo = echoes.get(place)
        if echo is None:
            return True
        news, over = _is_news(echo[0], old, new)
        if over:
            del echoes[place]
            if not echoes:
                del self._echoes[owner]
        return news

    def _remember(self, child: Child, state: Child | None) -> None:
        until = time.monotonic() + _ECHO_SECONDS
        self._echoes.setdefault(child.owner_uid, {})[child.kind, child.name] = (state, until)

    def _live_echoes(self, owner_uid: str) -> list[tuple[Place, Child | None]]:
        echoes = self._echoes.get(owner_uid)
        if not echoes:
            return []
        now = time.monotonic()
        for place in [place for place, (_, until) in echoes.items() if now > until]:
            del echoes[place]
        return [(place, child) for place, (child, _) in echoes.items()]


def _is_news(ours: Child | None, old: Child | None, new: Child | None) -> tuple[bool, bool]:
    """(whether the change is somebody else's, whether our write has now been seen), `ours` being what we left."""
    if new is None:
        return ours is not None, True
    if ours is None:
        # We deleted it: the same object may still be told of, another one is new.
        is_late = old is not None and new.uid == old.uid
        return not is_late, not is_late
    if _version(new) < _version(ours):
        return False, False
    return _version(new) > _version(ours) and new.digest != ours.digest, True


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


def is_secrets_binding(child: Child) -> bool:
    """The operator's own right on a namespace's Secrets, which no workload owns."""
    return child.kind == "RoleBinding" and child.name == names.NAMESPACE_SECRETS_ROLE
