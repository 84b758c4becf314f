"""The transport alone: what becomes of answers no Vault should give, and of connections that die."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from hvac.exceptions import Forbidden, VaultError

from secureai_operator.clients import _vault_http
from secureai_operator.clients._vault_http import PoolAdapter, TransportError

Script = Callable[[socket.socket, int], None]
"""What the other side does with its n-th connection."""


@contextmanager
def server(script: Script) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            for number in range(100):
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    script(connection, number)
        done.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        assert done.wait(5)


def heard(connection: socket.socket) -> bytes:
    """One request, to the end of its head and of the body it announces."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    return data


def answer(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def adapter(address: str, timeout: float = 2.0) -> PoolAdapter:
    return PoolAdapter(address, timeout=timeout)


def test_one_connection_serves_many_requests() -> None:
    connections = []

    def script(connection: socket.socket, number: int) -> None:
        connections.append(number)
        while heard(connection):
            connection.sendall(answer(b'{"a":1}'))

    with server(script) as address:
        client = adapter(address)
        assert [client.send("GET", "/v1/x").json() for _ in range(5)] == [{"a": 1}] * 5
        client.close()
    assert connections == [0]


def test_a_connection_that_the_other_side_closed_is_replaced_before_it_is_used() -> None:
    heard_by: list[int] = []
    closed = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        heard(connection)
        heard_by.append(number)
        connection.sendall(answer())
        connection.close()
        closed.set()

    with server(script) as address:
        client = adapter(address)
        for _ in range(3):
            closed.clear()
            assert client.send("POST", "/v1/keys/x/rotate", {}).ok
            assert closed.wait(5)
    assert heard_by == [0, 1, 2]


def test_nobody_listening_is_known_not_to_have_been_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(TransportError) as error:
        adapter(address).send("POST", "/v1/x", {})
    assert (error.value.code, error.value.sent) == ("unreachable", False)


def test_an_answer_that_breaks_off_may_have_been_acted_upon() -> None:
    def script(connection: socket.socket, _number: int) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")

    with server(script) as address, pytest.raises(TransportError) as error:
        adapter(address).send("POST", "/v1/x", {})
    assert (error.value.code, error.value.sent) == ("broken", True)


def test_a_short_body_is_not_an_answer() -> None:
    def script(connection: socket.socket, _number: int) -> None:
        heard(connection)
        connection.sendall(answer(b'{"data":1}')[:-3])

    with server(script) as address, pytest.raises(TransportError) as error:
        adapter(address).send("GET", "/v1/x")
    assert error.value.sent


def test_silence_ends_with_the_timeout() -> None:
    release = threading.Event()

    def script(connection: socket.socket, _number: int) -> None:
        heard(connection)
        release.wait(10)

    with server(script) as address:
        with pytest.raises(TransportError) as error:
            adapter(address, timeout=0.2).send("GET", "/v1/x")
        release.set()
    assert (error.value.code, error.value.sent) == ("timeout", True)


def test_closing_ends_requests_under_way() -> None:
    release, asked = threading.Event(), threading.Event()
    ended: list[str] = []

    def script(connection: socket.socket, _number: int) -> None:
        heard(connection)
        asked.set()
        release.wait(10)

    def ask(client: PoolAdapter) -> None:
        try:
            client.send("GET", "/v1/x")
        except TransportError as error:
            ended.append(error.code)

    with server(script) as address:
        client = adapter(address, timeout=30)
        thread = threading.Thread(target=ask, args=(client,))
        thread.start()
        assert asked.wait(5)
        client.close()
        thread.join(5)
        release.set()
    assert ended == ["broken"]


def test_a_body_that_drips_is_cut_off_at_the_deadline() -> None:
    release = threading.Event()

    def script(connection: socket.socket, _number: int) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not release.wait(0.05):
            connection.sendall(b"x")

    with server(script) as address:
        with pytest.raises(TransportError) as error:
            adapter(address, timeout=0.3).send("GET", "/v1/x")
        release.set()
    assert error.value.code == "timeout"


def test_an_endless_body_is_cut_off_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_vault_http, "MAX_ANSWER_BYTES", 100_000)

    def script(connection: socket.socket, _number: int) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")

    with server(script) as address, pytest.raises(TransportError) as error:
        adapter(address).send("GET", "/v1/x")
    assert error.value.code == "broken"


def test_a_redirect_is_not_followed() -> None:
    requests = []

    def script(connection: socket.socket, _number: int) -> None:
        while request := heard(connection):
            requests.append(request)
            connection.sendall(answer(b"", "307 Temporary Redirect", "Location: http://127.0.0.1:1/v1/x"))

    with server(script) as address:
        client = adapter(address)
        assert client.send("GET", "/v1/x", token="t0ken").status_code == 307
        client.close()
    assert len(requests) == 1


@pytest.mark.parametrize("path", ["/v1/x\r\nX-Evil: 1", "/v1/x y"])
def test_a_path_cannot_carry_another_header(path: str) -> None:
    def script(connection: socket.socket, _number: int) -> None:
        heard(connection)

    with server(script) as address, pytest.raises((TransportError, ValueError)):
        adapter(address).send("GET", path)


def test_hvac_gets_its_own_errors_without_what_the_server_said() -> None:
    def script(connection: socket.socket, _number: int) -> None:
        while heard(connection):
            connection.sendall(answer(b'{"errors":["secret words"]}', "403 Forbidden"))

    with server(script) as address:
        client = adapter(address)
        with pytest.raises(Forbidden) as error:
            client.get("/v1/x")
        client.close()
    assert isinstance(error.value, VaultError)
    assert "secret words" not in f"{error.value} {error.value!r} {error.value.text}"


def test_an_answer_does_not_show_its_body() -> None:
    assert "hvs." not in repr(_vault_http.Answer(200, b'{"auth":{"client_token":"hvs.x"}}'))
