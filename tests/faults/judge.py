"""What the API server says to changes that are not carried out: a dry run each, over connections that are kept."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from lab import Lab
from secureai_operator.api.resources import Resource

AT_ONCE = 4
"""Requests in flight: the API server judges each on one core."""
_TRIES = 4
_STRICT = "fieldManager=test&fieldValidation=Strict"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A change of an object that exists to another spec."""

    name: str
    spec: Any


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was answered: the spec as it would be kept, or why not, by field."""

    code: int
    spec: Any
    causes: tuple[tuple[str, str], ...]
    text: str

    @property
    def accepted(self) -> bool:
        return self.code < 400

    @property
    def is_explained(self) -> bool:
        """Refused by the schema or a rule, in words that name a field."""
        return self.code in {400, 422} and any(
            field or "unknown field" in message for field, message in self.causes
        )


@dataclass(slots=True)
class Judge:
    """Asks the API server about changes of one kind in one namespace, and makes those that it is told to."""

    lab: Lab
    resource: Resource
    namespace: str
    _free: SimpleQueue[http.client.HTTPSConnection] = field(default_factory=SimpleQueue)

    def rulings(self, asked: Iterable[Asked]) -> Iterator[Ruling]:
        """What it would say to each of them, in order."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(self.judge, asked)

    def make(self, asked: Iterable[Asked]) -> list[Ruling]:
        """Have all of them carried out."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda one: self._sent(one, ""), asked))

    def create(self, objects: Iterable[Json]) -> list[Ruling]:
        path = f"{self.resource.path(self.namespace)}?{_STRICT}"
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda body: self._request("POST", path, body), objects))

    def would_create(self, objects: Iterable[Json]) -> list[Ruling]:
        path = f"{self.resource.path(self.namespace)}?{_STRICT}&dryRun=All"
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda body: self._request("POST", path, body), objects))

    def judge(self, asked: Asked) -> Ruling:
        return self._sent(asked, "&dryRun=All")

    def close(self) -> None:
        while not self._free.empty():
            self._free.get().close()

    def _sent(self, asked: Asked, dry: str) -> Ruling:
        path = f"{self.resource.path(self.namespace, asked.name)}?{_STRICT}{dry}"
        # The whole spec anew: a merge would leave what the other spec does not name.
        return self._request("PATCH", path, [{"op": "add", "path": "/spec", "value": asked.spec}])

    def _request(self, method: str, path: str, body: object) -> Ruling:
        kind = "application/json-patch+json" if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "Content-Type": kind, **self.lab.api.headers}
        payload = json.dumps(body).encode()
        for _ in range(_TRIES - 1):
            connection = self._connection()
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self._answer(connection, method, path, payload, headers)
            # A kept connection may have been closed at the other end.
            connection.close()
        return self._answer(self._connection(), method, path, payload, headers)

    def _answer(
        self, connection: http.client.HTTPSConnection, method: str, path: str, payload: bytes, headers: Json
    ) -> Ruling:
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        self._free.put(connection)
        return _ruling(answer.status, text)

    def _connection(self) -> http.client.HTTPSConnection:
        with contextlib.suppress(Empty):
            return self._free.get_nowait()
        parts = urlsplit(self.lab.api.url)
        return http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=60, context=self.lab.api.tls
        )


def _ruling(code: int, text: str) -> Ruling:
    body = json.loads(text)
    if code < 400:
        return Ruling(code, body.get("spec"), (), "")
    found = body.get("details", {}).get("causes") or [{"message": body.get("message", "")}]
    causes = tuple((cause.get("field", ""), cause.get("message", "")) for cause in found)
    return Ruling(code, None, causes, body.get("message", ""))
