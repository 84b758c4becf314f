"""Claims: two workloads must not claim the same pods; the older one keeps them."""

from __future__ import annotations

from collections.abc import Mapping

from secureai_operator.api import reasons
from secureai_operator.core.facts import Facts, Workload
from secureai_operator.core.verdict import Verdict, bad


def claim_verdict(workload: Workload, facts: Facts) -> Verdict | None:
    """Why this workload has to leave its pods to another, or None.

    Selectors overlap if one's labels contain the other's: then every pod of the one is the other's too.
    """
    mine = workload.pod_labels
    for rival in facts.rivals:
        is_older = (rival.created, rival.name) < (workload.created, workload.name)
        if is_older and _overlap(mine, rival.pod_labels):
            return bad(
                reasons.PODS_CLAIMED_TWICE,
                f"workload {rival.name} is older and claims the same pods; change spec.podSelector of one of them",
                terminal=True,
            )
    return None


def _overlap(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return one.items() <= other.items() or other.items() <= one.items()
