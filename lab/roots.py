"""File systems for the lab's images: a small Debian with Python, and on top of it what the Dockerfile installs.

Both are cached by what they are made of, so that only the first run on a machine makes them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pip

from lab.errors import LabError
from lab.images import Dockerfile, Image, RunConfig, read_dockerfile
from lab.modules import cache_home, say

ROOT = Path(__file__).parent.parent
PACKAGES = ("python3", "ca-certificates")
"""What python:slim has of Debian that the operator needs; the interpreter is Debian's own."""
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
PREFIX = "/opt/secureai"
LOCK = "requirements/run.txt"
WHEELS = "wheels"
OPERATOR = "docker.io/library/secureai-operator:dev"
PAUSE = "secureai.dev/lab/pause:dev"
STEP_SECONDS = 900.0


@functools.cache
def operator_image() -> Image:
    """The operator's image as the Dockerfile describes it: from its sources, locked wheels, its user and entry point.

    The same for as long as this process lives, whatever becomes of the sources meanwhile.
    """
    dockerfile = read_dockerfile((ROOT / "Dockerfile").read_text())
    base, locked = debian_layer(dockerfile), _locked_layer(dockerfile)
    own = _cached("own", _sources(dockerfile, dockerfile.sources))
    if not own.exists():
        _make_own_layer(dockerfile, (base, locked), own)
    return Image(OPERATOR, (base, locked, own), dockerfile.config)


def pause_image() -> Image:
    """The image that holds a pod's namespaces open: the same Debian, asleep."""
    base = debian_layer(read_dockerfile((ROOT / "Dockerfile").read_text()))
    return Image(PAUSE, (base,), RunConfig(entrypoint=["/usr/bin/sleep"], command=["infinity"]))


def debian_layer(dockerfile: Dockerfile) -> Path:
    """A minimal Debian with Python, made by mmdebstrap from Debian's own packages."""
    target = _cached("debian", [*PACKAGES, *LEFT_OUT, dockerfile.suite])
    if not target.exists():
        say(f"making a small Debian ({dockerfile.suite}) for the lab's images: two minutes, cached")
        with _fresh(target) as layer:
            command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=tar"]
            command += [f"--include={','.join(PACKAGES)}"]
            command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
            _run([*command, dockerfile.suite, str(layer)])
    return target


def _locked_layer(dockerfile: Dockerfile) -> Path:
    """The virtual environment with all that is locked, as the Dockerfile's build stage makes it."""
    target = _cached("locked", _sources(dockerfile, [LOCK]))
    if not target.exists():
        say("making the locked part of the operator's image: a minute, cached until the lock changes")
        with _fresh(target) as layer, _root(debian_layer(dockerfile)) as root:
            options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(ROOT / LOCK)]
            wheels = str(root / WHEELS)
            _run([*_PIP, "download", "--python-version", dockerfile.python, "--dest", wheels, *options])
            _run(["chroot", str(root), "python3", "-m", "venv", "--without-pip", PREFIX])
            _install(root)
            _pack(root, layer)
    return target


def _make_own_layer(dockerfile: Dockerfile, below: Sequence[Path], target: Path) -> None:
    """The project's own wheel, installed on top of what is locked."""
    say("making the operator's image, cached until a source changes")
    with _fresh(target) as layer, _root(*below) as root, tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch) / "src"
        _stage(dockerfile, sources)
        build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(root / WHEELS)]
        _run([*_PIP, *build, str(sources)])
        with tarfile.open(below[-1]) as archive:
            known = frozenset(archive.getnames())
        _install(root)
        _pack(root, layer, known)


@contextlib.contextmanager
def _root(*layers: Path) -> Iterator[Path]:
    """A folder with these layers in it, and pip beside them."""
    with tempfile.TemporaryDirectory(prefix="secureai-lab-root-") as scratch:
        root = Path(scratch)
        for layer in layers:
            _run(["tar", "--extract", f"--file={layer}", f"--directory={root}", "--exclude=./dev/*"])
        shutil.copytree(Path(pip.__file__).parent, root / "tool/pip")
        (root / WHEELS).mkdir()
        yield root


def _install(root: Path) -> None:
    """Install all wheels inside, with the Python that is there, and compile them."""
    found = [f"/{WHEELS}/{wheel.name}" for wheel in sorted((root / WHEELS).iterdir())]
    python = ["chroot", str(root), f"{PREFIX}/bin/python"]
    quietly = ["--no-index", "--no-deps", "--no-compile", "--quiet"]
    _run([*python, "/tool/pip/__pip-runner__.py", "install", *quietly, *found])
    _run([*python, "-m", "compileall", "-q", f"{PREFIX}/lib"])


def _pack(root: Path, layer: Path, known: frozenset[str] = frozenset()) -> None:
    """Write what is under the prefix and not known from the layer below."""
    prefix = PREFIX.lstrip("/")
    with tarfile.open(layer, "w") as archive:
        for path in sorted((root / prefix).rglob("*")):
            name = str(path.relative_to(root))
            if name not in known:
                archive.add(path, name, recursive=False)


_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--quiet")


def _stage(dockerfile: Dockerfile, target: Path) -> None:
    """Copy what the Dockerfile copies, and nothing else, as .dockerignore does."""
    for source in dockerfile.sources:
        origin, copy = ROOT / source, target / source
        copy.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(origin, copy)


def _sources(dockerfile: Dockerfile, sources: Sequence[str]) -> Iterator[str]:
    """What shapes a layer, as text for a digest."""
    for own in ("Dockerfile", "lab/roots.py"):
        yield _digest(ROOT / own)
    yield f"{dockerfile.suite} {dockerfile.python}"
    for source in sources:
        origin = ROOT / source
        files = [origin] if origin.is_file() else sorted(path for path in origin.rglob("*") if path.is_file())
        for file in files:
            if "__pycache__" not in file.parts:
                yield f"{file.relative_to(ROOT)} {_digest(file)}"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _cached(name: str, parts: Iterator[str] | Sequence[str]) -> Path:
    folder = cache_home() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return folder / f"{name}-{digest[:20]}.layer"


@contextlib.contextmanager
def _fresh(target: Path) -> Iterator[Path]:
    """A path beside the target that takes its place if all goes well."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield fresh
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_SECONDS, check=False)
    if done.returncode != 0:
        raise LabError(f"{command[0]} {command[1]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
