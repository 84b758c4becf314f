"""Where Prometheus and promtool come from: the machine, the cache, Debian's package, or an error that says what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab import debian, prometheus

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
            folder = Path(command[-1]) / "usr" / "bin"
            folder.mkdir(parents=True)
            for name in prometheus.PROGRAMS:
                (folder / name).write_text(name)
        return self.answer(0 if knows or verb == "--extract" else 100, "")

    @staticmethod
    def answer(code: int, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], code, text, "")


def played(monkeypatch: pytest.MonkeyPatch, *, machine: bool, network: bool) -> Apt:
    apt = Apt(machine=machine, network=network)
    monkeypatch.setattr(debian, "apt", apt)
    return apt


def test_both_programs_are_kept_by_the_version_of_their_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = played(monkeypatch, machine=True, network=False)
    kept = [prometheus.out_of_package(name, tmp_path) for name in prometheus.PROGRAMS]
    assert apt.asked == ["policy", "download", "--extract", "policy"], "one download is enough for both"
    assert [path.read_text() for path in kept] == [*prometheus.PROGRAMS]
    assert all(VERSION in path.parent.name for path in kept)
    assert set(tmp_path.iterdir()) == {path.parent for path in kept}, "something of the download was left"


def test_a_machine_whose_lists_are_gone_gets_lists_of_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = played(monkeypatch, machine=False, network=True)
    assert prometheus.out_of_package(prometheus.PROMTOOL, tmp_path).exists()
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
    with pytest.raises(prometheus.PrometheusMissing, match=r"no network.*apt-get install"):
        prometheus.out_of_package(prometheus.PROMTOOL, tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_a_network_an_older_one_that_is_kept_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(monkeypatch, machine=False, network=False)
    older = tmp_path / "promtool-1.0" / "promtool"
    older.parent.mkdir()
    older.touch()
    assert prometheus.out_of_package(prometheus.PROMTOOL, tmp_path) == older


def test_where_there_is_no_apt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(prometheus.PrometheusMissing, match=r"promtool .* no apt-get.*install"):
        prometheus.program(prometheus.PROMTOOL)


@pytest.mark.parametrize("name", prometheus.PROGRAMS)
def test_the_program_on_the_path_is_used(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / name
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prometheus.program(name) == program
