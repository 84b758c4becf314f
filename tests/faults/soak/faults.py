"""The faults of a soak: which there are, whom they strike in which part of the run, and how each begins and ends."""

from __future__ import annotations

import asyncio
import math
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from lab import Lab
from tests.faults.proxy import Forward, Passing, Proxies, Reply, Seen
from tests.faults.soak.seats import Seat
from tests.integration.outages import revoke_operators_tokens

KILL, TERMINATE, FREEZE = "SIGKILL", "SIGTERM", "SIGSTOP"
CUT_KUBERNETES, CUT_VAULT, WATCHES = "API server cut off", "Vault cut off", "watches cut"
SEAL, REVOKE = "Vault sealed", "Vault tokens revoked"
DROP, DELAY = "replies dropped", "replies delayed"
ANSWERS: Mapping[str, int] = {
    "answered 429": HTTPStatus.TOO_MANY_REQUESTS,
    "answered 500": HTTPStatus.INTERNAL_SERVER_ERROR,
    "answered 503": HTTPStatus.SERVICE_UNAVAILABLE,
}
SIGNALS = {KILL: signal.SIGKILL, TERMINATE: signal.SIGTERM, FREEZE: signal.SIGSTOP}
KINDS = (KILL, TERMINATE, FREEZE, CUT_KUBERNETES, CUT_VAULT, WATCHES, SEAL, REVOKE, DROP, DELAY, *ANSWERS)

SHARES: Mapping[str, float] = {DROP: 0.3, DELAY: 0.5, **dict.fromkeys(ANSWERS, 0.5)}
"""Of the requests that meet it: some get through, or a fault would be an outage."""
DELAY_SECONDS = (0.2, 2.0)
SHORT, LONG = (2.0, 4.0), (3.0, 15.0)
"""Seconds: a leader lives through the short ones, and loses its Lease (10 s) in some of the long ones."""

BLAME_SECONDS = 20.0
"""So long after its end a fault may still end a process: one that was frozen has to notice that another leads."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to whom for how long."""

    kind: str
    seat: str
    """Name of the seat; "" for what strikes all."""
    leader: bool
    """Whether that one led as it began."""
    seconds: float


@dataclass(slots=True)
class Trouble:
    """The rule of a proxy while a share of its requests meets a fault. It runs in the proxies' thread."""

    kind: str
    random: random.Random
    struck: int = 0

    def concerns(self, seen: Seen) -> bool:
        is_watch = "watch=" in seen.target
        if self.kind == WATCHES:
            return is_watch
        return not is_watch and self.random.random() < SHARES[self.kind]

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        del seen
        self.struck += 1
        if self.kind == DROP:
            await forward()
        elif self.kind == DELAY:
            await asyncio.sleep(self.random.uniform(*DELAY_SECONDS))
            return await forward()
        elif self.kind in ANSWERS:
            return Reply.of(ANSWERS[self.kind])
        return None


@dataclass(slots=True)
class Chooser:
    """The order of faults: every kind once before any comes again.

    While `steady` nothing ends the process in the first seat, which leads: signals that end one go to the other seat,
    and what it meets is shorter than a leader may go without its Lease.
    """

    random: random.Random
    _bag: list[str] = field(default_factory=list)

    def next(self, seats: tuple[Seat, Seat], *, steady: bool) -> Fault:
        if not self._bag:
            self._bag = self.random.sample(KINDS, len(KINDS))
        kind = self._bag.pop()
        first, second = seats
        seat = self._struck_by_signal(seats, steady=steady) if kind in SIGNALS else first
        may_end = not steady or seat is second
        risky = kind in (FREEZE, CUT_KUBERNETES)
        seconds = self.random.uniform(*(LONG if may_end or not risky else SHORT))
        leads = seat.state == "leading"
        if kind in (SEAL, REVOKE):
            return Fault(kind, "", leads, seconds if kind == SEAL else 1.0)
        return Fault(kind, seat.name, leads, seconds)

    def _struck_by_signal(self, seats: tuple[Seat, Seat], *, steady: bool) -> Seat:
        leader, standby = sorted(seats, key=lambda seat: seat.state != "leading")
        if steady:
            return seats[1]
        return leader if self.random.random() < 0.75 else standby


@dataclass(slots=True)
class Faults:
    """Begins and ends faults."""

    lab: Lab
    seats: tuple[Seat, Seat]
    proxies: Proxies
    random: random.Random

    def begin(self, fault: Fault) -> None:
        seat = self._seat(fault)
        if fault.kind in SIGNALS:
            seat.held = fault.kind != FREEZE
            seat.blame, seat.blame_until = fault.kind, math.inf
            seat.signal(SIGNALS[fault.kind], fault.kind)
        elif fault.kind == SEAL:
            self.lab.seal_vault()
        elif fault.kind == REVOKE:
            revoke_operators_tokens(self.lab.vault)
        else:
            seat.blame, seat.blame_until = fault.kind, math.inf
            self._trouble(fault, seat)

    def end(self, fault: Fault, now: float) -> None:
        """End it; a process may still end of it a little later."""
        seat = self._seat(fault)
        seat.blame_until = now + BLAME_SECONDS
        if fault.kind in SIGNALS:
            seat.held = False
            if fault.kind == FREEZE:
                seat.signal(signal.SIGCONT, fault.kind)
        elif fault.kind == SEAL:
            self.lab.unseal_vault()
        elif fault.kind != REVOKE:
            for proxy in seat.proxies or ():
                self._call(proxy.mend)
                proxy.rule = Passing()

    def _seat(self, fault: Fault) -> Seat:
        return next((seat for seat in self.seats if seat.name == fault.seat), self.seats[0])

    def _trouble(self, fault: Fault, seat: Seat) -> None:
        assert seat.proxies is not None
        kubernetes, vault = seat.proxies
        if fault.kind == CUT_KUBERNETES:
            self._call(kubernetes.cut)
        elif fault.kind == CUT_VAULT:
            self._call(vault.cut)
        else:
            for proxy in seat.proxies:
                proxy.rule = Trouble(fault.kind, random.Random(self.random.random()))  # noqa: S311 - no secret
        if fault.kind == WATCHES:
            self._call(kubernetes.cut)
            self._call(kubernetes.mend)

    def _call(self, what: Callable[[], object]) -> None:
        self.proxies.call(what)
