"""The operator's clock is ten minutes wrong: nothing renews early, late or without end, and the Lease does not care."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from secureai_operator import names
from secureai_operator.api.resources import LEASES
from secureai_operator.assembly import LEASE
from tests.faults.clocks import NOTICED_SECONDS, WrongClock
from tests.faults.held_keys import HeldKeys
from tests.faults.rotations import is_rotated
from tests.faults.site import MODEL, PATIENCE, Site
from tests.faults.stability import CALM_SECONDS, Fleet, is_ready, is_so

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

SKEW_MINUTES = 10
WATCHED_SECONDS = 15.0
"""With a wrong clock: a certificate that is always due would be signed dozens of times."""
LONG = [f"day-{number}" for number in range(10)]
SHORT = [f"short-{number}" for number in range(10)]
"""Certificates of eight minutes: two thirds of it are less than the clock is wrong."""


@pytest.fixture
def clock(site: Site) -> WrongClock:
    return WrongClock.right(site.lab.directory / "operator-clock")


def test_a_clock_that_is_set_renews_no_certificate_and_rotates_no_key(site: Site, clock: WrongClock) -> None:
    site.start(environment=clock.environment())
    namespace = site.new_namespace("clock")
    keys = HeldKeys(site.vaults["default"], site.workloads, namespace)
    site.rotate_hourly(namespace)
    fleets = [
        site.make(namespace, LONG, keys=MODEL),
        site.make(namespace, SHORT, keys=MODEL, certificate={"ttl": "8m"}),
    ]
    site.wait_all(fleets[0], lambda one: is_so(one, "RotationOnTrack", "True"))
    serials = _serials(site, namespace)
    since = site.writes()
    for minutes in (SKEW_MINUTES, -SKEW_MINUTES):
        clock.set(minutes)
        _wait_wrong(site, minutes)
        _is_borne(site, fleets, f"{minutes:+d}")
        asked = f"clock{minutes:+d}".replace("+", "-ahead-")
        _does_what_is_asked(site, namespace, keys, asked, 2 if minutes > 0 else 3)
    clock.set(0)
    ended = time.time()
    added = [f"new-clock-ahead-{SKEW_MINUTES}", f"new-clock-{SKEW_MINUTES}"]
    site.recovers(
        "clock +10 min, -10 min, right again", [*fleets, Fleet.ready(namespace, added)], since, ended
    )
    assert {name: _serials(site, namespace)[name] for name in serials} == serials
    versions = {name: len(keys.versions(name)) for name in (*LONG, *SHORT)}
    assert versions == {**dict.fromkeys((*LONG, *SHORT), 1), LONG[0]: 3}


@pytest.mark.parametrize("minutes", [SKEW_MINUTES, -SKEW_MINUTES])
def test_an_operator_that_starts_with_a_wrong_clock_writes_nothing(
    site: Site, clock: WrongClock, minutes: int
) -> None:
    site.start(environment=clock.environment())
    namespace = site.new_namespace("clock")
    fleets = [
        site.make(namespace, LONG[:4], keys=MODEL),
        site.make(namespace, SHORT[:4], keys=MODEL, certificate={"ttl": "8m"}),
    ]
    site.rotate_hourly(namespace)
    site.wait_all(fleets[0], lambda one: is_so(one, "RotationOnTrack", "True"))
    made = site.writes()
    site.passes(CALM_SECONDS)
    site.lab.wait_for(lambda: made.calm_for() > CALM_SECONDS, PATIENCE, "nobody to write any more")
    site.stop()
    clock.set(minutes)
    since, began = site.writes(), time.time()
    site.start(environment=clock.environment())
    _wait_wrong(site, minutes)
    site.recovers(f"started with a clock of {minutes:+d} min", fleets, since, began)
    told = since.told()
    assert not told, told


def _is_borne(site: Site, fleets: list[Fleet], how: str) -> None:
    """Nobody writes, and everybody is right."""
    writes = site.writes()
    site.passes(WATCHED_SECONDS)
    told = writes.told()
    assert not told, "\n".join([f"written with a clock of {how} minutes: {len(told)}", *told[:20]])
    for fleet in fleets:
        assert not fleet.astray(site.lab), fleet.told_astray(site.lab)


def _does_what_is_asked(site: Site, namespace: str, keys: HeldKeys, asked: str, version: int) -> None:
    """New workloads get their certificates, and a rotation is one rotation."""
    name = LONG[0]
    fleet = site.make(namespace, [f"new-{asked}"], keys=MODEL, certificate={"ttl": "8m"})
    site.workloads.patch(namespace, name, {"metadata": {"annotations": {names.ROTATE_ANNOTATION: asked}}})
    site.wait_all(
        Fleet.ready(namespace, [name]),
        lambda one: is_rotated(one, asked) and is_ready(one),
    )
    site.wait_right(fleet)
    assert len(keys.versions(name)) == version
    site.heals(namespace, SHORT[0])


def _wait_wrong(site: Site, minutes: int) -> None:
    """Until the operator's own stamps are of the wrong time: its Lease is renewed every few seconds."""

    def is_wrong() -> bool:
        lease = site.workloads.find(LEASES, names.OPERATOR_NAMESPACE, LEASE)
        stamp = datetime.fromisoformat((lease or {})["spec"]["renewTime"])
        return abs((stamp - datetime.now(UTC)).total_seconds() - 60 * minutes) < 30

    site.lab.wait_for(
        is_wrong, 20 + NOTICED_SECONDS, f"the operator's clock to be {minutes:+d} minutes wrong"
    )


def _serials(site: Site, namespace: str) -> dict[str, str]:
    return {
        name: site.workloads.get(namespace, name)["status"]["certificate"]["serial"]
        for name in (*LONG, *SHORT)
    }
