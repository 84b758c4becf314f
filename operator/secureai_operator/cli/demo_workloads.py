"""The demo's workloads: the examples, applied and Ready, and the ones that the proofs are made with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.cli.demo_report import Report, SetupFailed, expect
from secureai_operator.cli.demo_stage import Stage
from secureai_operator.cli.workloads import WorkloadView, view

READY_SECONDS = 60.0
Key = tuple[str, str]


@dataclass
class Arrivals:
    """When each workload was first seen, and first seen Ready, on one watch."""

    seen: dict[Key, float] = field(default_factory=dict)
    ready: dict[Key, float] = field(default_factory=dict)
    latest: dict[Key, WorkloadView] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, workload: WorkloadView, at: float) -> None:
        key = (workload.namespace, workload.name)
        self.latest[key] = workload
        self.seen.setdefault(key, at)
        if workload.ready:
            self.ready.setdefault(key, at)
        self.changed.set()


async def apply_examples(stage: Stage, report: Report) -> tuple[WorkloadView, ...]:
    """Every workload of the examples, Ready; those that did not become so are told and left out."""
    files = sorted((stage.root / "examples").rglob("*.yaml"))
    documents = [document for file in files for document in documents_of(file)]
    keys = [key for document in documents if (key := workload_key(document)) is not None]
    if not keys:
        raise SetupFailed("examples/ holds no SecureAIWorkload")
    arrivals = Arrivals()
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_watch(stage, arrivals))
        with report.claim(
            f"examples applied: {len(documents)} objects, {len(keys)} of them SecureAIWorkloads"
        ):
            examples = str(stage.root / "examples")
            await asyncio.to_thread(stage.lab.kubectl, "apply", "-R", "-f", examples)
        for key in keys:
            with report.claim(f"{key[0]}/{key[1]} is Ready, from its creation") as line:
                await _until_ready(arrivals, key)
                line.measured = arrivals.ready[key] - arrivals.seen[key]
        watch.cancel()
    return tuple(arrivals.latest[key] for key in keys if key in arrivals.ready)


async def _watch(stage: Stage, arrivals: Arrivals) -> None:
    events = stage.kube.watch(SECURE_AI_WORKLOADS, None, resource_version="0", timeout=600)
    async for kind, item in events:
        if kind in ("ADDED", "MODIFIED"):
            arrivals.note(view(item), time.perf_counter())


async def _until_ready(arrivals: Arrivals, key: Key) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while key not in arrivals.ready:
                arrivals.changed.clear()
                await arrivals.changed.wait()
    except TimeoutError:
        latest = arrivals.latest.get(key)
        expect(latest, f"not seen within {READY_SECONDS:g} s")
        failing = (
            [] if latest is None else [f"{one.type} {one.reason}: {one.message}" for one in latest.conditions]
        )
        expect(False, f"not Ready after {READY_SECONDS:g} s; {'; '.join(failing) or 'no status'}")


def documents_of(file: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def workload_key(document: Mapping[str, Any]) -> Key | None:
    if document.get("kind") != SECURE_AI_WORKLOADS.kind:
        return None
    metadata = document["metadata"]
    return str(metadata.get("namespace") or "default"), str(metadata["name"])


@dataclass(frozen=True)
class Cast:
    """Who plays whom in the proofs."""

    hero: WorkloadView
    """Confined to TDX nodes, with a key that encrypts."""
    other: WorkloadView
    """Any other workload."""
    granted: WorkloadView
    """A workload with access rules of its own."""
    rotating: WorkloadView
    """A workload with data keys that a policy rules."""


def cast(workloads: Iterable[WorkloadView]) -> Cast:
    """The workloads for the proofs; SetupFailed if the examples have none that fits."""
    enforced = [one for one in workloads if one.spec.get("enforcement", "Enforce") == "Enforce"]
    heroes = [one for one in enforced if (one.spec.get("confidential") or {}).get("mode") == "Required"]
    granted = [one for one in enforced if (one.spec.get("access") or {}).get("rules")]
    others = [one for one in enforced if one not in heroes[:1]]
    ruled = [
        one
        for one in enforced
        if (one.status.get("rotation") or {}).get("policy") and one.status.get("dataKeys")
    ]
    if not heroes or not granted or not others or not ruled:
        raise SetupFailed(
            "the Ready examples must hold a workload with confidential.mode Required, one with access.rules, one with data "
            "keys and a KeyRotationPolicy, and another"
        )
    return Cast(heroes[0], others[0], granted[0], ruled[0])
