"""Desired state: pure functions from the workload and the facts to what must exist. One module per concern."""

from __future__ import annotations

from collections.abc import Iterator

from secureai_operator.core.desired.access import desired_access
from secureai_operator.core.desired.identity import desired_service_account
from secureai_operator.core.desired.network import desired_network_policies
from secureai_operator.core.desired.objects import DesiredObject
from secureai_operator.core.facts import Facts, Workload


def desired_objects(workload: Workload, facts: Facts) -> Iterator[DesiredObject]:
    """Every Kubernetes object that needs nothing from Vault. A new owned object is one more line here."""
    yield desired_service_account(workload)
    yield from desired_access(workload)
    yield from desired_network_policies(workload, facts)
