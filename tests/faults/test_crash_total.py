"""How many points all sweeps together strike. It comes last; the terminal summary tells the number."""

from __future__ import annotations

import pytest

from tests.faults.tally import TALLY, WANTED

SWEEPS = {
    "a creation": {"made", "first"},
    "an update": {"grown", "shrunk"},
    "a rotation": {"crash", "again", "event"},
    "new data keys": {"anew"},
    "an emergency": {"alarm"},
    "retirement": {"old"},
    "a deletion": {"kept", "razed"},
}
"""By what is asked for."""


@pytest.mark.integration
def test_the_sweeps_strike_enough_points() -> None:
    missing = {what for what, sweeps in SWEEPS.items() if not sweeps <= TALLY.sweeps}
    if missing:
        pytest.skip(f"not all sweeps were run in this session: {', '.join(sorted(missing))} missing")
    assert TALLY.total >= WANTED, str(TALLY)
