"""Informers on a real API server: nothing is missed, nothing is told twice, whatever happens to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from lab import Lab, wait_until
from secureai_operator.api.resources import CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS
from secureai_operator.clients.kube import AioKube, KubeSettings, KubeSource
from secureai_operator.runtime.informer import Informer, InformerSettings
from secureai_operator.runtime.informer_set import InformerSet

pytestmark = pytest.mark.integration

Json = dict[str, Any]
OWNED = "secureai.dev/test-owner"


@dataclass(frozen=True)
class Seen:
    """A projection as the operator makes them: identity, version and a digest."""

    owner: str | None
    uid: str
    data: str


def project(raw: Json) -> Seen:
    metadata = raw["metadata"]
    data = ",".join(f"{key}={value}" for key, value in sorted((raw.get("data") or {}).items()))
    return Seen((metadata.get("labels") or {}).get(OWNED), metadata["uid"], data)


class Diary:
    """What an informer told, and what must be true of it: each `old` is the `new` told before."""

    def __init__(self) -> None:
        self.state: dict[str, Seen] = {}
        self.told = 0

    def note(self, old: Seen | None, new: Seen | None, _live: bool) -> None:
        self.told += 1
        known = new or old
        assert known is not None
        if old is not None:
            assert self.state.pop(old.uid) == old
        if new is not None:
            assert new.uid not in self.state
            self.state[new.uid] = new

    @property
    def data(self) -> list[str]:
        return sorted(seen.data for seen in self.state.values())


def config_map(name: str, owner: str, **data: str) -> Json:
    metadata = {"name": name, "labels": {OWNED: owner}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@pytest.fixture
async def kube(lab: Lab) -> AsyncIterator[AioKube]:
    async with await AioKube.connect(KubeSettings(kubeconfig=str(lab.admin_kubeconfig))) as connected:
        yield connected


def informer_of(source: KubeSource, diary: Diary) -> Informer[Seen]:
    settings = InformerSettings(backoff_cap=0.5)
    return Informer("test", source, project, lambda seen: seen.owner, diary.note, settings=settings)


@asynccontextmanager
async def running(informer: Informer[Seen]) -> AsyncIterator[None]:
    task = asyncio.create_task(informer.run())
    try:
        await asyncio.wait_for(informer.synced.wait(), 20)
        yield
    finally:
        informer.stop()
        await task


async def until(condition: Callable[[], bool], what: str, deadline: float = 60) -> None:
    async def holds() -> bool:
        return condition()

    await wait_until(holds, deadline, what)


async def test_what_exists_and_what_changes_is_told_exactly_once(kube: AioKube, namespace: str) -> None:
    await kube.create(CONFIG_MAPS, namespace, config_map("before", "o", a="1"))
    diary = Diary()
    informer = informer_of(KubeSource(kube, CONFIG_MAPS, namespace, OWNED), diary)
    async with running(informer):
        assert diary.data == ["a=1"]
        await kube.apply(CONFIG_MAPS, namespace, "after", config_map("after", "o", b="1"))
        await kube.apply(CONFIG_MAPS, namespace, "after", config_map("after", "o", b="2"))
        await kube.delete(CONFIG_MAPS, namespace, "before")
        await until(lambda: diary.data == ["b=2"], "the changes")
        assert diary.told == 4
        assert set(informer.store.owned("o")) == {(namespace, "after")}


async def test_an_object_that_leaves_the_selector_is_told_as_gone(kube: AioKube, namespace: str) -> None:
    diary = Diary()
    async with running(informer_of(KubeSource(kube, CONFIG_MAPS, namespace, f"{OWNED}=o"), diary)):
        await kube.create(CONFIG_MAPS, namespace, config_map("one", "o", a="1"))
        await until(lambda: diary.data == ["a=1"], "the object")
        await kube.merge_patch(CONFIG_MAPS, namespace, "one", {"metadata": {"labels": {OWNED: "other"}}})
        await until(lambda: diary.data == [], "its leaving")


@pytest.mark.restarts_api_server
async def test_what_happened_while_the_api_server_was_away_is_told_afterwards(
    kube: AioKube, lab: Lab, namespace: str
) -> None:
    for name in ("stays", "changes", "vanishes"):
        await kube.create(CONFIG_MAPS, namespace, config_map(name, "o", is_=name))
    diary = Diary()
    informer = informer_of(KubeSource(kube, CONFIG_MAPS, namespace, OWNED), diary)
    async with running(informer):
        # A watch that nobody serves any more and a version that the new server's cache does not remember: changes
        # made before the informer is back can only be found by a list.
        await asyncio.to_thread(lab.stop_apiserver)
        await until(lambda: informer.problem is not None, "the loss to be noticed")
        await asyncio.to_thread(lab.start_apiserver)
        await kube.merge_patch(CONFIG_MAPS, namespace, "changes", {"data": {"is_": "changed"}})
        await kube.delete(CONFIG_MAPS, namespace, "vanishes")
        await until(lambda: diary.data == ["is_=changed", "is_=stays"], "the changes")
        await kube.create(CONFIG_MAPS, namespace, config_map("new", "o", is_="new"))
        await until(lambda: len(diary.data) == 3, "the next event")
        await until(lambda: informer.problem is None, "the problem to be over")


async def test_a_thousand_changes_at_once_all_arrive(kube: AioKube, namespace: str) -> None:
    diary = Diary()
    async with running(informer_of(KubeSource(kube, CONFIG_MAPS, namespace, OWNED), diary)):
        async with asyncio.TaskGroup() as group:
            for number in range(500):
                group.create_task(
                    kube.apply(
                        CONFIG_MAPS, namespace, f"cm-{number}", config_map(f"cm-{number}", "o", n=str(number))
                    )
                )
        async with asyncio.TaskGroup() as group:
            for number in range(0, 500, 2):
                group.create_task(kube.delete(CONFIG_MAPS, namespace, f"cm-{number}"))
        expected = sorted(f"n={number}" for number in range(1, 500, 2))
        await until(lambda: diary.data == expected, "all changes", 60)


async def test_a_set_needs_a_right_only_in_the_namespaces_it_is_told(
    kube: AioKube, lab: Lab, namespace: str
) -> None:
    await kube.create(
        SERVICE_ACCOUNTS,
        namespace,
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}},
    )
    kubeconfig = await asyncio.to_thread(lab.kubeconfig_for, namespace, "reader")
    diary = Diary()
    async with await AioKube.connect(KubeSettings(kubeconfig=str(kubeconfig))) as reader:
        informers = InformerSet(
            "secrets", lambda ns: informer_of(KubeSource(reader, SECRETS, ns, OWNED), diary)
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(informers.run())
            informer = informers.ensure(namespace)
            await until(lambda: informer.problem is not None, "the missing right to be shown")
            assert not informers.synced(namespace)

            await asyncio.to_thread(_allow_secrets, lab, namespace)
            await until(lambda: informers.synced(namespace), "the right to be used")
            secret = {**config_map("one", "o"), "kind": "Secret", "data": {"k": "dg=="}}
            await kube.create(SECRETS, namespace, secret)
            await until(lambda: diary.data == ["k=dg=="], "the Secret")
            assert set(informers.owned_in(namespace, "o")) == {(namespace, "one")}

            informers.discard(namespace)
            assert len(informers) == 0
            informers.stop()


def _allow_secrets(lab: Lab, namespace: str) -> None:
    lab.kubectl("-n", namespace, "create", "role", "secrets", "--verb=list,watch", "--resource=secrets")
    lab.kubectl(
        "-n",
        namespace,
        "create",
        "rolebinding",
        "secrets",
        "--role=secrets",
        f"--serviceaccount={namespace}:reader",
    )
