"""redis-server for Argo CD: from PATH, else out of Debian's packages, kept in the user's cache and not installed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lab import LabUnavailable, debian
from lab.argocd import Redis
from lab.modules import cache_home

# The program, and of its libraries those that a small Debian does not have.
PACKAGES = ("redis-server", "redis-tools", "libatomic1", "libjemalloc2", "liblzf1")
INSTALL = (
    f"install it (on Debian: apt-get install --no-install-recommends {PACKAGES[0]}) and run the tests again"
)


def redis_server() -> Redis:
    """The program and where its libraries are; LabUnavailable says what to do where none can be had."""
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return Redis(Path(on_path), ())
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise LabUnavailable(
            f"redis-server is not on PATH and there is no {missing[0]} to get it by: {INSTALL}"
        )
    root = cache_home() / "redis"
    if not (root / "usr" / "bin" / "redis-server").exists():
        _unpack(root)
    return in_root(root)


def in_root(root: Path) -> Redis:
    """What the packages hold, wherever they were unpacked."""
    libraries = {path.parent for path in (root / "usr" / "lib").rglob("*.so.*")}
    return Redis(root / "usr" / "bin" / "redis-server", tuple(sorted(libraries)))


def _unpack(root: Path) -> None:
    """Download the packages and unpack them into one folder."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".redis-", dir=root.parent) as text:
        folder = Path(text)
        if not debian.downloaded(PACKAGES, folder):
            lists = debian.own_lists(folder)
            if not debian.downloaded(PACKAGES, folder, lists):
                raise LabUnavailable(f"redis-server is not on PATH and apt cannot download it: {INSTALL}")
        for archive in folder.glob("*.deb"):
            done = debian.extract(archive, folder / "root")
            if done.returncode != 0:
                raise LabUnavailable(f"{archive.name} cannot be unpacked: {INSTALL}")
        # Whoever looks meanwhile sees none or all of it.
        shutil.rmtree(root, ignore_errors=True)
        (folder / "root").rename(root)
