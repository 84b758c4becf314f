"""The status of a policy: one reason for people, the request written down once, and nothing that changes by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from secureai_operator.api import reasons
from secureai_operator.api.reasons import Reason
from secureai_operator.api.rotation import KeyRotationPolicyStatus
from secureai_operator.controllers.policies import StoredPolicy, stored_policy
from secureai_operator.controllers.policy import next_policy_status
from secureai_operator.core.rotation.members import Census, Member, State
from tests.unit.samples import NOW

SYSTEM = "secureai-system"


def stored(request: str = "", status: KeyRotationPolicyStatus | None = None, **spec: Any) -> StoredPolicy:
    annotations = {"secureai.dev/rotate": request} if request else {}
    raw = {
        "metadata": {
            "namespace": "team-a",
            "name": "weekly",
            "uid": "uid-1",
            "generation": 2,
            "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": annotations,
        },
        "spec": {"selector": {}, "schedule": {"interval": "24h"}, **spec},
        "status": {} if status is None else status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    return stored_policy(raw, SYSTEM)


def member(state: State = State.CURRENT, name: str = "llm", why: str = "") -> Member:
    return Member(workload=("team-a", name), policy=("team-a", "weekly"), state=state, why=why)


def ready(policy: StoredPolicy, *members: Member) -> tuple[str, str, str]:
    status = next_policy_status(policy, Census(members), NOW)
    found = status.conditions[0]
    assert found.type == "Ready"
    return found.status, found.reason, found.message


def said(policy: StoredPolicy, reason: Reason, *members: Member) -> str:
    status, found, message = ready(policy, *members)
    assert found == reason.name
    assert (status == "True") == (reason in (reasons.POLICY_ACTIVE, reasons.POLICY_SELECTS_NOTHING))
    return message


def test_a_policy_says_in_one_reason_how_it_stands() -> None:
    said(stored(), reasons.POLICY_ACTIVE, member())
    said(stored(), reasons.POLICY_SELECTS_NOTHING)
    assert "spec.suspend" in said(stored(suspend=True), reasons.POLICY_RESTS, member())
    assert "spec.dryRun" in said(stored(dryRun=True), reasons.POLICY_RESTS, member())
    broken = member(State.FAILED, "ranker", "Vault refuses it")
    message = said(stored(), reasons.ROTATIONS_FAILING, member(), broken)
    assert message == "1 of 2; team-a/ranker: Vault refuses it"


def test_a_policy_that_rules_nothing_says_why_and_is_stalled() -> None:
    for spec, says in (
        ({"namespaceSelector": {}}, "spec.namespaceSelector"),
        ({"schedule": {"cron": "0 3 31 2 *"}}, "spec.schedule.cron"),
        ({"schedule": {}}, "spec.schedule"),
        ({"selector": {"matchLabels": {"a b": "c"}}}, "spec.selector"),
    ):
        policy = stored(**spec)
        assert policy.problem is not None
        assert says in said(policy, reasons.INVALID_SPEC, member())
        stalled = next_policy_status(policy, Census(), NOW).conditions[2]
        assert (stalled.type, stalled.status) == ("Stalled", "True")


def test_a_request_is_written_down_once_with_its_time() -> None:
    first = next_policy_status(stored("audit"), Census(), NOW)
    assert first.request_id == "audit"
    assert first.requested_at == "2026-01-31T12:00:01Z"
    again = next_policy_status(stored("audit", first), Census(), NOW + timedelta(hours=1))
    assert again == first


def test_a_second_look_changes_nothing() -> None:
    census = Census((member(),), (("team-a/strict", 2),))
    first = next_policy_status(stored(), census, NOW)
    assert next_policy_status(stored("", first), census, NOW + timedelta(hours=5)) == first
