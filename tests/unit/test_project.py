"""The project itself: layers, layout, lock, and that what the documents name exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from secureai_operator.cli.main import VERBS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator" / "secureai_operator"
LOCKS = ("run", "build", "dev")

# Put together, so that this file is no finding of its own.
REGISTRIES = "|".join(
    re.escape(".".join(parts))
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("npmjs", "org"),
    )
)
MACHINE_PATHS = "|".join("/" + folder + "/" for folder in ("work", "root", "home", "tmp/" + "work"))
FORBIDDEN = re.compile(rf"{REGISTRIES}|(?<![\w.$}}])(?:{MACHINE_PATHS})")


@cache
def tracked() -> tuple[Path, ...]:
    """What belongs to the project: what git has or would take, or everything if this is no repository."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 -- whichever git the machine has
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())
    hidden = {".venv", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", "__pycache__"}
    return tuple(path for path in ROOT.rglob("*") if path.is_file() and not hidden & set(path.parts))


def documents() -> Iterator[Path]:
    return (path for path in tracked() if path.suffix == ".md")


def pinned(lock: str) -> dict[str, str]:
    """Name → version of everything in a lock; fails on a line without a hash."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    entries = re.findall(
        r"^([A-Za-z0-9._-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE
    )
    lines = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(entries) == len(lines), "a line of the lock is not NAME==VERSION with hashes"
    return {canonicalize_name(name): version for name, version, _ in entries}


def wanted(*groups: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][group] for group in groups)]
    return [Requirement(text) for one in lists for text in one]


def test_the_import_directions_hold() -> None:
    # A process of its own: the linter configures logging, and would silence the loggers of other tests.
    command = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    linter = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert linter.returncode == 0, linter.stdout


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py"}
    assert not [path for path in tracked() if path.name in drawers]


def test_no_module_of_the_package_is_longer_than_400_lines() -> None:
    # Tables of values: longer is only longer there.
    tables = {"api/reasons.py"}
    lengths = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text().splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert not {name: lines for name, lines in lengths.items() if lines > 400 and name not in tables}


def test_no_package_registry_and_no_path_of_a_machine_is_named() -> None:
    found = []
    for path in tracked():
        if path.suffix in {".sum", ".png"}:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in FORBIDDEN.finditer(text)]
    assert not found


@pytest.mark.parametrize(
    "text", ["see https://" + "pypi" + ".org/x", 'path = "/' + 'work/main"', "cd /" + "root/x"]
)
def test_the_search_for_them_finds_them(text: str) -> None:
    assert FORBIDDEN.search(text)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes_and_no_address(lock: str) -> None:
    assert pinned(lock)
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert "://" not in text
    assert "index-url" not in text


@pytest.mark.parametrize(
    ("lock", "groups"), [("run", ()), ("build", ("build",)), ("dev", ("dev", "build", "lock"))]
)
def test_the_lock_fulfils_what_the_project_asks_for(lock: str, groups: tuple[str, ...]) -> None:
    versions = pinned(lock)
    for requirement in wanted(*groups):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not locked: run `make lock`"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: {version}"


def test_the_locks_agree() -> None:
    run, build, dev = (pinned(lock) for lock in LOCKS)
    assert run.items() <= build.items() <= dev.items()


def test_ci_runs_what_a_person_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()
    assert "set -euo pipefail" in script.read_text()


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_make_command_in_the_documents_exists() -> None:
    named = {
        (path.name, target)
        for path in documents()
        for target in re.findall(r"(?:^|`)make ([a-z][a-z0-9-]*)", path.read_text(), re.MULTILINE)
    }
    assert ("README.md", "demo") in named
    assert ("README.md", "test") in named
    assert {target for _, target in named} <= make_targets()


def test_every_verb_in_the_documents_exists() -> None:
    named = {
        verb
        for path in documents()
        for verb in re.findall(r"(?:^|`)(?:kubectl )?secureai ([a-z][a-z-]*)", path.read_text(), re.MULTILINE)
    }
    assert named
    assert named <= set(VERBS)


def test_every_link_between_documents_leads_somewhere() -> None:
    dead = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in documents()
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text())
        if not (path.parent / target).exists()
    ]
    assert not dead


def test_the_readme_says_it_in_exactly_two_setup_commands() -> None:
    section = (ROOT / "README.md").read_text().split("## Two commands")[1].split("\n## ")[0]
    block = section.split("```sh\n")[1].split("```")[0]
    assert [line.split("#")[0].strip() for line in block.splitlines()] == ["make demo", "make test"]


def test_the_image_runs_without_root() -> None:
    users = re.findall(r"^USER (\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert users
    assert users[-1] != "0"
