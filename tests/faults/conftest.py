"""What tests of faults share: an operator of their own, between proxies, and how many crash points were struck."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.faults.site import Site, Sites
from tests.faults.stability import Recoveries
from tests.faults.stage import Stage, running_stage
from tests.faults.tally import TALLY
from tests.fixtures_operator import Workloads
from tests.product import Product


@pytest.fixture
def stage(lab: Lab, product: Product, workloads: Workloads, namespace: str) -> Iterator[Stage]:
    with running_stage(lab, product, workloads, namespace) as running:
        yield running


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What counts the points of all sweeps comes after them."""
    items.sort(key=lambda item: item.path.name == "test_crash_total.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The number that is quoted."""
    if TALLY.total:
        terminalreporter.write_line(str(TALLY))


@pytest.fixture(scope="session")
def recoveries(pytestconfig: pytest.Config) -> Recoveries:
    """How soon each outage was over: shown at the end of the report."""
    found = Recoveries()
    pytestconfig.pluginmanager.register(found, "recoveries")
    return found


@pytest.fixture(scope="session")
def sites(recoveries: Recoveries) -> Iterator[Sites]:
    """Up to two labs: while one has its quiet time after an outage, the other has the next outage."""
    with Sites.running(recoveries) as running:
        yield running


@pytest.fixture
def site(sites: Sites) -> Site:
    """A lab at rest, empty, and without an operator."""
    return sites.rested()
