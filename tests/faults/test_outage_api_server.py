"""The API server goes away and comes back: the operator bears it, or begins anew, and nothing is done twice."""

from __future__ import annotations

import time

import pytest

from secureai_operator import names
from secureai_operator.api.resources import NETWORK_POLICIES
from secureai_operator.cli import exits
from tests.faults.held_keys import HeldKeys
from tests.faults.rotations import is_rotated
from tests.faults.site import MODEL, PATIENCE, Site
from tests.faults.stability import Fleet, is_ready

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

FLEET = [f"w{number}" for number in range(20)]
ROTATED = FLEET[:5]
AWAY_SECONDS = 4.0
ADMISSION_SECONDS = 120.0
"""In which the API server's admission may not know our kinds again, and refuses what our policies match."""


@pytest.mark.parametrize("is_lost", [False, True], ids=["lease-lasts", "lease-is-lost"])
def test_work_goes_on_after_the_api_server_was_restarted(site: Site, is_lost: bool) -> None:
    """Rotations were under way, and everything that was changed while nobody watched is found."""
    site.start(leaseSeconds=10 if is_lost else 60)
    namespace = site.new_namespace("restarted")
    keys = HeldKeys(site.vaults["default"], site.workloads, namespace)
    fleet = site.make(namespace, FLEET, keys=MODEL)
    plain = {name: keys.plaintexts(name) for name in FLEET}
    since = site.writes()
    for name in ROTATED:
        annotation = {"annotations": {names.ROTATE_ANNOTATION: "before"}}
        site.workloads.patch(namespace, name, {"metadata": annotation})
    with site.kept_running() as codes:
        site.lab.stop_apiserver()
        site.passes(AWAY_SECONDS)
        if is_lost:
            site.lab.wait_for(lambda: codes, PATIENCE, "the operator to lose its Lease")
        site.lab.start_apiserver()
        ended = time.time()
        site.workloads.delete(namespace, names.allow_policy(FLEET[-1]), NETWORK_POLICIES)
        right = {
            **fleet.right,
            **dict.fromkeys(ROTATED, lambda one: is_rotated(one, "before") and is_ready(one)),
        }
        outage = f"API server restarted, {'lease lost' if is_lost else 'lease kept'}"
        site.recovers(outage, [Fleet(namespace, right)], since, ended, deadline=ADMISSION_SECONDS)
        site.workloads.wait_object(
            NETWORK_POLICIES, namespace, names.allow_policy(FLEET[-1]), deadline=PATIENCE
        )
    # Its Lease was lost, or it started while nobody answered.
    assert set(codes) <= {1, exits.UNANSWERED}
    versions = {name: len(keys.versions(name)) for name in FLEET}
    assert versions == {**dict.fromkeys(FLEET, 1), **dict.fromkeys(ROTATED, 2)}
    assert {name: keys.plaintexts(name) for name in FLEET} == plain
