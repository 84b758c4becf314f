"""One kind in one scope to list and watch, and one Lease to hold: small views of a `KubeApi`."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from secureai_operator.api.resources import LEASES, Resource
from secureai_operator.clients._kube_api import Json, KubeApi

_WATCH_SECONDS = 450.0
"""In the middle of what client-go's reflectors ask for, five to ten minutes. Bookmarks come each minute: it is never silent."""
_WATCH_JITTER = 1 / 3


@dataclass(frozen=True, slots=True)
class KubeSource:
    """What an informer lists and watches; without a namespace, all of them."""

    api: KubeApi
    res: Resource
    namespace: str | None = None
    label_selector: str | None = None
    field_selector: str | None = None

    def pages(self) -> AsyncGenerator[tuple[list[Json], str], None]:
        return self.api.list_pages(
            self.res, self.namespace, label_selector=self.label_selector, field_selector=self.field_selector
        )

    def events(self, resource_version: str) -> AsyncGenerator[tuple[str, Json], None]:
        return self.api.watch(
            self.res,
            self.namespace,
            resource_version=resource_version,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            # Jittered, so that the watches do not all end in the same second.
            timeout=_WATCH_SECONDS * random.uniform(1 - _WATCH_JITTER, 1 + _WATCH_JITTER),  # noqa: S311 -- no secret
        )


@dataclass(frozen=True, slots=True)
class KubeLease:
    """One Lease object; every write is a compare-and-swap."""

    api: KubeApi
    namespace: str
    name: str

    async def read(self) -> Json | None:
        return await self.api.get(LEASES, self.namespace, self.name)

    async def create(self, spec: Json) -> Json:
        lease = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": spec,
        }
        return await self.api.create(LEASES, self.namespace, lease)

    async def replace(self, lease: Json) -> Json:
        return await self.api.update(LEASES, self.namespace, self.name, lease)
