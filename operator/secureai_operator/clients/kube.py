"""The one door to Kubernetes: typed errors, bounded requests, raw JSON, and a view that stays in one namespace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from secureai_operator import errors
from secureai_operator.api import resources
from secureai_operator.api.resources import Resource
from secureai_operator.clients._kube_api import Json, KubeApi
from secureai_operator.clients._kube_errors import error_from_event
from secureai_operator.clients._kube_scope import ScopedKube
from secureai_operator.clients._kube_sources import KubeLease, KubeSource
from secureai_operator.clients._kube_transport import (
    MAX_OBJECT,
    MAX_PAGE,
    KubeSettings,
    Observe,
    Request,
    Transport,
)

__all__ = ["AioKube", "Json", "KubeApi", "KubeLease", "KubeSettings", "KubeSource", "ScopedKube"]

_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
_BURST = 32
"""After so many events at once, other tasks get their turn."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


class AioKube:
    """`KubeApi` over the connections of `kubernetes.aio`, without its models: an object is what the server sent."""

    def __init__(self, transport: Transport, field_manager: str) -> None:
        self._transport = transport
        self._field_manager = field_manager

    @classmethod
    async def connect(
        cls,
        settings: KubeSettings | None = None,
        *,
        is_urgent: Callable[[], bool] = lambda: False,
        observe: Observe = lambda _verb, _plural, _status, _seconds: None,
    ) -> Self:
        """Return a client; `is_urgent` is asked before each request whether it may go first."""
        settings = settings or KubeSettings()
        return cls(
            await Transport.connect(settings, is_urgent=is_urgent, observe=observe), settings.field_manager
        )

    async def close(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def get(self, res: Resource, namespace: str | None, name: str) -> Json | None:
        try:
            return await self._call("get", "GET", _Target(res, namespace, name))
        except errors.KubeNotFound:
            return None

    async def list_pages(
        self,
        res: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int = 500,
    ) -> AsyncGenerator[tuple[list[Json], str], None]:
        query = {"limit": str(limit), **_selectors(label_selector, field_selector)}
        while True:
            page = await self._call("list", "GET", _Target(res, namespace), query=query, max_answer=MAX_PAGE)
            metadata = page["metadata"]
            # Null instead of an empty list is what some versions of some kinds answer.
            yield page.get("items") or [], metadata["resourceVersion"]
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def watch(
        self,
        res: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout: float = 290.0,  # noqa: ASYNC109 -- the server's own, not a deadline of ours
    ) -> AsyncGenerator[tuple[str, Json], None]:
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(int(timeout)),
            **_selectors(label_selector, field_selector),
        }
        request = _request("watch", "GET", _Target(res, namespace), query)
        async with self._transport.stream(request) as content:
            async for line in _lines(content, request):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise error_from_event(request.what, event["object"])
                yield event["type"], event["object"]

    async def apply(
        self,
        res: Resource,
        namespace: str | None,
        name: str,
        manifest: Mapping[str, Any],
        *,
        force: bool = True,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Json:
        query = {
            "fieldManager": self._field_manager,
            "force": "true" if force else "false",
            **_dry_run(dry_run),
        }
        return await self._call(
            "apply",
            "PATCH",
            _Target(res, namespace, name, subresource),
            query=query,
            body=manifest,
            content_type=_APPLY,
        )

    async def create(
        self,
        res: Resource,
        namespace: str | None,
        manifest: Mapping[str, Any],
        *,
        name: str | None = None,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Json:
        query = {"fieldManager": self._field_manager, **_dry_run(dry_run)}
        return await self._call(
            "create",
            "POST",
            _Target(res, namespace, name, subresource),
            query=query,
            body=manifest,
            idempotent=False,
        )

    async def delete(
        self,
        res: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str | None = None,
    ) -> bool:
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options: Json = {"preconditions": {field: value for field, value in preconditions.items() if value}}
        if propagation is not None:
            options["propagationPolicy"] = propagation
        try:
            await self._call("delete", "DELETE", _Target(res, namespace, name), body=options)
        except errors.KubeNotFound:
            return False
        return True

    async def json_patch(
        self,
        res: Resource,
        namespace: str | None,
        name: str,
        ops: Sequence[Mapping[str, Any]],
        *,
        subresource: str | None = None,
    ) -> Json:
        # Not sent twice: an `add` to a list would add twice.
        return await self._call(
            "patch",
            "PATCH",
            _Target(res, namespace, name, subresource),
            query={"fieldManager": self._field_manager},
            body=ops,
            content_type=_JSON_PATCH,
            idempotent=False,
            conditional=any(op.get("op") == "test" for op in ops),
        )

    async def merge_patch(
        self,
        res: Resource,
        namespace: str | None,
        name: str,
        patch: Mapping[str, Any],
        *,
        subresource: str | None = None,
    ) -> Json:
        query = {"fieldManager": self._field_manager}
        return await self._call(
            "patch",
            "PATCH",
            _Target(res, namespace, name, subresource),
            query=query,
            body=patch,
            content_type=_MERGE,
        )

    async def update(
        self,
        res: Resource,
        namespace: str | None,
        name: str,
        manifest: Mapping[str, Any],
        *,
        subresource: str | None = None,
    ) -> Json:
        query = {"fieldManager": self._field_manager}
        return await self._call(
            "update", "PUT", _Target(res, namespace, name, subresource), query=query, body=manifest
        )

    async def evict(self, namespace: str, pod: str, uid: str) -> bool:
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        try:
            await self.create(resources.PODS, namespace, eviction, name=pod, subresource="eviction")
        except errors.KubeNotFound:
            return False
        return True

    async def can_i(
        self,
        verb: str,
        res: Resource,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
    ) -> bool:
        asked = {
            "verb": verb,
            "group": res.group,
            "resource": res.plural,
            "namespace": namespace,
            "name": name,
            "subresource": subresource,
        }
        attributes = {field: value for field, value in asked.items() if value is not None}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = await self.create(resources.SELF_SUBJECT_ACCESS_REVIEWS, None, review)
        return bool(answer["status"].get("allowed"))

    async def _call(self, verb: str, method: str, target: _Target, **options: Any) -> Json:
        answer: Json = json.loads(await self._transport.send(_request(verb, method, target, **options)))
        return answer


@dataclass(frozen=True, slots=True)
class _Target:
    """What a request is about."""

    res: Resource
    namespace: str | None
    name: str | None = None
    subresource: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (self.namespace, self.name, self.subresource) if part)


def _request(
    verb: str,
    method: str,
    target: _Target,
    query: Mapping[str, str] | None = None,
    body: object = None,
    **options: Any,
) -> Request:
    """Build the request; errors.KubeInvalid if a name does not fit into a path."""
    plural = target.res.plural
    try:
        path = target.res.path(target.namespace, target.name, target.subresource)
    except ValueError:
        raise errors.KubeInvalid("KubernetesRefused", f"{verb} {plural}: not a valid name") from None
    data = None if body is None else _encode(body).encode()
    return Request(
        verb, plural, f"{verb} {plural} {target}".rstrip(), method, path, query or {}, data, **options
    )


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    chosen = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in chosen.items() if value is not None}


def _dry_run(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


async def _lines(content: aiohttp.StreamReader, request: Request) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a watch; one that is too long ends it."""
    begun: list[bytes] = []
    size = 0
    async for chunk in content.iter_any():
        *complete, rest = chunk.split(b"\n")
        for number, line in enumerate(complete):
            if number % _BURST == _BURST - 1:
                await asyncio.sleep(0)
            yield b"".join((*begun, line))
            begun.clear()
            size = 0
        if rest:
            begun.append(rest)
            size += len(rest)
        if size > MAX_OBJECT:
            raise errors.KubeUnavailable("KubernetesUnavailable", f"{request.what}: an event is too large")
