"""The server of the pages: loopback only, answers nobody without the token, and only reads."""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import Self

from aiohttp import web

from secureai_operator.ui import guard, troubles
from secureai_operator.ui.fleet import Query, rows_of, selected
from secureai_operator.ui.fleet_page import fleet_page
from secureai_operator.ui.history_page import history_page
from secureai_operator.ui.keys_page import keys_page
from secureai_operator.ui.links import Links
from secureai_operator.ui.source import Source
from secureai_operator.ui.trouble_page import trouble_page
from secureai_operator.ui.workload_page import workload_page

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_TOKEN_BYTES = 32
_ASSETS: Mapping[str, str] = {
    "ui.css": "text/css",
    "ui.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_SHUTDOWN_SECONDS = 0.5
_KEEPALIVE_SECONDS = 30.0
_METHOD_NOT_ALLOWED = 405

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = Callable[[web.Request], Awaitable[str]]


class UiServer:
    """Serve the pages until `close`; `url` is the address with the token, a secret between the server and its reader."""

    def __init__(self, source: Source, *, token: str | None = None) -> None:
        self._source = source
        self._token = token or secrets.token_urlsafe(_TOKEN_BYTES)
        self._links = Links(f"/{self._token}")
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}{self._links.fleet()}"

    async def start(self, port: int = 0) -> int:
        """Listen, and return the port (0 takes a free one); OSError if it is taken."""
        app = web.Application(client_max_size=0, middlewares=[self._guarded])
        app.on_response_prepare.append(_secured)
        root = self._links.root
        app.router.add_get(f"{root}/", self._page(self._fleet))
        app.router.add_get(f"{root}/keys", self._page(self._keys))
        app.router.add_get(f"{root}/history", self._page(self._history))
        app.router.add_get(f"{root}/workloads/{{namespace}}/{{name}}", self._page(self._workload))
        for name, kind in _ASSETS.items():
            app.router.add_get(self._links.asset(name), functools.partial(_asset, name, kind))
        self._runner = web.AppRunner(
            app,
            access_log=None,  # it would hold the token
            handle_signals=False,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            logger=_silent(),
            max_line_size=guard.MAX_FIELD,
            max_field_size=guard.MAX_FIELD,
            max_headers=guard.MAX_FIELDS,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port).start()
        except OSError:
            await self.close()
            raise
        self.port = int(self._runner.addresses[0][1])
        return self.port

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        status = guard.refusal(
            request.method,
            request.headers.get("Host", ""),
            request.raw_path,
            port=self.port,
            token=self._token,
            has_body=request.body_exists,
        )
        if status is not None:
            refused = web.Response(status=status, text="refused\n")
            if status == _METHOD_NOT_ALLOWED:
                refused.headers["Allow"] = "GET, HEAD"
            # What else is on its way is not waited for.
            refused.force_close()
            return refused
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return self._troubled(troubles.NO_SUCH_PAGE)

    def _page(self, answer: Answer) -> Handler:
        """The handler of a page; whatever goes wrong becomes a page as well."""

        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                return _html(await answer(request))
            except troubles.Unanswered as error:
                return self._troubled(error.trouble)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                # A CR that is not as this version knows them must not end the server; its text is not repeated.
                log.warning("a page could not be made (%s)", type(error).__name__)
                return self._troubled(troubles.BROKEN)

        return handler

    def _troubled(self, trouble: troubles.Trouble) -> web.Response:
        return _html(trouble_page(trouble, self._links), trouble.status)

    async def _fleet(self, request: web.Request) -> str:
        fleet = await self._source.fleet()
        selection = selected(rows_of(fleet), Query.of(request.query))
        return fleet_page(fleet, selection, self._links)

    async def _keys(self, _: web.Request) -> str:
        fleet = await self._source.fleet()
        return keys_page(fleet, rows_of(fleet), self._links)

    async def _history(self, _: web.Request) -> str:
        fleet = await self._source.fleet()
        return history_page(fleet, rows_of(fleet), self._links)

    async def _workload(self, request: web.Request) -> str:
        where = request.match_info
        detail = await self._source.workload(where["namespace"], where["name"])
        return workload_page(detail, self._links)


def _silent() -> logging.Logger:
    """For aiohttp, which logs the bytes of what it cannot understand: the token may be among them."""
    nowhere = logging.getLogger(f"{__name__}.unheard")
    nowhere.disabled = True
    return nowhere


def _html(content: str, status: int = 200) -> web.Response:
    return web.Response(text=content, status=status, content_type="text/html", charset="utf-8")


async def _asset(name: str, kind: str, _: web.Request) -> web.Response:
    content = await asyncio.to_thread(_read, name)
    return web.Response(text=content, content_type=kind, charset="utf-8")


@functools.cache
def _read(name: str) -> str:
    return (resources.files("secureai_operator.ui") / "static" / name).read_text("utf-8")


async def _secured(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(guard.HEADERS)
