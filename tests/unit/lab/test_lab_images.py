"""Images without Docker: what the Dockerfile says is what the lab makes."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import tarfile
from pathlib import Path

import pytest

from lab.errors import LabUnavailable
from lab.images import Image, RunConfig, read_dockerfile, write_archive
from lab.node_space import free_addresses

ROOT = Path(__file__).parents[3]


def test_the_projects_dockerfile_is_understood() -> None:
    found = read_dockerfile((ROOT / "Dockerfile").read_text())
    assert (found.python, found.suite) == ("3.11", "bookworm")
    assert {"operator", "crds", "manifests", "pyproject.toml", "requirements/run.txt"} <= set(found.sources)
    assert all((ROOT / source).exists() for source in found.sources)
    assert list(found.config.entrypoint) == ["secureai"]
    assert found.config.command[0] == "run"
    assert found.config.user == "65532:65532"
    assert found.config.environment["PATH"].startswith("/opt/secureai/bin:/usr/")
    assert found.config.environment["PYTHONUNBUFFERED"] == "1"


def test_a_base_that_the_lab_cannot_make_is_refused() -> None:
    with pytest.raises(ValueError, match="slim"):
        read_dockerfile("FROM scratch\n")


def test_only_the_last_stage_says_how_it_starts() -> None:
    text = 'ARG P=python:3.12-slim-trixie\nFROM a AS b\nUSER root\nCOPY x y /z/\nFROM c\nCOPY --from=b /q /q\nCMD ["go"]\n'
    found = read_dockerfile(text)
    assert (found.python, found.suite, found.sources) == ("3.12", "trixie", ("x", "y"))
    assert (found.config.user, list(found.config.command)) == ("", ["go"])


def test_an_archive_names_its_layers_by_what_is_in_them(tmp_path: Path) -> None:
    layers = []
    for name in ("low", "high"):
        content = tmp_path / name
        content.write_text(name)
        layers.append(tmp_path / f"{name}.tar")
        with tarfile.open(layers[-1], "w") as layer:
            layer.add(content, name)
    target = tmp_path / "image.tar"
    write_archive(target, Image("example.test/one:dev", layers, RunConfig(user="5", entrypoint=["run"])))
    with tarfile.open(target) as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(archive.extractfile(manifest["Config"]) or pytest.fail("no config"))
        contents = [archive.extractfile(name) for name in manifest["Layers"]]
        digests = [f"sha256:{hashlib.sha256(file.read()).hexdigest()}" for file in contents if file]
    assert manifest["RepoTags"] == ["example.test/one:dev"]
    assert config["rootfs"]["diff_ids"] == digests
    assert (config["config"]["User"], config["config"]["Entrypoint"]) == ("5", ["run"])


def test_addresses_that_a_machine_reaches_already_are_not_taken() -> None:
    used = [f"10.213.{index}.0/24" for index in range(255)]
    found = free_addresses(iter(used))
    assert (found.host, found.node, found.pods) == ("10.213.255.1", "10.213.255.2", "10.214.255.0/24")
    with pytest.raises(LabUnavailable):
        free_addresses(iter(["10.214.0.0/16", "0.0.0.0/0"]))


def test_the_default_route_takes_no_address_away() -> None:
    assert ipaddress.ip_address(free_addresses(iter(["0.0.0.0/0"])).host).is_private
