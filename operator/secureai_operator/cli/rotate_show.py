"""What `secureai rotate` says, to people and to programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secureai_operator.api.reasons import ROTATION_UNDER_WAY
from secureai_operator.cli.output import Cell, Mark, Table, Word, print_line, print_table
from secureai_operator.cli.rotate_wait import Followed, Told
from secureai_operator.cli.rotation_plan import Action, RotationPlan
from secureai_operator.cli.rotation_progress import Stage
from secureai_operator.cli.rotation_requests import Asking, Outcome

_MARKS = {
    Outcome.OPEN: Mark.PROGRESS,
    Outcome.ASKED: Mark.GOOD,
    Outcome.REPEATED: Mark.QUIET,
    Outcome.REFUSED: Mark.ERROR,
    Outcome.FAILED: Mark.ERROR,
}
_NAMED = 5


def show_plan(one: Asking, action: Action) -> None:
    """What a dry run found out about one workload or policy."""
    print_line(
        f"{one.kind} {one.namespace}/{one.name}: {action} ", Word(one.outcome.value, _MARKS[one.outcome])
    )
    if one.message:
        print_line(f"  {one.message}")
    if one.replaces:
        print_line(f"  it would take the place of request {one.replaces}, which was not acted on yet")
    if one.outcome is not Outcome.OPEN:
        return
    if one.kind == "KeyRotationPolicy":
        _show_table(one.plans)
        return
    for plan in one.plans:
        _show_steps(plan)


def _show_steps(plan: RotationPlan) -> None:
    rows: list[tuple[Cell, ...]] = [
        (
            f"  {place}.",
            step.step,
            Word("skipped", Mark.QUIET) if step.skipped else Word("", Mark.PLAIN),
            step.what,
        )
        for place, step in enumerate(plan.steps, start=1)
    ]
    print_table(Table(rows))
    for note in plan.notes:
        print_line("  ", Word("note", Mark.WARNING), f"  {note}")


def _show_table(plans: Sequence[RotationPlan]) -> None:
    """What would happen to all that a policy rules."""
    if not plans:
        print_line("  it rules no workload now: nothing would happen")
        return
    rows: list[tuple[Cell, ...]] = []
    for plan in plans:
        name = f"  {plan.namespace}/{plan.name}"
        if plan.refused:
            rows.append((name, Word("skipped", Mark.WARNING), "", "", plan.refused))
            continue
        retired = next((step for step in plan.steps if step.step == "Retired"), None)
        versions = f"v{plan.from_version} \u2192 v{plan.to_version}"
        said = "; ".join([*([retired.what] if retired else []), *plan.notes])
        rows.append((name, Word("rotates", Mark.GOOD), versions, str(plan.rewrapped), said))
    print_table(Table(rows, ("  WORKLOAD", "WOULD", "VERSIONS", "DATA KEYS", "OLD VERSIONS")))
    rotating = sum(not plan.refused for plan in plans)
    print_line(f"  {rotating} of {len(plans)} would rotate")


def show_asked(askings: Sequence[Asking], action: Action, request_id: str) -> None:
    for one in askings:
        print_line(f"{one.namespace}/{one.name}: {action} ", Word(one.outcome.value, _MARKS[one.outcome]))
        if one.message:
            print_line(f"  {one.message}")
        if one.replaces and one.outcome is Outcome.ASKED:
            print_line(f"  it takes the place of request {one.replaces}, which was not acted on yet")
    if any(one.outcome is Outcome.ASKED for one in askings):
        print_line(f"request {request_id}")


def emergency_warning(askings: Sequence[Asking]) -> str:
    names = ", ".join(f"{one.namespace}/{one.name}" for one in askings[:_NAMED])
    more = f" and {len(askings) - _NAMED} more" if len(askings) > _NAMED else ""
    notes = sorted({note for one in askings for plan in one.plans for note in plan.notes})
    whom = "it" if len(askings) == 1 else "them"
    said = f"nothing decrypts for {whom} until it is over, and the pods are restarted"
    lines = [f"Emergency rotation of {names}{more}: {said}.", *(f"Note: {note}." for note in notes)]
    return "\n".join(lines)


def silent(one: Followed, elapsed: float, new: Sequence[Stage]) -> None:
    """For programs: all is told at the end."""
    del one, elapsed, new


def teller(*, several: bool) -> Told:
    """Prints each stage as it comes, and what is in the way when that changes."""
    said: dict[tuple[str, str], str] = {}

    def tell(one: Followed, elapsed: float, new: Sequence[Stage]) -> None:
        who = f"{one.asking.namespace}/{one.asking.name} " if several else ""
        for stage in new:
            print_line(f"  {elapsed:7.1f}s  {who}", Word(stage.name, Mark.GOOD), _behind(stage.detail))
        key = (one.asking.namespace, one.asking.name)
        found = one.progress
        waits = (
            f"{found.reason}: {found.message}" if found.reason not in ("", ROTATION_UNDER_WAY.name) else ""
        )
        if waits and said.get(key) != waits and not found.done:
            print_line(f"  {elapsed:7.1f}s  {who}", Word("waits", Mark.WARNING), f"  {waits}")
        said[key] = waits

    return tell


def show_ends(followed: Sequence[Followed]) -> None:
    for one in followed:
        name = f"{one.asking.namespace}/{one.asking.name}: "
        if one.done:
            print_line(name, Word("done", Mark.GOOD), f" after {one.ended or 0:.1f}s")
            continue
        print_line(name, Word("failed" if one.progress.failed else "not done in time", Mark.ERROR))
        for label, text in why_not(one):
            print_line(f"  {label:<8} {text}")


def why_not(one: Followed) -> list[tuple[str, str]]:
    """Why a request is not done, and what to do next."""
    found = one.progress
    if one.unanswered:
        return [("message", one.unanswered), ("next", "Ask again when the API server answers.")]
    if not found.stages and not found.reason and not found.failed:
        return [
            ("message", "the operator has not acted on the request"),
            ("next", "Look whether it runs: `secureai check`."),
        ]
    told = [("reason", found.reason), ("message", found.message), ("next", found.next_step)]
    return [(label, text) for label, text in told if text]


def items(askings: Sequence[Asking], followed: Sequence[Followed], *, plans: bool) -> list[dict[str, Any]]:
    ends = {(one.asking.namespace, one.asking.name): one for one in followed}
    return [_item(one, ends.get((one.namespace, one.name)), plans=plans) for one in askings]


def _item(one: Asking, end: Followed | None, *, plans: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": one.kind,
        "namespace": one.namespace,
        "name": one.name,
        "outcome": one.outcome.name.capitalize(),
        "message": one.message,
        "replaces": one.replaces,
    }
    if plans:
        found["plans"] = [_plan(plan) for plan in one.plans]
    if end is not None:
        why = {} if end.done else dict(why_not(end))
        found |= {
            "done": end.done,
            "seconds": None if end.ended is None else round(end.ended, 3),
            "stages": [
                {"stage": stage.name, "detail": stage.detail, "seconds": round(at, 3)}
                for at, stage in end.stages
            ],
            "reason": why.get("reason", ""),
            "why": why.get("message", ""),
            "nextStep": why.get("next", ""),
        }
    return found


def _plan(plan: RotationPlan) -> dict[str, Any]:
    return {
        "namespace": plan.namespace,
        "name": plan.name,
        "refused": plan.refused,
        "fromVersion": plan.from_version,
        "toVersion": plan.to_version,
        "dataKeysRewrapped": plan.rewrapped,
        "retireAt": None if plan.retire_at is None else plan.retire_at.isoformat(),
        "steps": [{"step": one.step, "what": one.what, "skipped": one.skipped} for one in plan.steps],
        "notes": list(plan.notes),
    }


def _behind(detail: str) -> str:
    return f"  {detail}" if detail else ""
