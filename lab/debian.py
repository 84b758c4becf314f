"""Debian's packages, downloaded as apt would and unpacked into a folder of ours: nothing is installed, and no service starts.

apt checks what it downloads against its signed lists.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

APT_SECONDS = 120


def apt(command: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a tool of apt or dpkg, in English; one that does not end in time has failed."""
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


def downloaded(packages: Sequence[str], folder: Path, lists: Sequence[str] = ()) -> bool:
    """Whether the archives of all packages are in the folder now, by the machine's lists or by others."""
    done = apt(["apt-get", "--quiet", "--quiet", *lists, "download", *packages], folder)
    return done.returncode == 0 and len(list(folder.glob("*.deb"))) == len(packages)


def own_lists(folder: Path) -> tuple[str, ...]:
    """Options for lists in the folder, just updated: the machine's are another's to change, and may be missing or too old."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    lists = ("-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}")
    apt(["apt-get", *lists, "update"])
    return lists


def extract(archive: Path, root: Path) -> subprocess.CompletedProcess[str]:
    """Unpack an archive's files below a folder."""
    return apt(["dpkg-deb", "--extract", str(archive), str(root)])
