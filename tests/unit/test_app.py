"""The composition root, as far as it can be told without a cluster."""

from __future__ import annotations

import asyncio
import getpass
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import kopf
import pytest

from secureai_operator.app import App
from secureai_operator.assembly import Parts
from secureai_operator.handlers import by_address
from secureai_operator.runtime.workqueue import Lane, current_lane
from secureai_operator.settings import BindingBackend, Settings


def nobody() -> NoReturn:
    raise KeyError("getpwuid(): uid not found: 65532")


spawn = kopf.spawn_tasks


async def spawned_and_ended(**how: Any) -> list[asyncio.Task[Any]]:
    """Kopf's own start, and the end of its tasks before they look for a cluster."""
    tasks = list(await spawn(**how))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return [asyncio.ensure_future(asyncio.sleep(0))]


async def test_kopf_starts_where_the_user_of_the_process_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pod: found on a real node, where the operator never started."""
    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.delenv("POD_ID", raising=False)
    ignored: Any = SimpleNamespace(on_workload=lambda *_: None)
    parts = SimpleNamespace(settings=Settings(), binding=BindingBackend.POLICY, triggers=ignored)
    app = App(cast("Parts", parts))
    monkeypatch.setattr(App, "take_signals", lambda _: None)
    monkeypatch.setattr(kopf, "spawn_tasks", spawned_and_ended)
    await app._run_kopf(asyncio.Event())


@pytest.mark.parametrize(
    ("host", "server"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_kopf_finds_the_api_server_without_dns_as_our_own_client_does(host: str, server: str) -> None:
    """Found on a real node without DNS, where half of the operator worked and it led without a single CR."""
    by_name = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="t")
    told = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}
    assert by_address(by_name, told) == kopf.ConnectionInfo(server=server, token="t")
    assert by_address(by_name, {}) == by_name


async def test_leadership_is_asked_for_ahead_of_all_workloads() -> None:
    """Behind three hundred new ones on a busy machine the renewals waited for a place until the Lease was lost."""
    lanes: list[Lane] = []

    async def run() -> None:
        lanes.append(current_lane.get())

    app = App(cast("Parts", SimpleNamespace(elector=SimpleNamespace(run=run))))
    await asyncio.create_task(app._elect())
    assert lanes == [Lane.URGENT]
    assert current_lane.get() is Lane.ROUTINE
