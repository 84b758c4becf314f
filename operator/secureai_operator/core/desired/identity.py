"""Identity: a ServiceAccount without any standing token."""

from __future__ import annotations

from secureai_operator import names
from secureai_operator.api.conditions import ConditionType
from secureai_operator.api.resources import SERVICE_ACCOUNTS
from secureai_operator.core.desired.objects import DesiredObject, desired_object
from secureai_operator.core.facts import Workload


def desired_service_account(workload: Workload) -> DesiredObject:
    """The workload's own account; its pods mount short-lived projected tokens instead of a standing one."""
    return desired_object(
        workload,
        SERVICE_ACCOUNTS,
        names.service_account(workload.name),
        ConditionType.IDENTITY_READY,
        {"automountServiceAccountToken": False},
    )
