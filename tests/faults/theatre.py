"""A stage with views of its own, on which many workloads live through their deeds and faults side by side."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lab import LabTimeout
from lab.waiting import wait_for
from secureai_operator.api import reasons
from tests.faults.deeds import SPEC, Deed
from tests.faults.stage import PATIENCE, Stage
from tests.faults.sweep import differences
from tests.faults.watches import CHILDREN, HOLDING, Fault, Plan, Strike, Views
from tests.faults.witness import Ledger

LEASE_SECONDS = 60
"""So that a busy machine is not taken for a dead operator: leadership is not what is tried here."""
OVER_SECONDS = 120.0
WINDOW_SECONDS = 1.0
"""So long the operator is left to act on what it sees."""
POLL_SECONDS = 0.2
"""Between looks at all workloads of a wave: they cost the API server more than the operator does."""

BLIND = HOLDING | {Fault.DROP, Fault.DELAY}

Json = dict[str, Any]
Kind = tuple[str, bool]
"""The deed, and whether there was a nudge."""


@dataclass(frozen=True, slots=True)
class Run:
    """One workload with all that happens to it."""

    name: str
    deed: Deed
    nudged: bool
    plan: Plan

    @property
    def kind(self) -> Kind:
        return self.deed.name, self.nudged

    def __str__(self) -> str:
        streams = ", ".join(sorted(self.plan.plurals))
        with_nudge = " and a nudge" if self.nudged else ""
        return f"{self.name}, {self.deed.name}{with_nudge}, {self.plan.fault.value} of {streams or 'nothing'}"


@dataclass(slots=True)
class Theatre:
    """The stage with views of its own, the ledger of writes, and what each deed leaves without a fault."""

    stage: Stage
    views: Views
    ledger: Ledger
    clean: dict[Kind, Json] = field(default_factory=dict)
    told: dict[Kind, frozenset[str]] = field(default_factory=dict)

    def call(self, *strikes: tuple[str, Strike]) -> None:
        """Strike these kinds' watches, each once there is one to strike: between two of them there is none."""
        for plural, strike in strikes:
            self.stage.lab.wait_for(partial(self.views.is_watched, plural), PATIENCE, f"a watch of {plural}")
            self.stage.proxies.call(partial(self.views.strike, plural, strike))

    def wait_window(self) -> None:
        until = time.monotonic() + WINDOW_SECONDS
        self.stage.lab.wait_for(lambda: time.monotonic() > until, PATIENCE, "the operator to have acted")

    def prepare(self, runs: Collection[Run]) -> None:
        self.stage.make([run.name for run in runs if run.deed.before], lambda _: None, **SPEC)

    def wait_over(self, runs: Collection[Run]) -> None:
        def left() -> list[Run]:
            listed = self.stage.listed()
            return [run for run in runs if not run.deed.is_over(listed.get(run.name, {}))]

        try:
            wait_for(lambda: not left(), OVER_SECONDS, "all to be over", POLL_SECONDS)
        except LabTimeout as error:
            listed = self.stage.listed()
            error.add_note("\n".join(f"{run}: {listed.get(run.name)}" for run in left()[:3]))
            error.add_note(f"{len(left())} left: {[str(run) for run in left()]}")
            raise
        self.stage.wait_quiet([run.name for run in runs])

    def learn(self, runs: Collection[Run]) -> None:
        """What each of these left, without any fault, is what all others are to leave."""
        for run in runs:
            self.clean[run.kind] = self._state(run)
            self.told[run.kind] = frozenset(self.stage.told(run.name))

    def settled(self, runs: Collection[Run]) -> dict[Run, list[str]]:
        """Where the end is still another one than without faults after some patience."""
        left: dict[Run, list[str]] = {run: [] for run in runs}

        def same() -> bool:
            nonlocal left
            left = self.differing(left)
            return not left

        with contextlib.suppress(LabTimeout):
            wait_for(same, OVER_SECONDS, "the same end", POLL_SECONDS)
        return self.differing(left)

    def untrue(self, runs: Collection[Run]) -> list[str]:
        """What was told of and never was.

        Who hears nothing of objects for longer than own writes are remembered takes the last state that it saw for drift.
        """
        return [
            f"{run}: {reason} was told"
            for run in runs
            if not (run.plan.fault in BLIND and run.plan.plurals & set(CHILDREN))
            for reason in sorted(
                self.stage.told(run.name) - self.told[run.kind] - _healing(run) - run.deed.may_tell
            )
        ]

    def differing(self, runs: Collection[Run]) -> dict[Run, list[str]]:
        found = {run: [*differences(self.clean[run.kind], self._state(run))] for run in runs}
        return {run: what for run, what in found.items() if what}

    def _state(self, run: Run) -> Json:
        found = self.stage.end_state(run.name)
        # Which of two drifts was the last one is chance; whether there was any, the events tell.
        status = found["status"] or {}
        status.pop("lastDrift", None)
        for condition in status.get("conditions", []):
            if condition["type"] == "DriftDetected":
                condition.update(reason="", message="")
        return found

    def end(self, runs: Collection[Run]) -> None:
        """Take the workloads away, so that the next wave finds the operator as this one did."""
        for run in runs:
            if run.deed.lives:
                self.stage.workloads.delete(self.stage.namespace, run.name)
        wait_for(lambda: not self.stage.listed(), OVER_SECONDS, "the workloads to be gone", POLL_SECONDS)


def _healing(run: Run) -> set[str]:
    return {reasons.DRIFT_HEALED.name} if run.deed.heals or run.nudged else set()


@contextlib.contextmanager
def running_theatre(stage: Stage, seed: int) -> Iterator[Theatre]:
    """The stage's operator started anew, with all that it sees and writes under control."""
    stage.stop()
    ledger = Ledger(stage.trap)
    views = Views(ledger, seed)
    stage.kubernetes.rule, stage.kubernetes.watches = views, views
    stage.start(leaseSeconds=LEASE_SECONDS)
    yield Theatre(stage, views, ledger)
    stage.proxies.call(views.release)
