"""The floor: the least that can watch and heal. It remembers what it saw at its start and applies it whenever that changes.

One asyncio process, one watch per kind, the product's own HTTP client, no queue, no status, no events, no Vault.
Run as `python -m bench.floor KUBECONFIG`; says "ready" on its standard output once it watches.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from bench.healing import KINDS
from secureai_operator import errors, names
from secureai_operator.api.resources import NETWORK_POLICIES, ROLE_BINDINGS, Resource
from secureai_operator.clients.kube import AioKube, KubeSettings

Json = dict[str, Any]
_NOT_OURS = frozenset(
    {"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink"}
)


async def main(kubeconfig: str) -> None:
    async with await AioKube.connect(KubeSettings(kubeconfig=kubeconfig)) as kube:
        namespaces = await _secret_namespaces(kube)
        scopes = [(kind, namespace) for kind in KINDS for namespace in _scopes(kind, namespaces)]
        async with asyncio.TaskGroup() as group:
            watches = [await _start(kube, group, *scope) for scope in scopes]
            print("ready", len(watches), flush=True)


async def _secret_namespaces(kube: AioKube) -> list[str]:
    """Where the operator's identity may read Secrets."""
    bindings = [
        item
        async for items, _ in kube.list_pages(ROLE_BINDINGS, label_selector=names.MANAGED_SELECTOR)
        for item in items
    ]
    return sorted(
        item["metadata"]["namespace"]
        for item in bindings
        if item["metadata"]["name"] == names.NAMESPACE_SECRETS_ROLE
    )


def _scopes(kind: Resource, namespaces: list[str]) -> list[str | None]:
    return [*namespaces] if kind.plural == "secrets" else [None]


async def _start(
    kube: AioKube, group: asyncio.TaskGroup, resource: Resource, namespace: str | None
) -> asyncio.Task[None]:
    wanted: dict[tuple[str, str], Json] = {}
    version = ""
    async for items, version in kube.list_pages(resource, namespace, label_selector=names.MANAGED_SELECTOR):  # noqa: B007
        for item in items:
            metadata = item["metadata"]
            wanted[metadata["namespace"], metadata["name"]] = _wanted(resource, item)
    return group.create_task(_follow(kube, group, resource, namespace, version, wanted))


def _wanted(resource: Resource, item: Json) -> Json:
    metadata = {part: value for part, value in item["metadata"].items() if part not in _NOT_OURS}
    wanted = {**item, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    if resource is NETWORK_POLICIES:
        # The server leaves empty lists out; an apply without them would leave what others put there.
        wanted["spec"] = {"ingress": [], "egress": [], **item["spec"]}
    return wanted


async def _follow(  # noqa: PLR0917 - one watch
    kube: AioKube,
    group: asyncio.TaskGroup,
    resource: Resource,
    namespace: str | None,
    version: str,
    wanted: dict[tuple[str, str], Json],
) -> None:
    while True:
        async for kind, item in kube.watch(
            resource, namespace, resource_version=version, label_selector=names.MANAGED_SELECTOR
        ):
            metadata = item["metadata"]
            version = metadata["resourceVersion"]
            right = wanted.get((metadata.get("namespace", ""), metadata.get("name", "")))
            if kind == "BOOKMARK" or right is None:
                continue
            if kind == "DELETED" or _wanted(resource, item) != right:
                group.create_task(_heal(kube, resource, right))


async def _heal(kube: AioKube, resource: Resource, right: Json) -> None:
    metadata = right["metadata"]
    try:
        if resource.plural == "secrets":
            # An apply would leave what others added; this replaces, and makes what is gone.
            await _replace(kube, resource, right)
        else:
            await kube.apply(resource, metadata["namespace"], metadata["name"], right)
    except errors.Retry as error:
        print("not healed:", error, file=sys.stderr)


async def _replace(kube: AioKube, resource: Resource, right: Json) -> None:
    metadata = right["metadata"]
    try:
        await kube.merge_patch(
            resource, metadata["namespace"], metadata["name"], {"data": {**right["data"], "foreign": None}}
        )
    except errors.KubeNotFound:
        await kube.create(resource, metadata["namespace"], right)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
