"""etcd is restored to an older snapshot: Vault is newer than what Kubernetes knows, and the watches know too much."""

from __future__ import annotations

import time

import pytest

from secureai_operator import names
from secureai_operator.api.resources import LEASES
from secureai_operator.assembly import LEASE
from tests.faults.held_keys import HeldKeys
from tests.faults.rotations import is_rotated
from tests.faults.site import MODEL, PATIENCE, Site
from tests.faults.snapshots import copy_of_etcd, restore_etcd, stop_cluster
from tests.faults.stability import Fleet, is_lost, is_ready

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

STEADY = [f"steady-{number}" for number in range(12)]
ROTATED = [f"rotated-{number}" for number in range(4)]
LEASE_SECONDS = 40
"""The operator outlives the outage: one that ended meanwhile would begin anew and could not be behind the times."""
NOTICED_SECONDS = 60.0
"""It looks at its Lease every quarter of that, begins anew then, and recovers."""


@pytest.mark.parametrize("lives", [True, False], ids=["operator-lives-on", "operator-starts-anew"])
def test_what_an_older_etcd_does_not_know_is_found_in_vault_and_never_made_anew(
    site: Site, lives: bool
) -> None:
    site.start(leaseSeconds=LEASE_SECONDS)
    namespace = site.new_namespace("restored")
    keys = HeldKeys(site.vaults["default"], site.workloads, namespace)
    site.make(namespace, [*STEADY, *ROTATED, "deleted", "lost", "respecced", "retired"], keys=MODEL)
    site.passes(1)
    plain = {name: keys.plaintexts(name) for name in ROTATED}
    snapshot = copy_of_etcd(site.lab)
    lease = _lease(site)
    _what_the_snapshot_does_not_hold(site, namespace, keys)
    # The Lease tells that time went back: it has to be newer than the snapshot, which it is every few seconds.
    site.lab.wait_for(lambda: _lease(site) != lease, LEASE_SECONDS, "the Lease to be renewed")
    versions = {name: keys.versions(name) for name in [*STEADY, *ROTATED, "deleted", "added", "retired"]}
    certificates = {name: _serial(site, namespace, name) for name in STEADY}

    since = site.writes()
    stop_cluster(site.lab)
    if not lives:
        site.kill()
    restore_etcd(site.lab, snapshot)
    ended = time.time()
    if not lives:
        site.forget_lease()
        site.start(leaseSeconds=LEASE_SECONDS)
    with site.kept_running() as codes:
        outage = f"etcd restored, operator {'lives on' if lives else 'starts anew'}"
        site.recovers(outage, [_right(namespace)], since, ended, deadline=NOTICED_SECONDS)
        # With what there is now: a watch of what was, would hear of nothing.
        site.heals(namespace, STEADY[0])
        site.make(namespace, ["later"], keys=MODEL)
    assert codes == ([1] if lives else [])
    site.recovers(f"{outage}, more was asked", [_right(namespace)], since, time.time())

    assert keys.of("lost") is None
    found = {name: keys.versions(name) for name in versions}
    # Its first version wraps data keys again: the minimum that was raised meanwhile is lowered to it.
    assert set(found["retired"]) == {"1", "2"}
    assert {name: {**found[name], **made} for name, made in versions.items()} == found
    assert all(len(found[name]) == len(made) for name, made in versions.items() if name != "retired")
    assert {name: keys.plaintexts(name) for name in ROTATED} == plain
    assert {name: _serial(site, namespace, name) for name in STEADY} == certificates


def _what_the_snapshot_does_not_hold(site: Site, namespace: str, keys: HeldKeys) -> None:
    for name in ROTATED:
        site.workloads.patch(
            namespace, name, {"metadata": {"annotations": {names.ROTATE_ANNOTATION: "asked-for-once"}}}
        )
    site.wait_all(Fleet.ready(namespace, ROTATED), is_rotated)
    site.workloads.respec(namespace, "respecced", certificate={"dnsNames": [f"other.{namespace}.svc"]})
    site.make(namespace, ["added"], keys=MODEL)
    site.wait_right(Fleet.ready(namespace, ["respecced"]))
    site.workloads.delete(namespace, "deleted")
    site.workloads.wait_gone(namespace, "deleted", PATIENCE)
    keys.rotate("retired")
    keys.raise_minimum("retired", 2)
    keys.destroy("lost")
    site.wait_all(Fleet.ready(namespace, ["lost"]), is_lost("KeyLost"))


def _lease(site: Site) -> str:
    found = site.workloads.find(LEASES, names.OPERATOR_NAMESPACE, LEASE) or {"metadata": {}}
    return str(found["metadata"].get("resourceVersion"))


def _right(namespace: str) -> Fleet:
    ready = [*STEADY, *ROTATED, "deleted", "respecced", "retired"]
    return Fleet(namespace, {**dict.fromkeys(ready, is_ready), "lost": is_lost("KeyLost")})


def _serial(site: Site, namespace: str, name: str) -> str:
    return str(site.workloads.get(namespace, name)["status"]["certificate"]["serial"])
