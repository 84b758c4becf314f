"""Places for rotations: how many of a policy's workloads rotate at once, and how many start per second. No I/O."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from secureai_operator.api.rotation import Limits
from secureai_operator.controllers.workloads import Key


@dataclass(slots=True)
class _Policy:
    """One policy's places."""

    held: set[Key] = field(default_factory=set)
    waiting: OrderedDict[Key, None] = field(default_factory=OrderedDict)
    """Those that found none free, in the order of their asking."""
    reserved: dict[Key, float] = field(default_factory=dict)
    """When each of those that the rate lets wait may start, in seconds of the clock."""
    next_start: float = 0.0


class Places:
    """Give a workload's rotation its place, or tell when to ask again.

    - At most `max_concurrent` of a policy's workloads hold a place, first come first served.
    - Starts are 1 / `per_second` apart at least; a workload that is told to wait keeps its turn.
    - `release` wakes the first that waits. All of it may be lost: a restart finds under way what is under way.
    """

    def __init__(self, wake: Callable[[Key], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._wake = wake
        self._clock = clock
        self._policies: dict[Key, _Policy] = {}
        self._place_of: dict[Key, Key] = {}
        self._woken: dict[Key, Key] = {}
        """Workloads that were told of a free place and have not come for it yet, with their policy."""

    def take(self, policy: Key, workload: Key, limits: Limits) -> float | None:
        """0 for go ahead, else the seconds after which to ask again; None: `wake` tells when."""
        self._woken.pop(workload, None)
        one = self._policies.setdefault(policy, _Policy())
        if workload in one.held:
            return 0.0
        if len(one.held) >= limits.max_concurrent:
            one.waiting[workload] = None
            return None
        wait = self._turn(one, workload, limits)
        if wait > 0:
            return wait
        one.reserved.pop(workload, None)
        one.waiting.pop(workload, None)
        self._hold(policy, one, workload)
        return 0.0

    def resume(self, policy: Key, workload: Key) -> None:
        """A rotation is under way, as a former process left it: it has its place whatever the limits say."""
        self._hold(policy, self._policies.setdefault(policy, _Policy()), workload)

    def release(self, workload: Key) -> None:
        """The rotation is over, waits for somebody, or is not wanted any more: the next one may start."""
        policies = {self._place_of.pop(workload, None), self._woken.pop(workload, None)}
        for policy in policies:
            one = None if policy is None else self._policies.get(policy)
            if policy is None or one is None:
                continue
            one.held.discard(workload)
            one.waiting.pop(workload, None)
            one.reserved.pop(workload, None)
            if one.waiting:
                first, _ = one.waiting.popitem(last=False)
                self._woken[first] = policy
                self._wake(first)

    def forget(self, workload: Key) -> None:
        """The workload is gone, and whatever it waited for."""
        self.release(workload)
        for one in self._policies.values():
            one.waiting.pop(workload, None)
            one.reserved.pop(workload, None)

    def forget_policy(self, policy: Key) -> None:
        """The policy is gone or changed: who waits asks again, by the new limits."""
        one = self._policies.get(policy)
        if one is None:
            return
        waiting = list(one.waiting)
        one.waiting.clear()
        one.reserved.clear()
        if not one.held:
            del self._policies[policy]
        for workload in waiting:
            self._wake(workload)

    def held(self, policy: Key) -> int:
        one = self._policies.get(policy)
        return 0 if one is None else len(one.held)

    def _hold(self, policy: Key, one: _Policy, workload: Key) -> None:
        before = self._place_of.get(workload)
        if before is not None and before != policy:
            self.release(workload)
        one.held.add(workload)
        self._place_of[workload] = policy

    def _turn(self, one: _Policy, workload: Key, limits: Limits) -> float:
        """Seconds until the workload's own turn; reserved once, however often it asks."""
        now = self._clock()
        at = one.reserved.get(workload)
        if at is None:
            at = max(one.next_start, now)
            one.next_start = at + 1.0 / limits.per_second
            one.reserved[workload] = at
        return max(0.0, at - now)
