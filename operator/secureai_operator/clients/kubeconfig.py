"""What a kubeconfig says of one context, as far as a light reader can use it (no Kubernetes library, quick to import)."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from secureai_operator.errors import Terminal

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NEEDS_A_LIBRARY = frozenset(
    {"exec", "auth-provider", "username", "as", "as-groups", "as-uid", "as-user-extra"}
)
"""Users of these kinds log in by means that only the full client knows."""

_MOUNTED = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeconfigError(Terminal):
    """The kubeconfig cannot be used; the message says what is wrong with it, without quoting values."""

    def __init__(self, message: str) -> None:
        super().__init__("KubeconfigInvalid", message)


@dataclass(frozen=True)
class KubeAccess:
    """One context. `simple` is False if it needs the full client to log in."""

    server: str
    namespace: str
    simple: bool = True
    ca: bytes | None = None
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    server_name: str | None = None
    verify: bool = True
    proxy: str | None = None


def paths(explicit: str | None) -> tuple[Path, ...]:
    """The kubeconfig files, as kubectl looks for them: the flag, then $KUBECONFIG (a list), then ~/.kube/config."""
    if explicit:
        return (Path(explicit),)
    if listed := os.environ.get("KUBECONFIG", ""):
        return tuple(Path(part) for part in listed.split(os.pathsep) if part)
    return (Path.home() / ".kube" / "config",)


def load(explicit: str | None = None, context: str | None = None) -> KubeAccess | None:
    """The access that the kubeconfig describes, or None if there is no kubeconfig at all (perhaps we run in a pod).

    Raises KubeconfigError. As in kubectl, the first file that sets a value or an entry wins.
    """
    files = [path for path in paths(explicit) if path.exists()]
    if not files:
        if explicit:
            raise KubeconfigError(f"{explicit}: no such file")
        return None
    documents = [(path.parent, _document(path)) for path in files]
    named = context or next(
        (doc["current-context"] for _, doc in documents if doc.get("current-context")), None
    )
    if not named:
        raise KubeconfigError(f"{files[0]}: no current context; name one with --context")
    _, chosen = _entry(documents, "contexts", "context", named)
    cluster_home, cluster = _entry(documents, "clusters", "cluster", str(chosen.get("cluster", "")))
    user_home, user = (
        _entry(documents, "users", "user", str(chosen["user"])) if chosen.get("user") else (cluster_home, {})
    )
    return _access(cluster_home, cluster, user_home, user, str(chosen.get("namespace") or "default"))


def _access(
    cluster_home: Path, cluster: Mapping[str, Any], user_home: Path, user: Mapping[str, Any], namespace: str
) -> KubeAccess:
    if not cluster.get("server"):
        raise KubeconfigError("the kubeconfig's cluster has no server")
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = _file(user_home, str(user["tokenFile"])).decode().strip()
    return KubeAccess(
        server=str(cluster["server"]),
        namespace=namespace,
        simple=not _NEEDS_A_LIBRARY & user.keys(),
        ca=_bytes(cluster_home, cluster, "certificate-authority"),
        certificate=_bytes(user_home, user, "client-certificate"),
        key=_bytes(user_home, user, "client-key"),
        token=str(token) if token else None,
        server_name=cluster.get("tls-server-name"),
        verify=not cluster.get("insecure-skip-tls-verify", False),
        proxy=cluster.get("proxy-url"),
    )


def in_pod(mounted: Path = _MOUNTED) -> KubeAccess | None:
    """The access of the pod that this runs in, or None outside of one."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (mounted / "token").exists():
        return None
    return KubeAccess(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=_file(mounted, "namespace").decode().strip() or "default",
        ca=_file(mounted, "ca.crt"),
        token=_file(mounted, "token").decode().strip(),
    )


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - both loaders are the safe one
    except OSError as error:
        raise KubeconfigError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise KubeconfigError(f"{path}: not YAML") from error
    if not isinstance(document, dict):
        raise KubeconfigError(f"{path}: not a kubeconfig")
    return document


def _entry(
    documents: Sequence[tuple[Path, Mapping[str, Any]]], plural: str, kind: str, name: str
) -> tuple[Path, Mapping[str, Any]]:
    for home, entry in _entries(documents, plural):
        if entry.get("name") == name:
            return home, entry.get(kind) or {}
    raise KubeconfigError(f"the kubeconfig has no {kind} {name!r}")


def _entries(
    documents: Sequence[tuple[Path, Mapping[str, Any]]], plural: str
) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    return ((home, entry) for home, document in documents for entry in document.get(plural) or ())


def _bytes(home: Path, entry: Mapping[str, Any], name: str) -> bytes | None:
    if data := entry.get(f"{name}-data"):
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise KubeconfigError(f"the kubeconfig's {name}-data is not base64") from error
    return _file(home, str(entry[name])) if entry.get(name) else None


def _file(home: Path, name: str) -> bytes:
    """The content of a file that the kubeconfig names, relative to the kubeconfig's own place."""
    try:
        return (home / name).read_bytes()
    except OSError as error:
        raise KubeconfigError(f"{home / name}: {error.strerror}") from error
