"""What the operator asked of the API server and of Vault, from the audit logs of both: counted where it arrives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lab import Lab
from lab.json_lines import end_of_lines, entries
from secureai_operator import names

OPERATOR = f"system:serviceaccount:{names.OPERATOR_NAMESPACE}:{names.OPERATOR_SERVICE_ACCOUNT}"
EXPECTED_DENIALS: set[str] = set()
"""Namespaces in which a test took rights from the operator on purpose."""

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_REVIEWS = frozenset({"selfsubjectaccessreviews", "subjectaccessreviews", "tokenreviews"})
"""Questions, though they are sent with POST."""
_VAULT_WRITES = frozenset({"create", "update", "patch", "delete"})
_VAULT_QUESTIONS = ("sys/capabilities-self", "auth/token/", "auth/kubernetes/login")


@dataclass(frozen=True, slots=True)
class KubeRequest:
    """One request of the operator to the API server."""

    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    uri: str
    time: str
    denied: bool
    """RBAC said no. Admission can refuse with 403 as well, in a namespace that is going for example."""

    @property
    def is_write(self) -> bool:
        """Whether it can change anything that lasts; Leases and Events apart, which are no state of a workload."""
        return self.verb in _WRITES and self.resource not in (_REVIEWS | {"leases", "events"})


@dataclass(frozen=True, slots=True)
class VaultRequest:
    """One request of the operator to Vault, answered."""

    operation: str
    path: str
    time: str
    failed: bool

    @property
    def is_write(self) -> bool:
        return self.operation in _VAULT_WRITES and not self.path.startswith(_VAULT_QUESTIONS)


def kube_requests(log: Path, start: int = 0) -> list[KubeRequest]:
    """All requests of the operator that were answered after the position in the log."""
    found = []
    for entry, _ in entries(log, start):
        if entry["stage"] != "ResponseComplete" or entry["user"]["username"] != OPERATOR:
            continue
        target = entry.get("objectRef") or {}
        found.append(
            KubeRequest(
                verb=entry["verb"],
                group=target.get("apiGroup", ""),
                resource=target.get("resource", ""),
                subresource=target.get("subresource", ""),
                namespace=target.get("namespace", ""),
                name=target.get("name", ""),
                code=entry["responseStatus"]["code"],
                uri=entry["requestURI"],
                time=entry["requestReceivedTimestamp"],
                denied=entry.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid",
            )
        )
    return found


def vault_requests(log: Path, start: int = 0) -> list[VaultRequest]:
    """All requests that were made with the operator's Vault tokens."""
    found = []
    for entry, _ in entries(log, start):
        account = (entry.get("auth") or {}).get("metadata") or {}
        if (
            entry["type"] != "response"
            or account.get("service_account_name") != names.OPERATOR_SERVICE_ACCOUNT
        ):
            continue
        request = entry["request"]
        found.append(
            VaultRequest(
                request["operation"], request["path"], entry["time"], failed=bool(entry.get("error"))
            )
        )
    return found


@dataclass(slots=True)
class Audit:
    """What happened since it was made, in one namespace or for one workload's name."""

    lab: Lab
    _kube: int = field(init=False)
    _vault: int = field(init=False)

    def __post_init__(self) -> None:
        assert self.lab.audit_log is not None
        assert self.lab.vault_audit_log is not None
        self._kube = end_of_lines(self.lab.audit_log)
        self._vault = end_of_lines(self.lab.vault_audit_log)

    def kube(self, namespace: str | None = None) -> list[KubeRequest]:
        assert self.lab.audit_log is not None
        requests = kube_requests(self.lab.audit_log, self._kube)
        return [request for request in requests if namespace in (None, request.namespace)]

    def vault(self, name: str = "") -> list[VaultRequest]:
        assert self.lab.vault_audit_log is not None
        requests = vault_requests(self.lab.vault_audit_log, self._vault)
        return [request for request in requests if name in request.path]

    def kube_writes(self, namespace: str | None = None) -> list[KubeRequest]:
        return [request for request in self.kube(namespace) if request.is_write]

    def vault_writes(self, name: str = "") -> list[VaultRequest]:
        return [request for request in self.vault(name) if request.is_write]
