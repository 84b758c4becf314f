"""The lean client tells where an answer ends, keeps its connections, and opens no more than it may."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from bench.lean import Lean, request

LENGTH = b'HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\n{"":'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextlib.asynccontextmanager
async def _server(*pieces: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """Answers every request with these pieces, one write each; its address, and how many connections it had."""
    connections = [0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[0] += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        server.close()


GET = request("GET", "/", {"Host": "x"})


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ([LENGTH], b'{"":'),
        ([LENGTH[:10], LENGTH[10:50], LENGTH[50:]], b'{"":'),
        ([CHUNKED + b'5\r\n{"a":\r\n', b"2\r\n1}\r\n0\r\n", b"\r\n"], b'{"a":1}'),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
    ],
)
async def test_an_answer_is_whole_however_it_comes(pieces: list[bytes], body: bytes) -> None:
    async with _server(*pieces) as (url, _), Lean(url, None, 1) as lean:
        first = await lean.send(GET)
        second = await lean.send(GET)
    assert (first.body, second.body) == (body, body)
    assert first.status == int(b"".join(pieces)[9:12])


async def test_connections_are_kept_and_never_more_than_allowed() -> None:
    async with _server(LENGTH) as (url, connections), Lean(url, None, 3) as lean:
        for _ in range(2):
            answers = await asyncio.gather(*(lean.send(GET) for _ in range(20)))
            assert {answer.status for answer in answers} == {201}
    assert connections[0] <= 3


async def test_a_server_that_hangs_up_is_an_error_and_no_answer() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with Lean(url, None, 1) as lean:
        with pytest.raises(ConnectionError):
            await lean.send(GET)
    server.close()


def test_a_request_is_what_a_server_reads() -> None:
    raw = request("POST", "/a", {"Host": "x"}, b"{}")
    assert raw == b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
