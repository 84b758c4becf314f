"""One pass over one KeyRotationPolicy: what its workloads make of it, in its status. It decides nothing about them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from secureai_operator import errors
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType, merged, rfc3339
from secureai_operator.api.resources import KEY_ROTATION_POLICIES
from secureai_operator.api.rotation import KeyRotationPolicyStatus
from secureai_operator.api.workload_status import Condition
from secureai_operator.clients.kube import KubeApi, ScopedKube
from secureai_operator.controllers.policies import Policies, StoredPolicy, stored_policy
from secureai_operator.controllers.rulings import Rulings
from secureai_operator.controllers.workloads import Key
from secureai_operator.core.rotation.members import Census, State, policy_numbers
from secureai_operator.core.verdict import Verdict, bad, good

START_SECONDS = 30.0
"""How long after the start a policy that rules fewer workloads than its status says is not believed: they come one by one."""
SETTLE_SECONDS = 1.0
"""Shortest time between two looks at one policy: a thousand workloads that rotate at once are one write each second."""


_SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class PolicyController:
    """Keeps the status of each policy: counts, runs, and the request that it was last asked."""

    kube: KubeApi
    policies: Policies
    rulings: Rulings
    operator_namespace: str
    now: Callable[[], datetime]
    leads: Callable[[], bool]
    on_request: Callable[[Key], None]
    """Called with a policy that a new request was written down for: its workloads are due now."""
    on_status: Callable[[Key, KeyRotationPolicyStatus | None], None]
    """For the gauges; None for a policy that is gone."""
    _began: float = field(default=0.0, init=False)

    async def reconcile(self, key: Key) -> float | None:
        """One pass; nothing is looked at again until something changes."""
        stored = self.policies.get(key)
        if stored is None:
            self.on_status(key, None)
            return None
        status = next_policy_status(stored, self.rulings.census(key), self.now())
        if status.selected < stored.status.selected and self._is_starting():
            return SETTLE_SECONDS
        self.on_status(key, status)
        if status == stored.status:
            return None
        kube = ScopedKube(self.kube, key[0], self.leads)
        test = {"op": "test", "path": "/metadata/uid", "value": stored.uid}
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        operations: list[dict[str, Any]] = [test, {"op": "add", "path": "/status", "value": body}]
        try:
            answer = await kube.json_patch(KEY_ROTATION_POLICIES, key[1], operations, subresource="status")
        except errors.KubeNotFound:
            self.policies.remove(key, stored.uid)
            return None
        if self.policies.put(stored_policy(answer, self.operator_namespace)):
            self.on_request(key)
        return None

    def _is_starting(self) -> bool:
        now = time.monotonic()
        self._began = self._began or now
        return now - self._began < START_SECONDS


def next_policy_status(stored: StoredPolicy, census: Census, now: datetime) -> KeyRotationPolicyStatus:
    """The status after the look; equal to the one before if nothing is new. Pure."""
    before, spec = stored.status, stored.policy.spec
    numbers = policy_numbers(before, census, now, dry_run=spec.dry_run)
    asked = stored.request and stored.request != before.request_id
    # The next full second: what is made in this one is older than the request, and what it makes is not.
    request = {"request_id": stored.request, "requested_at": rfc3339(now + _SECOND)} if asked else {}
    verdict = stored.problem or _verdict(stored, census)
    return before.model_copy(
        update={
            "observed_generation": stored.generation,
            "conditions": _conditions(stored, verdict, now),
            **numbers,
            **request,
        }
    )


def _verdict(stored: StoredPolicy, census: Census) -> Verdict:
    failed = census.states[State.FAILED]
    if stored.policy.spec.suspend or stored.policy.spec.dry_run:
        what = "spec.suspend" if stored.policy.spec.suspend else "spec.dryRun"
        return bad(reasons.POLICY_RESTS, f"{what} is true")
    if not census.ruled:
        message = f"{census.masked} workloads are ruled by other policies" if census.masked else ""
        # It is in force all the same: a policy that comes before its workloads keeps nobody waiting.
        return good(reasons.POLICY_SELECTS_NOTHING, message)
    if failed:
        first = next(one for one in census.ruled if one.state is State.FAILED)
        message = f"{failed} of {len(census.ruled)}; {'/'.join(first.workload)}: {first.why}"
        return bad(reasons.ROTATIONS_FAILING, message)
    return good(reasons.POLICY_ACTIVE, f"rules {len(census.ruled)} workloads")


def _conditions(stored: StoredPolicy, verdict: Verdict, now: datetime) -> tuple[Condition, ...]:
    stalled = good(verdict.reason, verdict.message) if verdict.terminal else bad(reasons.SETTLED)
    pairs = (
        (ConditionType.READY, verdict),
        (ConditionType.RECONCILING, bad(reasons.SETTLED)),
        (ConditionType.STALLED, stalled),
    )
    stamp = rfc3339(now)
    new = [
        Condition(
            type=kind.value,
            status=one.status,
            reason=one.reason.name,
            message=one.message[:1024],
            observed_generation=stored.generation,
            last_transition_time=stamp,
        )
        for kind, one in pairs
    ]
    return merged(stored.status.conditions, new)
