"""Proof: what somebody else deletes or changes comes back, measured from the start of the foreign write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from secureai_operator import names
from secureai_operator.api.resources import NETWORK_POLICIES, ROLES, SECURE_AI_WORKLOADS, Resource
from secureai_operator.cli.demo_identity import vault_name
from secureai_operator.cli.demo_report import ProofFailed, Report, expect
from secureai_operator.cli.demo_stage import Stage
from secureai_operator.cli.demo_workloads import Cast
from secureai_operator.cli.output import string
from secureai_operator.cli.workloads import WorkloadView
from secureai_operator.clients.kube import KubeApi

_DEADLINE = 20.0
_POLL = 0.005
_FOREIGN_RULE = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
_FOREIGN_POLICY = 'path "*" {\n  capabilities = ["read", "list"]\n}\n'

Json = dict[str, Any]


async def prove(stage: Stage, cast: Cast, report: Report) -> None:
    report.section("Healing: somebody with an administrator's rights changes what the operator owns")
    hero, granted = cast.hero, cast.granted
    policy = names.allow_policy(hero.name)
    with report.claim(f"NetworkPolicy {policy} deleted: it is back") as line:
        line.measured = await _deleted(Target(stage.kube, NETWORK_POLICIES, hero.namespace, policy))
    role = names.role(granted.name)
    with report.claim(f"Role {role} given another rule: it is as declared again") as line:
        line.measured = await _edited(Target(stage.kube, ROLES, granted.namespace, role))
    with report.claim(
        f"Vault policy {vault_name(hero)} rewritten to read everything: it is as declared again"
    ) as line:
        line.measured = await _rewritten(stage, hero)
    with report.claim("status.lastDrift names what was healed last") as line:
        line.note = await _told(stage, hero)


@dataclass(frozen=True)
class Target:
    """One object that somebody is going to change."""

    kube: KubeApi
    res: Resource
    namespace: str
    name: str

    async def live(self) -> Json:
        live = await self.kube.get(self.res, self.namespace, self.name)
        if live is None:
            raise ProofFailed(f"{self.res.kind} {self.name} does not exist")
        return live


async def _deleted(target: Target) -> float:
    before = await target.live()

    async def delete() -> None:
        await target.kube.delete(target.res, target.namespace, target.name)

    def is_back(live: Json) -> bool:
        return bool(live["metadata"]["uid"] != before["metadata"]["uid"] and live["spec"] == before["spec"])

    return await _healed(target, delete, is_back)


async def _edited(target: Target) -> float:
    before = await target.live()
    version = before["metadata"]["resourceVersion"]

    async def edit() -> None:
        operations = [{"op": "add", "path": "/rules/-", "value": _FOREIGN_RULE}]
        await target.kube.json_patch(target.res, target.namespace, target.name, operations)

    def is_back(live: Json) -> bool:
        return bool(live["metadata"]["resourceVersion"] != version and live["rules"] == before["rules"])

    return await _healed(target, edit, is_back)


async def _rewritten(stage: Stage, owner: WorkloadView) -> float:
    """Vault has no watch: the operator finds it by its probe, and so do we by asking."""
    path = f"sys/policies/acl/{vault_name(owner)}"
    before = string(await stage.vault("GET", path), "data", "policy")
    started = time.perf_counter()
    await stage.vault("PUT", path, {"policy": _FOREIGN_POLICY})
    while string(await stage.vault("GET", path), "data", "policy") != before:
        expect(time.perf_counter() - started < _DEADLINE, f"not back after {_DEADLINE:g} s")
        await asyncio.sleep(_POLL)
    return time.perf_counter() - started


async def _healed(
    target: Target, foreign_write: Callable[[], Awaitable[None]], is_back: Callable[[Json], bool]
) -> float:
    """Seconds from the start of the foreign write until a watch shows the object healed."""
    watching = asyncio.Event()
    watcher = asyncio.create_task(_until_back(target, watching, is_back))
    try:
        async with asyncio.timeout(_DEADLINE):
            await watching.wait()
            started = time.perf_counter()
            await foreign_write()
            return await watcher - started
    except TimeoutError:
        raise ProofFailed(f"not back after {_DEADLINE:g} s") from None
    finally:
        watcher.cancel()


async def _until_back(target: Target, watching: asyncio.Event, is_back: Callable[[Json], bool]) -> float:
    """The moment at which the healed object arrives. Version "0" sends the present object first: then we watch."""
    events = target.kube.watch(
        target.res,
        target.namespace,
        resource_version="0",
        field_selector=f"metadata.name={target.name}",
        timeout=60,
    )
    async for kind, live in events:
        if watching.is_set() and kind in ("ADDED", "MODIFIED") and is_back(live):
            return time.perf_counter()
        watching.set()
    raise ProofFailed("the watch ended early")


async def _told(stage: Stage, hero: WorkloadView) -> str:
    """What status says of the last drift, as soon as it names the Vault policy."""
    end = time.monotonic() + _DEADLINE
    while True:
        live = await Target(stage.kube, SECURE_AI_WORKLOADS, hero.namespace, hero.name).live()
        drift = (live.get("status") or {}).get("lastDrift") or {}
        if string(drift, "kind") == "VaultPolicy":
            expect(string(drift, "action") == "Healed", f"it says {string(drift, 'action')}")
            return f"{string(drift, 'kind')} {string(drift, 'name')}: {string(drift, 'field')} {string(drift, 'action')}"
        expect(time.monotonic() < end, f"it says {drift or 'nothing'}")
        await asyncio.sleep(_POLL)
