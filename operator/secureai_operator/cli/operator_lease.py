"""Whether an operator runs, by its Lease."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from secureai_operator import names
from secureai_operator.api.resources import LEASES
from secureai_operator.cli.output import moment, string
from secureai_operator.clients.kube_user import Json, KubeUser
from secureai_operator.errors import KubeForbidden


@dataclass(frozen=True)
class Leadership:
    """Who leads; `running` is None if we may not know."""

    running: bool | None
    text: str


def leadership(kube: KubeUser, now: datetime) -> Leadership:
    try:
        lease = kube.get(LEASES, names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT)
    except KubeForbidden:
        return Leadership(None, "not allowed to read the operator's Lease")
    return judged(lease, now)


def judged(lease: Json | None, now: datetime) -> Leadership:
    """What a Lease says at a moment: a leader renews it several times within its duration."""
    if lease is None:
        return Leadership(False, "no operator has ever led: its Lease does not exist")
    holder, renewed = string(lease, "spec", "holderIdentity"), moment(string(lease, "spec", "renewTime"))
    if not holder or renewed is None:
        return Leadership(False, "no operator leads: its Lease has no holder")
    duration = int(string(lease, "spec", "leaseDurationSeconds") or 0)
    since = (now - renewed).total_seconds()
    if since > duration:
        return Leadership(False, f"the last leader, {holder}, renewed its Lease {since:.0f} s ago")
    return Leadership(True, f"{holder} leads, renewed {max(since, 0):.0f} s ago")
