"""What the operator sees is late, old, out of order, twice or never there, and it writes nothing wrong.

One run is one workload: a fault of its own on its frames in some watches, a deed, and what strikes whole watches meanwhile.
All of it follows from the seed. Many runs share a wave: one operator lives through them side by side.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.faults.deeds import DEEDS, Deed, nudge
from tests.faults.extent import extent
from tests.faults.stage import PATIENCE, Stage
from tests.faults.theatre import OVER_SECONDS, Run, Theatre, running_theatre
from tests.faults.watches import CHILDREN, CRS, WATCHED, Fault, Plan, Strike
from tests.faults.witness import Witness

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

SEED = 5
WANTED = extent(500, 100)
"""Runs, with which the claim stands."""
WAVES = extent(15, 3)
PER_WAVE = 34
AT_ONCE = 8
"""Deeds between two strikes."""


def planned(wave: int, number: int, chance: random.Random) -> Run:
    """The run of that number: deeds in turn, everything else by chance."""
    deed = DEEDS[number % len(DEEDS)]
    fault = chance.choice([fault for fault in Fault if fault is not Fault.NONE])
    streams = chance.choice([{CRS}, set(CHILDREN), set(WATCHED), {CRS, chance.choice(CHILDREN)}])
    nudged = may_be_nudged(deed) and chance.random() < 0.5
    return Run(f"stale{wave:02}-{number:04}", deed, nudged, Plan(fault, frozenset(streams)))


@pytest.fixture
def theatre(stage: Stage) -> Iterator[Theatre]:
    with running_theatre(stage, SEED) as running:
        yield running


def strikes(chance: random.Random) -> Iterator[tuple[str, Strike]]:
    """Some watch, and what happens to it, without end: each strike as often as any other, in any order.

    One that Kopf does not survive ends the operator, which is another test's.
    """
    while True:
        for one in chance.sample([*Strike], len(Strike)):
            yield chance.choice(CHILDREN if one is Strike.REFUSE else WATCHED), one


def perform(theatre: Theatre, runs: Sequence[Run], chance: random.Random | None) -> None:
    """All deeds of a wave, and with `chance` the faults."""
    stage = theatre.stage
    struck_next = strikes(chance) if chance is not None else iter(())
    with ThreadPoolExecutor(len(runs)) as pool:
        waiting = []
        for start in range(0, len(runs), AT_ONCE):
            waiting += [pool.submit(run.deed.do, stage, run.name) for run in runs[start : start + AT_ONCE]]
            if chance is not None:
                theatre.call(next(struck_next))
        if chance is not None:
            theatre.wait_window()
            theatre.call(*((plural, Strike.OLD_LIST) for plural in chance.sample(WATCHED, 2)))
        for run in runs:
            if run.nudged:
                nudge(stage, run.name)
        if chance is not None:
            theatre.wait_window()
            stage.proxies.call(theatre.views.release)
            theatre.call(*((plural, Strike.OLD_LIST) for plural in chance.sample(WATCHED, 1)))
        for future in waiting:
            future.result(OVER_SECONDS)
    if chance is not None:
        # What was lost may be lost at the end too: nothing tells of it but a list.
        theatre.call(*((plural, Strike.EXPIRE) for plural in WATCHED))
    theatre.wait_over(runs)


def test_no_write_is_wrong_whatever_the_operator_sees(theatre: Theatre) -> None:
    learn(theatre)
    chance = random.Random(SEED)  # noqa: S311 - what strikes is no secret
    assert WAVES * PER_WAVE >= WANTED
    numbers = itertools.count()
    for wave in range(WAVES):
        runs = [planned(wave, number, chance) for number in itertools.islice(numbers, PER_WAVE)]
        wrong = struck(theatre, runs, chance)
        assert not wrong, "\n".join(wrong)
        theatre.end(runs)
    assert theatre.ledger.unconditional_deletions() == []
    missed = [one for one, count in theatre.views.hits.items() if not count and one is not Fault.NONE]
    assert missed == []


def learn(theatre: Theatre) -> None:
    """Every deed once without faults: it is by these that the others are judged, so they are judged as well."""
    kinds = [
        (deed, nudged) for deed in DEEDS for nudged in (False, True) if not nudged or may_be_nudged(deed)
    ]
    runs = [Run(f"clean-{number:04}", deed, nudged, Plan()) for number, (deed, nudged) in enumerate(kinds)]
    theatre.prepare(runs)
    witness = Witness(theatre.stage)
    perform(theatre, runs, None)
    theatre.learn(runs)
    witness.look()
    wrong = [f"{run}: {what}" for run in runs for what in witness.wrongs(run.name, run.deed)]
    assert not wrong, "\n".join(wrong)
    theatre.end(runs)


def may_be_nudged(deed: Deed) -> bool:
    return deed.before and deed.lives and deed.same_uid


def struck(theatre: Theatre, runs: Sequence[Run], chance: random.Random) -> list[str]:
    """Everything that went wrong in a wave, in words."""
    stage = theatre.stage
    theatre.prepare(runs)
    record_lists(theatre)
    witness = Witness(stage)
    stage.proxies.call(partial(theatre.views.plan, {run.name: run.plan for run in runs}))
    perform(theatre, runs, chance)
    differing = theatre.settled(runs)
    witness.look()
    wrong = [f"{run}: {what}" for run in runs for what in witness.wrongs(run.name, run.deed)]
    wrong += [
        f"{run}: other than without a fault: {what}" for run, found in differing.items() for what in found
    ]
    return wrong + theatre.untrue(runs) + unrest(theatre)


def record_lists(theatre: Theatre) -> None:
    """Lists of how it was before: all watches expire, and what is listed then is kept."""
    theatre.stage.proxies.call(theatre.views.record)
    theatre.call(*((plural, Strike.EXPIRE) for plural in WATCHED))
    theatre.stage.lab.wait_for(lambda: theatre.views.recorded >= set(WATCHED), PATIENCE, "the lists")


def unrest(theatre: Theatre) -> list[str]:
    """What is written although all is well and nothing happens but that everything is listed once more."""
    quiet = Witness(theatre.stage)
    theatre.call(*((plural, Strike.EXPIRE) for plural in WATCHED))
    theatre.wait_window()
    return [f"written at rest: {what}, {count} times" for what, count in quiet.writes().items()]
