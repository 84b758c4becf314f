"""Where redis-server comes from: the machine, the cache, Debian's packages, or an error that says what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab import LabUnavailable, debian
from tests.gitops import redis_server as found


class Apt:
    """Plays apt and dpkg-deb: packages if there is a network, and what is in them."""

    def __init__(self, *, network: bool) -> None:
        self.network = network
        self.asked: list[str] = []

    def __call__(
        self, command: Sequence[str], folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        verb = next(word for word in command if word in {"download", "update", "--extract"})
        self.asked.append(verb)
        if verb == "download" and folder is not None and self.network:
            for package in found.PACKAGES:
                (folder / f"{package}.deb").touch()
        if verb == "--extract":
            for path in ("bin/redis-server", "lib/x86_64-linux-gnu/liblzf.so.1"):
                file = Path(command[-1]) / "usr" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
        return subprocess.CompletedProcess(command, 0 if self.network else 100, "", "")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with apt and without redis-server; its cache."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("apt-get", "dpkg-deb"):
        (tools / tool).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tools))
    cache = tmp_path / "cache"
    monkeypatch.setattr(found, "cache_home", lambda: cache)
    return cache


def test_the_packages_are_unpacked_once_with_their_libraries(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = Apt(network=True)
    monkeypatch.setattr(debian, "apt", apt)
    redis = found.redis_server()
    assert redis.program.is_relative_to(nowhere)
    assert [folder.name for folder in redis.libraries] == ["x86_64-linux-gnu"]
    assert [path.name for path in nowhere.iterdir()] == ["redis"], "something of the download was left"
    apt.asked.clear()
    assert found.redis_server() == redis
    assert not apt.asked


def test_without_a_network_the_error_says_what_to_install(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = Apt(network=False)
    monkeypatch.setattr(debian, "apt", apt)
    with pytest.raises(LabUnavailable, match="apt-get install"):
        found.redis_server()
    assert apt.asked == ["download", "update", "download"]
    assert not list(nowhere.iterdir())


def test_without_apt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LabUnavailable, match=r"no apt-get.*apt-get install"):
        found.redis_server()


def test_the_program_on_the_path_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "redis-server"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found.redis_server().program == program
