"""What a pod of the workload gets, as the admission policies read it from status."""

from __future__ import annotations

from secureai_operator import names
from secureai_operator.api.model import seconds
from secureai_operator.api.workload import Enforcement
from secureai_operator.api.workload_status import BindingStatus
from secureai_operator.core.desired.placement import Placement
from secureai_operator.core.facts import PlatformConfig, Workload


def desired_binding(
    workload: Workload,
    config: PlatformConfig,
    place: Placement,
    *,
    ready: bool,
    keys: bool,
    certificate: bool,
) -> BindingStatus:
    """`keys` and `certificate` say whether their Secrets exist; `ready` whether pods may start at all."""
    access = workload.spec.access
    return BindingStatus(
        ready=ready,
        enforce=workload.spec.enforcement is Enforcement.ENFORCE,
        pod_labels=dict(sorted(workload.pod_labels.items())),
        service_account_name=names.service_account(workload.name),
        audience=names.audience(config.cluster, workload.namespace, workload.name),
        token_expiration_seconds=seconds(access.token_ttl),
        api_token=bool(access.rules or access.role_refs),
        keys_secret_name=names.keys_secret(workload.name) if keys else "",
        tls_secret_name=names.tls_secret(workload.name) if certificate else "",
        runtime_class_name=place.runtime_class,
        node_selector=dict(sorted(place.node_selector.items())),
        tolerations=workload.spec.confidential.tolerations,
    )
