"""Requests, counted by the servers themselves: the API server's and Vault's audit logs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secureai_operator import names

OPERATOR_USER = f"system:serviceaccount:{names.OPERATOR_NAMESPACE}:{names.OPERATOR_SERVICE_ACCOUNT}"

_KUBERNETES_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_NOT_STORED = frozenset({"selfsubjectaccessreviews", "subjectaccessreviews", "tokenreviews"})
"""Questions in the form of a POST."""
_NO_CHANGE = ("/datakey/", "auth/kubernetes/login", "sys/capabilities-self")
"""Vault requests by POST that store nothing of a workload: computation, the operator's login, its own rights."""


@dataclass(slots=True)
class AuditLog:
    """The lines that were added since the last look."""

    path: Path
    from_start: bool = False
    _offset: int = 0

    def __post_init__(self) -> None:
        if not self.from_start:
            self._offset = self.path.stat().st_size

    def new_entries(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                yield json.loads(line)


@dataclass(slots=True)
class Counts:
    """What the operator wrote. The Lease and the two requests that open a namespace are kept apart: no CR causes them alone."""

    owned: Counter[str] = field(default_factory=Counter)
    status: int = 0
    finalizer: int = 0
    events: int = 0
    lease: int = 0
    namespace: int = 0
    forbidden: int = 0
    vault: Counter[str] = field(default_factory=Counter)
    vault_computations: Counter[str] = field(default_factory=Counter)

    @property
    def kubernetes_writes(self) -> int:
        """All writes to Kubernetes but the Lease's and a namespace's own."""
        return self.owned.total() + self.status + self.finalizer + self.events

    def as_json(self) -> dict[str, Any]:
        return {
            "kubernetesWrites": self.kubernetes_writes,
            "owned": dict(sorted(self.owned.items())),
            "status": self.status,
            "finalizer": self.finalizer,
            "events": self.events,
            "namespace": self.namespace,
            "forbidden": self.forbidden,
            "vaultWrites": self.vault.total(),
            "vault": dict(sorted(self.vault.items())),
            "vaultComputations": dict(sorted(self.vault_computations.items())),
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
    if entry["responseStatus"]["code"] == 403:  # noqa: PLR2004 - Forbidden
        counts.forbidden += 1
    about = entry.get("objectRef") or {}
    plural = about.get("resource", "")
    if entry["verb"] not in _KUBERNETES_WRITES or plural in _NOT_STORED:
        return
    if plural == "leases":
        counts.lease += 1
    elif plural == "events":
        counts.events += 1
    elif plural == "secureaiworkloads":
        if about.get("subresource") == "status":
            counts.status += 1
        else:
            counts.finalizer += 1
    elif about.get("name") == names.NAMESPACE_SECRETS_ROLE:
        counts.namespace += 1
    else:
        counts.owned[f"{entry['verb']} {plural}"] += 1


def _count_vault(counts: Counts, entry: dict[str, Any]) -> None:
    request = entry["request"]
    path = request["path"]
    if request["operation"] not in ("create", "update", "delete") or entry.get("error"):
        return
    if not str(entry["auth"].get("display_name", "")).startswith("kubernetes") or path.startswith(
        "auth/token/"
    ):
        return
    if any(part in path for part in _NO_CHANGE):
        counts.vault_computations[_kind_of(path)] += 1
    else:
        counts.vault[_kind_of(path)] += 1


def _kind_of(path: str) -> str:
    """The path without the workload's name."""
    head, _, last = path.rpartition("/")
    return f"{head}/*" if last.startswith("saw.") else path
