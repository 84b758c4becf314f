"""Building: from a module that is small, with the real Go."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lab import modules
from lab.binaries import cluster_binaries
from lab.errors import LabError, LabUnavailable
from lab.modules import CLUSTER, HELM, KWOK, NODE, VAULT, Module, built

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="there is no go here: nothing is built here")
ROOT = Path(__file__).parents[3]
TINY = Module("tiny", ("-trimpath",), ("greeting",), {"hello": "greeting"})


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with one tool, and a cache of its own."""
    tool = tmp_path / "modules" / "tiny" / "hello"
    tool.mkdir(parents=True)
    (tool / "main.go").write_text('package main\n\nfunc main() { print("hello") }\n')
    (tool.parent / "go.mod").write_text(
        "module example.test/tiny\n\ngo 1.26\n\ntool example.test/tiny/hello\n"
    )
    (tool.parent / "go.sum").write_text("")
    if shutil.which("go"):
        # Go's own cache would move along, and the standard library be compiled for every test.
        asked = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, check=True, text=True)  # noqa: S607
        monkeypatch.setenv("GOCACHE", asked.stdout.strip())
    monkeypatch.setattr(modules, "MODULES", tmp_path / "modules")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tool.parent


def fake_go(folder: Path, script: str) -> None:
    folder.mkdir()
    (folder / "go").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "go").chmod(stat.S_IRWXU)


@pytest.mark.usefixtures("sources")
@needs_go
def test_tools_are_built_once_under_their_names(capfd: pytest.CaptureFixture[str]) -> None:
    folder = built(TINY)
    assert subprocess.run([folder / "greeting"], capture_output=True, check=True, text=True).stderr == "hello"
    assert "building tiny" in capfd.readouterr().err
    made = (folder / "greeting").stat().st_mtime_ns
    assert built(TINY) == folder
    assert (folder / "greeting").stat().st_mtime_ns == made
    assert capfd.readouterr().err == ""


@needs_go
def test_several_at_once_build_once(sources: Path) -> None:
    script = f"""
from pathlib import Path
from lab import modules
modules.MODULES = Path({str(sources.parent)!r})
modules.built(modules.Module("tiny", ("-trimpath",), ("greeting",), {{"hello": "greeting"}}))
"""
    builders = [
        subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = [builder.communicate(timeout=120)[1] for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0, 0]
    assert sum("lab: built tiny" in text for text in told) == 1


@needs_go
def test_a_broken_build_says_why_and_leaves_nothing_in_the_cache(sources: Path) -> None:
    (sources / "hello" / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(LabError, match="undefined"):
        built(TINY)
    assert [path.name for path in TINY.cached.parent.iterdir()] == ["tiny.lock"]


def test_the_cache_changes_with_everything_that_shapes_the_binaries(sources: Path) -> None:
    before = TINY.cached
    assert Module("tiny", ("-trimpath", "-race"), TINY.tools, TINY.renames).cached != before
    (sources / "go.sum").write_text("something else")
    assert TINY.cached != before


@pytest.mark.usefixtures("sources")
def test_progress_is_told_while_it_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(
        tmp_path / "bin",
        'if [ "$1" = env ]; then echo go1.26.0; exit; fi\n'
        "echo 'go: downloading example.test/a v1.0.0'; echo example.test/a\n"
        'while [ ! -e "$GOBIN/../../go-on" ]; do sleep 0.05; done\n'
        'echo > "$GOBIN/hello"; chmod +x "$GOBIN/hello"',
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(modules, "PROGRESS_SECONDS", 0.1)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if "1 modules downloaded, 1 packages compiled" in text:
            (TINY.cached.parent / "go-on").touch()

    monkeypatch.setattr(modules, "say", say)
    assert (built(TINY) / "greeting").exists()
    assert said[-1].startswith("built tiny")


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("answer", ["go1.22.1", "devel", ""])
def test_a_go_that_is_too_old_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    fake_go(tmp_path / "bin", f"echo {answer}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(LabUnavailable, match=r"Go 1\.26 or newer.*SECUREAI_LAB_KUBECONFIG"):
        built(TINY)


@pytest.mark.usefixtures("sources")
def test_no_go_at_all_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabUnavailable, match=r"go\.dev/dl.*kind.*Docker"):
        built(TINY)


@pytest.mark.usefixtures("sources")
def test_a_cache_that_cannot_be_made_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(LabUnavailable, match="set XDG_CACHE_HOME"):
        built(TINY)


def test_the_pinned_modules_have_their_sources() -> None:
    for module in (CLUSTER, VAULT, KWOK, NODE, HELM):
        assert "\ntool" in (module.source / "go.mod").read_text()
        assert (module.source / "go.sum").stat().st_size > 0


def test_an_api_server_on_path_is_used_only_if_it_is_recent_and_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets, cache = tmp_path / "assets", tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    CLUSTER.cached.mkdir(parents=True)
    assets.mkdir()
    for tool in CLUSTER.tools:
        for folder in (assets, CLUSTER.cached):
            (folder / tool).write_text("#!/bin/sh\necho Kubernetes v1.36.1\n")
            (folder / tool).chmod(stat.S_IRWXU)
    assert cluster_binaries().etcd == assets / "etcd"
    assert cluster_binaries(look_on_path=False).etcd == CLUSTER.cached / "etcd"
    (assets / "kube-apiserver").write_text("#!/bin/sh\necho Kubernetes v1.30.0\n")
    assert cluster_binaries().etcd == CLUSTER.cached / "etcd"
    (assets / "kube-apiserver").write_text("#!/bin/sh\necho Kubernetes v1.36.1\n")
    (assets / "kube-scheduler").unlink()
    monkeypatch.setenv("PATH", "/nowhere")
    assert cluster_binaries().etcd == CLUSTER.cached / "etcd"
