"""Six Vaults, five of them in trouble at once: each trouble is named, borne, and over by itself, and then all is still."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from secureai_operator import names
from secureai_operator.api.resources import NETWORK_POLICIES, SECRETS, SERVICE_ACCOUNTS
from tests.faults import vault_outages
from tests.faults.held_keys import HeldKeys
from tests.faults.proxy import VAULT, Forward, Proxies, Proxy, Reply, Seen
from tests.faults.rotations import part
from tests.faults.site import MODEL, PATIENCE, Site
from tests.faults.stability import Fleet, is_lost, is_ready, is_so
from tests.fixtures_operator import telemetry
from tests.integration.vault_reads import raft

pytestmark = [pytest.mark.integration, pytest.mark.timeout(500)]

OUTAGES: Mapping[str, tuple[vault_outages.Outage, str]] = {
    "sealed": (vault_outages.sealed, "VaultSealed"),
    "restarted": (vault_outages.restarted, "VaultUnreachable"),
    "revoked": (vault_outages.token_revoked, ""),
    "forbidden": (vault_outages.policy_removed, "VaultForbidden"),
    "blocked": (vault_outages.audit_blocked, "VaultTimeout"),
}
"""With the reason that VaultReachable is to have; a token that was revoked is replaced before anybody has to know."""
STEADY = [f"w{number}" for number in range(7)]
LASTS_SECONDS = 8.0
NAMED_SECONDS = 60.0
"""Five goals, for a busy machine: what it takes is shown."""
ANSWER_SECONDS = 1.0
"""In which a probe is answered by a process that does not hang."""

FLEET = 200
HERD_SECONDS = 20.0
CATCH_UP_SECONDS = 150.0
HERD_LIMIT = 20
"""Requests to Vault in any second of an outage."""

Json = dict[str, Any]


@dataclass(slots=True)
class Struck:
    """One Vault with its workloads."""

    site: Site
    name: str
    namespace: str
    keys: HeldKeys
    plain: dict[str, dict[str, str]] = field(repr=False)

    @property
    def spec(self) -> Json:
        return {"keys": MODEL, "vault": {"connection": self.name}}

    def ask(self) -> None:
        """What is asked for while it lasts: some of it needs Vault, some does not."""
        workloads, namespace = self.site.workloads, self.namespace
        workloads.create(namespace, "new", **self.spec)
        workloads.respec(namespace, "w0", keys={"dataKeys": [{"name": "model"}, {"name": "more"}]})
        workloads.respec(namespace, "w1", certificate={"dnsNames": [f"other.{namespace}.svc"]})
        workloads.patch(namespace, "w2", {"metadata": {"annotations": {names.ROTATE_ANNOTATION: "during"}}})
        workloads.delete(namespace, "w6")

    def heals(self) -> float:
        """Seconds until three objects, the Secret of the data keys among them, are back."""
        workloads, began = self.site.workloads, time.monotonic()
        deleted = (
            (NETWORK_POLICIES, names.allow_policy("w3")),
            (SECRETS, names.keys_secret("w4")),
            (SERVICE_ACCOUNTS, names.service_account("w5")),
        )
        for resource, name in deleted:
            workloads.delete(self.namespace, name, resource)
        for resource, name in deleted:
            workloads.wait_object(resource, self.namespace, name, deadline=PATIENCE)
        return time.monotonic() - began

    def is_named(self, reason: str) -> bool:
        def named(found: Json) -> bool:
            return is_so(found, "VaultReachable", "False", reason) and is_so(found, "Ready", "True")

        return not Fleet(self.namespace, dict.fromkeys(STEADY, named)).astray(self.site.lab)

    def after(self) -> Fleet:
        return Fleet.ready(self.namespace, [*STEADY[:6], "new"])

    def assert_nothing_was_lost(self) -> None:
        """One version of each key, two of the one that was to rotate; every data key is what it was."""
        found = {name: len(self.keys.versions(name)) for name in (*STEADY, "new")}
        assert found == {**dict.fromkeys((*STEADY, "new"), 1), "w2": 2}
        for name in STEADY[:6]:
            assert self.plain[name].items() <= self.keys.plaintexts(name).items(), name
        self.site.workloads.wait_gone(self.namespace, "w6", PATIENCE)


def test_five_vaults_in_trouble_at_once_harm_neither_each_other_nor_the_sixth(site: Site) -> None:
    site.add_vaults(OUTAGES)
    operator = site.start()
    struck = [_prepared(site, name) for name in OUTAGES]
    well = site.make(site.new_namespace("well"), STEADY, keys=MODEL)
    since = site.writes()
    outages = {one.name: OUTAGES[one.name][0](site, one.name) for one in struck}
    began = {}
    for name, outage in outages.items():
        outage.__enter__()
        began[name] = time.time()
    named = _named(site, struck, began)
    for one in struck:
        one.ask()
    healed = {one.name: one.heals() for one in struck}
    _assert_answers(site, operator)
    site.make(well.namespace, ["new"], keys=MODEL)
    site.passes(max(0.0, LASTS_SECONDS - (time.time() - max(began.values()))))
    for one in struck:
        outages[one.name].__exit__(None, None, None)
        found = site.recovers(f"Vault {one.name}", [one.after()], since, time.time())
        site.recoveries.notes.append(
            f"  {found.outage}: named after {named[one.name]:.1f} s, three objects healed in {healed[one.name]:.1f} s"
        )
    site.recovers("five Vaults at once", [*(one.after() for one in struck), well], since, time.time())
    for one in struck:
        one.assert_nothing_was_lost()


def _prepared(site: Site, name: str) -> Struck:
    namespace = site.new_namespace(name)
    keys = HeldKeys(site.vaults[name], site.workloads, namespace)
    site.make(namespace, STEADY, keys=MODEL, vault={"connection": name})
    return Struck(site, name, namespace, keys, {one: keys.plaintexts(one) for one in STEADY})


def _named(site: Site, struck: list[Struck], began: Mapping[str, float]) -> dict[str, float]:
    """Seconds until every workload there says what is wrong with its Vault; it stays Ready, for nothing of its own is."""
    found = {one.name: 0.0 for one in struck if not OUTAGES[one.name][1]}

    def all_named() -> bool:
        for one in struck:
            if one.name not in found and one.is_named(OUTAGES[one.name][1]):
                found[one.name] = time.time() - began[one.name]
        return len(found) == len(struck)

    site.lab.wait_for(all_named, NAMED_SECONDS, f"{sorted(OUTAGES)} to be named")
    return found


def _assert_answers(site: Site, operator: Any) -> None:
    probe, began = telemetry(site.lab, operator), time.monotonic()
    assert probe.get("/healthz")[0] == 200
    assert time.monotonic() - began < ANSWER_SECONDS


# Vault is restored to an older snapshot


def test_an_older_vault_loses_keys_and_nobody_makes_them_anew(site: Site) -> None:
    """Not even the newer Vault, once it is back, is any different for what was done meanwhile."""
    site.add_vaults(["restored"])
    site.start()
    vault, namespace = site.vaults["restored"], site.new_namespace("restored")
    keys, spec = (
        HeldKeys(vault, site.workloads, namespace),
        {"keys": MODEL, "vault": {"connection": "restored"}},
    )
    kept, rotated, younger = STEADY[:4], [f"rotated{number}" for number in range(3)], ["younger0", "younger1"]
    site.make(namespace, [*kept, *rotated], **spec)
    older = raft(vault, "GET", "snapshot")
    for name in rotated:
        site.workloads.patch(namespace, name, {"metadata": {"annotations": {names.ROTATE_ANNOTATION: "r"}}})
    site.make(namespace, younger, **spec)
    site.workloads.respec(namespace, kept[0], certificate={"dnsNames": [f"other.{namespace}.svc"]})
    site.wait_all(
        Fleet.ready(namespace, rotated),
        lambda one: part(one, "rotation").get("version") == 2 and is_ready(one),
    )
    site.wait_right(Fleet.ready(namespace, kept))
    names_of_all = [*kept, *rotated, *younger]
    plain = {name: keys.plaintexts(name) for name in names_of_all}
    newer, versions = raft(vault, "GET", "snapshot"), {name: keys.versions(name) for name in names_of_all}

    since = site.writes()
    raft(vault, "POST", "snapshot-force", older)
    ended = time.time()
    right = {
        **dict.fromkeys(kept, is_ready),
        **dict.fromkeys(rotated, is_lost("KeyReplaced")),
        **dict.fromkeys(younger, is_lost("KeyLost")),
    }
    site.recovers("Vault restored to an older snapshot", [Fleet(namespace, right)], since, ended)
    assert [keys.of(name) for name in younger] == [None, None]
    assert {name: len(keys.versions(name)) for name in rotated} == dict.fromkeys(rotated, 1)
    for name in (*rotated, *younger):
        site.workloads.respec(namespace, name, keys={"dataKeys": [{"name": "model"}, {"name": "more"}]})
    site.passes(5)
    assert [keys.of(name) for name in younger] == [None, None]

    raft(vault, "POST", "snapshot-force", newer)
    site.recovers(
        "Vault restored to the newer one again", [Fleet.ready(namespace, names_of_all)], since, time.time()
    )
    assert {name: keys.versions(name) for name in names_of_all} == versions
    for name in names_of_all:
        assert plain[name].items() <= keys.plaintexts(name).items(), name


# How little is asked meanwhile


@dataclass(slots=True)
class Counting:
    """Counts what comes, and lets it pass."""

    came: list[tuple[float, str]] = field(default_factory=list)

    def concerns(self, seen: Seen) -> bool:
        self.came.append((time.monotonic(), f"{seen.method} {seen.target.partition('?')[0]}"))
        return False

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        del seen
        return await forward()

    def most_in_a_second(self, since: float, until: float) -> int:
        times = [at for at, _ in self.came if since <= at <= until]
        return max((sum(start <= at < start + 1 for at in times) for start in times), default=0)


@pytest.fixture
def counted(site: Site) -> Iterator[Counting]:
    """The way to the first Vault, with everybody counted who comes along."""
    rule = Counting()
    proxy = Proxy(VAULT, site.vaults["default"].address, rule=rule)
    with Proxies(proxy).running():
        connections = site.connections()
        connections["default"]["address"] = proxy.address
        site.start(connections=connections)
        yield rule
        # Its way to Vault ends here; the quiet time after these outages is another test's.
        site.quiet = None
        site.stop()


@pytest.mark.parametrize("outage", [vault_outages.sealed, vault_outages.restarted, vault_outages.hung])
def test_two_hundred_workloads_do_not_storm_a_vault_that_is_away(
    site: Site, counted: Counting, outage: vault_outages.Outage
) -> None:
    namespace = site.new_namespace("herd")
    fleet = site.make(namespace, [f"w{number}" for number in range(FLEET)])
    since = site.writes()
    with outage(site, "default"):
        began = time.monotonic()
        for number, name in enumerate(fleet.right):
            site.workloads.respec(namespace, name, certificate={"ttl": f"{20 + number % 4}h"})
        site.passes(max(0.0, HERD_SECONDS - (time.monotonic() - began)))
        until = time.monotonic()
    ended = time.time()
    most = counted.most_in_a_second(began, until)
    asked = sum(began <= at <= until for at, _ in counted.came)
    site.recoveries.notes.append(
        f"  {FLEET} workloads, Vault {outage.__name__} for {until - began:.0f} s: {asked} requests, "
        f"at most {most} in a second"
    )
    # What it catches up with is 200 changes, and the first of them are done in the first second.
    site.recovers(
        f"Vault {outage.__name__}, {FLEET} workloads changed",
        [fleet],
        since,
        ended,
        deadline=CATCH_UP_SECONDS,
    )
    assert most <= HERD_LIMIT
