"""What the operator needs of a Kubernetes API server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

from secureai_operator.api.resources import Resource

Json = dict[str, Any]


class KubeApi(Protocol):
    """Verbs on raw JSON objects; every failure is one of the Kube errors of `errors`."""

    async def get(self, res: Resource, namespace: str | None, name: str) -> Json | None:
        """Return the object, or None if there is none."""
        ...

    def list_pages(
        self,
        res: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int = 500,
    ) -> AsyncGenerator[tuple[list[Json], str], None]:
        """Yield (items, resource version of the list); items of a list carry no apiVersion and kind."""
        ...

    def watch(
        self,
        res: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout: float = 290.0,
    ) -> AsyncGenerator[tuple[str, Json], None]:
        """Yield (ADDED|MODIFIED|DELETED|BOOKMARK, object) until the server ends the watch.

        Raises errors.KubeExpired if the version is too old: list again.
        """
        ...

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
        """Apply on the server's side under our one field manager, and return the object as it is now."""
        ...

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
        """Create the object, or what a subresource of the named one makes (a token, an eviction)."""
        ...

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
        """Delete the object if it is still the one meant; False if it was not there, KubeConflict if another one is."""
        ...

    async def json_patch(
        self,
        res: Resource,
        namespace: str | None,
        name: str,
        ops: Sequence[Mapping[str, Any]],
        *,
        subresource: str | None = None,
    ) -> Json:
        """Patch by RFC 6902; KubeConflict if a `test` in it does not hold."""
        ...

    async def merge_patch(
        self,
        res: Resource,
        namespace: str | None,
        name: str,
        patch: Mapping[str, Any],
        *,
        subresource: str | None = None,
    ) -> Json:
        """Patch by RFC 7396; a resourceVersion in it makes it a compare-and-swap."""
        ...

    async def update(
        self,
        res: Resource,
        namespace: str | None,
        name: str,
        manifest: Mapping[str, Any],
        *,
        subresource: str | None = None,
    ) -> Json:
        """Replace the object; a resourceVersion in it makes it a compare-and-swap."""
        ...

    async def evict(self, namespace: str, pod: str, uid: str) -> bool:
        """Evict exactly this pod; False if it is gone, KubeThrottled if a disruption budget says not now."""
        ...

    async def can_i(
        self,
        verb: str,
        res: Resource,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
    ) -> bool:
        """Whether the operator's own identity may do this."""
        ...
