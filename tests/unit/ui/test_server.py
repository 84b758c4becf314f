"""The server answers whoever has the token, on loopback, with GET and HEAD, and nobody else; on real sockets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit

import aiohttp
import pytest

from secureai_operator.cli.workloads import view
from secureai_operator.ui.guard import HEADERS, MAX_ADDRESS, refusal
from secureai_operator.ui.server import UiServer
from secureai_operator.ui.troubles import BUSY
from tests.unit.ui.reading_pages import read
from tests.unit.ui.samples import PlainSource, showcase

PAGES = ("", "keys", "history", "workloads/team-a/llm")
ASSETS = ("static/ui.css", "static/ui.js", "static/icon.svg")


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def root(server: UiServer) -> str:
    return f"http://127.0.0.1:{server.port}"


async def said(server: UiServer, sent: bytes) -> bytes:
    """Everything that is answered to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(65536), 10)
    writer.close()
    return answer


@pytest.mark.parametrize("path", [*PAGES, *ASSETS])
async def test_with_the_token_a_page_is_served(
    server: UiServer, client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(server.url + path) as answer:
        assert answer.status == 200
        assert await answer.text()


@pytest.mark.parametrize("path", PAGES)
async def test_everything_that_a_page_names_is_there(
    server: UiServer, client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(server.url + path) as answer:
        page = read(await answer.text())
    named = {
        one.attributes[name]
        for one in page.everything()
        for name in ("href", "src", "action")
        if one.attributes.get(name, "#").startswith("/")
    }
    assert len(named) > 5
    for address in named:
        async with client.get(root(server) + address) as answer:
            assert answer.status == 200, address


@pytest.mark.parametrize(
    "path", ["/", "/keys", "//", "/x/", "/favicon.ico", "/TOKEN", "/TOKE/", "/TOKENx/", "/%2e/"]
)
async def test_without_the_token_nothing_is_told_and_nothing_read(
    server: UiServer, client: aiohttp.ClientSession, source: PlainSource, path: str
) -> None:
    token = urlsplit(server.url).path.strip("/")
    if path == "/TOKEN":
        path = f"/x/{token}/"
    path = path.replace("TOKENx", f"{token}x").replace("TOKE", token[:-1])
    async with client.get(root(server) + path) as answer:
        assert (answer.status, await answer.text()) == (404, "refused\n")
    assert source.asked == 0


async def test_no_two_servers_have_the_same_token() -> None:
    source = PlainSource(showcase())
    tokens = {urlsplit(UiServer(source).url).path for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token.strip("/")) >= 40 for token in tokens)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:PORT",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1.evil.example:PORT",
        "[::1]:PORT",
        "",
        "0:PORT",
    ],
)
async def test_another_name_for_the_server_is_refused(
    server: UiServer, client: aiohttp.ClientSession, source: PlainSource, host: str
) -> None:
    headers = {"Host": host.replace("PORT", str(server.port))}
    async with client.get(server.url, headers=headers) as answer:
        assert (answer.status, await answer.text()) == (403, "refused\n")
    assert source.asked == 0


async def test_localhost_is_the_same_machine(server: UiServer, client: aiohttp.ClientSession) -> None:
    async with client.get(server.url, headers={"Host": f"localhost:{server.port}"}) as answer:
        assert answer.status == 200


async def test_a_request_without_a_host_is_refused(server: UiServer) -> None:
    path = urlsplit(server.url).path
    assert (await said(server, f"GET {path} HTTP/1.0\r\n\r\n".encode())).split()[1] == b"403"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_nothing_can_be_asked_for_but_to_look(
    server: UiServer, client: aiohttp.ClientSession, source: PlainSource, method: str
) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
    async with client.request(method, server.url, headers=headers) as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert source.asked == 0


async def test_head_tells_what_get_would_without_the_page(
    server: UiServer, client: aiohttp.ClientSession
) -> None:
    async with client.head(server.url) as answer:
        assert answer.status == 200
        assert await answer.read() == b""


@pytest.mark.parametrize(
    "path", [*PAGES, *ASSETS, "nothing", "workloads/team-a/nothing", "../x", "?q=" + "x" * 3000]
)
async def test_every_answer_forbids_what_a_page_needs_not(
    server: UiServer, client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(server.url + path, headers={"Origin": "http://evil.example"}) as answer:
        assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert "Set-Cookie" not in answer.headers


def test_the_policy_lets_no_script_run_but_ours_and_no_frame_hold_it() -> None:
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert HEADERS["X-Frame-Options"] == "DENY"


async def test_the_style_of_the_picture_is_the_one_that_the_policy_allows(
    server: UiServer, client: aiohttp.ClientSession
) -> None:
    async with client.get(server.url + "keys") as answer:
        (style,) = re.findall(r"<style>(.*?)</style>", await answer.text(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in HEADERS["Content-Security-Policy"]


async def test_a_request_with_a_body_is_refused(server: UiServer, client: aiohttp.ClientSession) -> None:
    async with client.get(server.url, data=b"x") as answer:
        assert answer.status == 413


async def test_a_long_address_is_refused(server: UiServer, client: aiohttp.ClientSession) -> None:
    async with client.get(server.url + "?q=" + "x" * (MAX_ADDRESS - 100)) as answer:
        assert answer.status == 200
    head = (
        f"GET {urlsplit(server.url).path}?q={'x' * MAX_ADDRESS} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    )
    assert (await said(server, f"{head}\r\n".encode())).split()[1] == b"414"


@pytest.mark.parametrize("headers", ["X: " + "x" * 9000 + "\r\n", "X: x\r\n" * 200, "no header\r\n"])
async def test_what_is_no_request_is_refused_and_its_token_in_no_log(
    server: UiServer, source: PlainSource, headers: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = urlsplit(server.url).path
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{headers}\r\n"
    assert (await said(server, head.encode())).split()[1] == b"400"
    await said(server, f"GET {path}?{'x' * 9000} HTTP/1.1\r\n\r\n".encode())
    assert path not in caplog.text
    assert source.asked == 0


async def test_it_listens_on_loopback_only(server: UiServer) -> None:
    with socket.socket() as probe:
        probe.settimeout(2)
        # Another address of this machine: everything from 127.0.0.2 on is loopback as well, and not ours.
        assert probe.connect_ex(("127.0.0.2", server.port)) != 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) == 0


async def test_a_port_that_is_taken_is_an_error(server: UiServer, source: PlainSource) -> None:
    with pytest.raises(OSError, match="address already in use"):
        await UiServer(source).start(server.port)


async def test_a_closed_server_gives_its_port_back(source: PlainSource) -> None:
    first = UiServer(source)
    port = await first.start()
    await first.close()
    second = UiServer(source)
    assert await second.start(port) == port
    await second.close()


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("nothing", 404, "There is no such page"),
        ("static/../server.py", 404, "There is no such page"),
        ("static/server.py", 404, "There is no such page"),
        ("workloads/team-a/nothing", 404, "no SecureAIWorkload 'nothing'"),
        ("workloads/team-a/%3Cscript%3E", 404, "no SecureAIWorkload '<script>'"),
    ],
)
async def test_what_is_not_there_is_a_page_too(
    server: UiServer, client: aiohttp.ClientSession, path: str, status: int, said: str
) -> None:
    async with client.get(f"{server.url}{path}") as answer:
        assert answer.status == status
        assert said in read(await answer.text()).all("main")[0].text


async def test_a_trouble_is_a_page_with_its_status(
    server: UiServer, client: aiohttp.ClientSession, source: PlainSource
) -> None:
    source.trouble = BUSY
    for path in PAGES:
        async with client.get(server.url + path) as answer:
            assert answer.status == 503
            page = read(await answer.text())
            assert page.all("h1")[0].text == BUSY.title


async def test_a_workload_that_cannot_be_understood_ends_nothing(
    server: UiServer, client: aiohttp.ClientSession, source: PlainSource, caplog: pytest.LogCaptureFixture
) -> None:
    good = source.found
    strange = view({"metadata": {"name": "x", "namespace": "y", "generation": "s3cret text"}})
    source.found = replace(good, workloads=(strange,))
    async with client.get(server.url) as answer:
        assert answer.status == 500
        assert "s3cret text" not in await answer.text()
    assert "s3cret text" not in caplog.text
    source.found = good
    async with client.get(server.url) as answer:
        assert answer.status == 200


def test_the_token_is_looked_at_last() -> None:
    """Whoever comes by another name does not learn whether a token is right."""
    asked = {"port": 1, "token": "t", "has_body": False}
    assert refusal("GET", "evil:1", "/t/", **asked) == refusal("GET", "evil:1", "/x/", **asked) == 403  # type: ignore[arg-type]
    assert refusal("GET", "127.0.0.1:1", "/t/", **asked) is None  # type: ignore[arg-type]
    assert refusal("GET", "127.0.0.1:1", "", **asked) == 404  # type: ignore[arg-type]
