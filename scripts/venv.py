"""Make the project's virtual environment from the lock, or do nothing if it is up to date.

Runs on the system's own Python with the standard library only, on a machine that has nothing else.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "dev.txt"
MINIMUM = (3, 11)
DEBIAN_WHEELS = Path("/usr/share/python-wheels")

PYTHON_TOO_OLD = (
    "Python 3.11 or newer is needed, this is {}. Install it (Debian: apt install python3 python3-venv) "
    "or name one: make PYTHON=python3.12"
)
NO_PIP = "Python's venv or pip is missing. Install it (Debian: apt install python3-venv) and run make again."
INSTALL_FAILED = (
    "The locked packages could not be installed; pip's last words are above. "
    "Without a network, point pip at a mirror or a folder of wheels (pip config, PIP_INDEX_URL, PIP_FIND_LINKS)."
)


class Missing(Exception):
    """Something has to be installed first; the text says what and how."""


def main(folder: Path) -> int:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as guard:
        # Two makes at once would install into each other's half-made environment.
        fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            make(folder)
        except Missing as missing:
            print(f"secureai: {missing}", file=sys.stderr)
            return 1
    return 0


def make(folder: Path) -> None:
    """Bring the environment to what the lock says; raises Missing."""
    if sys.version_info < MINIMUM:
        raise Missing(PYTHON_TOO_OLD.format(platform.python_version()))
    stamp = folder / ".lock-digest"
    wanted = digest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    started = time.monotonic()
    pip = pip_of(folder)
    packages = LOCK.read_text().count("==")
    say(f"installing {packages} locked packages into {folder.name}")
    lock = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(LOCK)]
    install([*pip, "install", *lock], packages)
    install([*pip, "install", "--no-deps", "--no-build-isolation", "-e", str(ROOT)], 1)
    stamp.write_text(wanted)
    say(f"{folder.name} is ready after {time.monotonic() - started:.0f} s")


def digest() -> str:
    """Of everything that decides what is installed."""
    parts = [
        LOCK.read_bytes(),
        (ROOT / "pyproject.toml").read_bytes(),
        platform.python_version().encode(),
        str(ROOT).encode(),
    ]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def pip_of(folder: Path) -> list[str]:
    """Return the command of a pip that installs into the environment, which is made if it is not there."""
    python = folder / "bin" / "python"
    if has_pip(python):
        return [str(python), "-m", "pip"]
    if importlib.util.find_spec("venv") is None:
        raise Missing(NO_PIP)
    say(f"making {folder.name} with Python {platform.python_version()}")
    bundled = ["--without-pip"] if importlib.util.find_spec("ensurepip") is None else []
    run([sys.executable, "-m", "venv", "--clear", *bundled, str(folder)])
    if has_pip(python):
        return [str(python), "-m", "pip"]
    return borrowed_pip(python)


def has_pip(python: Path) -> bool:
    return python.exists() and run([str(python), "-m", "pip", "--version"]) == 0


def borrowed_pip(python: Path) -> list[str]:
    """Debian without python3-venv: the system's pip, or the wheel that python3-pip-whl brings."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "--python", str(python)]
    wheel = next(iter(sorted(DEBIAN_WHEELS.glob("pip-*.whl"), reverse=True)), None)
    if wheel is None:
        raise Missing(NO_PIP)
    return [str(python), f"{wheel}/pip"]


def run(command: list[str]) -> int:
    return subprocess.run(
        command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ).returncode


def install(command: list[str], total: int) -> None:
    """Run pip, say how far it is, and show its last words only if it fails."""
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    lines: list[str] = []
    done = 0
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        for line in pip.stdout or ():
            lines.append(line)
            if line.startswith(("Collecting", "Requirement already")):
                done += 1
                if done % 20 == 0:
                    say(f"  {done} of {total}")
    if pip.returncode != 0:
        sys.stderr.writelines(lines[-25:])
        raise Missing(INSTALL_FAILED)


def say(text: str) -> None:
    print(f"secureai: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".venv").absolute()))
