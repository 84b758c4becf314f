"""The operator's own HTTP port: metrics and probes. It serves nothing else and takes no input."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from aiohttp import web

from secureai_operator.telemetry.metrics import Metrics

Probe = Callable[[], tuple[bool, str]]
"""Whether all is well, and a line for people that holds no secret."""

_COMPRESS_IN_THREAD_FROM = 16 * 1024
_REQUEST_MAX_BYTES = 1024


class TelemetryServer:
    """Serve /metrics, /healthz and /readyz until `close`.

    - /healthz fails if the process should be restarted, /readyz if it should get no traffic; both say why.
    - Metrics are written in a thread: with many workloads that takes longer than a heal may wait.
    """

    def __init__(
        self, metrics: Metrics, healthy: Probe, ready: Probe, *, host: str = "0.0.0.0", port: int = 8080
    ) -> None:
        self._metrics = metrics
        self._healthy = healthy
        self._ready = ready
        self._address = host, port
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen, and return the port; OSError if it is taken."""
        app = web.Application(client_max_size=_REQUEST_MAX_BYTES)
        app.on_response_prepare.append(_hide_software)
        app.router.add_get("/metrics", self._serve_metrics)
        app.router.add_get("/healthz", self._serve_healthz)
        app.router.add_get("/readyz", self._serve_readyz)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address).start()
        port = self._runner.addresses[0][1]
        assert isinstance(port, int)  # noqa: S101 -- narrows the type; it is a TCP site
        return port

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        self._metrics.refresh()
        accept = request.headers.get("Accept", "")
        body, content_type = await asyncio.to_thread(self._metrics.render, accept)
        response = web.Response(
            body=body,
            headers={"Content-Type": content_type},
            zlib_executor_size=_COMPRESS_IN_THREAD_FROM,
        )
        response.enable_compression()
        return response

    async def _serve_healthz(self, _: web.Request) -> web.Response:
        return _verdict(*self._healthy())

    async def _serve_readyz(self, _: web.Request) -> web.Response:
        return _verdict(*self._ready())


def _verdict(good: bool, detail: str) -> web.Response:
    return web.Response(text=f"{detail}\n", status=200 if good else 503)


async def _hide_software(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "secureai-operator"
