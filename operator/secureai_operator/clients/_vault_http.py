"""Bytes to and from one Vault: hvac's adapter over kept-alive connections.

hvac's own adapters go through `requests`, which takes five times the CPU of the HTTP client below it. hvac takes any
adapter, so this one speaks HTTP itself, and reads an answer with a deadline and a size limit.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import time
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from hvac.adapters import Adapter
from hvac.exceptions import VaultError

MAX_ANSWER_BYTES = 4 * 1024 * 1024
_CHUNK = 64 * 1024


class TransportError(Exception):
    """No answer came. `sent` tells whether the request may have reached Vault."""

    def __init__(self, code: str, *, sent: bool) -> None:
        super().__init__(code)
        self.code = code
        self.sent = sent


@dataclass(frozen=True)
class Answer:
    """What Vault answered. The body stays out of `repr`: it may hold a token."""

    status_code: int
    body: bytes
    retry_after: float | None = None

    def __repr__(self) -> str:
        return f"Answer({self.status_code}, {len(self.body)} bytes)"

    @property
    def ok(self) -> bool:
        return self.status_code < HTTPStatus.BAD_REQUEST

    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}


class PoolAdapter(Adapter):  # type: ignore[misc]  # hvac is not typed
    """Blocking: to be called from threads only. The token is given with each call, never kept here."""

    def __init__(
        self, address: str, *, timeout: float, ca_file: str | None = None, namespace: str | None = None
    ) -> None:
        # A redirect is never followed: it would carry the token to an address nobody configured.
        super().__init__(
            base_uri=address, timeout=timeout, session=self, namespace=namespace, allow_redirects=False
        )
        self._connections = Connections(address, ca_file)
        self._timeout = timeout
        self._headers = {"X-Vault-Request": "true", "Content-Type": "application/json"}
        if namespace:
            self._headers["X-Vault-Namespace"] = namespace

    verify = cert = proxies = None
    """What hvac asks of a session; there is none."""

    def close(self) -> None:
        self._connections.close()

    def get_login_token(self, response: Answer) -> str:
        return str(response.json()["auth"]["client_token"])

    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        raise_exception: bool = True,
        **kwargs: Any,
    ) -> Answer:
        """What hvac itself calls. Errors carry method and path, never what Vault said."""
        token = (headers or {}).get("X-Vault-Token") or self.token
        path = url if url.startswith("/v1/") else f"/v1/{url.lstrip('/')}"
        answer = self.send(method.upper(), path, kwargs.get("json"), token=token)
        if raise_exception and not answer.ok:
            raise VaultError.from_status(answer.status_code, method=method, url=path)
        return answer

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """One request, one answer of any status, or TransportError; never a second attempt."""
        headers = self._headers if token is None else {**self._headers, "X-Vault-Token": token}
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        limit = timeout or self._timeout
        deadline = time.monotonic() + limit
        connection = self._connections.take(limit)
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            answer = Answer(
                response.status, _read_all(response, deadline), _seconds(response.headers.get("Retry-After"))
            )
        except TimeoutError:
            self._connections.drop(connection)
            raise TransportError("timeout", sent=True) from None
        except (OSError, HTTPException):
            self._connections.drop(connection)
            raise TransportError("broken", sent=True) from None
        except BaseException:
            self._connections.drop(connection)
            raise
        self._connections.give_back(connection)
        return answer


class Connections:
    """Open connections; of those at rest the last one used comes first, so that few stay open."""

    def __init__(self, address: str, ca_file: str | None) -> None:
        self._url = urlsplit(address)
        self._context = ssl.create_default_context(cafile=ca_file) if self._url.scheme == "https" else None
        self._idle: deque[HTTPConnection] = deque()
        self._busy: set[HTTPConnection] = set()

    def take(self, timeout: float) -> HTTPConnection:
        """An open connection; raises TransportError, with nothing sent, if there is none to be had."""
        connection = self._rested(timeout) or self._opened(timeout)
        self._busy.add(connection)
        return connection

    def give_back(self, connection: HTTPConnection) -> None:
        self._busy.discard(connection)
        if connection.sock is not None:
            self._idle.append(connection)

    def drop(self, connection: HTTPConnection) -> None:
        self._busy.discard(connection)
        connection.close()

    def close(self) -> None:
        """Ends requests under way as well: no thread may hold up the end of the process."""
        for connection in list(self._busy):
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        while self._idle:
            self._idle.pop().close()

    def _rested(self, timeout: float) -> HTTPConnection | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was faster
                return None
            if _is_alive(connection):
                connection.sock.settimeout(timeout)
                return connection
            connection.close()
        return None

    def _opened(self, timeout: float) -> HTTPConnection:
        connection = self._new(timeout)
        try:
            connection.connect()
        except TimeoutError:
            raise TransportError("timeout", sent=False) from None
        except OSError:
            raise TransportError("unreachable", sent=False) from None
        return connection

    def _new(self, timeout: float) -> HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._context is None:
            return HTTPConnection(host, port, timeout=timeout)
        return HTTPSConnection(host, port, timeout=timeout, context=self._context)


def _is_alive(connection: HTTPConnection) -> bool:
    """Nothing may have arrived on a connection at rest: if something did, it is the end of it."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)


def _read_all(response: HTTPResponse, deadline: float) -> bytes:
    """The whole body; an answer that does not say how long it is, or is shorter than it says, is none."""
    if response.length is None and not response.chunked:
        raise HTTPException
    parts: list[bytes] = []
    size = 0
    while part := response.read1(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise HTTPException
        if time.monotonic() > deadline:
            raise TimeoutError
    if response.length:
        raise HTTPException
    # Reading in pieces leaves the answer open, and an open answer keeps its connection from the next request.
    response.close()
    return b"".join(parts)


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() else None
