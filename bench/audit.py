"""Requests, counted by the servers themselves: the API server's and Vault's audit logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from lab.json_lines import end_of_lines, entries
from secureai_operator import names

OPERATOR_USER = f"system:serviceaccount:{names.OPERATOR_NAMESPACE}:{names.OPERATOR_SERVICE_ACCOUNT}"

_KUBERNETES_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_NOT_STORED = frozenset({"selfsubjectaccessreviews", "subjectaccessreviews", "tokenreviews"})
"""Questions in the form of a POST."""
_VAULT_WRITES = frozenset({"create", "update", "delete"})
_NO_CHANGE = ("/datakey/", "/rewrap/", "auth/kubernetes/login", "sys/capabilities-self")
"""Vault requests by POST that store nothing of a workload: computation, the operator's login, its own rights."""


@dataclass(slots=True)
class AuditLog:
    """The lines that were added since the last look."""

    path: Path
    from_start: bool = False
    _offset: int = 0

    def __post_init__(self) -> None:
        if not self.from_start:
            self._offset = end_of_lines(self.path)

    def new_entries(self) -> Iterator[dict[str, Any]]:
        for entry, end in entries(self.path, self._offset):
            self._offset = end
            yield entry


@dataclass(slots=True)
class Counts:
    """What the operator wrote. The Lease and the two requests that open a namespace are kept apart: no CR causes them alone."""

    owned: Counter[str] = field(default_factory=Counter)
    status: int = 0
    finalizer: int = 0
    events: int = 0
    lease: int = 0
    namespace: int = 0
    policies: int = 0
    """Status of KeyRotationPolicies."""
    forbidden: int = 0
    reads: Counter[str] = field(default_factory=Counter)
    """Of the API server; a watch counts as it ends."""
    troubles: Counter[int] = field(default_factory=Counter)
    """Answers of the API server by their code: 409, which is work for nothing, 429, and 5xx."""
    vault: Counter[str] = field(default_factory=Counter)
    vault_computations: Counter[str] = field(default_factory=Counter)
    vault_reads: Counter[str] = field(default_factory=Counter)
    vault_errors: Counter[str] = field(default_factory=Counter)
    """Requests that Vault did not answer with success, by what was asked for."""

    @property
    def kubernetes_writes(self) -> int:
        """All writes to Kubernetes but the Lease's and a namespace's own."""
        return self.owned.total() + self.status + self.finalizer + self.events + self.policies

    @property
    def too_much(self) -> int:
        """How often the API server answered 429 or 5xx."""
        return sum(count for code, count in self.troubles.items() if code >= HTTPStatus.TOO_MANY_REQUESTS)

    def as_json(self) -> dict[str, Any]:
        return {
            "kubernetesWrites": self.kubernetes_writes,
            "owned": dict(sorted(self.owned.items())),
            "status": self.status,
            "finalizer": self.finalizer,
            "events": self.events,
            "namespace": self.namespace,
            "policies": self.policies,
            "forbidden": self.forbidden,
            "reads": dict(sorted(self.reads.items())),
            "troubles": {str(code): count for code, count in sorted(self.troubles.items())},
            "tooMuch": self.too_much,
            "vaultWrites": self.vault.total(),
            "vault": dict(sorted(self.vault.items())),
            "vaultComputations": dict(sorted(self.vault_computations.items())),
            "vaultReads": dict(sorted(self.vault_reads.items())),
            "vaultErrors": dict(sorted(self.vault_errors.items())),
        }


def count(kubernetes: AuditLog, vault: AuditLog) -> Counts:
    """Everything that the operator wrote since the last look."""
    counts = Counts()
    for entry in kubernetes.new_entries():
        if entry["user"]["username"] == OPERATOR_USER and entry["stage"] == "ResponseComplete":
            _count_kubernetes(counts, entry)
    for entry in vault.new_entries():
        if entry["type"] == "response":
            _count_vault(counts, entry)
    return counts


def _count_kubernetes(counts: Counts, entry: dict[str, Any]) -> None:
    code = entry["responseStatus"]["code"]
    if code == HTTPStatus.FORBIDDEN:
        counts.forbidden += 1
    elif code == HTTPStatus.CONFLICT or code >= HTTPStatus.TOO_MANY_REQUESTS:
        counts.troubles[code] += 1
    about = entry.get("objectRef") or {}
    plural = about.get("resource", "")
    if entry["verb"] not in _KUBERNETES_WRITES:
        counts.reads[f"{entry['verb']} {plural}"] += 1
    elif plural not in _NOT_STORED:
        _count_write(counts, entry["verb"], about, plural)


def _count_write(counts: Counts, verb: str, about: dict[str, Any], plural: str) -> None:
    if plural == "leases":
        counts.lease += 1
    elif plural == "events":
        counts.events += 1
    elif plural == "secureaiworkloads":
        if about.get("subresource") == "status":
            counts.status += 1
        else:
            counts.finalizer += 1
    elif plural == "keyrotationpolicies":
        counts.policies += 1
    elif about.get("name") == names.NAMESPACE_SECRETS_ROLE:
        counts.namespace += 1
    else:
        counts.owned[f"{verb} {plural}"] += 1


def _count_vault(counts: Counts, entry: dict[str, Any]) -> None:
    request = entry["request"]
    path = request["path"]
    if not str((entry.get("auth") or {}).get("display_name", "")).startswith("kubernetes"):
        return
    if entry.get("error"):
        counts.vault_errors[_kind_of(path)] += 1
    elif path.startswith("auth/token/"):
        return
    elif request["operation"] not in _VAULT_WRITES:
        counts.vault_reads[_kind_of(path)] += 1
    elif any(part in path for part in _NO_CHANGE):
        counts.vault_computations[_kind_of(path)] += 1
    else:
        counts.vault[_kind_of(path)] += 1


def _kind_of(path: str) -> str:
    """The path without the workload's name."""
    return "/".join("*" if part.startswith("saw.") else part for part in path.split("/"))
