"""The end-to-end tier: a real node, the operator in pods of it, and what was measured.

`make e2e` runs it and writes RESULTS.md. It needs root on Linux and a few packages; elsewhere each test is skipped with the
reason, so that nobody takes a machine without a node for one where everything passed.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import LabError
from lab.node import RealNode, prepare_node, start_node_lab, unavailable
from tests.e2e.measures import Measures
from tests.e2e.stage import Stage, settings
from tests.product import Product

HERE = Path(__file__).parent
RECORD = "--record"
_MEASURES = pytest.StashKey[Measures]()
reason = functools.cache(unavailable)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        RECORD, metavar="FILE", help="write what was measured, with machine and date, to this file"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_MEASURES] = Measures()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in _ours(items):
        item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.timeout(600))
        if why := reason():
            item.add_marker(pytest.mark.skip(reason=why))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build binaries and images before the first test: minutes the first time, and no test's timeout counts them."""
    wanted = any("node" in getattr(item, "fixturenames", ()) for item in _ours(session.items))
    if not wanted or session.config.option.collectonly or reason():
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        try:
            prepare_node()
        except LabError as error:
            pytest.exit(f"the node cannot be made: {error}", returncode=pytest.ExitCode.TESTS_FAILED)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and HERE.name in report.nodeid:
        _reports.append(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    target = session.config.getoption(RECORD, default=None)
    if target and _reports:
        Path(target).write_text(session.config.stash[_MEASURES].markdown(_reports))


_reports: list[pytest.TestReport] = []


def _ours(items: list[pytest.Item]) -> list[pytest.Item]:
    return [item for item in items if item.path.is_relative_to(HERE)]


@pytest.fixture(scope="session")
def measures(request: pytest.FixtureRequest) -> Measures:
    """Where a test notes a number that is worth to be kept."""
    return request.config.stash[_MEASURES]


@pytest.fixture(scope="session")
def node() -> Iterator[RealNode]:
    """A lab with a real node."""
    with start_node_lab() as running:
        running.load_operator()
        yield running


@pytest.fixture(scope="session")
def stage(node: RealNode) -> Stage:
    """The product in pods of that node, rolled out."""
    product = Product(node.lab, {"connections": settings(node.host)["connections"]})
    installed = Stage(node, product)
    installed.install()
    return installed


@pytest.fixture
def team(stage: Stage) -> Iterator[str]:
    """A namespace of its own for workloads."""
    name = stage.namespace("team")
    yield name
    stage.lab.delete_namespace(name)
