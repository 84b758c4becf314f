"""What one identity asked of both servers, by their audit logs: the same for every peer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_READS = frozenset({"get", "list", "watch"})
_QUESTIONS = frozenset({"selfsubjectaccessreviews", "subjectaccessreviews", "tokenreviews"})
_VAULT_READS = frozenset({"read", "list"})


@dataclass(slots=True)
class Requests:
    """Counted as they end, a watch as it begins; the Lease's are kept apart."""

    reads: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    lease: int = 0
    vault_reads: int = 0
    vault_writes: int = 0
    """Whatever is not a read: also what Vault only computes, and logins."""

    def as_json(self) -> dict[str, Any]:
        return {
            "reads": dict(sorted(self.reads.items())),
            "writes": dict(sorted(self.writes.items())),
            "lease": self.lease,
            "vaultReads": self.vault_reads,
            "vaultWrites": self.vault_writes,
        }

    def per(self, count: float) -> dict[str, float]:
        """Each sum by so many."""
        return {
            "kubernetesWrites": round(self.writes.total() / count, 3),
            "kubernetesReads": round(self.reads.total() / count, 3),
            "lease": round(self.lease / count, 3),
            "vaultWrites": round(self.vault_writes / count, 3),
            "vaultReads": round(self.vault_reads / count, 3),
        }


def requests_of(
    user: str, kubernetes: Iterable[Mapping[str, Any]], vault: Iterable[Mapping[str, Any]]
) -> Requests:
    """Kubernetes: those of the user. Vault: those of everybody who logged in by Kubernetes; nobody else runs beside a peer."""
    found = Requests()
    for entry in kubernetes:
        ends = "ResponseStarted" if entry["verb"] == "watch" else "ResponseComplete"
        if entry["user"]["username"] == user and entry["stage"] == ends:
            _count(found, entry["verb"], (entry.get("objectRef") or {}).get("resource", ""))
    for entry in vault:
        if entry["type"] == "response" and _is_theirs(entry):
            if entry["request"]["operation"] in _VAULT_READS:
                found.vault_reads += 1
            else:
                found.vault_writes += 1
    return found


def _count(found: Requests, verb: str, resource: str) -> None:
    if resource == "leases":
        found.lease += 1
    elif verb in _READS or resource in _QUESTIONS:
        found.reads[f"{verb} {resource}".strip()] += 1
    else:
        found.writes[f"{verb} {resource}".strip()] += 1


def _is_theirs(entry: Mapping[str, Any]) -> bool:
    return str((entry.get("auth") or {}).get("display_name", "")).startswith("kubernetes")
