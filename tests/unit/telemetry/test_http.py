"""The HTTP port: probes say why, metrics are served, nothing else is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from secureai_operator.telemetry.http import TelemetryServer
from secureai_operator.telemetry.metrics import Metrics


class _State:
    healthy = True, "ok"
    ready = False, "informers have not synced: roles"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    server = TelemetryServer(
        Metrics(), lambda: _State.healthy, lambda: _State.ready, host="127.0.0.1", port=0
    )
    port = await server.start()
    yield f"http://127.0.0.1:{port}"
    await server.close()


async def test_a_probe_that_holds_is_200(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/healthz") as answer:
        assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_a_probe_that_fails_is_503_and_says_why(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as answer:
        assert answer.status == 503
        assert "roles" in await answer.text()


async def test_metrics_are_served(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "secureai_build_info" in await answer.text()


async def test_nothing_else_is_served_and_the_software_is_not_named(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/debug") as answer:
            assert answer.status == 404
        async with session.post(f"{url}/metrics") as answer:
            assert answer.status == 405
            assert answer.headers["Server"] == "secureai-operator"


async def test_a_closed_server_gives_its_port_back() -> None:
    server = TelemetryServer(Metrics(), lambda: (True, "ok"), lambda: (True, "ok"), host="127.0.0.1", port=0)
    port = await server.start()
    await server.close()
    again = TelemetryServer(
        Metrics(), lambda: (True, "ok"), lambda: (True, "ok"), host="127.0.0.1", port=port
    )
    assert await again.start() == port
    await again.close()
