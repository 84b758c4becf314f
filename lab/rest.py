"""A small JSON client over HTTP: enough for the lab to set up an API server and a Vault."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from lab.errors import LabError, RequestFailed

TIMEOUT_SECONDS = 30.0
Json = dict[str, Any]


@dataclass(frozen=True)
class JsonClient:
    """Sends one JSON request per connection; never uses a proxy. Safe to use from several threads."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = None
    timeout: float = TIMEOUT_SECONDS

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> Json:
        """Return the answer's JSON object ({} when it has none); RequestFailed for a status of 400 or more."""
        status, text = self.raw(method, path, body, content_type, timeout)
        if status >= HTTPStatus.BAD_REQUEST:
            raise RequestFailed(f"{method} {path}", status, text)
        try:
            answer = json.loads(text) if text else {}
        except ValueError as error:
            raise LabError(f"{method} {path} was not answered in JSON") from error
        return answer if isinstance(answer, dict) else {"items": answer}

    def raw(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> tuple[int, str]:
        """Return status and text whatever they are; LabError when nobody answers."""
        connection = self._connect(timeout or self.timeout)
        headers = {"Accept": "application/json", **self.headers}
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        try:
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise LabError(f"{method} {self.url}{path}: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname or "127.0.0.1"
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, parts.port or 443, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection(host, parts.port or 80, timeout=timeout)
