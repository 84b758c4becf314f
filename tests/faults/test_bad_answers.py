"""One request of a creation or of a rotation is answered badly, on either side of the server's work: the end is the same.

A seeded sample of all points and answers; where the operator dies at every single request is the crash sweep's matter.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping
from functools import partial

import pytest

from lab import LabTimeout
from tests.faults.answers import Answers, Bad, Hit
from tests.faults.deeds import is_ready
from tests.faults.rotations import BOTH, KEYS, is_rotate, key_rotations
from tests.faults.stage import Stage
from tests.faults.sweep import Sweep, differences
from tests.faults.theatre import LEASE_SECONDS, OVER_SECONDS
from tests.faults.trap import Point, Side

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

SEED = 7
POINTS = 3
"""Of each answer on each side."""


@pytest.fixture
def answering(stage: Stage) -> Iterator[Answers]:
    stage.stop()
    answers = Answers(stage.trap)
    stage.kubernetes.rule = stage.vault.rule = answers
    stage.start(leaseSeconds=LEASE_SECONDS)
    yield answers
    stage.kubernetes.rule = stage.vault.rule = stage.trap


def sample(sweep: Sweep) -> list[Hit]:
    """For each answer and side some requests; a rotation that may be under way is another test's: it is waited for."""
    chance = random.Random(SEED)  # noqa: S311 - which points are tried is no secret
    numbers = range(1, len(sweep.requests) + 1)
    hits = []
    for bad in Bad:
        for side in BOTH:
            fit = [
                number
                for number in numbers
                if side is Side.AFTER or not is_rotate(sweep.requests[number - 1])
            ]
            hits += [Hit(Point(number, side), bad) for number in chance.sample(fit, POINTS)]
    return hits


def assert_same_end(stage: Stage, sweep: Sweep, answers: Answers, hits: Mapping[str, Hit]) -> None:
    def differing() -> list[str]:
        return [
            f"{name}, {hits[name]} at {answers.struck.get(name)}: {what}"
            for name in hits
            for what in (
                *differences(sweep.clean, stage.end_state(name)),
                *(f"data key {entry} is another" for entry in stage.changed_data_keys(name)),
            )
        ]

    sweep.wait_over(hits)
    stage.wait_quiet(hits)
    with contextlib.suppress(LabTimeout):
        stage.lab.wait_for(lambda: not differing(), OVER_SECONDS, "the same end")
    assert differing() == []
    assert stage.is_running


def test_a_creation_ends_the_same_whatever_one_answer_is(stage: Stage, answering: Answers) -> None:
    def create(name: str) -> None:
        stage.workloads.create(stage.namespace, name, keys=KEYS)

    sweep = Sweep(stage, "made", {}, create, is_ready, make=lambda _: None)
    sweep.run_clean()
    hits = sample(sweep)
    named = {f"bad-{number:04}": hit for number, hit in enumerate(hits)}
    stage.proxies.call(partial(answering.plan, named))
    for name in named:
        create(name)
    assert_same_end(stage, sweep, answering, named)
    assert len(answering.struck) > len(named) * 3 // 4


def test_a_rotation_ends_the_same_whatever_one_answer_is(stage: Stage, answering: Answers) -> None:
    sweep = key_rotations(stage, "turned")
    hits = sample(sweep)
    named = {f"bad-{number:04}": hit for number, hit in enumerate(hits)}
    stage.make(named, lambda _: None, keys=KEYS)
    stage.proxies.call(partial(answering.plan, named))
    for name in named:
        sweep.ask(name)
    assert_same_end(stage, sweep, answering, named)
    assert len(answering.struck) > len(named) * 3 // 4
