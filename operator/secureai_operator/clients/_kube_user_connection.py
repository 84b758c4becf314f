"""How the command line's light client reaches an API server: proxy, TLS, and the credentials of a plugin."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import tempfile
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from secureai_operator.clients.kubeconfig import KubeAccess, KubeconfigError


def opened(access: KubeAccess, timeout: float) -> http.client.HTTPConnection:
    """A connection to the API server, through the proxy that the kubeconfig or the environment names."""
    parts = urlsplit(access.server)
    host, port = parts.hostname or "", parts.port
    proxy = access.proxy or (None if proxy_bypass(host) else getproxies().get(parts.scheme))
    if proxy is None:
        return _direct(parts.scheme, host, port, timeout, access)
    relay = urlsplit(proxy)
    if relay.scheme != "http" or parts.scheme != "https":
        raise KubeconfigError("only an http proxy to an https API server is supported")
    connection = _direct("https", relay.hostname or "", relay.port or 80, timeout, access)
    connection.set_tunnel(host, port or 443)
    return connection


def _direct(
    scheme: str, host: str, port: int | None, timeout: float, access: KubeAccess
) -> http.client.HTTPConnection:
    if scheme == "https":
        return _Tls(host, port or 443, timeout, _tls(access), access.server_name)
    if scheme == "http":
        return http.client.HTTPConnection(host, port or 80, timeout=timeout)
    raise KubeconfigError("the kubeconfig's server is neither https nor http")


class _Tls(http.client.HTTPSConnection):
    """A connection whose certificate may have to carry another name than the host (`tls-server-name`)."""

    def __init__(
        self, host: str, port: int, timeout: float, context: ssl.SSLContext, server_name: str | None
    ) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._tls = context
        self._server_name = server_name

    def connect(self) -> None:
        if self._server_name is None:
            super().connect()
            return
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)


def _tls(access: KubeAccess) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=access.ca.decode() if access.ca else None)
        if not access.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if access.certificate:
            with _private_file(access.certificate + b"\n" + (access.key or b"")) as path:
                context.load_cert_chain(path)
    except (ssl.SSLError, ValueError) as error:
        raise KubeconfigError("the kubeconfig's certificates cannot be read") from error
    return context


@contextlib.contextmanager
def _private_file(content: bytes) -> Iterator[str]:
    """A file that only we can read, for as long as OpenSSL, which takes only names, needs it."""
    descriptor, path = tempfile.mkstemp(prefix="secureai-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield path
    finally:
        os.unlink(path)  # noqa: PTH108 - as made above


def with_plugin(access: KubeAccess, path: str | None, context: str | None) -> KubeAccess:
    """The same access with the credentials that an exec plugin or an auth provider hands out."""
    import asyncio  # noqa: PLC0415 - half a second that most users never need
    from dataclasses import replace  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    from secureai_operator.clients._kube_auth import find_identity  # noqa: PLC0415

    identity = asyncio.run(find_identity(path, context))
    configuration = identity.configuration
    header = str(configuration.api_key.get("BearerToken") or "")
    return replace(
        access,
        simple=True,
        token=header.removeprefix("Bearer ") or None,
        certificate=Path(configuration.cert_file).read_bytes() if configuration.cert_file else None,
        key=Path(configuration.key_file).read_bytes() if configuration.key_file else None,
    )
