"""States that a SecureAIWorkload or a KeyRotationPolicy can be in, as the API server holds them.

Each status is what the operator's own code writes of what a pass found; nothing in it is invented here. The files in
`testdata/` are these: `python -m tests.unit.argocd.write` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from secureai_operator import names
from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.controllers.policies import stored_policy
from secureai_operator.controllers.policy import next_policy_status
from secureai_operator.core.rotation.members import Census, Member, State
from tests.unit.argocd.workload_states import DELETED, WORKLOADS, archive_full, spec_as_stored
from tests.unit.samples import NOW, Json

SYSTEM = names.OPERATOR_NAMESPACE


def live_policy(
    spec: Json | None = None,
    *members: Member,
    masked: int = 0,
    **metadata: Any,
) -> Json:
    """The policy as the API server holds it, with the status of a look at these members."""
    raw: Json = {
        "apiVersion": names.API_VERSION,
        "kind": "KeyRotationPolicy",
        "metadata": {
            "name": "weekly",
            "namespace": "team-a",
            "uid": "uid-1",
            "resourceVersion": "7",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **metadata,
        },
        "spec": {"selector": {}, "schedule": {"interval": "720h"}, **(spec or {})},
    }
    policy = stored_policy(raw, SYSTEM)
    others = (("team-a/strict", masked),) if masked else ()
    census = Census(() if policy.problem else members, others)
    status = next_policy_status(policy, census, NOW)
    raw["status"] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    raw["spec"] = spec_as_stored(KeyRotationPolicySpec.model_validate(raw["spec"]))
    return raw


def member(state: State = State.CURRENT, name: str = "llm", why: str = "") -> Member:
    return Member(workload=("team-a", name), policy=("team-a", "weekly"), state=state, why=why)


def _as_of(obj: Json, generation: int) -> Json:
    """The object whose spec was changed since."""
    return {**obj, "metadata": {**obj["metadata"], "generation": generation}}


def _unseen_policy() -> Json:
    return {**live_policy(), "status": {"observedGeneration": -1}}


_REFUSED = "Vault refuses a step of the rotation."
POLICIES: Mapping[str, Callable[[], Json]] = MappingProxyType(
    {
        "no-status": _unseen_policy,
        "new-spec": lambda: _as_of(live_policy(None, member()), 2),
        "active": lambda: live_policy(None, member(), member(name="ranker")),
        "rotating": lambda: live_policy(None, member(), member(State.IN_PROGRESS, "ranker")),
        "rotation-pending": lambda: live_policy(None, member(State.PENDING)),
        "rotation-skipped": lambda: live_policy(None, member(State.SKIPPED)),
        "selects-nothing": live_policy,
        "masked": lambda: live_policy(None, masked=2),
        "suspended": lambda: live_policy({"suspend": True}, member()),
        "suspended-not-seen": lambda: _as_of(
            {
                **live_policy(None, member()),
                "spec": live_policy({"suspend": True})["spec"],
            },
            2,
        ),
        "dry-run": lambda: live_policy({"dryRun": True}, member()),
        "rotations-failing": lambda: live_policy(None, member(), member(State.FAILED, "ranker", _REFUSED)),
        "foreign-namespaces": lambda: live_policy({"namespaceSelector": {}}),
        "no-such-time": lambda: live_policy({"schedule": {"cron": "0 3 31 2 *"}}),
        "terminating": lambda: live_policy(
            None, member(), deletionTimestamp=DELETED, finalizers=["foregroundDeletion"]
        ),
    }
)

REQUEST = "20260131t120000z-argocd"
"""The id that an action gives to a request at NOW."""


def with_spec(obj: Json, **fields: Any) -> Json:
    return {**obj, "spec": {**obj["spec"], **fields}}


def annotated(obj: Json, name: str) -> Json:
    """The object with this request."""
    metadata = obj["metadata"]
    annotations = {**metadata.get("annotations", {}), name: REQUEST}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


def _workload_actions() -> Iterator[tuple[str, Json]]:
    """What actions are tried on, and what they make of it."""
    inputs = {name: WORKLOADS[name]() for name in ("ready", "suspended", "no-status", "ready-rotating")}
    inputs |= {name: WORKLOADS[name]() for name in ("emergency", "key-lost", "terminating")}
    yield from inputs.items()
    yield "ready-archive-full", archive_full()
    yield "ready-rotate", annotated(inputs["ready"], names.ROTATE_ANNOTATION)
    yield "ready-rotate-emergency", annotated(inputs["ready"], names.EMERGENCY_ANNOTATION)
    yield "ready-suspend", with_spec(inputs["ready"], suspend=True)
    yield "suspended-resume", with_spec(inputs["suspended"], suspend=False)


def _policy_actions() -> Iterator[tuple[str, Json]]:
    """What actions are tried on, and what they make of it."""
    inputs = {name: POLICIES[name]() for name in ("active", "suspended", "dry-run", "terminating")}
    yield from inputs.items()
    yield "active-rotate", annotated(inputs["active"], names.ROTATE_ANNOTATION)
    yield "active-suspend", with_spec(inputs["active"], suspend=True)
    yield "suspended-resume", with_spec(inputs["suspended"], suspend=False)


STATES: Mapping[str, Mapping[str, Callable[[], Json]]] = MappingProxyType(
    {"SecureAIWorkload": WORKLOADS, "KeyRotationPolicy": POLICIES}
)
ACTED_ON: Mapping[str, Callable[[], Iterator[tuple[str, Json]]]] = MappingProxyType(
    {"SecureAIWorkload": _workload_actions, "KeyRotationPolicy": _policy_actions}
)
