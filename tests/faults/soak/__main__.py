"""`python -m tests.faults.soak --minutes 60 --seed 1`: random faults and changes on a lab of its own, and what they leave."""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from bench.machine import machine, versions
from lab import Lab, LabError, prepare, start_lab
from tests.faults.soak import report
from tests.faults.soak.preparing import prepared
from tests.faults.soak.run import Plan, Soak


def main() -> int:
    options = _options()
    if options.report:
        report.rewrite()
        return 0
    plan = Plan(options.minutes, options.seed, options.workloads, changes_per_second=options.rate)
    try:
        prepare()
        at_start = machine()
        with start_lab(keep=options.keep) as lab:
            _say(f"the lab is at {lab.directory}")
            run = _run(lab, plan, at_start)
    except LabError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    for what, goal, found, holds in report.verdicts(run):
        print(f"{what:<55} {goal:>10}  {found:<24} {'met' if holds else 'NOT MET'}")
    if not options.no_record:
        report.write(run)
    return 0 if all(holds for *_, holds in report.verdicts(run)) else 1


def _run(lab: Lab, plan: Plan, at_start: report.Json) -> report.Json:
    with prepared(lab, plan, _say) as soak:
        error = _until_its_end(soak)
        return report.outcome(soak, at_start, dict(versions(lab)), error)


def _until_its_end(soak: Soak) -> str:
    """Run it; an error of the harness is told, and what was found until then is still worth keeping."""
    try:
        soak.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, an hour of findings is not to be lost
        traceback.print_exc()
        return f"{type(error).__name__}: {str(error)[:300]}"
    return ""


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of faults and changes (60)")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is random (1)")
    parser.add_argument("--workloads", type=int, default=100, metavar="N", help="at any time (100)")
    parser.add_argument("--rate", type=float, default=1.5, metavar="N", help="changes per second (1.5)")
    parser.add_argument("--keep", action="store_true", help="leave the lab's directory with all logs behind")
    parser.add_argument("--report", action="store_true", help="write RESULTS.md anew from the recorded run")
    parser.add_argument("--no-record", action="store_true", help="write no file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
