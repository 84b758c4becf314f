"""Who we are to the API server: where it is, its CA, and a token that may change under us."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import incluster_config, kube_config
from kubernetes.aio.config.config_exception import ConfigException

from secureai_operator import errors

_REREAD = 30.0
"""Seconds after which a token file is read again; the kubelet renews a token long before it ends."""


_UNUSABLE = (ConfigException, yaml.YAMLError, OSError, AttributeError, TypeError)
"""What the loader raises for a kubeconfig that is missing, not YAML, or not a kubeconfig."""


class Credentials(Protocol):
    """The Authorization header, as it is now."""

    async def header(self) -> str | None: ...

    def expire(self) -> None:
        """The API server refused the header: find a new one for the next request."""
        ...


@dataclass(slots=True)
class FixedHeader:
    """A token that nobody renews, or none at all (a client certificate)."""

    value: str | None = field(repr=False)

    async def header(self) -> str | None:
        return self.value

    def expire(self) -> None:
        """There is no other."""


@dataclass(slots=True)
class TokenFile:
    """A token in a file that somebody else renews."""

    path: Path
    _header: str | None = field(default=None, repr=False)
    _read_at: float = 0.0

    async def header(self) -> str | None:
        if self._header is None or time.monotonic() - self._read_at > _REREAD:
            try:
                token = self.path.read_text(encoding="ascii").strip()
            except (OSError, ValueError) as error:
                # In the moment of a renewal the old token is still good.
                if self._header is None:
                    raise errors.KubeUnavailable(
                        "KubernetesUnavailable", "the token file cannot be read"
                    ) from error
            else:
                self._header = f"Bearer {token}"
            self._read_at = time.monotonic()
        return self._header

    def expire(self) -> None:
        self._read_at = 0.0


@dataclass(slots=True)
class Plugin:
    """Credentials of an exec plugin or an auth provider in a kubeconfig, asked again when they are refused."""

    kubeconfig: str
    context: str | None
    _header: str | None = field(repr=False)
    _expired: bool = False

    async def header(self) -> str | None:
        if self._expired:
            configuration = Configuration()
            await kube_config.load_kube_config(
                self.kubeconfig,
                context=self.context,
                client_configuration=configuration,
                persist_config=False,
            )
            self._header = configuration.api_key.get("BearerToken")
            self._expired = False
        return self._header

    def expire(self) -> None:
        self._expired = True


@dataclass(frozen=True, slots=True)
class Identity:
    """The API server and our credentials there."""

    configuration: Any
    credentials: Credentials


async def find_identity(kubeconfig: str | None, context: str | None) -> Identity:
    """Return the identity of the named kubeconfig, of $KUBECONFIG, of the pod we run in, or of ~/.kube/config.

    Raises errors.WaitForUser if there is none or it cannot be read.
    """
    configuration = Configuration()
    try:
        path = kubeconfig or os.environ.get("KUBECONFIG")
        if path is None and incluster_config.SERVICE_HOST_ENV_NAME in os.environ:
            incluster_config.load_incluster_config(configuration, try_refresh_token=False)
            return Identity(configuration, TokenFile(Path(incluster_config.SERVICE_TOKEN_FILENAME)))
        path = path or os.path.join(os.environ.get("HOME", "/"), ".kube", "config")  # noqa: PTH118 -- only a name
        loader = await kube_config.load_kube_config(
            path, context=context, client_configuration=configuration, persist_config=False
        )
    except _UNUSABLE as error:
        # The loader's own text may quote the file.
        raise errors.WaitForUser(
            "OperatorForbidden", "no usable kubeconfig or in-cluster identity"
        ) from error
    return Identity(
        configuration, _credentials(loader, path, context, configuration.api_key.get("BearerToken"))
    )


def _credentials(loader: Any, path: str, context: str | None, header: str | None) -> Credentials:
    """Return what can renew the header, by what the kubeconfig's user is."""
    user = loader._user  # noqa: SLF001 -- the loader reads a tokenFile once and offers no other way to its name
    if user is None:
        return FixedHeader(header)
    if "tokenFile" in user and "token" not in user:
        base = Path(getattr(user, "path", None) or path).parent
        return TokenFile(base / user["tokenFile"])
    if "exec" in user or "auth-provider" in user:
        return Plugin(path, context, header)
    return FixedHeader(header)
