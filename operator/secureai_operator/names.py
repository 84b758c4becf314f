"""Every name the operator gives to anything, in one place.

Names are injective: two workloads can never share one. A workload's name is a DNS label without
dots and a namespace's too, so the dots in a Vault name and the suffixes of Kubernetes names cannot be forged.
"""

from __future__ import annotations

import re

GROUP = "secureai.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "secureai-operator"

FINALIZER = f"{GROUP}/finalizer"
WORKLOAD_LABEL = f"{GROUP}/workload"
QUARANTINE_LABEL = f"{GROUP}/quarantine"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "secureai-operator"
RETAINED_LABEL = f"{GROUP}/retained"
ROLE_REF_LABEL = f"{GROUP}/role-ref"
"""On bindings to existing roles: by it admission finds those whose role it has to look at."""
APPLIED_ANNOTATION = f"{GROUP}/applied"
"""On owned objects: what the operator wanted when it last wrote them, so that a change of its mind is not taken for drift."""
RESYNC_ANNOTATION = f"{GROUP}/resync"
FORCE_DELETE_ANNOTATION = f"{GROUP}/force-delete"
ROTATE_ANNOTATION = f"{GROUP}/rotate"
"""On a workload or a policy; its value is the id of a request to rotate the key, acted on once."""
EMERGENCY_ANNOTATION = f"{GROUP}/rotate-emergency"
ROTATE_DATA_KEYS_ANNOTATION = f"{GROUP}/rotate-data-keys"
DECRYPT_FAILED_ANNOTATION = f"{GROUP}/decrypt-failed"
"""On a workload: somebody reports that a decrypt failed; while old versions retire on trial, that brings them back."""
RETRY_RETIREMENT_ANNOTATION = f"{GROUP}/retry-retirement"
RESTARTED_FOR_ANNOTATION = f"{GROUP}/restarted-for"
"""On the pod template of what runs a workload: the request that it was last restarted for."""

MANAGED_SELECTOR = f"{MANAGED_BY_LABEL}={MANAGED_BY}"

OPERATOR_NAMESPACE = "secureai-system"
OPERATOR_SERVICE_ACCOUNT = "secureai-operator"
GRANT_CEILING = "secureai-grant-ceiling"
NAMESPACE_SECRETS_ROLE = "secureai-operator-secrets"

WORKLOAD_NAME_MAX = 52
"""As for a CronJob: leaves room for suffixes within 63, the limit of a label's value."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def service_account(workload: str) -> str:
    return f"saw-{workload}"


def role(workload: str) -> str:
    return f"saw-{workload}"


def role_binding(workload: str) -> str:
    return f"saw-{workload}-rules"


def role_ref_binding(workload: str, index: int) -> str:
    return f"saw-{workload}-ref{index}"


def keys_secret(workload: str) -> str:
    return f"saw-{workload}-keys"


def tls_secret(workload: str) -> str:
    return f"saw-{workload}-tls"


def allow_policy(workload: str) -> str:
    return f"saw-{workload}-allow"


def quarantine_policy(workload: str) -> str:
    return f"saw-{workload}-quarantine"


def vault_name(cluster: str, namespace: str, workload: str) -> str:
    """The one name of a workload's key, policy, auth role and PKI role in Vault.

    Raises ValueError if a part is not a DNS label: only then can no part reach into another's.
    """
    for part in (cluster, namespace, workload):
        if not _LABEL.fullmatch(part):
            raise ValueError("cluster, namespace and workload must be DNS labels")
    return f"saw.{cluster}.{namespace}.{workload}"


def vault_prefix(cluster: str) -> str:
    """What all Vault names of one cluster begin with, and those of no other cluster."""
    return f"saw.{cluster}."


def audience(cluster: str, namespace: str, workload: str) -> str:
    """The audience of the workload's own projected token, accepted by its own Vault role only."""
    return f"vault://{cluster}/{namespace}/{workload}"
