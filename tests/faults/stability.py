"""Eventually stable: how soon all is right once a fault is over, and that nobody writes a thing from then on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab import Lab, LabTimeout
from lab.json_lines import end_of_lines
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from tests.fixtures_operator import condition
from tests.integration.audits import KubeRequest, VaultRequest, kube_requests, vault_requests

GOAL_SECONDS = 5.0
"""What the product promises. Measured and shown; a busy machine may take longer without anything being wrong."""
RECOVERY_SECONDS = 60.0
"""What is asserted."""
CALM_SECONDS = 2.0
"""Without a write for so long what the end of a fault made necessary is done."""
QUIET = "SECUREAI_QUIET_SECONDS"
QUIET_SECONDS = 60.0

Json = dict[str, Any]
IsRight = Callable[[Json], bool]


def quiet_seconds() -> float:
    """How long nobody may write. For work on a test it may be set lower, but never where CI runs."""
    asked = float(os.environ.get(QUIET, QUIET_SECONDS))
    return max(asked, QUIET_SECONDS) if os.environ.get("CI") else asked


def is_ready(workload: Json) -> bool:
    """Ready for its current spec, and Vault is there."""
    return is_so(workload, "Ready", "True") and is_so(workload, "VaultReachable", "True")


def is_so(workload: Json, kind: str, status: str, reason: str | None = None) -> bool:
    found = condition(workload, kind)
    current = found.get("observedGeneration", -1) >= workload["metadata"]["generation"]
    return current and found["status"] == status and reason in (None, found["reason"])


def is_lost(reason: str) -> IsRight:
    """The known right state of a workload whose key is gone, or is another one."""

    def right(workload: Json) -> bool:
        return is_so(workload, "Ready", "False", reason) and is_so(workload, "VaultReachable", "True")

    return right


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workloads of one namespace, each with the state that it has to be in."""

    namespace: str
    right: Mapping[str, IsRight]

    @classmethod
    def ready(cls, namespace: str, wanted: Iterable[str]) -> Fleet:
        return cls(namespace, dict.fromkeys(wanted, is_ready))

    def astray(self, lab: Lab) -> dict[str, Json]:
        """Those that are not as they should be."""
        items = lab.api.request("GET", SECURE_AI_WORKLOADS.path(self.namespace))["items"]
        found = {item["metadata"]["name"]: item for item in items}
        return {
            name: found.get(name, {})
            for name, is_right in self.right.items()
            if name not in found or not is_right(found[name])
        }

    def told_astray(self, lab: Lab) -> str:
        """In words: how many there are, and how the first ones stand."""
        astray = list(self.astray(lab).items())
        return f"{len(astray)} astray: {', '.join(f'{name}: {_words(one)}' for name, one in astray[:3])}"


def _words(workload: Json) -> str:
    conditions = workload.get("status", {}).get("conditions", [])
    return " ".join(f"{one['type']}={one['status']}/{one['reason']}" for one in conditions) or "no conditions"


@dataclass(frozen=True, slots=True)
class Recovery:
    """How an outage ended: seconds from the end of the fault until all was right, and until the last write."""

    outage: str
    right: float
    last_write: float

    def __str__(self) -> str:
        late = "" if self.right <= GOAL_SECONDS else f"  (the goal is {GOAL_SECONDS:g} s)"
        return f"{self.outage:<40} right after {self.right:5.1f} s, last write after {self.last_write:5.1f} s{late}"


@dataclass(slots=True)
class Recoveries:
    """All that were measured, for the end of pytest's report."""

    found: list[Recovery] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.found or self.notes:
            terminalreporter.section("recovery from outages")
            for line in (*self.found, *self.notes):
                terminalreporter.write_line(str(line))


@dataclass(frozen=True, slots=True)
class Writes:
    """The operator's writes in one lab from a moment on, the Lease and Events left out, as the servers logged them."""

    kube_log: Path
    vault_logs: Mapping[str, Path]
    _starts: Mapping[Path, int]

    @classmethod
    def of(cls, lab: Lab, vaults: Mapping[str, Path]) -> Writes:
        """From now on."""
        assert lab.audit_log is not None
        logs = (lab.audit_log, *vaults.values())
        return cls(lab.audit_log, vaults, {log: end_of_lines(log) for log in logs})

    def kube(self) -> list[KubeRequest]:
        return [one for one in kube_requests(self.kube_log, self._starts[self.kube_log]) if one.is_write]

    def vault(self) -> list[tuple[str, VaultRequest]]:
        return [
            (name, one)
            for name, log in self.vault_logs.items()
            for one in vault_requests(log, self._starts[log])
            if one.is_write
        ]

    def calm_for(self) -> float:
        """Seconds since the last one, if there was one."""
        return time.time() - max(self.times(), default=0.0)

    def times(self) -> list[float]:
        """When each was made, in seconds since the epoch."""
        stamps = [one.time for one in self.kube()] + [one.time for _, one in self.vault()]
        return sorted(_epoch(stamp) for stamp in stamps)

    def told(self) -> list[str]:
        """In words, for a test that fails."""
        kube = [
            f"{one.time} {one.verb} {one.resource} {one.namespace}/{one.name} {one.subresource}"
            for one in self.kube()
        ]
        vault = [f"{one.time} {name}: {one.operation} {one.path}" for name, one in self.vault()]
        return sorted((*kube, *vault))


@dataclass(frozen=True, slots=True)
class Quiet:
    """A time after an outage in which nobody may write; it passes by itself while other labs are at work."""

    outage: str
    writes: Writes
    began: float
    """In monotonic seconds."""

    def rest(self, lab: Lab) -> None:
        """Wait for the rest of it, and find that nobody wrote."""
        end = self.began + quiet_seconds()
        lab.wait_for(lambda: time.monotonic() >= end, quiet_seconds() + 10, "the quiet time")
        told = self.writes.told()
        assert not told, "\n".join([f"written when all was right after: {self.outage}", *told[:30]])


def recovered(
    lab: Lab,
    outage: str,
    fleets: Sequence[Fleet],
    writes: Writes,
    ended: float,
    deadline: float = RECOVERY_SECONDS,
) -> Recovery:
    """Wait until all are right and nothing more is written; `ended` is the fault's end in seconds since the epoch."""
    right = 0.0

    def is_over() -> bool:
        nonlocal right
        if any(fleet.astray(lab) for fleet in fleets):
            right = 0.0
            return False
        right = right or time.time()
        last = max((ended, *writes.times()))
        return time.time() - max(last, right) > CALM_SECONDS

    try:
        lab.wait_for(is_over, deadline + CALM_SECONDS, f"all to be right after: {outage}")
    except LabTimeout as error:
        error.add_note("\n".join(fleet.told_astray(lab) for fleet in fleets))
        error.add_note("\n".join(["the last writes:", *writes.told()[-10:]]))
        raise
    last = max((ended, *writes.times()))
    return Recovery(outage, right - ended, last - ended)


def _epoch(stamp: str) -> float:
    """Of a timestamp of an audit log; Vault's has nanoseconds."""
    whole, _, rest = stamp.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{rest[:6]:0<6}").replace(tzinfo=UTC).timestamp()
