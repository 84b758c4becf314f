"""The run: changes without a pause, a fault every half minute, and after each fault the question whether all is right."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.audit import AuditLog, count
from lab import Lab, LabError
from lab.waiting import wait_for
from secureai_operator.api.resources import KEY_ROTATION_POLICIES
from tests.faults.proxy import Proxies
from tests.faults.soak import sampling
from tests.faults.soak.changes import Changes
from tests.faults.soak.faults import Chooser, Fault, Faults
from tests.faults.soak.fleet import LONG_TTL, NAMESPACES, SHORT_TTL, TIERS, Fleet, Key
from tests.faults.soak.rightness import Rightness, is_alarm
from tests.faults.soak.seats import Life, Seat

FAULT_SECONDS = 30.0
"""From the begin of one fault to the next."""
PATIENCE = 90.0
"""How long all may take to be right after a fault; what is not then counts as stuck, and is looked at again."""
START_SECONDS = 60.0
STABLE_SECONDS = 60.0
STABLE_DEADLINE = 600.0
"""Repeated events are told once in five minutes, and certificates of five minutes are renewed in three."""
RESTLESS_SHARE = 0.25
"""Of the time, at its begin, in which leaders are killed and lose their Lease."""
PROBE_SECONDS = 30.0
STEP_SECONDS = 0.2
"""Longest between two looks at the processes."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how much, and from which seed."""

    minutes: float
    seed: int
    size: int = 100
    with_pods: int = 12
    changes_per_second: float = 1.5

    @property
    def warm_seconds(self) -> float:
        """A short trial has no five minutes to wait."""
        return min(sampling.WARM_SECONDS, self.minutes * 60 / 10)


@dataclass(slots=True)
class Struck:
    """A fault that was, and what came after it."""

    fault: Fault
    at: float
    steady: bool
    recovery: float | None
    """Seconds from its end until all was right; None if that took longer than the patience."""
    last: str
    """What was wrong last."""


@dataclass(slots=True)
class Soak:
    """One run on one lab."""

    lab: Lab
    plan: Plan
    seats: tuple[Seat, Seat]
    proxies: Proxies
    fleet: Fleet
    changes: Changes
    rightness: Rightness
    faults: Faults
    chooser: Chooser
    random: random.Random
    say: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    began_unix: float = field(default_factory=time.time)
    struck: list[Struck] = field(default_factory=list)
    windows: list[tuple[float, float]] = field(default_factory=list)
    """Of faults, in Unix time, with the recovery."""
    stuck: list[Json] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    """Losses that were told of and were none."""
    stable: Json = field(default_factory=dict)
    at_rest: dict[str, Json] = field(default_factory=dict)
    """Samples of the steady leader with nothing to do: `warm` and `end`."""
    seconds: float = 0.0
    """Of the part with faults."""
    _sampled_at: float = 0.0
    _given_up: set[Key] = field(default_factory=set)
    _last_wrong: str = ""

    def now(self) -> float:
        return time.monotonic() - self.began

    # The whole

    def run(self) -> None:
        self.say("start two operators, and fill the fleet")
        self._until_led()
        while self.fleet.made < self.plan.size:
            self.fleet.create()
            self._tend()
        self._settle("the first workloads")
        self._check_losses()
        begin = self.now()
        self._strike_until(begin + self.plan.minutes * 60 * RESTLESS_SHARE, steady=False)
        self._seat_steady_leader()
        self._strike_until(self.now() + self.plan.warm_seconds, steady=True)
        self._rest("warm")
        self._strike_until(begin + self.plan.minutes * 60, steady=True)
        self.seconds = self.now() - begin
        self._quiesce()
        self._rest("end")
        self._wait_stable()
        self._end()

    def _strike_until(self, end: float, *, steady: bool) -> None:
        while self.now() < end:
            begun = self.now()
            self._strike(self.chooser.next(self.seats, steady=steady), steady=steady)
            self._churn(min(end, begun + FAULT_SECONDS) - self.now())

    def _strike(self, fault: Fault, *, steady: bool) -> None:
        at, unix = self.now(), time.time()
        self.faults.begin(fault)
        self._churn(fault.seconds)
        self.faults.end(fault, self.now())
        recovery = self._settle(f"{fault.kind} ({fault.seat or 'all'}{', leading' if fault.leader else ''})")
        self.windows.append((unix, time.time()))
        self.struck.append(Struck(fault, at, steady, recovery, self._last_wrong))
        took = "NOT right" if recovery is None else f"right after {recovery:.1f} s"
        self.say(f"{fault.kind} {fault.seconds:.1f} s, {fault.seat or 'all'}: {took}; {self._last_wrong}")
        self._check_losses()

    # Waiting

    def _tend(self) -> None:
        for seat in self.seats:
            seat.tend(self.now())
        if self.now() - self._sampled_at >= sampling.SECONDS:
            self._sampled_at = self.now()
            self._sample()

    def _sample(self) -> None:
        for seat in self.seats:
            life = seat.life
            found = sampling.sample(life, self.now(), len(self.fleet.wanted)) if life else None
            if life and found:
                life.samples.append(found)

    def _churn(self, seconds: float) -> None:
        """So many seconds of changes."""
        end = self.now() + seconds
        next_change = self.now() + self.random.expovariate(self.plan.changes_per_second)
        while (left := end - self.now()) > 0:
            self._tend()
            pause = max(0.0, min(left, next_change - self.now(), STEP_SECONDS))
            time.sleep(pause)
            if self.now() >= next_change:
                self.changes.one()
                next_change = self.now() + self.random.expovariate(self.plan.changes_per_second)

    def _until_led(self) -> None:
        def led() -> bool:
            self._tend()
            return any(seat.state == "leading" for seat in self.seats) and all(
                seat.state for seat in self.seats
            )

        wait_for(led, START_SECONDS, "a leader and a standby", poll=STEP_SECONDS)

    def _wrong(self) -> dict[Key, str]:
        """Everything that is wrong, cheap questions first; nothing is right without a leader and a standby."""
        self._tend()
        if not all(seat.state for seat in self.seats):
            return {("operator", seat.name): "is not ready" for seat in self.seats if not seat.state}
        if not any(seat.state == "leading" for seat in self.seats):
            return {("operator", "all"): "nobody leads"}
        for found in (
            self.rightness.workloads,
            self.rightness.objects,
            lambda: self.rightness.vault(self.now()),
        ):
            wrong = {key: what for key, what in found().items() if key not in self._given_up}
            if wrong:
                return wrong
        return {}

    def _settle(self, after: str) -> float | None:
        """Seconds until all is right; None if that takes longer than the patience."""
        begun = self.now()
        wrong: dict[Key, str] = {}
        self._last_wrong = ""
        while self.now() - begun < PATIENCE:
            try:
                wrong = self._wrong()
            except LabError as error:
                wrong = {("lab", "request"): str(error)[:200]}
            if not wrong:
                self._forgive_recovered()
                return self.now() - begun
            self.alarms += [f"{'/'.join(key)}: {what}" for key, what in wrong.items() if is_alarm(what)]
            who, what = next(iter(wrong.items()))
            self._last_wrong = f"last {len(wrong)} wrong, {'/'.join(who)}: {what[:120]}"
            time.sleep(STEP_SECONDS)
        for (place, name), what in sorted(wrong.items()):
            self.say(f"STUCK after {after}: {place}/{name}: {what}")
            self.stuck.append(
                {"at": round(self.now()), "after": after, "who": f"{place}/{name}", "what": what}
            )
            self._given_up.add((place, name))
        return None

    def _forgive_recovered(self) -> None:
        """What was stuck and is right now, is only late."""
        if not self._given_up:
            return
        given_up, self._given_up = self._given_up, set()
        still = {key for key in self._wrong() if key in given_up}
        self._given_up = still
        for key in given_up - still:
            for one in self.stuck:
                if one["who"] == "/".join(key):
                    one.setdefault("rightAgainAt", round(self.now()))

    def _check_losses(self) -> None:
        for loss in self.rightness.losses():
            if loss not in self.losses:
                self.say(f"LOST: {loss}")
                self.losses.append(loss)

    # The steady part and the end

    def _seat_steady_leader(self) -> None:
        """A new process leads from the first seat, and stays until the end; the other seat holds the standby."""
        self.say("a new leader in the first seat, for the rest of the run")
        unix = time.time()
        for seat in self.seats:
            seat.held = True
            seat.signal(signal.SIGTERM, "made room for the steady leader")
        first, second = self.seats

        def ended() -> bool:
            self._tend()
            return first.life is None and second.life is None

        def leads() -> bool:
            self._tend()
            return first.state == "leading"

        wait_for(ended, START_SECONDS, "both operators to end", poll=STEP_SECONDS)
        first.held = False
        wait_for(
            leads,
            START_SECONDS,
            "it to lead",
            poll=STEP_SECONDS,
        )
        second.held = False
        self._until_led()
        self._settle("the change to the steady leader")
        self.windows.append((unix, time.time()))

    def _rest(self, what: str) -> None:
        """A sample of the steady leader with as many workloads as ever, and nothing to do."""
        self.changes.resize()
        self._settle(f"the rest ({what})")
        end = self.now() + 2 * PROBE_SECONDS * min(1.0, self.plan.minutes / 10)
        while self.now() < end:
            self._tend()
            time.sleep(STEP_SECONDS)
        life = self.seats[0].life
        found = sampling.sample(life, self.now(), len(self.fleet.wanted)) if life else None
        if life and found:
            life.samples.append(found)
            self.at_rest[what] = found

    def _quiesce(self) -> None:
        """As many workloads as ever, and nothing is due any more: policies are suspended, certificates live long."""
        self.say("quiesce")
        self.changes.resize()
        for namespace in NAMESPACES:
            for tier in TIERS:
                self._patch_policy(namespace, tier, {"spec": {"suspend": True}})
        for one in self.fleet.wanted.values():
            certificate = one.spec.get("certificate") or {}
            if certificate.get("ttl") == SHORT_TTL:
                self.fleet.update(one, {"certificate": {**certificate, "ttl": LONG_TTL}})
        self._settle("the end of changes")

    def _patch_policy(self, namespace: str, tier: str, change: Json) -> None:
        place = KEY_ROTATION_POLICIES.path(namespace, tier)
        self.lab.api.request("PATCH", place, change, "application/merge-patch+json")

    def _wait_stable(self) -> None:
        """Until there was no write but the Lease for a minute, by the servers' own audit logs."""
        assert self.lab.audit_log is not None
        assert self.lab.vault_audit_log is not None
        logs = AuditLog(self.lab.audit_log), AuditLog(self.lab.vault_audit_log)
        begun = last = self.now()
        writes: Counter[str] = Counter()
        while self.now() - last < STABLE_SECONDS and self.now() - begun < STABLE_DEADLINE:
            self._tend()
            counts = count(*logs)
            made = {
                **counts.owned,
                **counts.vault,
                "status": counts.status,
                "finalizer": counts.finalizer,
                "events": counts.events,
                "policies": counts.policies,
                "namespace": counts.namespace,
            }
            writes.update({what: number for what, number in made.items() if number})
            if any(made.values()):
                last = self.now()
            time.sleep(1.0)
        self.stable = {
            "isStable": self.now() - last >= STABLE_SECONDS,
            "afterSeconds": round(last - begun, 1),
            "writesBefore": dict(writes),
        }
        self.say(f"stable: {self.stable}")

    def _end(self) -> None:
        """The standby first, then the leader: both end by SIGTERM in order."""
        self._check_losses()
        for seat in reversed(self.seats):
            seat.held = True
            seat.signal(signal.SIGTERM, "the end of the run")

        def ended() -> bool:
            self._tend()
            return all(seat.life is None for seat in self.seats)

        wait_for(ended, START_SECONDS, "both operators to end", poll=STEP_SECONDS)

    @property
    def lives(self) -> list[Life]:
        return [life for seat in self.seats for life in seat.lives]

    def still_stuck(self) -> Sequence[Json]:
        return [one for one in self.stuck if "rightAgainAt" not in one]
