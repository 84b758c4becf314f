"""Kubeconfigs as kubectl reads them: several files, relative names, and no secret in any message."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureai_operator.clients.kubeconfig import KubeconfigError, in_pod, load


def write(path: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None, **context: str) -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [
                    {"name": "c", "cluster": {"server": "https://one.example.org", **(cluster or {})}}
                ],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", **context}}],
                "current-context": "here",
            }
        )
    )
    return path


def test_the_current_context_is_read(tmp_path: Path) -> None:
    ca = base64.b64encode(b"PEM").decode()
    path = write(tmp_path / "k", {"token": "t"}, {"certificate-authority-data": ca}, namespace="team-a")
    access = load(str(path))
    assert access is not None
    assert (access.server, access.namespace, access.token, access.ca) == (
        "https://one.example.org",
        "team-a",
        "t",
        b"PEM",
    )
    assert access.simple
    assert access.verify


def test_names_of_files_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "token").write_text("from-file\n")
    path = write(tmp_path / "k", {"tokenFile": "token"}, {"certificate-authority": "ca.pem"})
    access = load(str(path))
    assert access is not None
    assert (access.ca, access.token, access.namespace) == (b"CA", "from-file", "default")


def test_of_several_files_the_first_that_says_something_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first"
    first.write_text(yaml.safe_dump({"users": [{"name": "u", "user": {"token": "first"}}]}))
    second = write(tmp_path / "second", {"token": "second"})
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{first}:{second}")
    access = load()
    assert access is not None
    assert access.token == "first"


@pytest.mark.parametrize("user", [{"exec": {"command": "aws"}}, {"auth-provider": {"name": "oidc"}}])
def test_a_plugin_is_left_to_the_full_client(tmp_path: Path, user: dict[str, Any]) -> None:
    access = load(str(write(tmp_path / "k", user)))
    assert access is not None
    assert not access.simple


def test_no_kubeconfig_at_all_is_none_but_a_named_one_must_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    assert load() is None
    with pytest.raises(KubeconfigError, match="no such file"):
        load(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "not YAML"),
        ("- a", "not a kubeconfig"),
        ("contexts: []", "no current context"),
        ("current-context: x", "no context 'x'"),
        ("{current-context: x, contexts: [{name: x, context: {cluster: c}}]}", "no cluster 'c'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "k"
    path.write_text(text)
    with pytest.raises(KubeconfigError, match=said):
        load(str(path))


def test_credentials_are_never_quoted(tmp_path: Path) -> None:
    path = write(tmp_path / "k", {"token": "s3cret", "client-certificate-data": "s3cret!"})
    with pytest.raises(KubeconfigError) as failed:
        load(str(path))
    assert "s3cret" not in str(failed.value)
    path = write(tmp_path / "k", {"token": "s3cret"})
    assert "s3cret" not in repr(load(str(path)))


def test_inside_a_pod_its_own_identity_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("token", "t"), ("ca.crt", "CA"), ("namespace", "team-a")):
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    access = in_pod(tmp_path)
    assert access is not None
    assert (access.server, access.namespace) == ("https://[fd00::1]:6443", "team-a")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    assert in_pod(tmp_path) is None
