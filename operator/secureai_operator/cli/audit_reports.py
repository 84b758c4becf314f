"""What is still to be told to which workload, and when. Pure: no clock and no I/O of its own."""

from __future__ import annotations

from dataclasses import dataclass

from secureai_operator.core.rotation.audit import NEEDS_OLD, Refusal, Use

EVERY = 60.0
"""Seconds between two reports to one workload: each is a write to the API server, and says no more than the first."""
RETRY = 2.0
"""Seconds until a report that could not be told is tried again, doubled each time up to EVERY."""

Workload = tuple[str, str]


@dataclass(slots=True)
class Report:
    """Decrypts of one workload that Vault refused since it was last told."""

    workload: Workload
    value: str
    """Of the annotation: when, and the id under which the log has it, of the first of them."""
    count: int
    not_before: float
    failures: int = 0


def is_missed(use: Use, *, batches: bool) -> bool:
    """Whether the request needed a version that may have retired.

    Of a batch the log does not say why, and a retirement that was rolled back for nothing harms nobody.
    """
    refused = {Refusal.TOO_OLD, Refusal.IN_BATCH} if batches else {Refusal.TOO_OLD}
    return use.operation in NEEDS_OLD and use.refusal in refused


class Reports:
    """The reports that are due: the first at once, the next to the same workload a minute later at the earliest.

    One that could not be told stays, with its first value: the operator acts on each value once.
    """

    def __init__(self) -> None:
        self._waiting: dict[Workload, Report] = {}
        self._quiet_until: dict[Workload, float] = {}

    @property
    def are_told(self) -> bool:
        """Whether nothing is left to tell: what was read so far need not be read again."""
        return not self._waiting

    def add(self, use: Use, now: float) -> None:
        waiting = self._waiting.get(use.workload)
        if waiting is not None:
            waiting.count += 1
            return
        not_before = self._quiet_until.get(use.workload, now)
        self._waiting[use.workload] = Report(use.workload, f"{use.at}/{use.request_id}", 1, not_before)

    def due(self, now: float) -> list[Report]:
        self._quiet_until = {of: until for of, until in self._quiet_until.items() if until > now}
        return [report for report in self._waiting.values() if report.not_before <= now]

    def told(self, report: Report, now: float) -> None:
        """It was told, or there is nobody to tell it to."""
        del self._waiting[report.workload]
        self._quiet_until[report.workload] = now + EVERY

    def failed(self, report: Report, now: float) -> None:
        report.not_before = now + min(RETRY * 2.0**report.failures, EVERY)
        report.failures = min(report.failures + 1, 8)
