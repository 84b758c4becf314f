"""`python -m bench`: measure on labs of its own what scenarios.yaml says, print the tables, record the run."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import plan, report, scenarios, trials
from bench.goals import all_met
from bench.machine import machine
from bench.plan import Form, Scenario
from bench.trial import Trial
from lab import LabError, prepare
from tests.product import ROOT

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    planned = plan.load()
    options = _options(planned)
    if options.report:
        run = trials.joined([json.loads(part.read_text(encoding="utf-8")) for part in options.report])
        report.write(run)
    else:
        try:
            prepare()
            run: dict[str, Any] = asyncio.run(_measure(planned, options))
        except LabError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
        if not options.no_record and not options.only:
            _record(run)
    print(report.terminal(run))
    if options.json:
        options.json.write_text(_text(run), encoding="utf-8")
    return 1 if run.get("failed") else 0


def _options(planned: plan.Plan) -> argparse.Namespace:
    names = [scenario.name for scenario in planned.scenarios]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="everything, several times; without it the short form"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        default=(),
        help="measure just these scenarios, and record nothing",
    )
    parser.add_argument("--trials", type=int, metavar="N", help="how often (as scenarios.yaml says)")
    parser.add_argument(
        "--set",
        nargs="+",
        type=_setting,
        default=(),
        metavar="SCENARIO.PARAMETER=VALUE",
        help="another value than scenarios.yaml has, such as storm.workloads=200; nothing is recorded then",
    )
    parser.add_argument("--no-fsync", action="store_true", help="let etcd keep its writes in memory")
    parser.add_argument("--no-record", action="store_true", help="write no file of results")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw numbers there as well")
    parser.add_argument(
        "--report",
        type=Path,
        nargs="+",
        metavar="JSON",
        help="measure nothing: write the reports anew from a recorded run, or from its parts, measured one after the other",
    )
    options = parser.parse_args()
    options.no_record = options.no_record or bool(options.set)
    return options


def _setting(text: str) -> tuple[str, str, Any]:
    """`storm.workloads=200` as scenario, parameter and value; the value is JSON or else text."""
    path, equals, value = text.partition("=")
    scenario, dot, parameter = path.partition(".")
    if not (equals and dot):
        raise argparse.ArgumentTypeError(f"{text}: write SCENARIO.PARAMETER=VALUE")
    try:
        return scenario, parameter, json.loads(value)
    except ValueError:
        return scenario, parameter, value


async def _measure(planned: plan.Plan, options: argparse.Namespace) -> dict[str, Any]:
    form = Form.FULL if options.full else Form.SHORT
    chosen = _with_settings(planned.chosen(form, options.only), form, options.set)
    start, began = machine(), time.monotonic()

    def log(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", file=sys.stderr, flush=True)

    made: list[Trial] = []
    count = options.trials or planned.trials_of(form)
    for number in range(1, count + 1):
        log(f"trial {number} of {count}")
        made.append(await scenarios.run(Trial(log, fsync=not options.no_fsync), chosen, form))
    found = [trial.found for trial in made]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "form": form.value,
        "machine": start,
        "versions": next((trial.versions for trial in made if trial.versions), {}),
        "fsync": not options.no_fsync,
        "seconds": round(time.monotonic() - began),
        "results": trials.median(found),
        "failed": {name: why for trial in made for name, why in trial.failed.items()},
        "spread": trials.by_part(found),
        "trials": found if count > 1 else [],
    }


def _with_settings(
    chosen: Sequence[Scenario], form: Form, settings: Sequence[tuple[str, str, Any]]
) -> list[Scenario]:
    """The scenarios with these parameters instead of their own."""

    def changed(scenario: Scenario) -> Scenario:
        mine = {parameter: value for name, parameter, value in settings if name == scenario.name}
        return scenario.model_copy(update={form.value: {**scenario.parameters(form), **mine}})

    return [changed(scenario) for scenario in chosen]


def _record(run: dict[str, Any]) -> None:
    """The raw numbers of both forms; RESULTS.md tells of the full one as soon as there is one, and of none that failed."""
    RESULTS.mkdir(exist_ok=True)
    latest, own = RESULTS / "latest.json", RESULTS / f"{run['form']}.json"
    recorded = json.loads(latest.read_text(encoding="utf-8")) if latest.exists() else {}
    own.write_text(_text(run), encoding="utf-8")
    verdict = "met" if all_met(run) else "NOT all met"
    if run["failed"] or (run["form"] == Form.SHORT and recorded.get("form") == Form.FULL):
        print(f"\nrecorded in {own.relative_to(ROOT)}, not in RESULTS.md; goals {verdict}\n")
        return
    latest.write_text(_text(run), encoding="utf-8")
    report.write(run)
    print(f"\nrecorded in {latest.relative_to(ROOT)} and bench/RESULTS.md; goals {verdict}\n")


def _text(run: dict[str, Any]) -> str:
    return json.dumps(run, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
