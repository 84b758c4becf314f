"""`secureai why NAME`: the first cause of not being Ready, and the next step."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from secureai_operator.api.condition_types import ConditionType as C
from secureai_operator.api.reasons import REASONS, SUSPENDED, TERMINATING, WAITING, Severity
from secureai_operator.cli import client
from secureai_operator.cli.exits import NO, OK
from secureai_operator.cli.operator_lease import Leadership, leadership
from secureai_operator.cli.output import Mark, Word, print_json, print_line, utc_now
from secureai_operator.cli.workloads import ConditionView, WorkloadView, view

_RANK = {
    Severity.SECURITY: 0,
    Severity.ERROR: 0,
    Severity.WARNING: 1,
    Severity.PROGRESS: 2,
    Severity.GOOD: 3,
}
_UNKNOWN_REASON = 1
_WAITING = 4


@dataclass(frozen=True)
class Diagnosis:
    """Why a workload is as it is: the first cause, in words, and what a person does about it."""

    ready: bool
    reason: str
    condition: str
    message: str
    meaning: str = ""
    cause: str = ""
    next_step: str = ""
    also: tuple[str, ...] = ()
    """Other conditions that do not hold; most of them follow from the first."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "why",
        help="why a workload is not Ready, and what to do next",
        description="Names the first cause of a SecureAIWorkload not being Ready, and the next step.",
        epilog="exit codes: 0 Ready, 1 not Ready, 2 wrong usage, 3 no answer",
    )
    client.add_name(parser)
    client.add_cluster_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    with client.connected(arguments) as cluster:
        workload = view(client.find_workload(cluster, arguments.name))
        leader = Leadership(None, "") if workload.ready else leadership(cluster.kube, utc_now())
    found = diagnose(workload, leader)
    if arguments.output == "json":
        print_json(asdict(found))
    else:
        show(workload, found)
    return OK if found.ready else NO


def diagnose(workload: WorkloadView, leader: Leadership) -> Diagnosis:
    """The first cause, by the order in which causes have effects: no operator, then a stop, then Vault, then the rest."""
    failing = sorted(
        (one for one in workload.conditions if not one.holds and workload.gates(one.type)), key=_rank
    )
    if workload.ready:
        return _good(workload)
    if leader.running is False:
        return _no_operator(leader, failing)
    if workload.deleting:
        return _terminating(workload, failing)
    if not workload.seen:
        return _unseen(workload, leader)
    ready = workload.condition(C.READY)
    # What nothing else explains (suspended, say) is told by Ready itself.
    first = ready if ready is not None and ready.reason == SUSPENDED.name else next(iter(failing), ready)
    if first is None:
        return _unseen(workload, leader)
    return _of(first, tuple(f"{one.type}: {one.reason}" for one in failing if one is not first))


def _rank(one: ConditionView) -> tuple[int, int]:
    if one.reason == WAITING.name:
        severity = _WAITING
    else:
        severity = _UNKNOWN_REASON if one.known is None else _RANK[one.known.severity]
    return severity, _ORDER.get(one.type, len(_ORDER))


_FIRST = (C.STALLED, C.VAULT_REACHABLE)
_ORDER: Mapping[str, int] = {
    kind.value: place for place, kind in enumerate((*_FIRST, *(kind for kind in C if kind not in _FIRST)))
}


def _good(workload: WorkloadView) -> Diagnosis:
    """Ready; what is not perfect for all that is still worth a line."""
    notes = tuple(
        f"{one.type} {one.reason}: {one.known.next_step}"
        for one in workload.conditions
        if one.known is not None and one.known.severity not in (Severity.GOOD, Severity.PROGRESS)
    )
    return Diagnosis(True, "AllReady", C.READY.value, "everything declared is in place", also=notes)


def _of(one: ConditionView, also: tuple[str, ...]) -> Diagnosis:
    known = REASONS.get(one.reason)
    if known is None:
        return Diagnosis(
            False, one.reason, one.type, one.message, "A reason that this version does not know.", also=also
        )
    return Diagnosis(
        False, one.reason, one.type, one.message, known.meaning, known.cause, known.next_step, also
    )


def _no_operator(leader: Leadership, failing: list[ConditionView]) -> Diagnosis:
    return Diagnosis(
        False,
        "OperatorNotRunning",
        "",
        leader.text,
        "No operator is at work, so nothing changes and nothing heals.",
        "Its Deployment has no running pod, or it cannot reach the API server.",
        "Look at the operator: kubectl -n secureai-system get pods; then run `secureai check`.",
        tuple(f"{one.type}: {one.reason} (as last seen)" for one in failing),
    )


def _terminating(workload: WorkloadView, failing: list[ConditionView]) -> Diagnosis:
    vault = workload.condition(C.VAULT_REACHABLE)
    if vault is not None and not vault.holds:
        return _of(vault, (f"{C.READY.value}: {TERMINATING.name}",))
    ready = workload.condition(C.READY)
    message = ready.message if ready is not None and ready.reason == TERMINATING.name else ""
    return Diagnosis(
        False,
        TERMINATING.name,
        C.READY.value,
        message,
        TERMINATING.meaning,
        TERMINATING.cause,
        TERMINATING.next_step,
        tuple(f"{one.type}: {one.reason}" for one in failing),
    )


def _unseen(workload: WorkloadView, leader: Leadership) -> Diagnosis:
    return Diagnosis(
        False,
        "NotYetSeen",
        "",
        f"the status speaks of generation {workload.observed_generation}, the spec is {workload.generation}",
        "The operator has not yet looked at the spec as it is now.",
        leader.text or "The change is very new, or no operator runs.",
        "Wait a second and ask again; if it stays so, run `secureai check`.",
    )


def show(workload: WorkloadView, found: Diagnosis) -> None:
    if found.ready:
        print_line(f"{workload.namespace}/{workload.name} is ", Word("Ready", Mark.GOOD))
        for note in found.also:
            print_line("  note: ", note)
        return
    print_line(
        f"{workload.namespace}/{workload.name} is ",
        Word("not Ready", Mark.ERROR),
        f": {found.reason}",
        f" ({found.condition})" if found.condition else "",
    )
    for label, text in (
        ("message", found.message),
        ("meaning", found.meaning),
        ("cause", found.cause),
    ):
        if text:
            print_line(f"  {label:<8} {text}")
    if found.next_step:
        print_line("  ", Word("next", Mark.GOOD), f"     {found.next_step}")
    if found.also:
        print_line("  also     ", "; ".join(found.also))
