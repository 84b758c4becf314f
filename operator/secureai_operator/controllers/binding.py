"""What binds pods on this cluster: its admission policy, or our webhook."""

from __future__ import annotations

from secureai_operator.api.resources import MUTATING_ADMISSION_POLICIES
from secureai_operator.clients.kube import KubeApi
from secureai_operator.settings import BindingBackend

BINDING_POLICY = "secureai-bind-pods"
"""Name of the MutatingAdmissionPolicy of manifests/base; without it pods are bound by the webhook."""


async def chosen_backend(configured: BindingBackend, kube: KubeApi) -> BindingBackend:
    """As configured, or the admission policy if the cluster has it."""
    if configured is not BindingBackend.AUTO:
        return configured
    policy = await kube.get(MUTATING_ADMISSION_POLICIES, None, BINDING_POLICY)
    return BindingBackend.WEBHOOK if policy is None else BindingBackend.POLICY
