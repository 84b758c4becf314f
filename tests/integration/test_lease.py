"""Leadership on a real Lease: two processes' worth of electors, a handover, and an API server that goes away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from lab import Lab, wait_until
from secureai_operator.api.resources import LEASES
from secureai_operator.clients.kube import AioKube, KubeLease, KubeSettings
from secureai_operator.runtime.identity import Identity
from secureai_operator.runtime.lease import Elector, LeaseSettings

pytestmark = pytest.mark.integration


@pytest.fixture
async def kube(lab: Lab) -> AsyncIterator[AioKube]:
    async with await AioKube.connect(KubeSettings(kubeconfig=str(lab.admin_kubeconfig))) as connected:
        yield connected


async def test_a_handover_takes_less_than_two_seconds_and_never_has_two_leaders(
    kube: AioKube, namespace: str
) -> None:
    electors = [
        Elector(KubeLease(kube, namespace, "operator"), Identity(f"replica-{number}")) for number in range(3)
    ]
    tasks = [asyncio.create_task(elector.run()) for elector in electors]
    for _ in electors:
        pending = [elector for elector, task in zip(electors, tasks, strict=True) if not task.done()]
        leader = await asyncio.wait_for(_leader(pending), 2)
        assert [elector.is_leader for elector in electors].count(True) == 1
        await until_renewed(kube, namespace)
        assert leader.is_leader
        stopped = time.monotonic()
        leader.stop()
        await asyncio.wait_for(tasks[electors.index(leader)], 2)
        assert time.monotonic() - stopped < 1

    lease = await kube.get(LEASES, namespace, "operator")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == ""
    assert lease["spec"]["leaseTransitions"] == 2


@pytest.mark.restarts_api_server
async def test_leadership_survives_an_outage_shorter_than_its_deadline(
    kube: AioKube, lab: Lab, namespace: str
) -> None:
    patient = LeaseSettings(duration=60, renew=0.5, renew_deadline=50)
    elector = Elector(KubeLease(kube, namespace, "operator"), Identity("replica"), settings=patient)
    task = asyncio.create_task(elector.run())
    await asyncio.wait_for(elector.wait_until_leader(), 2)
    before = await kube.get(LEASES, namespace, "operator")
    await asyncio.to_thread(lab.restart_apiserver)

    async def renewed() -> bool:
        now = await kube.get(LEASES, namespace, "operator")
        return (
            now is not None and before is not None and now["spec"]["renewTime"] > before["spec"]["renewTime"]
        )

    await wait_until(renewed, 30, "a renewal after the restart")
    assert elector.is_leader
    elector.stop()
    await asyncio.wait_for(task, 2)


@pytest.mark.restarts_api_server
async def test_leadership_ends_with_an_outage_before_anybody_else_could_take_over(
    kube: AioKube, lab: Lab, namespace: str
) -> None:
    elector = Elector(KubeLease(kube, namespace, "operator"), Identity("replica"))
    task = asyncio.create_task(elector.run())
    await asyncio.wait_for(elector.wait_until_leader(), 2)
    await asyncio.to_thread(lab.stop_apiserver)
    try:
        await asyncio.wait_for(elector.lost.wait(), LeaseSettings().duration)
        assert not elector.is_leader
        await asyncio.wait_for(task, 2)
    finally:
        await asyncio.to_thread(lab.start_apiserver)


async def until_renewed(kube: AioKube, namespace: str) -> None:
    """Wait for the next renewal."""

    async def renew_time() -> str:
        lease = await kube.get(LEASES, namespace, "operator")
        assert lease is not None
        return str(lease["spec"]["renewTime"])

    before = await renew_time()

    async def renewed() -> bool:
        return await renew_time() > before

    await wait_until(renewed, 30, "a renewal")


async def _leader(electors: list[Elector]) -> Elector:
    """Return the elector that becomes leader first."""
    waits = {asyncio.create_task(elector.wait_until_leader()): elector for elector in electors}
    done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return waits[done.pop()]
