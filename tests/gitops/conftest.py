"""The GitOps tier: the real Argo CD holds the example application while the operator works.

`make gitops` runs it and writes RESULTS.md. Argo CD is built from its module: minutes the first time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import LabError, prepare, start_lab
from lab.argocd import missing, start_argocd
from lab.modules import ARGOCD, built
from tests.e2e.measures import Measures
from tests.gitops.record import markdown
from tests.gitops.redis_server import redis_server
from tests.gitops.stage import Stage
from tests.product import ROOT, Product

HERE = Path(__file__).parent
RECORD = "--record"
_MEASURES = pytest.StashKey[Measures]()
_reports: list[pytest.TestReport] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    # The end-to-end tier has it too.
    with contextlib.suppress(ValueError):
        parser.addoption(
            RECORD, metavar="FILE", help="write what was measured, with machine and date, to this file"
        )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_MEASURES] = Measures()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(600))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build Argo CD before the first test: no test's timeout counts it, and its progress is seen."""
    ours = any(item.path.is_relative_to(HERE) for item in session.items)
    if not ours or session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        try:
            if why := missing():
                pytest.exit(why, returncode=pytest.ExitCode.TESTS_FAILED)
            prepare()
            built(ARGOCD)
            redis_server()
        except LabError as error:
            pytest.exit(f"Argo CD cannot be had: {error}", returncode=pytest.ExitCode.TESTS_FAILED)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if HERE.name in report.nodeid and (report.when == "call" or report.failed):
        _reports.append(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    target = session.config.getoption(RECORD, default=None)
    if target and _reports:
        Path(target).write_text(markdown(session.config.stash[_MEASURES], _reports))


@pytest.fixture(scope="session")
def measures(request: pytest.FixtureRequest) -> Measures:
    """Where a test notes a number that is worth to be kept."""
    return request.config.stash[_MEASURES]


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """A lab of its own, for git installs the operator there; Argo CD runs, and the repository is filled."""
    with start_lab() as lab, start_argocd(lab, redis_server(), ROOT / "manifests" / "argocd") as argo:
        made = Stage(lab, argo, Product(lab))
        made.fill()
        made.product.bootstrap_vault()
        yield made
        made.watch.end()
        if made.operator is not None:
            made.operator.stop()
