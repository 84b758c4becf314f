"""Prometheus' own tool for rules and metrics: from PATH, else out of Debian's package, kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from lab.modules import cache_home

PACKAGE = "prometheus"
APT_SECONDS = 120
INSTALL = f"install it (on Debian: apt-get install --no-install-recommends {PACKAGE}) and run the tests again"


class PromtoolMissing(Exception):
    """There is no promtool, and none could be had; the text says what to do."""


@cache
def promtool() -> Path:
    """The tool; raises PromtoolMissing."""
    on_path = shutil.which("promtool")
    if on_path is not None:
        return Path(on_path)
    missing = [tool for tool in ("apt-get", "apt-cache", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise PromtoolMissing(f"promtool is not on PATH and there is no {missing[0]} to get it by: {INSTALL}")
    return out_of_package(cache_home())


def run(arguments: Sequence[str], folder: Path, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run promtool in the folder; its answer is in `returncode` and, both streams together, in `stdout`."""
    done = subprocess.run(
        [str(promtool()), *arguments],
        cwd=folder,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=APT_SECONDS,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode())


def out_of_package(home: Path) -> Path:
    """The tool from the package of the version that apt would install, downloaded unless `home` has it.

    Nothing is installed, so that no Prometheus is started. apt checks what it downloads against its signed lists.
    """
    lists: tuple[str, ...] = ()
    version = _version(lists)
    if version and (kept := _kept(home, version)).exists():
        return kept
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PromtoolMissing(f"{home} cannot be made ({error}): set XDG_CACHE_HOME, or {INSTALL}") from error
    with tempfile.TemporaryDirectory(prefix=".promtool-", dir=home) as text:
        folder = Path(text)
        if not version or not _downloaded(folder, lists):
            # The machine's lists are not there or too old. They are another's to change, so these are our own.
            lists = _own_lists(folder)
            _apt(["apt-get", *lists, "update"])
            version = _version(lists)
            if not version or not _downloaded(folder, lists):
                return _any_kept(home)
        (archive,) = folder.glob("*.deb")
        _checked(["dpkg-deb", "--extract", str(archive), str(folder / "root")])
        kept = _kept(home, version)
        kept.parent.mkdir(exist_ok=True)
        # Whoever looks meanwhile sees none or all of it.
        (folder / "root" / "usr" / "bin" / "promtool").replace(kept)
    return kept


def _kept(home: Path, version: str) -> Path:
    return home / f"promtool-{version.replace('/', '_')}" / "promtool"


def _any_kept(home: Path) -> Path:
    """The latest of what was kept: rules and tests change more often than the tool."""
    found = sorted(home.glob("promtool-*/promtool"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise PromtoolMissing(
            f"promtool is not on PATH and apt cannot download {PACKAGE} (no network?): {INSTALL}"
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
        raise PromtoolMissing(f"{' '.join(command)}: {done.stderr.strip()}: {INSTALL}")


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
