"""Bytes to and from one Vault: hvac's adapter over a bounded, kept-alive pool of connections.

hvac's own adapters go through `requests`, which costs twice the CPU of the connection pool below it. hvac
takes any adapter, so this one speaks to the pool directly: the same client, half the price, and an answer
is read with a deadline and a size limit.
"""

from __future__ import annotations

import json
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

import urllib3
from hvac.adapters import Adapter
from hvac.exceptions import VaultError
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as PoolTimeout

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
        self,
        address: str,
        *,
        connections: int,
        timeout: float,
        ca_file: str | None = None,
        namespace: str | None = None,
    ) -> None:
        context = ssl.create_default_context(cafile=ca_file) if address.startswith("https:") else None
        options = {} if context is None else {"ssl_context": context}
        pool = urllib3.connection_from_url(address, maxsize=connections, block=True, **options)
        # A redirect is never followed: it would carry the token to an address nobody configured.
        super().__init__(
            base_uri=address, timeout=timeout, session=None, namespace=namespace, allow_redirects=False
        )
        self.session = pool
        self._timeout = timeout
        self._headers = {"X-Vault-Request": "true", "Content-Type": "application/json"}
        if namespace:
            self._headers["X-Vault-Namespace"] = namespace

    def close(self) -> None:
        self.session.close()

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
        limit = timeout or self._timeout
        deadline = time.monotonic() + limit
        try:
            response = self.session.urlopen(
                method,
                path,
                body=None if body is None else json.dumps(body, separators=(",", ":")).encode(),
                headers=headers,
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(total=limit),
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError) as error:
            _raise_transport(error)
        try:
            content = _read_all(response, deadline)
        except (HTTPError, OSError) as error:
            response.close()
            raise TransportError(
                "timeout" if isinstance(error, PoolTimeout) else "broken", sent=True
            ) from None
        return Answer(response.status, content, _seconds(response.headers.get("Retry-After")))


def _read_all(response: Any, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES or time.monotonic() > deadline:
            response.close()
            raise TransportError("too-large" if size > MAX_ANSWER_BYTES else "timeout", sent=True)
    response.release_conn()
    return b"".join(parts)


def _raise_transport(error: Exception) -> NoReturn:
    if isinstance(error, ConnectTimeoutError):
        raise TransportError("timeout", sent=False) from None
    if isinstance(error, NewConnectionError | SSLError):
        raise TransportError("unreachable", sent=False) from None
    if isinstance(error, PoolTimeout):
        raise TransportError("timeout", sent=True) from None
    raise TransportError("broken", sent=True) from None


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() else None
