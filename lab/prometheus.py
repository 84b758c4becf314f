"""Prometheus and its tool for rules and metrics: from PATH, else out of Debian's package, kept in the user's cache."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab import debian
from lab.errors import LabUnavailable
from lab.modules import cache_home

PACKAGE = "prometheus"
PROMETHEUS, PROMTOOL = PROGRAMS = ("prometheus", "promtool")
"""What the package has."""
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

    Nothing is installed, so that no Prometheus is started as a service.
    """
    version = _version()
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
        if not version or not debian.downloaded([PACKAGE], folder):
            lists = debian.own_lists(folder)
            version = _version(lists)
            if not version or not debian.downloaded([PACKAGE], folder, lists):
                return _any_kept(name, home)
        (archive,) = folder.glob("*.deb")
        done = debian.extract(archive, folder / "root")
        if done.returncode != 0:
            raise PrometheusMissing(f"{archive.name} cannot be unpacked ({done.stderr.strip()}): {INSTALL}")
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


def _version(lists: Sequence[str] = ()) -> str:
    """What apt would install; "" if it knows none."""
    for line in debian.apt(["apt-cache", *lists, "policy", PACKAGE]).stdout.splitlines():
        name, _, value = line.strip().partition(": ")
        if name == "Candidate":
            return "" if value == "(none)" else value
    return ""
