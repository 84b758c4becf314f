"""Fleets as the API server would hand them out, for the tests of the pages and for their pictures in docs/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.reasons import REASONS
from secureai_operator.cli import owned
from secureai_operator.cli.key_views import KeyView
from secureai_operator.cli.operator_lease import Leadership
from secureai_operator.cli.output import Mark, Word
from secureai_operator.cli.owned import Owned
from secureai_operator.cli.policies import PolicyView
from secureai_operator.cli.tree import Inventory
from secureai_operator.cli.workloads import ConditionView, WorkloadView, view
from secureai_operator.ui.source import Detail, EventView, Fleet
from secureai_operator.ui.troubles import Trouble, Unanswered, absent
from tests.unit.cli.key_samples import NOW, key, record, weekly

Json = dict[str, Any]
LEADS = Leadership(True, "operator-0 leads, renewed 1 s ago")
NOBODY = Leadership(False, "the last leader, operator-0, renewed its Lease 90 s ago")
WEEKLY = PolicyView(
    {
        "metadata": {"name": "weekly", "namespace": "team-a"},
        "spec": {
            "schedule": {"cron": "0 3 * * 0", "timeZone": "Europe/Berlin"},
            "retire": {"keepVersions": 3},
        },
    }
)


def hours(count: float) -> str:
    """The moment so many hours from now as Kubernetes writes it; one that is past if it is negative."""
    return rfc3339(NOW + timedelta(hours=count))


def lives(for_hours: float) -> Json:
    """The status of a certificate that was made for a day."""
    return {"serial": "5b:1c:07", "notAfter": hours(for_hours), "renewalTime": hours(for_hours - 8)}


def told(one: KeyView, messages: Mapping[C, str] | None = None) -> KeyView:
    """The same with messages as the operator writes them, or those that are given."""
    said = {str(kind): text for kind, text in (messages or {}).items()}
    made = one.workload.status["key"]["createdAt"]
    conditions = [
        {
            **condition,
            "message": said.get(condition["type"], _meaning(condition["reason"])),
            "lastTransitionTime": made if view_of(condition).holds else hours(-0.2),
        }
        for condition in one.workload.status["conditions"]
    ]
    raw = {
        **one.workload.raw,
        "metadata": {**one.workload.raw["metadata"], "creationTimestamp": made},
        "status": {**one.workload.status, "conditions": conditions},
    }
    return KeyView(view(raw), one.keep)


def view_of(condition: Json) -> ConditionView:
    (one,) = view({"status": {"conditions": [condition]}}).conditions
    return one


def _meaning(reason: str) -> str:
    known = REASONS.get(reason)
    return "" if known is None else known.meaning[:1].lower() + known.meaning[1:].rstrip(".")


def pods(bound: int, quarantined: int = 0) -> Json:
    return {"pods": {"bound": bound, "unbound": 0, "quarantined": quarantined}}


def showcase() -> Fleet:
    """A few of everything, as a person may find it."""
    by_weekly = {"policy": "team-a/weekly", "nextTime": hours(87)}
    healed = {
        "time": hours(-3),
        "kind": "NetworkPolicy",
        "name": "saw-llm-allow",
        "field": "spec.egress",
        "action": "Healed",
    }
    reported = {
        "time": hours(-0.2),
        "kind": "Role",
        "name": "saw-ranker",
        "field": "rules",
        "action": "Reported",
    }
    llm = key(
        "llm",
        rotated=weekly(6),
        minimum=4,
        made=60,
        data_keys={"model": 7, "prompts": 7},
        spec={"keys": {"dataKeys": [{"name": "model"}, {"name": "prompts"}]}},
        rotation={**by_weekly, "retirements": [{"below": 7, "at": hours(30)}]},
        status={"certificate": lives(19), "lastDrift": healed, **pods(3), "vault": _vault("team-a", "llm")},
        keep=3,
    )
    locked = key(
        "fraud-scoring",
        "team-b",
        rotated=(40, 20),
        made=90,
        custody="hold-your-own-key",
        changed={
            C.READY: ("False", "CustomerLocked"),
            C.KEY_READY: ("False", "CustomerLocked"),
            C.VAULT_REACHABLE: ("False", "CustomerLocked"),
        },
        status={"certificate": lives(12), **pods(2)},
    )
    refused = key(
        "ranker",
        "team-b",
        rotated=(60, 21),
        made=70,
        data_keys={"features": 3, "index": 1},
        changed={
            C.READY: ("False", "BeyondCeiling"),
            C.ACCESS_GRANTED: ("False", "BeyondCeiling"),
            C.DRIFT_DETECTED: ("True", "DriftReported"),
        },
        rotation={"policy": "team-b/monthly", "history": [record(2, 60), record(3, 21, "External")]},
        track=("False", "RetirementUnproven"),
        status={"certificate": lives(11), "lastDrift": reported, **pods(4)},
    )
    return Fleet(
        tuple(
            one.workload
            for one in (
                told(llm),
                told(
                    key(
                        "embeddings",
                        rotated=weekly(4, 4),
                        made=31,
                        rotation=by_weekly,
                        status={"certificate": lives(22), **pods(2)},
                    )
                ),
                told(
                    key(
                        "prompt-cache",
                        made=400,
                        track=("True", "NoRotationPolicy"),
                        status={"certificate": lives(14), **pods(1)},
                    )
                ),
                told(
                    locked,
                    {C.VAULT_REACHABLE: "the customer's Vault refuses the operator: connection customer-b"},
                ),
                told(
                    refused,
                    {
                        C.ACCESS_GRANTED: "rule 2 asks for delete on configmaps, which the platform does not grant"
                    },
                ),
                told(
                    key(
                        "vision-tdx",
                        "team-c",
                        rotated=(9,),
                        made=30,
                        status={"certificate": lives(20), **pods(6, quarantined=1)},
                    )
                ),
                told(
                    key(
                        "batch-train",
                        "team-c",
                        made=12,
                        rotation={"policy": "team-c/daily", "nextTime": hours(-5)},
                        track=("False", "RotationMissed"),
                        status={"certificate": lives(5), **pods(0)},
                    )
                ),
                told(
                    key(
                        "speech", "team-c", made=2, generation=2, status={"certificate": lives(23), **pods(1)}
                    )
                ),
                new("translate", "team-d"),
            )
        ),
        LEADS,
        NOW,
        policies={"team-a/weekly": WEEKLY},
    )


def new(name: str, namespace: str) -> KeyView:
    """One that was made a minute ago, and that the operator has not looked at."""
    metadata = {"name": name, "namespace": namespace, "generation": 1, "creationTimestamp": hours(-1 / 60)}
    return KeyView(view({"metadata": metadata, "status": {"observedGeneration": -1}}))


def _vault(namespace: str, name: str) -> Json:
    return {
        "connection": "default",
        "name": f"saw.main.{namespace}.{name}",
        "transitMount": "saw-transit",
        "pkiMount": "saw-pki",
        "authMount": "kubernetes",
    }


def detail_of(workload: WorkloadView, **changed: Any) -> Detail:
    """One look at a workload whose objects are all there."""
    made = NOW - timedelta(days=60)
    objects = [
        Owned(kind, name, owned.OK, made)
        for kind, expected in owned.expected_names(workload).items()
        for name in expected
    ]
    running = [
        Owned(
            "Pod",
            f"{workload.name}-7d4b9c-{tail}",
            Word("Running", Mark.GOOD),
            NOW - timedelta(hours=9),
            "on node-a",
        )
        for tail in ("x2x4z", "k9w7p", "m4t2c")
    ]
    inventory = Inventory(
        workload,
        tuple(objects),
        tuple(running),
        tuple(owned.in_vault_by_status(workload)),
        "as the operator last saw it",
    )
    events = (
        EventView("DriftHealed", "NetworkPolicy/saw-llm-allow: spec.egress was put back", False, 2, NOW - timedelta(hours=3), "secureai-operator"),
        EventView("KeyRotated", "v6 to v7, 2 data keys rewrapped", False, 1, NOW - timedelta(days=3), "secureai-operator"),
    )  # fmt: skip
    return replace(Detail(inventory, KeyView(workload, 3), LEADS, NOW, events), **changed)


def many(count: int) -> Fleet:
    """A large fleet: the showcase again and again, under other names, in twenty namespaces."""
    pattern = showcase()
    found = []
    for number in range(count):
        raw = pattern.workloads[number % len(pattern.workloads)].raw
        metadata = {**raw["metadata"], "name": f"model-{number:05}", "namespace": f"team-{number % 20:02}"}
        found.append(view({**raw, "metadata": metadata}))
    return replace(pattern, workloads=tuple(found))


@dataclass
class PlainSource:
    """A source of plain values; `trouble` is answered instead, if there is one."""

    found: Fleet
    trouble: Trouble | None = None
    asked: int = 0

    async def fleet(self) -> Fleet:
        self.asked += 1
        if self.trouble is not None:
            raise Unanswered(self.trouble)
        return self.found

    async def workload(self, namespace: str, name: str) -> Detail:
        self.asked += 1
        if self.trouble is not None:
            raise Unanswered(self.trouble)
        for one in self.found.workloads:
            if (one.namespace, one.name) == (namespace, name):
                return detail_of(one)
        raise Unanswered(absent(f"no SecureAIWorkload '{name}'"))
