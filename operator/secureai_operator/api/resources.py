"""The Kubernetes resources that the operator touches, and where the API server serves them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

_FORBIDDEN_SEGMENTS = frozenset({"", ".", ".."})


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the API server serves it; the only place that builds a URL path."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, of one object or of its subresource.

        Raises ValueError for a segment that would step out of its place in the path, and for a
        namespace on a cluster-scoped resource.
        """
        if namespace is not None and not self.namespaced:
            raise ValueError(f"{self.plural} have no namespace")
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace is not None:
            parts += ["namespaces", _segment(namespace)]
        parts.append(self.plural)
        if name is not None:
            parts.append(_segment(name))
        if subresource is not None:
            parts.append(_segment(subresource))
        return "/".join(parts)


def _segment(value: str) -> str:
    """Return the value if it is one harmless path segment.

    The API server's own rule for names (no "/", no "%", not "." or "..") and nothing that a URL would split at.
    """
    if (
        value in _FORBIDDEN_SEGMENTS
        or not value.isascii()
        or not value.isprintable()
        or set(value) & set("/%?# \\")
    ):
        raise ValueError("not a valid name for a path segment")
    return value


SECURE_AI_WORKLOADS = Resource("secureai.dev", "v1alpha1", "secureaiworkloads", "SecureAIWorkload")
KEY_ROTATION_POLICIES = Resource("secureai.dev", "v1alpha1", "keyrotationpolicies", "KeyRotationPolicy")

PODS = Resource("", "v1", "pods", "Pod")
SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
SERVICES = Resource("", "v1", "services", "Service")
EVENTS = Resource("", "v1", "events", "Event")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
DAEMON_SETS = Resource("apps", "v1", "daemonsets", "DaemonSet")
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
JOBS = Resource("batch", "v1", "jobs", "Job")

_RBAC = ("rbac.authorization.k8s.io", "v1")
ROLES = Resource(*_RBAC, "roles", "Role")
ROLE_BINDINGS = Resource(*_RBAC, "rolebindings", "RoleBinding")
CLUSTER_ROLES = Resource(*_RBAC, "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource(*_RBAC, "clusterrolebindings", "ClusterRoleBinding", namespaced=False)

NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
RUNTIME_CLASSES = Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced=False)
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)

_ADMISSION = ("admissionregistration.k8s.io", "v1")
MUTATING_ADMISSION_POLICIES = Resource(
    *_ADMISSION, "mutatingadmissionpolicies", "MutatingAdmissionPolicy", namespaced=False
)
MUTATING_ADMISSION_POLICY_BINDINGS = Resource(
    *_ADMISSION, "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", namespaced=False
)
VALIDATING_ADMISSION_POLICIES = Resource(
    *_ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False
)
VALIDATING_ADMISSION_POLICY_BINDINGS = Resource(
    *_ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)
MUTATING_WEBHOOK_CONFIGURATIONS = Resource(
    *_ADMISSION, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", namespaced=False
)
VALIDATING_WEBHOOK_CONFIGURATIONS = Resource(
    *_ADMISSION, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", namespaced=False
)

_AUTHORIZATION = ("authorization.k8s.io", "v1")
SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    *_AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
SUBJECT_ACCESS_REVIEWS = Resource(
    *_AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)

ALL: tuple[Resource, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Resource))

_BY_KIND = MappingProxyType({(resource.api_version, resource.kind): resource for resource in ALL})


def by_kind(api_version: str, kind: str) -> Resource:
    """Return the resource of a manifest's apiVersion and kind; KeyError if the operator does not know it."""
    return _BY_KIND[api_version, kind]
