"""Kubernetes as seen from one namespace: the only way to act on behalf of a CR."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from secureai_operator import errors
from secureai_operator.api.resources import Resource
from secureai_operator.clients._kube_api import Json, KubeApi


class ScopedKube:
    """The verbs of `KubeApi` within one namespace; nothing of another one can be named, so nothing can be reached.

    A cluster-scoped resource, and a manifest that says another namespace, name or kind than the call, is refused
    with errors.Terminal before anything is sent. So is a write, with errors.Retry, while not `may_write`: a process
    that was frozen and woke up again must not act on what it knew when it led.
    """

    def __init__(self, api: KubeApi, namespace: str, may_write: Callable[[], bool] = lambda: True) -> None:
        if not namespace:
            raise ValueError("a scope needs a namespace")
        self._api = api
        self._may_write = may_write
        self.namespace = namespace

    @property
    def _writer(self) -> KubeApi:
        """The API for a write. Raises errors.Retry if another process may be the one to write by now."""
        if not self._may_write():
            raise errors.Retry("Retrying", "this process does not lead any more")
        return self._api

    async def get(self, res: Resource, name: str) -> Json | None:
        return await self._api.get(_namespaced(res), self.namespace, name)

    def list_pages(
        self,
        res: Resource,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int = 500,
    ) -> AsyncGenerator[tuple[list[Json], str], None]:
        return self._api.list_pages(
            _namespaced(res),
            self.namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            limit=limit,
        )

    async def apply(
        self,
        res: Resource,
        name: str,
        manifest: Mapping[str, Any],
        *,
        force: bool = True,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Json:
        ours = self._ours(res, name, manifest)
        return await self._writer.apply(
            res, self.namespace, name, ours, force=force, subresource=subresource, dry_run=dry_run
        )

    async def create(
        self,
        res: Resource,
        manifest: Mapping[str, Any],
        *,
        dry_run: bool = False,
    ) -> Json:
        ours = self._ours(res, None, manifest)
        return await self._writer.create(res, self.namespace, ours, dry_run=dry_run)

    async def update(
        self, res: Resource, name: str, manifest: Mapping[str, Any], *, subresource: str | None = None
    ) -> Json:
        ours = self._ours(res, name, manifest)
        return await self._writer.update(res, self.namespace, name, ours, subresource=subresource)

    async def delete(
        self,
        res: Resource,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str | None = None,
    ) -> bool:
        return await self._writer.delete(
            _namespaced(res),
            self.namespace,
            name,
            uid=uid,
            resource_version=resource_version,
            propagation=propagation,
        )

    async def json_patch(
        self, res: Resource, name: str, ops: Sequence[Mapping[str, Any]], *, subresource: str | None = None
    ) -> Json:
        return await self._writer.json_patch(
            _namespaced(res), self.namespace, name, ops, subresource=subresource
        )

    async def merge_patch(
        self, res: Resource, name: str, patch: Mapping[str, Any], *, subresource: str | None = None
    ) -> Json:
        return await self._writer.merge_patch(
            _namespaced(res), self.namespace, name, patch, subresource=subresource
        )

    async def evict(self, pod: str, uid: str) -> bool:
        return await self._writer.evict(self.namespace, pod, uid)

    async def can_i(
        self, verb: str, res: Resource, name: str | None = None, subresource: str | None = None
    ) -> bool:
        return await self._api.can_i(verb, _namespaced(res), self.namespace, name, subresource)

    def _ours(self, res: Resource, name: str | None, manifest: Mapping[str, Any]) -> Json:
        """Return the manifest with our namespace in it; refuse one that contradicts the call."""
        _namespaced(res)
        metadata = manifest.get("metadata") or {}
        said = {
            "apiVersion": (manifest.get("apiVersion"), res.api_version),
            "kind": (manifest.get("kind"), res.kind),
            "namespace": (metadata.get("namespace", self.namespace), self.namespace),
            "name": (metadata.get("name"), metadata.get("name") if name is None else name),
        }
        for field, (found, expected) in said.items():
            if found != expected:
                raise _out_of_scope(f"the {field} of a {res.kind} is not the one that was asked for")
        return {**manifest, "metadata": {**metadata, "namespace": self.namespace}}


def _namespaced(res: Resource) -> Resource:
    if not res.namespaced:
        raise _out_of_scope(f"{res.plural} belong to no namespace")
    return res


def _out_of_scope(message: str) -> errors.Terminal:
    return errors.Terminal("InternalError", message)
