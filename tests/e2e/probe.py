"""What runs inside pods: servers and clients that tell each outcome as one JSON line. Standard library only.

It stands in a ConfigMap and is run by the Python of the operator's own image, so it imports nothing of the project.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import http.server
import json
import os
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

IDENTITY = Path("/var/run/secrets/secureai.dev/identity/vault-token")
KEYS = Path("/var/run/secrets/secureai.dev/keys")
TLS = Path("/var/run/secrets/secureai.dev/tls")


def tell(**outcome: Any) -> None:
    """One line; the time is the machine's, which all pods share with the test."""
    sys.stdout.write(json.dumps({"at": time.time(), **outcome}) + "\n")
    sys.stdout.flush()


# Servers


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers every GET, and keeps the connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    admitted: str | None = None

    def do_GET(self) -> None:
        """200 to whoever may talk; 403 to a certificate of another name."""
        peer = _names(self.connection)
        refused = self.admitted is not None and self.admitted not in peer
        body = json.dumps({"peer": peer}).encode()
        self.send_response(403 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The clients tell."""


def serve(args: argparse.Namespace) -> None:
    """Answer on a port; with `--admit NAME` by TLS, and only to certificates for that name."""
    Answer.admitted = args.admit
    server = http.server.ThreadingHTTPServer(("", args.port), Answer)
    if args.admit:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(TLS / "ca.crt"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(TLS / "tls.crt", TLS / "tls.key")
        # In the thread of its own connection, not in the one that accepts.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    tell(serving=args.port)
    server.serve_forever()


def _names(connection: Any) -> list[str]:
    if not isinstance(connection, ssl.SSLSocket):
        return []
    certificate = connection.getpeercert() or {}
    pairs: Any = certificate.get("subjectAltName", ())
    return [str(value) for kind, value in pairs if kind == "DNS"]


# Clients


def get(args: argparse.Namespace) -> None:
    """One request over a new connection."""
    try:
        status = _get_once(args.host, args.port, args.timeout, _client_tls(args))
    except (OSError, http.client.HTTPException) as error:
        tell(ok=False, error=type(error).__name__, text=str(error))
    else:
        tell(ok=status == 200, status=status)


def fresh(args: argparse.Namespace) -> None:
    """A request over a new connection again and again."""
    end = time.monotonic() + args.seconds
    while time.monotonic() < end:
        started = time.time()
        try:
            status = _get_once(args.host, args.port, args.timeout, None)
            tell(ok=status == 200, started=started)
        except (OSError, http.client.HTTPException) as error:
            tell(ok=False, error=type(error).__name__, started=started)
        time.sleep(args.period)


def kept(args: argparse.Namespace) -> None:
    """A request over the same connection again and again; an answer that is late is waited for, to the end."""
    end = time.monotonic() + args.seconds
    connection = socket.create_connection((args.host, args.port), timeout=5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = connection.getsockname()[1]
    try:
        while time.monotonic() < end:
            connection.settimeout(max(0.001, end - time.monotonic()))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: peer\r\n\r\n")
            if not connection.recv(65536):
                tell(ok=False, error="closed", port=port)
                return
            tell(ok=True, port=port)
            time.sleep(args.period)
    except OSError as error:
        tell(ok=False, error=type(error).__name__, port=port)


def _get_once(host: str, port: int, timeout: float, tls: ssl.SSLContext | None) -> int:
    plain = socket.create_connection((host, port), timeout=timeout)
    with plain if tls is None else tls.wrap_socket(plain, server_hostname=tls.named) as connection:  # type: ignore[attr-defined]
        connection.sendall(b"GET / HTTP/1.1\r\nHost: peer\r\nConnection: close\r\n\r\n")
        # A refusal of our certificate comes with the first read, not with the handshake (TLS 1.3).
        answer = connection.recv(65536)
    if not answer.startswith(b"HTTP/1.1 "):
        raise ConnectionAbortedError("closed without an answer")
    return int(answer.split()[1])


class _Named(ssl.SSLContext):
    named: str


def _client_tls(args: argparse.Namespace) -> ssl.SSLContext | None:
    """`--name` is who the server must prove to be; `--without-certificate` shows none of our own."""
    if not args.name:
        return None
    context = _Named(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(TLS / "ca.crt")
    context.named = args.name
    if not args.without_certificate:
        context.load_cert_chain(TLS / "tls.crt", TLS / "tls.key")
    return context


# Vault


class Vault:
    """Vault as a workload uses it: its projected token, its one key."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(args.vault).netloc, timeout=10)
        self._key, self._transit = args.key, args.transit
        login = {"role": args.key, "jwt": IDENTITY.read_text()}
        self._token = ""
        answer = self._post(f"auth/{args.auth}/login", login)
        self._token = answer["auth"]["client_token"]
        self.policies = answer["auth"]["token_policies"]

    def encrypt(self, text: bytes) -> str:
        body = {"plaintext": base64.b64encode(text).decode()}
        return str(self._post(f"{self._transit}/encrypt/{self._key}", body)["data"]["ciphertext"])

    def decrypt(self, ciphertext: str, key: str | None = None) -> bytes:
        answer = self._post(f"{self._transit}/decrypt/{key or self._key}", {"ciphertext": ciphertext})
        return base64.b64decode(answer["data"]["plaintext"])

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Over one connection for as long as it holds."""
        headers = {"Content-Type": "application/json", "X-Vault-Token": self._token}
        try:
            self._connection.request("POST", f"/v1/{path}", json.dumps(body), headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            # The next request opens another.
            self._connection.close()
            raise
        if response.status >= 400:
            raise VaultRefusedError(response.status)
        answer: dict[str, Any] = json.loads(text)
        return answer


class VaultRefusedError(OSError):
    """Vault answered, with an error; what it said may hold a token."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Vault answered {code}")
        self.code = code


def unwrap(args: argparse.Namespace) -> None:
    """Log in and open every data key that is mounted; with `--stranger KEY` try another workload's key as well."""
    vault = Vault(args)
    keys = {file.name: file.read_text() for file in KEYS.iterdir() if file.is_file()}
    bits = {name: 8 * len(vault.decrypt(wrapped)) for name, wrapped in keys.items()}
    versions = {name: wrapped.split(":")[1] for name, wrapped in keys.items()}
    strange: int | None = None
    if args.stranger:
        try:
            vault.decrypt(next(iter(keys.values())), args.stranger)
        except VaultRefusedError as error:
            strange = error.code
    tell(ok=True, bits=bits, versions=versions, policies=vault.policies, stranger=strange)


def use(args: argparse.Namespace) -> None:
    """Encrypt, decrypt it, decrypt what was encrypted first, and unwrap the mounted keys, again and again."""
    vault = Vault(args)
    first = vault.encrypt(b"from before")
    end = time.monotonic() + args.seconds
    while time.monotonic() < end:
        try:
            fresh_text = os.urandom(16)
            ciphertext = vault.encrypt(fresh_text)
            fits = vault.decrypt(ciphertext) == fresh_text and vault.decrypt(first) == b"from before"
            mounted = [file.read_text() for file in KEYS.iterdir() if file.is_file()]
            for wrapped in mounted:
                vault.decrypt(wrapped)
            versions = sorted({wrapped.split(":")[1] for wrapped in mounted})
            tell(ok=fits, version=ciphertext.split(":")[1], mounted=versions)
        except (OSError, http.client.HTTPException) as error:
            tell(ok=False, error=type(error).__name__, status=getattr(error, "code", None))
        time.sleep(args.period)


def main() -> None:
    """One verb."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)
    for verb in (serve, get, fresh, kept, unwrap, use):
        one = verbs.add_parser(verb.__name__)
        one.set_defaults(run=verb)
        one.add_argument("--port", type=int, default=8000)
        one.add_argument("--host", default="")
        one.add_argument("--admit")
        one.add_argument("--name")
        one.add_argument("--without-certificate", action="store_true")
        one.add_argument("--timeout", type=float, default=2.0)
        one.add_argument("--period", type=float, default=0.02)
        one.add_argument("--seconds", type=float, default=10.0)
        one.add_argument("--vault")
        one.add_argument("--key")
        one.add_argument("--auth")
        one.add_argument("--transit")
        one.add_argument("--stranger")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
