"""A proxy between the operator and one server: every request passes by a rule, which may hold, drop, answer or delay it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlsplit

HOST = "127.0.0.1"
KUBERNETES, VAULT = "kubernetes", "vault"
START_SECONDS = 10.0
PIECE = 64 * 1024
HTTP_OK = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """A request. Its body may hold a secret: it is never printed."""

    server: str
    method: str
    target: str
    body: bytes = field(repr=False)

    @property
    def is_watch(self) -> bool:
        return "watch=" in self.target

    def __str__(self) -> str:
        return f"{self.server}: {self.method} {self.target}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whole and as it came."""

    status: int
    raw: bytes = field(repr=False)

    @classmethod
    def of(cls, status: int, body: bytes = b"{}") -> Reply:
        """One that no server gave."""
        head = f"HTTP/1.1 {status} Fault\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return cls(status, head.encode() + body)


Forward = Callable[[], Awaitable[Reply]]


class Rule(Protocol):
    """Decides about requests, in the proxy's own thread."""

    def concerns(self, seen: Seen) -> bool:
        """Whether `answer` is to be asked; all other requests, watches among them, pass unbuffered."""
        ...

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        """What the operator gets; None closes its connection without an answer.

        `forward` sends the request to the server and returns with the whole reply.
        """
        ...


class Passing:
    """The rule that lets everything pass."""

    def concerns(self, seen: Seen) -> bool:
        del seen
        return False

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        del seen
        return await forward()


Send = Callable[[bytes], None]


class Watches(Protocol):
    """Decides about watches frame by frame, in the proxy's own thread; a frame is one event, a line of JSON."""

    def refusal(self, seen: Seen) -> Reply | None:
        """What is answered instead of opening the watch; None opens it."""
        ...

    async def relay(self, seen: Seen, frames: AsyncIterator[bytes], send: Send) -> bool:
        """Pass the frames of one watch until it ends; whether it ends in order, and is not cut."""
        ...


class ServerGone(ConnectionError):
    """The server closed its connection."""


@dataclass(slots=True)
class Server:
    """One connection to the real server, opened when it is needed."""

    url: str
    tls: ssl.SSLContext | None
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def send(self, request: bytes) -> asyncio.StreamReader:
        """Send a request; the reply is to be read from what is returned."""
        if self.reader is None or self.reader.at_eof() or self.writer is None:
            self.close()
            parts = urlsplit(self.url)
            self.reader, self.writer = await asyncio.open_connection(
                parts.hostname, parts.port, ssl=self.tls, limit=PIECE
            )
        self.writer.write(request)
        await self.writer.drain()
        return self.reader

    def close(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None


@dataclass(slots=True)
class Proxy:
    """Listens on loopback, in the loop of `Proxies`. `rule` may be replaced at any time, and so may `watches`."""

    server: str
    url: str
    tls: ssl.SSLContext | None = None
    rule: Rule = field(default_factory=Passing)
    watches: Watches | None = None
    is_cut: bool = False
    _address: str = ""
    _listener: asyncio.Server | None = None
    _clients: set[asyncio.StreamWriter] = field(default_factory=set)
    _watches: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def address(self) -> str:
        return self._address

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._serve, HOST, 0, limit=PIECE)
        self._address = f"http://{HOST}:{self._listener.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End every connection at once, watches too, and take no new one until `mend`."""
        self.is_cut = True
        for client in list(self._clients):
            client.transport.abort()
        # They wait for the server, which may be silent for long, and would not see that their client is gone.
        for watch in list(self._watches):
            watch.cancel()

    def mend(self) -> None:
        self.is_cut = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = Server(self.url, self.tls)
        self._clients.add(writer)
        task = asyncio.current_task()
        assert task is not None
        try:
            # A connection may break at any moment on either side, or the proxy end: both sides are closed, and that is all.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not self.is_cut and await self._exchange(reader, writer, server):
                    pass
        finally:
            self._clients.discard(writer)
            self._watches.discard(task)
            server.close()
            writer.transport.abort()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server
    ) -> bool:
        """Pass one request; returns whether the connection may carry another one."""
        raw, seen = await _request(reader, self.server)
        if self.watches is not None and seen.is_watch:
            refusal = self.watches.refusal(seen)
            if refusal is None:
                await _watched(self.watches, seen, await server.send(raw), reader, writer)
                return False
            writer.write(refusal.raw)
            await writer.drain()
            return True
        if not self.rule.concerns(seen):
            if seen.is_watch and (task := asyncio.current_task()) is not None:
                self._watches.add(task)
            answer = await server.send(raw)
            async for piece in _pieces(answer, seen.method):
                writer.write(piece)
                await writer.drain()
            return not answer.at_eof()

        async def forward() -> Reply:
            if self.is_cut:
                raise ServerGone
            return await _whole(await server.send(raw), seen.method)

        reply = await self.rule.answer(seen, forward)
        if reply is None:
            return False
        writer.write(reply.raw)
        await writer.drain()
        return True


async def _watched(
    watches: Watches,
    seen: Seen,
    answer: asyncio.StreamReader,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Relay one watch until either side ends it."""
    pieces = _pieces(answer, seen.method)
    head = await anext(pieces)
    writer.write(head)
    if _status(head) != HTTP_OK:
        writer.writelines([piece async for piece in pieces])
        await writer.drain()
        return
    relay = asyncio.ensure_future(watches.relay(seen, _frames(pieces), partial(_send_frame, writer)))
    # Nothing is sent by who watches: a read that returns says that it went away.
    gone = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({relay, gone}, return_when=asyncio.FIRST_COMPLETED)
        if relay.done() and relay.result():
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    finally:
        relay.cancel()
        gone.cancel()
        await asyncio.gather(relay, gone, return_exceptions=True)


def _send_frame(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(frame), frame))


async def _frames(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a chunked body."""
    begun = b""
    async for piece in pieces:
        _, _, data = piece.partition(b"\r\n")
        *complete, begun = (begun + data.removesuffix(b"\r\n")).split(b"\n")
        for line in complete:
            yield line + b"\n"


async def _request(reader: asyncio.StreamReader, server: str) -> tuple[bytes, Seen]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, headers = _parsed(head)
    method, target, _ = first.split(" ", 2)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return head + body, Seen(server, method, target, body)


async def _whole(reader: asyncio.StreamReader, method: str) -> Reply:
    raw = b"".join([piece async for piece in _pieces(reader, method)])
    return Reply(_status(raw), raw)


async def _pieces(reader: asyncio.StreamReader, method: str) -> AsyncIterator[bytes]:
    """The reply as it comes: its head, and then what there is of its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    yield head
    _, headers = _parsed(head)
    if method == "HEAD" or _status(head) in {204, 304}:
        return
    if headers.get("transfer-encoding") == "chunked":
        async for piece in _chunks(reader):
            yield piece
    elif "content-length" in headers:
        left = int(headers["content-length"])
        while left:
            piece = await _some(reader, left)
            left -= len(piece)
            yield piece
    else:
        while piece := await reader.read(PIECE):
            yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    size = -1
    while size != 0:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        yield line + await reader.readexactly(size + 2)


async def _some(reader: asyncio.StreamReader, most: int) -> bytes:
    piece = await reader.read(min(most, PIECE))
    if not piece:
        raise ServerGone
    return piece


def _parsed(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in headers}


def _status(head: bytes) -> int:
    return int(head.split(b" ", 2)[1])


class Proxies:
    """Runs proxies in a thread of their own until the end of the `with` block of `running`."""

    def __init__(self, *proxies: Proxy) -> None:
        self._proxies = proxies
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[Proxies]:
        self._thread.start()
        try:
            for proxy in self._proxies:
                self.wait(proxy.start())
            yield self
        finally:
            self.wait(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(START_SECONDS)
            self._loop.close()

    def wait(self, work: Coroutine[Any, Any, None]) -> None:
        """Have it done in the proxies' thread, and return when it is."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)

    def call(self, what: Callable[[], object]) -> None:
        """Call it in the proxies' thread, and return when that is done."""

        async def called() -> None:
            what()

        self.wait(called())

    async def _end(self) -> None:
        for proxy in self._proxies:
            proxy.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
