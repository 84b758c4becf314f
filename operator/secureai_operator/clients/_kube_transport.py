"""Bytes to the API server and back: connections, deadlines, limits and credentials."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client.rest import RESTClientObject
from yarl import URL

from secureai_operator import errors, names
from secureai_operator.clients._kube_auth import Identity, find_identity
from secureai_operator.clients._kube_errors import error_from_answer, unavailable
from secureai_operator.clients._kube_limits import InFlight

MAX_OBJECT = 8 * 2**20
"""Bytes; etcd takes no more than 1.5 MiB."""
MAX_PAGE = 128 * 2**20
"""Bytes of a page of 500 objects, generously."""

_HTTP_OK = 300
_UNAUTHORIZED = 401
_KEEP_ALIVE = 60.0
"""Seconds; below the 90 after which the API server closes an idle connection, so that ours is never the stale one."""

Observe = Callable[[str, str, int, float], None]
"""Told (verb, plural, status code or 0 without an answer, seconds) of each request."""


@dataclass(frozen=True, slots=True)
class KubeSettings:
    """How to reach the API server; durations in seconds."""

    kubeconfig: str | None = None
    """None: $KUBECONFIG, else the pod's own identity, else ~/.kube/config."""
    context: str | None = None
    max_in_flight: int = 32
    reserved_urgent: int = 8
    request_timeout: float = 10.0
    user_agent: str = "secureai-operator"
    field_manager: str = names.FIELD_MANAGER


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `what` names it in errors and is safe to show."""

    verb: str
    plural: str
    what: str
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None = None
    content_type: str = "application/json"
    idempotent: bool = True
    conditional: bool = False
    max_answer: int = MAX_OBJECT


class Transport:
    """A bounded pool of connections for requests and a connection of its own for each watch."""

    def __init__(
        self,
        identity: Identity,
        settings: KubeSettings,
        *,
        is_urgent: Callable[[], bool],
        observe: Observe,
    ) -> None:
        configuration = identity.configuration
        self._host: str = configuration.host
        self._credentials = identity.credentials
        self._is_urgent = is_urgent
        self._observe = observe
        self._limits = InFlight(settings.max_in_flight, settings.reserved_urgent)
        self._extra: dict[str, Any] = {}
        proxy = configuration.proxy or _proxy(self._host)
        if proxy:
            self._extra["proxy"] = proxy
        if configuration.tls_server_name:
            self._extra["server_hostname"] = configuration.tls_server_name
        tls = RESTClientObject(configuration).ssl_context
        headers = {
            "User-Agent": settings.user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        total = aiohttp.ClientTimeout(total=settings.request_timeout, connect=settings.request_timeout)
        connecting = aiohttp.ClientTimeout(total=None, connect=settings.request_timeout)
        self._requests = _session(tls, headers, total, settings.max_in_flight)
        self._watches = _session(tls, headers, connecting, 0)

    @classmethod
    async def connect(
        cls, settings: KubeSettings, *, is_urgent: Callable[[], bool], observe: Observe
    ) -> Transport:
        identity = await find_identity(settings.kubeconfig, settings.context)
        return cls(identity, settings, is_urgent=is_urgent, observe=observe)

    async def close(self) -> None:
        await self._requests.close()
        await self._watches.close()

    async def send(self, request: Request) -> bytes:
        """Return the body of a successful answer; raises the typed error for any other."""
        async with self._limits.place(urgent=self._is_urgent()):
            started = time.perf_counter()
            status = 0
            try:
                status, headers, body = await self._attempt(request)
            finally:
                self._observe(request.verb, request.plural, status, time.perf_counter() - started)
        if status < _HTTP_OK:
            return body
        raise error_from_answer(request.what, status, headers, body, conditional=request.conditional)

    async def _attempt(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        """Send once, and once more if the connection or the token was stale."""
        try:
            try:
                answer = await self._exchange(request)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if not request.idempotent or isinstance(error, aiohttp.ClientConnectorError):
                    raise
                answer = await self._exchange(request)
            if answer[0] == _UNAUTHORIZED:
                self._credentials.expire()
                answer = await self._exchange(request)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable(request.what, error) from None
        return answer

    async def _exchange(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        headers = await self._headers(request)
        async with self._requests.request(
            request.method, self._url(request), data=request.body, headers=headers, **self._extra
        ) as answer:
            return answer.status, answer.headers, await _bounded_body(answer, request)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[aiohttp.StreamReader, None]:
        """Open a watch; only opening it has a deadline, its silence is for the caller to judge."""
        headers = await self._headers(request)
        try:
            async with self._watches.request(
                request.method, self._url(request), headers=headers, **self._extra
            ) as answer:
                self._observe(request.verb, request.plural, answer.status, 0.0)
                if answer.status == _UNAUTHORIZED:
                    self._credentials.expire()
                if answer.status >= _HTTP_OK:
                    body = await _bounded_body(answer, request)
                    raise error_from_answer(request.what, answer.status, answer.headers, body)
                yield answer.content
        except (aiohttp.ClientError, aiohttp.ServerTimeoutError, OSError) as error:
            raise unavailable(request.what, error) from None

    async def _headers(self, request: Request) -> dict[str, str]:
        headers = {} if request.body is None else {"Content-Type": request.content_type}
        authorization = await self._credentials.header()
        if authorization is not None:
            headers["Authorization"] = authorization
        return headers

    def _url(self, request: Request) -> URL:
        query = f"?{urlencode(request.query)}" if request.query else ""
        return URL(f"{self._host}{request.path}{query}", encoded=True)


def _session(
    tls: Any, headers: Mapping[str, str], timeout: aiohttp.ClientTimeout, limit: int
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limit, ssl=tls, keepalive_timeout=_KEEP_ALIVE),
        headers=headers,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        # The environment's proxy is looked up once; aiohttp would read ~/.netrc and the environment for each request.
        trust_env=False,
    )


def _proxy(host: str) -> str | None:
    """Return the environment's proxy for the API server, if it has one."""
    parts = urlsplit(host)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


async def _bounded_body(answer: aiohttp.ClientResponse, request: Request) -> bytes:
    """Read the body, but not without end."""
    length = answer.content_length
    if length is not None and length <= request.max_answer:
        return await answer.read()
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > request.max_answer:
            answer.close()
            raise errors.KubeUnavailable("KubernetesUnavailable", f"{request.what}: the answer is too large")
        chunks.append(chunk)
    return b"".join(chunks)
