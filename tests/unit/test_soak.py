"""The soak's own judgement: what it takes for growth, for an unexplained line, and for a wrong workload."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from tests.faults.soak.faults import CUT_KUBERNETES, FREEZE, KILL, KINDS, SHORT, SIGNALS, TERMINATE, Chooser
from tests.faults.soak.fleet import Wanted, new_spec
from tests.faults.soak.judging import judge
from tests.faults.soak.report import verdicts
from tests.faults.soak.rightness import is_alarm, is_at_rest, wrongs_of
from tests.faults.soak.sampling import slope_per_hour
from tests.faults.soak.seats import Seat

Json = dict[str, Any]


def samples(*mib: float, age: float = 300.0) -> list[Json]:
    """One a minute."""
    return [
        {"at": 60.0 * number, "age": age + 60.0 * number, "rssMiB": one} for number, one in enumerate(mib)
    ]


def test_a_slope_is_per_hour() -> None:
    assert slope_per_hour(samples(*(80 + number / 60 for number in range(30))), "rssMiB") == pytest.approx(
        1.0
    )
    assert slope_per_hour(samples(*[80.0] * 30), "rssMiB") == 0


def test_a_process_that_warms_up_has_no_slope_yet() -> None:
    assert slope_per_hour(samples(60, 70, 80, 90, age=0.0), "rssMiB") is None
    growing_first = samples(10, 20, 30, 40, 50, *[60.0] * 10, age=0.0)
    assert slope_per_hour(growing_first, "rssMiB") == 0


def line(at: float, level: str, message: str) -> str:
    time = datetime.fromtimestamp(at, UTC).isoformat()
    return json.dumps({"time": time, "level": level, "logger": "x", "message": message})


def test_only_what_is_said_near_a_fault_is_explained_by_it(tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    lines = [
        line(1000, "warning", "far"),
        line(1105, "warning", "near"),
        line(1105, "error", "near and grave"),
        line(1000, "error", "GET http://127.0.0.1:1/x #4/6 failed"),
        "Traceback (most recent call last):",
        line(1000, "info", "fine"),
    ]
    log.write_text("\n".join(lines))
    found = judge([log], [(1100.0, 1110.0)])
    assert found == {
        "notJson": {"Traceback (most recent call last):": 1},
        "errors": {"x · GET * #* failed": 1},
        "warnings": {"x · far": 1},
        "errorsOfFaults": {"x · near and grave": 1},
        "warningsOfFaults": {"x · near": 1},
    }


class _Seat:
    """As much of a seat as a choice looks at."""

    def __init__(self, name: str, state: str) -> None:
        self.name, self.state = name, state


@pytest.mark.parametrize("seed", range(20))
def test_nothing_ends_the_steady_leader(seed: int) -> None:
    seats = cast("tuple[Seat, Seat]", (_Seat("a", "leading"), _Seat("b", "standby")))
    chooser = Chooser(random.Random(seed))  # noqa: S311 - no secret
    chosen = [chooser.next(seats, steady=True) for _ in KINDS]
    assert {fault.kind for fault in chosen} == set(KINDS)
    for fault in chosen:
        assert fault.kind not in (KILL, TERMINATE) or fault.seat == "b"
        assert fault.kind not in (FREEZE, CUT_KUBERNETES) or fault.seat == "b" or fault.seconds <= SHORT[1]


def test_leaders_are_killed_while_nothing_is_steady() -> None:
    seats = cast("tuple[Seat, Seat]", (_Seat("a", "standby"), _Seat("b", "leading")))
    chooser = Chooser(random.Random(1))  # noqa: S311 - no secret
    chosen = [chooser.next(seats, steady=False) for _ in range(10 * len(KINDS))]
    struck = [fault.leader for fault in chosen if fault.kind in SIGNALS]
    assert 0 < struck.count(False) < struck.count(True)


def workload(**status: Any) -> Json:
    ready = {"type": "Ready", "status": "True", "reason": "AllReady", "observedGeneration": 2}
    return {
        "metadata": {"generation": 2},
        "status": {"observedGeneration": 2, "conditions": [ready], **status},
    }


WANTED = Wanted("soak-a", "w1", new_spec(random.Random(1), audited=False), "often")  # noqa: S311 - no secret


def test_a_workload_that_is_ready_and_has_nothing_under_way_is_right() -> None:
    assert list(wrongs_of(WANTED, workload())) == []


@pytest.mark.parametrize(
    "status",
    [
        {"conditions": [{"type": "Ready", "status": "False", "reason": "KeyLost"}]},
        {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]},
        {"observedGeneration": 1},
        {"rotation": {"phase": "Planned"}},
        {"rotation": {"requestId": "of-nobody"}},
        {"emergency": {"requestId": "", "steps": []}},
        {"dataKeyRotation": {"requestId": ""}},
    ],
)
def test_anything_else_is_wrong(status: Json) -> None:
    assert list(wrongs_of(WANTED, workload(**status))) != []


def test_a_loss_that_was_told_of_is_an_alarm() -> None:
    lost = {"type": "Ready", "status": "False", "reason": "DataKeyLost", "message": "gone"}
    waiting = {"type": "Ready", "status": "False", "reason": "VaultSealed", "message": "sealed"}
    assert is_alarm("; ".join(wrongs_of(WANTED, workload(conditions=[lost]))))
    assert not is_alarm("; ".join(wrongs_of(WANTED, workload(conditions=[waiting]))))


def test_a_workload_is_asked_again_only_once_it_is_done() -> None:
    asked = Wanted("soak-a", "w1", {}, "often", asked={"secureai.dev/rotate": "one"})
    assert not is_at_rest(asked, workload())
    assert is_at_rest(asked, workload(rotation={"requestId": "one", "phase": "Observing"}))


def run(**changes: Any) -> Json:
    """A run as it should be, but for the changes."""
    rest = {"workloads": 100, "tasks": 80, "files": 40, "threads": 12, "rssMiB": 90.0}
    steady = {
        "seat": "a",
        "minutes": 60.0,
        "cause": "the end of the run",
        "led": True,
        "slopeMiBPerHour": 0.4,
    }
    good: Json = {
        "stillStuck": 0,
        "stuck": [],
        "losses": [],
        "alarms": [],
        "leaks": {"warm": rest, "end": rest},
        "processes": [steady],
        "stable": {"isStable": True, "afterSeconds": 3.0},
        "logs": {"notJson": {}, "errors": {}},
    }
    return {**good, **changes}


def failed(run: Json) -> list[str]:
    return [what for what, _, _, holds in verdicts(run) if not holds]


def test_a_run_as_it_should_be_meets_every_goal() -> None:
    assert failed(run()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"stillStuck": 1},
        {"stuck": [{"after": "SIGKILL", "rightAgainAt": 7}]},
        {"losses": ["soak-a/w1: data key model does not decrypt"]},
        {"alarms": ["soak-a/w1: Ready=False DataKeyLost: gone"]},
        {"leaks": {"warm": {"tasks": 80, "files": 40}, "end": {"tasks": 84, "files": 40}}},
        {"leaks": {"warm": {"tasks": 80, "files": 40}, "end": {"tasks": 80, "files": 46}}},
        {"stable": {"isStable": False}},
        {"logs": {"notJson": {"Traceback": 1}, "errors": {}}},
        {"logs": {"notJson": {}, "errors": {"x": 1}}},
        {"processes": [{"cause": "", "led": True, "minutes": 60, "slopeMiBPerHour": 1.2}]},
        {"processes": [{"cause": "", "led": True, "minutes": 60, "slopeMiBPerHour": None}]},
        {"processes": [*run()["processes"], {"cause": "by itself", "led": False, "minutes": 1}]},
    ],
)
def test_each_finding_fails_one_goal(changes: Json) -> None:
    assert len(failed(run(**changes))) == 1


def test_a_run_that_was_not_finished_meets_no_goal_that_it_did_not_reach() -> None:
    assert len(failed(run(leaks={}, stable={}))) == 3
