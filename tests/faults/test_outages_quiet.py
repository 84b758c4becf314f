"""The end of all outages, by the order of the files' names: what is still at rest has its minute too."""

from __future__ import annotations

import pytest

from tests.faults.stability import Recoveries

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]


def test_nobody_writes_in_the_minute_after_an_outage(
    recoveries: Recoveries, request: pytest.FixtureRequest
) -> None:
    """Every outage's is asked for: by the next one in the same lab, and here for the last one in each lab."""
    if not recoveries.found:
        pytest.skip("no outage was chosen to run")
    for site in request.getfixturevalue("sites").started:
        site.rest()
