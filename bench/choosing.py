"""What it costs to know which of many workloads are due: one timer for all of them, and a pure decision for each that is."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.samples import summary
from secureai_operator import names
from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.core.rotation.schedule import Answer, Timetable, due, spread, timetable
from secureai_operator.core.rotation.selection import Candidate, Policy, Selection
from secureai_operator.core.verdict import Verdict
from secureai_operator.runtime.delays import AT_ONCE
from secureai_operator.runtime.workqueue import WorkQueue

WORKLOADS = 10_000
POLICIES = 100
"""All of them cluster-wide: each has to be asked for each workload that is due."""
TEAMS = 50
SOONEST, LATEST = 3600.0, 8 * 3600.0
"""Seconds from now, between which the due times of all workloads lie."""
DUE_AT_ONCE = (0, 1, 100, 1000)
TICKS, DECIDED = 200, 20
"""Samples for each number of workloads that are due at once, and those of them in which the decisions are made as well."""

Key = tuple[str, str]


class ShiftedLoop(asyncio.SelectorEventLoop):
    """Its clock can be put forward: hours pass in no time, and what a tick costs is real."""

    shift = 0.0

    def time(self) -> float:
        return super().time() + self.shift


@dataclass(frozen=True, slots=True)
class Workload:
    """What the decision about one workload looks at."""

    candidate: Candidate
    uid: str
    rotated: datetime


@dataclass(frozen=True, slots=True)
class Fleet:
    """Workloads, and the policies that rule them, made ready as they are when policies change."""

    workloads: dict[Key, Workload]
    selection: Selection
    timetables: dict[Key, Timetable]
    ruled_since: datetime

    def decide(self, key: Key, now: datetime) -> Answer | None:
        """Which policy rules the workload, and whether it may rotate now."""
        workload = self.workloads[key]
        policy = self.selection.ruling(workload.candidate).policy
        if policy is None:
            return None
        return due(
            self.timetables[policy.key],
            rotated=workload.rotated,
            ruled_since=self.ruled_since,
            spread=spread(workload.uid),
            now=now,
        )


def measure_choosing(seed: int) -> dict[str, Any]:
    """In a loop of its own, whose clock is put forward."""
    with asyncio.Runner(loop_factory=ShiftedLoop) as runner:
        return runner.run(_measure(seed))


async def _measure(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)  # noqa: S311 - due times, no secret
    fleet = _fleet(rng)
    keys = list(fleet.workloads)
    queue: WorkQueue[Key] = WorkQueue()
    started = time.perf_counter()
    for key in keys:
        queue.add_after(key, rng.uniform(SOONEST, LATEST))
    scheduling = time.perf_counter() - started
    ticks: dict[str, Any] = {}
    for count in DUE_AT_ONCE:
        fired, decided = [], []
        for number in range(TICKS):
            chosen = rng.sample(keys, count)
            fired.append(await _tick(queue, chosen))
            took = await _decide(fleet, queue, count if number < DECIDED else 0)
            if number < DECIDED:
                decided.append(took)
            await _wait_again(queue, chosen, rng)
        ticks[str(count)] = {"tick": summary(fired), "decisions": summary(decided)}
    now = datetime.now(UTC)
    started = time.perf_counter()
    for key in keys:
        fleet.decide(key, now)
    polling = time.perf_counter() - started
    return {
        "workloads": len(keys),
        "policies": POLICIES,
        "microsecondsToSchedule": round(scheduling / len(keys) * 1e6, 2),
        "microsecondsPerDecision": round(polling / len(keys) * 1e6, 2),
        "pollingMilliseconds": round(polling * 1000, 1),
        "ticks": ticks,
    }


async def _tick(queue: WorkQueue[Key], chosen: Sequence[Key]) -> float:
    """Have these become due at once while all others wait; how long the longest tick keeps the loop."""
    for key in chosen:
        queue.add_after(key, 1.0)
    if not chosen:
        # What a due time that was dropped leaves behind: a timer that finds nothing.
        nobody = ("", "")
        queue.add_after(nobody, 1.0)
        queue.forget(nobody)
    return await _fire(queue, len(chosen))


async def _decide(fleet: Fleet, queue: WorkQueue[Key], count: int) -> float:
    """How long so many take from the queue to the answer."""
    now = datetime.now(UTC)
    started = time.perf_counter()
    for _ in range(count):
        key = await queue.get()
        fleet.decide(key, now)
        queue.done(key)
    return time.perf_counter() - started


async def _wait_again(queue: WorkQueue[Key], chosen: Sequence[Key], rng: random.Random) -> None:
    while queue.depth():
        queue.done(await queue.get())
    for key in chosen:
        queue.add_after(key, rng.uniform(SOONEST, LATEST))


async def _fire(queue: WorkQueue[Key], expected: int) -> float:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, ShiftedLoop):
        raise TypeError("only a shifted loop can be put forward")
    loop.shift += 1.0
    longest = 0.0
    # A timer that is due runs after what was ready before it, and hands out only so many: hence the further rounds.
    for _ in range(3 + expected // AT_ONCE):
        started = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - started)
    if queue.depth() != expected:
        raise RuntimeError(f"{queue.depth()} workloads are due, and not {expected}")
    return longest


def _fleet(rng: random.Random) -> Fleet:
    now = datetime.now(UTC)
    policies = [_policy(number) for number in range(POLICIES)]
    namespaces = {f"ns-{number}": {"team": f"t{number % TEAMS}"} for number in range(2 * TEAMS)}
    workloads = {}
    for number in range(WORKLOADS):
        key = f"ns-{number % len(namespaces)}", f"w{number}"
        labels = {"tier": ("prod", "test")[number // len(namespaces) % 2]}
        rotated = now - timedelta(seconds=rng.uniform(0, 14 * 86400))
        workloads[key] = Workload(Candidate(*key, labels), f"uid-{number}", rotated)
    return Fleet(
        workloads,
        Selection(policies, namespaces, names.OPERATOR_NAMESPACE),
        {policy.key: _timetable(policy.spec) for policy in policies},
        now - timedelta(days=30),
    )


def _policy(number: int) -> Policy:
    """One for each team and tier, half of them by cron with a window, half by interval."""
    schedule = {"cron": "0 3 * * 0", "timeZone": "Europe/Berlin"} if number % 2 else {"interval": "168h"}
    spec = {
        "selector": {"matchLabels": {"tier": ("prod", "test")[number % 2]}},
        "namespaceSelector": {"matchLabels": {"team": f"t{number // 2 % TEAMS}"}},
        "schedule": {**schedule, "jitter": "1h", "startingDeadline": "12h"},
        "windows": [{"start": "0 1 * * *", "duration": "6h"}] if number % 2 else [],
    }
    created = f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"
    parsed = KeyRotationPolicySpec.model_validate(spec)
    return Policy(names.OPERATOR_NAMESPACE, f"policy-{number}", created, parsed)


def _timetable(spec: KeyRotationPolicySpec) -> Timetable:
    made = timetable(spec.schedule, spec.windows)
    if isinstance(made, Verdict):
        raise TypeError(made.message)
    return made
