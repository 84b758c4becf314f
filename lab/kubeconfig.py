"""Kubeconfig files, written and read."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.certificates import CertificateFiles
from lab.errors import LabUnavailable
from lab.rest import JsonClient


def certificate_user(files: CertificateFiles) -> dict[str, str]:
    """A kubeconfig user that shows a client certificate."""
    return {"client-certificate": str(files.certificate), "client-key": str(files.key)}


def write_kubeconfig(path: Path, server: str, ca_file: Path, user: Mapping[str, str]) -> Path:
    """Write a kubeconfig for one user, readable by its owner only, replacing an older one at once."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority": str(ca_file)}}],
        "users": [{"name": path.stem, "user": dict(user)}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": path.stem}}],
        "current-context": "lab",
    }
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(yaml.safe_dump(document))
    fresh.replace(path)
    return path


def client_for(ca_file: Path, server: str, certificate: CertificateFiles) -> JsonClient:
    """A client that shows this certificate and trusts this authority only."""
    tls = ssl.create_default_context(cafile=str(ca_file))
    tls.load_cert_chain(certificate.certificate, certificate.key)
    return JsonClient(server, tls=tls)


class Kubeconfig:
    """The current context of a flattened kubeconfig (`kubectl config view --raw --minify --flatten`)."""

    def __init__(self, text: str) -> None:
        document: Mapping[str, Any] = yaml.safe_load(text) or {}
        try:
            self._cluster: Mapping[str, Any] = document["clusters"][0]["cluster"]
            self._user: Mapping[str, Any] = document["users"][0]["user"]
            self.server: str = self._cluster["server"]
        except (KeyError, IndexError, TypeError) as error:
            raise LabUnavailable("the kubeconfig has no current context with a cluster and a user") from error

    def write_ca(self, path: Path) -> Path:
        """Write the cluster's certificate authority as a file."""
        if "certificate-authority-data" not in self._cluster:
            raise LabUnavailable("the kubeconfig's cluster must carry its certificate authority")
        path.write_bytes(base64.b64decode(self._cluster["certificate-authority-data"]))
        return path

    def client(self, ca_file: Path) -> JsonClient:
        """A client with the user's certificate or token."""
        tls = ssl.create_default_context(cafile=str(ca_file))
        if token := self._user.get("token"):
            return JsonClient(self.server, {"Authorization": f"Bearer {token}"}, tls)
        if "client-certificate-data" in self._user:
            _load_certificate(tls, self._user)
            return JsonClient(self.server, tls=tls)
        raise LabUnavailable(
            "the kubeconfig's user must have a token or a client certificate (exec plugins are not supported)"
        )


def _load_certificate(tls: ssl.SSLContext, user: Mapping[str, Any]) -> None:
    with tempfile.NamedTemporaryFile() as file:
        for part in ("client-certificate-data", "client-key-data"):
            file.write(base64.b64decode(user[part]) + b"\n")
        file.flush()
        tls.load_cert_chain(file.name)
