"""Prometheus and its tool for rules and metrics: from PATH, else out of Debian's package, kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.errors import LabUnavailable
from lab.modules import cache_home

PACKAGE = "prometheus"
PROMETHEUS, PROMTOOL = PROGRAMS = ("prometheus", "promtool")
"""What the package has."""
APT_SECONDS = 120
INSTALL = f"install it (on Debian: apt-get install --no-install-recommends {PACKAGE}) and run the tests again"


class PrometheusMissing(LabUnavailable):
    """The program is not there, and could not be had; the text says what to do."""


def program(name: str) -> Path:
    """One of the programs; raises PrometheusMissing."""
    on_path = shutil.which(name)
    if on_path is not None:
        return Path(on_path)
    missing = [tool for tool in ("apt-get", "apt-cache", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise PrometheusMissing(f"{name} is not on PATH and there is no {missing[0]} to get it by: {INSTALL}")
    return out_of_package(name, cache_home())


def out_of_package(name: str, home: Path) -> Path:
    """The program from the package of the version that apt would install, downloaded unless `home` has it.

    Nothing is installed, so that no Prometheus is started as a service. apt checks what it downloads against its signed lists.
    """
    lists: tuple[str, ...] = ()
    version = _version(lists)
    if version and (kept := _kept(name, home, version)).exists():
        return kept
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PrometheusMissing(
            f"{home} cannot be made ({error}): set XDG_CACHE_HOME, or {INSTALL}"
        ) from error
    with tempfile.TemporaryDirectory(prefix=".prometheus-", dir=home) as text:
        folder = Path(text)
        if not version or not _downloaded(folder, lists):
            # The machine's lists are not there or too old. They are another's to change, so these are our own.
            lists = _own_lists(folder)
            _apt(["apt-get", *lists, "update"])
            version = _version(lists)
            if not version or not _downloaded(folder, lists):
                return _any_kept(name, home)
        (archive,) = folder.glob("*.deb")
        _checked(["dpkg-deb", "--extract", str(archive), str(folder / "root")])
        for one in PROGRAMS:
            kept = _kept(one, home, version)
            kept.parent.mkdir(exist_ok=True)
            # Whoever looks meanwhile sees none or all of it.
            (folder / "root" / "usr" / "bin" / one).replace(kept)
    return _kept(name, home, version)


def _kept(name: str, home: Path, version: str) -> Path:
    return home / f"{name}-{version.replace('/', '_')}" / name


def _any_kept(name: str, home: Path) -> Path:
    """The latest of what was kept: rules and tests change more often than the programs."""
    found = sorted(home.glob(f"{name}-*/{name}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise PrometheusMissing(
            f"{name} is not on PATH and apt cannot download {PACKAGE} (no network?): {INSTALL}"
        )
    return found[-1]


def _version(options: Sequence[str]) -> str:
    """What apt would install; "" if it knows none."""
    for line in _apt(["apt-cache", *options, "policy", PACKAGE]).stdout.splitlines():
        name, _, value = line.strip().partition(": ")
        if name == "Candidate":
            return "" if value == "(none)" else value
    return ""


def _downloaded(folder: Path, options: Sequence[str]) -> bool:
    done = _apt(["apt-get", "--quiet", "--quiet", *options, "download", PACKAGE], folder)
    return done.returncode == 0 and len(list(folder.glob("*.deb"))) == 1


def _own_lists(folder: Path) -> tuple[str, ...]:
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    return ("-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}")


def _checked(command: Sequence[str]) -> None:
    done = _apt(command)
    if done.returncode != 0:
        raise PrometheusMissing(f"{' '.join(command)}: {done.stderr.strip()}: {INSTALL}")


def _apt(command: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=APT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(command, 1, "", f"no end within {error.timeout} s")
