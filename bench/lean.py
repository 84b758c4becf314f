"""The leanest asyncio client: requests are bytes that were made beforehand, over a bounded pool of kept-alive connections.

No headers are built, nothing is parsed but what tells where an answer ends. What it costs is as little as Python can.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_HEAD_END, _LAST_CHUNK = b"\r\n\r\n", b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came."""

    status: int
    raw: bytes = field(repr=False)

    @property
    def body(self) -> bytes:
        """Without head and chunks."""
        head, _, body = self.raw.partition(_HEAD_END)
        return _dechunked(body) if _CHUNKED.search(head) else body


def request(method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request as bytes; the headers must name the host."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + _HEAD_END + body


class Line(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = bytearray()
        self._end: int | None = None
        """Where the answer ends; -1 with the last chunk; None until its head is there."""
        self._waiting: asyncio.Future[Answer] | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, raw: bytes) -> asyncio.Future[Answer]:
        """Send a request; the future holds its answer."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError(f"the server closed the connection ({exc})"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._end is None:
            self._end = _end_of(self._buffer)
        if self._end is None or not self._is_whole(self._end) or self._waiting is None:
            return
        raw = bytes(self._buffer)
        waiting, self._waiting = self._waiting, None
        self._buffer.clear()
        self._end = None
        if not waiting.done():
            waiting.set_result(Answer(_status(raw), raw))

    def _is_whole(self, end: int) -> bool:
        # Only JSON comes back, which holds no bare line ends: nothing but the last chunk looks like the last chunk.
        return self._buffer.endswith(_LAST_CHUNK) if end < 0 else len(self._buffer) >= end


class Lean:
    """A pool of at most so many connections to one server; whoever finds none free waits."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, connections: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._tls = tls
        self._free: list[Line] = []
        self._places = asyncio.Semaphore(connections)
        self.host = parts.netloc
        """What requests name as their host."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for line in self._free:
            line.close()

    async def send(self, raw: bytes) -> Answer:
        """The answer, whatever its status; ConnectionError if there is none."""
        async with self._places:
            line = self._free.pop() if self._free else await self._open()
            if not line.is_open:
                line = await self._open()
            answer = await line.send(raw)
            self._free.append(line)
            return answer

    async def _open(self) -> Line:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(Line, self._host, self._port, ssl=self._tls)
        return line


async def send_all(lean: Lean, requests: Iterable[bytes], status: int) -> None:
    """All at once; RuntimeError if the server answers one with another status."""

    async def send(raw: bytes) -> None:
        answer = await lean.send(raw)
        if answer.status != status:
            what = raw.partition(b" HTTP/1.1")[0].decode()
            told = answer.body[:300].decode(errors="replace")
            raise RuntimeError(f"{what} was answered {answer.status}: {told}")

    async with asyncio.TaskGroup() as group:
        for raw in requests:
            group.create_task(send(raw))


def _end_of(buffer: bytearray) -> int | None:
    head = buffer.find(_HEAD_END)
    if head < 0:
        return None
    body = head + len(_HEAD_END)
    length = _LENGTH.search(buffer, 0, head)
    if length:
        return body + int(length[1])
    return -1 if _CHUNKED.search(buffer, 0, head) else body


def _status(raw: bytes) -> int:
    return int(raw[9:12])


def _dechunked(body: bytes) -> bytes:
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        parts.append(rest[:length])
        body = rest[length + 2 :]
    return b"".join(parts)
