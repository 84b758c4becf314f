"""Leadership when etcd was restored to an older snapshot: whoever knows more than the API server begins anew."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.runtime.test_lease import CompareAndSwap, elector, finish, start, until_leader

pytestmark = pytest.mark.looptime

RENEWALS = 30.0
"""Seconds in which a leader renews often and a standby looks often."""


def restore(store: CompareAndSwap, version: int) -> None:
    """The cell as it was at that version, with the same holder."""
    assert store.cell is not None
    store.version = version
    store.cell["metadata"]["resourceVersion"] = str(version)


async def test_a_leader_that_sees_an_older_lease_of_its_own_ends() -> None:
    store = CompareAndSwap()
    first = elector(store, "one")
    task = start(first)
    await until_leader(first, 0.1)
    await asyncio.sleep(RENEWALS)
    restore(store, 2)
    await asyncio.wait_for(task, 3.0)
    assert first.lost.is_set()
    assert not first.is_leader
    assert store.holder == ""  # whoever begins anew leads at once


async def test_a_standby_that_sees_an_older_lease_ends_and_does_not_take_over() -> None:
    store = CompareAndSwap()
    first, second = elector(store, "one"), elector(store, "two")
    leading = start(first)
    await until_leader(first, 0.1)
    standing_by = start(second)
    await asyncio.sleep(RENEWALS)
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)
    store.cell = {"metadata": {"resourceVersion": "0"}, "spec": {"holderIdentity": "one"}}
    restore(store, 2)
    await asyncio.wait_for(standing_by, 3.0)
    assert second.lost.is_set()
    assert not second.is_leader
    assert store.holder == "one"


async def test_a_lease_made_anew_is_no_restored_one() -> None:
    store = CompareAndSwap()
    first, second = elector(store, "one"), elector(store, "two")
    leading = start(first)
    await until_leader(first, 0.1)
    standing_by = start(second)
    await asyncio.sleep(RENEWALS)
    store.cell = None
    await asyncio.wait_for(leading, 20.0)
    await until_leader(second, 20.0)
    assert not second.lost.is_set()
    await finish((second, standing_by))
