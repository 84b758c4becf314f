"""Proof: pods of a confined workload run on TDX nodes only, and nobody runs as the workload without its binding."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from secureai_operator import names
from secureai_operator.api.resources import NODES, PODS
from secureai_operator.cli.demo_report import ProofFailed, Report, expect
from secureai_operator.cli.demo_stage import Stage, pod
from secureai_operator.cli.demo_workloads import Cast
from secureai_operator.cli.output import string
from secureai_operator.cli.workloads import WorkloadView

_DEADLINE = 30.0
_POLL = 0.01
_PLAIN = "plain-0"
_MESSAGE = 240


async def prove(stage: Stage, cast: Cast, report: Report) -> None:
    hero = cast.hero
    labels = hero.pod_labels
    report.section(f"Placement and binding: pods of {hero.namespace}/{hero.name}")
    with report.claim("a pod that only carries the label runs on a TDX node") as line:
        live = await _create(stage, hero, pod("demo-bound", labels))
        _expect_bound(hero, live)
        live = await _settled(stage, hero, "demo-bound", _is_running)
        expect(_is_running(live), f"it is {_summary(live)}")
        node = await stage.kube.get(NODES, None, string(live, "spec", "nodeName"))
        _expect_labels(hero, node)
        line.note = f"on {string(live, 'spec', 'nodeName')}, as {string(live, 'spec', 'serviceAccountName')}"
    with report.claim("a pod of it that asks for a plain node is not scheduled there") as line:
        stray = pod("demo-stray", labels, nodeSelector={"kubernetes.io/hostname": _PLAIN})
        await _create(stage, hero, stray)
        live = await _settled(
            stage, hero, "demo-stray", lambda one: _is_unschedulable(one) or _is_running(one)
        )
        expect(_is_unschedulable(live), f"it is {_summary(live)}")
        line.note = f"{_PLAIN}: Unschedulable"
    with report.claim("a pod that borrows its ServiceAccount without belonging to it is refused") as line:
        thief = pod("demo-thief", {}, serviceAccountName=names.service_account(hero.name))
        line.note = await _refused(stage, hero, thief)
    with report.claim(
        "a pod that names a workload which does not exist, and so cannot be bound, is refused"
    ) as line:
        line.note = await _refused(stage, hero, pod("demo-ghost", {names.WORKLOAD_LABEL: "no-such-workload"}))
    for name in ("demo-bound", "demo-stray"):
        await stage.kube.delete(PODS, hero.namespace, name)


async def _create(stage: Stage, hero: WorkloadView, manifest: dict[str, Any]) -> dict[str, Any]:
    from lab import RequestFailed  # noqa: PLC0415 - only a checkout has it

    try:
        return await asyncio.to_thread(stage.lab.api.request, "POST", PODS.path(hero.namespace), manifest)
    except RequestFailed as error:
        raise ProofFailed(str(error)) from None


async def _refused(stage: Stage, hero: WorkloadView, manifest: dict[str, Any]) -> str:
    """Why the API server refuses the pod, in the policy's own words."""
    from lab import RequestFailed  # noqa: PLC0415 - only a checkout has it

    path = PODS.path(hero.namespace)
    try:
        await asyncio.to_thread(stage.lab.api.request, "POST", path, manifest)
    except RequestFailed as error:
        return _policy_message(str(error))
    await stage.kube.delete(PODS, hero.namespace, str(manifest["metadata"]["name"]))
    expect(False, "the API server let it in")
    raise AssertionError  # not reached


def _policy_message(text: str) -> str:
    """The part of a refusal that our policy's author wrote; ProofFailed if something else refused."""
    _, by_policy, said = text.partition("denied request: ")
    expect(
        by_policy and "secureai-" in text, f"it was refused, but not by a policy of ours: {text[:_MESSAGE]}"
    )
    words = said.split('","reason"')[0].replace('\\"', "'")
    return words if len(words) <= _MESSAGE else f"{words[:_MESSAGE]}…"


def _expect_bound(hero: WorkloadView, live: dict[str, Any]) -> None:
    """The pod got its ServiceAccount, no automounted token, and its identity."""
    spec = live["spec"]
    account = names.service_account(hero.name)
    expect(
        spec.get("serviceAccountName") == account, f"its ServiceAccount is {spec.get('serviceAccountName')}"
    )
    expect(spec.get("automountServiceAccountToken") is False, "the token is mounted automatically")
    volumes = {volume["name"] for volume in spec.get("volumes") or ()}
    expect("secureai-identity" in volumes, f"its volumes are {sorted(volumes)}")
    expect(not any(name.startswith("kube-api-access") for name in volumes), "it has the old account's token")


def _expect_labels(hero: WorkloadView, node: dict[str, Any] | None) -> None:
    labels = ((node or {}).get("metadata") or {}).get("labels") or {}
    wanted = (hero.status.get("binding") or {}).get("nodeSelector") or {}
    expect(wanted, "the workload's binding selects no nodes")
    expect(all(labels.get(key) == value for key, value in wanted.items()), "the node lacks the TDX labels")


async def _settled(stage: Stage, hero: WorkloadView, name: str, is_settled: Any) -> dict[str, Any]:
    """The pod as soon as it is settled, or as it is after the deadline."""
    end = time.monotonic() + _DEADLINE
    while True:
        live = await stage.kube.get(PODS, hero.namespace, name) or {}
        if is_settled(live) or time.monotonic() > end:
            return live
        await asyncio.sleep(_POLL)


def _is_running(live: dict[str, Any]) -> bool:
    return string(live, "status", "phase") == "Running"


def _is_unschedulable(live: dict[str, Any]) -> bool:
    conditions = (live.get("status") or {}).get("conditions") or ()
    return any(
        one.get("type") == "PodScheduled" and one.get("reason") == "Unschedulable" for one in conditions
    )


def _summary(live: dict[str, Any]) -> str:
    return f"{string(live, 'status', 'phase') or 'gone'} on {string(live, 'spec', 'nodeName') or 'no node'}"
