"""Where the client finds its identity, and what it says when it finds none."""

from __future__ import annotations

from pathlib import Path

import pytest

from secureai_operator import errors
from secureai_operator.clients._kube_auth import TokenFile, find_identity

SENTINEL = "s3cr3t-sentinel"
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: one
contexts:
- {{name: one, context: {{cluster: c, user: u}}}}
- {{name: two, context: {{cluster: d, user: u}}}}
clusters:
- {{name: c, cluster: {{server: "https://one.example"}}}}
- {{name: d, cluster: {{server: "https://two.example"}}}}
users:
- {{name: u, user: {user}}}
"""


@pytest.fixture(autouse=True)
def _no_identity_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def written(directory: Path, user: str) -> Path:
    path = directory / "kubeconfig"
    path.write_text(KUBECONFIG.format(user=user))
    return path


async def test_an_explicit_kubeconfig_and_context_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/does/not/exist")
    identity = await find_identity(str(written(tmp_path, "{token: t}")), "two")
    assert identity.configuration.host == "https://two.example"
    assert await identity.credentials.header() == "Bearer t"


async def test_the_environment_names_a_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(written(tmp_path, "{token: t}")))
    assert (await find_identity(None, None)).configuration.host == "https://one.example"


async def test_no_identity_is_for_the_user_to_provide(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text(f"clusters: {SENTINEL}")
    not_yaml = tmp_path / "not-yaml"
    not_yaml.write_text(f"{{{SENTINEL}")
    for path in (None, str(tmp_path / "missing"), str(broken), str(not_yaml)):
        with pytest.raises(errors.WaitForUser) as caught:
            await find_identity(path, None)
        assert SENTINEL not in str(caught.value)


async def test_a_token_file_is_found_next_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SENTINEL}\n")
    identity = await find_identity(str(written(tmp_path, "{tokenFile: token}")), None)
    assert await identity.credentials.header() == f"Bearer {SENTINEL}"
    assert SENTINEL not in repr(identity.credentials)


async def test_a_token_is_read_again_after_a_while_and_after_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("secureai_operator.clients._kube_auth.time.monotonic", lambda: now)
    path = tmp_path / "token"
    path.write_text("one")
    credentials = TokenFile(path)
    assert await credentials.header() == "Bearer one"
    path.write_text("two")
    assert await credentials.header() == "Bearer one"
    now += 31
    assert await credentials.header() == "Bearer two"
    path.write_text("three")
    credentials.expire()
    assert await credentials.header() == "Bearer three"


async def test_a_token_file_that_is_away_for_a_moment_keeps_the_old_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    credentials = TokenFile(path)
    await credentials.header()
    path.unlink()
    credentials.expire()
    assert await credentials.header() == "Bearer one"
    with pytest.raises(errors.KubeUnavailable):
        await TokenFile(path).header()
