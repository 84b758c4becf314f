"""Container images without a registry: a docker-archive of layers that exist already, as `ctr image import` takes it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shlex
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BASE = re.compile(r"python:(?P<python>\d+\.\d+)-slim-(?P<suite>[a-z]+)")


@dataclass(frozen=True)
class RunConfig:
    """How a container of the image starts, as its Dockerfile says."""

    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    ports: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """A name and its layers, the lowest first, each an uncompressed tar."""

    reference: str
    layers: Sequence[Path]
    config: RunConfig


@dataclass(frozen=True)
class Dockerfile:
    """What the lab has to know of a Dockerfile to make the same image without Docker."""

    python: str
    suite: str
    sources: tuple[str, ...]
    """What it copies from the repository, folders and files."""
    config: RunConfig


def read_dockerfile(text: str) -> Dockerfile:
    """Return what the Dockerfile says; ValueError if its base is not a slim Python of a Debian release."""
    base = _BASE.search(text)
    if base is None:
        raise ValueError("the Dockerfile is not based on python:VERSION-slim-RELEASE")
    instructions = list(_instructions(text))
    sources: list[str] = []
    for word, rest in instructions:
        if word == "COPY" and not rest.startswith("--from"):
            sources += shlex.split(rest)[:-1]
    last = max(index for index, (word, _) in enumerate(instructions) if word == "FROM")
    return Dockerfile(base["python"], base["suite"], tuple(sources), _run_config(instructions[last:]))


def write_archive(target: Path, image: Image) -> None:
    """Write the image as a docker-archive, atomically."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    digests = [_sha256(layer) for layer in image.layers]
    config = json.dumps(_config(image.config, digests)).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = {
        "Config": config_name,
        "RepoTags": [image.reference],
        "Layers": [f"{digest}/layer.tar" for digest in digests],
    }
    with tarfile.open(fresh, "w") as archive:
        for layer, digest in zip(image.layers, digests, strict=True):
            archive.add(layer, f"{digest}/layer.tar")
        _add_bytes(archive, config_name, config)
        _add_bytes(archive, "manifest.json", json.dumps([manifest]).encode())
    fresh.replace(target)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            yield word.upper(), rest.strip()


def _run_config(instructions: Sequence[tuple[str, str]]) -> RunConfig:
    """Of the last stage: the stages before it leave nothing but files."""
    environment = {"PATH": DEFAULT_PATH}
    labels: dict[str, str] = {}
    last: dict[str, str] = {}
    for word, rest in instructions:
        if word == "ENV":
            pairs = dict(pair.split("=", 1) for pair in shlex.split(rest))
            known = dict(environment)
            environment |= {
                name: re.sub(r"\$(\w+)", lambda found: known[found[1]], value)  # noqa: B023
                for name, value in pairs.items()
            }
        elif word == "LABEL":
            labels |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        else:
            last[word] = rest
    return RunConfig(
        environment=environment,
        user=last.get("USER", ""),
        entrypoint=json.loads(last.get("ENTRYPOINT", "[]")),
        command=json.loads(last.get("CMD", "[]")),
        ports=last.get("EXPOSE", "").split(),
        labels=labels,
    )


def _config(config: RunConfig, layers: Sequence[str]) -> dict[str, object]:
    return {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
        "os": "linux",
        "config": {
            "Env": [f"{name}={value}" for name, value in config.environment.items()],
            "User": config.user,
            "Entrypoint": list(config.entrypoint),
            "Cmd": list(config.command),
            "ExposedPorts": {f"{port}/tcp": {} for port in config.ports},
            "Labels": dict(config.labels),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in layers]},
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
