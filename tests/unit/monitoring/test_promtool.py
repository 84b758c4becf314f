"""Where promtool comes from: the machine, the cache, Debian's package, or an error that says what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.monitoring import promtool

VERSION = "1:2.0+ds-1"


class Apt:
    """Plays apt and dpkg-deb: what it was asked, and a package if the lists that are used know one."""

    def __init__(self, *, machine: bool, network: bool) -> None:
        self.machine, self.network = machine, network
        self.asked: list[str] = []

    def __call__(
        self, command: Sequence[str], folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        own = any(word.startswith("Dir::State::Lists=") for word in command)
        verb = next(word for word in command if word in {"policy", "download", "update", "--extract"})
        self.asked.append(f"{verb} by own lists" if own else verb)
        knows = self.network if own else self.machine
        if verb == "policy":
            return self.answer(0, f"prometheus:\n  Candidate: {VERSION if knows else '(none)'}\n")
        if verb == "download" and folder is not None and knows:
            (folder / "prometheus.deb").touch()
        if verb == "--extract":
            tool = Path(command[-1]) / "usr" / "bin" / "promtool"
            tool.parent.mkdir(parents=True)
            tool.write_text("the tool")
        return self.answer(0 if knows or verb == "--extract" else 100, "")

    @staticmethod
    def answer(code: int, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], code, text, "")


def played(monkeypatch: pytest.MonkeyPatch, *, machine: bool, network: bool) -> Apt:
    apt = Apt(machine=machine, network=network)
    monkeypatch.setattr(promtool, "_apt", apt)
    return apt


def test_the_tool_is_kept_by_the_version_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = played(monkeypatch, machine=True, network=False)
    kept = promtool.out_of_package(tmp_path)
    assert kept.read_text() == "the tool"
    assert VERSION in kept.parent.name
    assert list(tmp_path.iterdir()) == [kept.parent], "something of the download was left"
    apt.asked.clear()
    assert promtool.out_of_package(tmp_path) == kept
    assert apt.asked == ["policy"]


def test_a_machine_whose_lists_are_gone_gets_lists_of_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = played(monkeypatch, machine=False, network=True)
    assert promtool.out_of_package(tmp_path).exists()
    assert apt.asked == [
        "policy",
        "update by own lists",
        "policy by own lists",
        "download by own lists",
        "--extract",
    ]


def test_without_a_network_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(monkeypatch, machine=False, network=False)
    with pytest.raises(promtool.PromtoolMissing, match=r"no network.*apt-get install"):
        promtool.out_of_package(tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_a_network_an_older_one_that_is_kept_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(monkeypatch, machine=False, network=False)
    older = tmp_path / "promtool-1.0" / "promtool"
    older.parent.mkdir()
    older.touch()
    assert promtool.out_of_package(tmp_path) == older


def test_where_there_is_no_apt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    promtool.promtool.cache_clear()
    try:
        with pytest.raises(promtool.PromtoolMissing, match=r"no apt-get.*install"):
            promtool.promtool()
    finally:
        promtool.promtool.cache_clear()


def test_the_tool_on_the_path_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "promtool"
    tool.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    promtool.promtool.cache_clear()
    try:
        assert promtool.promtool() == tool
    finally:
        promtool.promtool.cache_clear()
