"""Places: so many at once, so many per second, first come first served, and nobody is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from secureai_operator.api.rotation import Limits
from secureai_operator.controllers.places import Places

POLICY, OTHER = ("team-a", "weekly"), ("team-a", "daily")
FLEET = [("team-a", f"w{number}") for number in range(8)]


@dataclass
class World:
    now: float = 0.0
    woken: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places = Places(self.woken.append, lambda: self.now)


def limits(concurrent: int = 2, rate: int = 1000) -> Limits:
    return Limits(max_concurrent=concurrent, per_second=rate)


def spaced(world: World, workload: tuple[str, str], bounds: Limits) -> float | None:
    world.now += 1
    return world.places.take(POLICY, workload, bounds)


def test_no_more_than_so_many_hold_a_place() -> None:
    world = World()
    assert [spaced(world, one, limits()) for one in FLEET[:3]] == [0.0, 0.0, None]
    assert world.places.held(POLICY) == 2


def test_who_holds_a_place_keeps_it_however_often_it_asks() -> None:
    world = World()
    assert [spaced(world, FLEET[0], limits(1)) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert spaced(world, FLEET[1], limits(1)) is None


def test_a_place_that_is_free_again_goes_to_the_first_that_waits() -> None:
    world = World()
    for one in FLEET[:4]:
        spaced(world, one, limits(1))
    world.places.release(FLEET[0])
    assert world.woken == [FLEET[1]]
    assert spaced(world, FLEET[1], limits(1)) == 0.0


def test_who_is_woken_and_does_not_want_it_any_more_passes_it_on() -> None:
    world = World()
    for one in FLEET[:3]:
        spaced(world, one, limits(1))
    world.places.release(FLEET[0])
    world.places.release(FLEET[1])
    assert world.woken == [FLEET[1], FLEET[2]]


def test_starts_are_apart_and_each_keeps_its_turn() -> None:
    world = World()
    bounds = limits(8, rate=2)
    waits = [world.places.take(POLICY, one, bounds) for one in FLEET[:4]]
    assert waits == [0.0, 0.5, 1.0, 1.5]
    world.now = 0.5
    # Asking again before its time costs nobody's turn.
    assert world.places.take(POLICY, FLEET[3], bounds) == 1.0
    assert world.places.take(POLICY, FLEET[1], bounds) == 0.0


def test_what_a_former_process_left_under_way_has_its_place_and_counts() -> None:
    world = World()
    world.places.resume(POLICY, FLEET[0])
    assert spaced(world, FLEET[1], limits(1)) is None
    world.places.release(FLEET[0])
    assert world.woken == [FLEET[1]]


def test_policies_have_places_of_their_own() -> None:
    world = World()
    assert spaced(world, FLEET[0], limits(1)) == 0.0
    assert world.places.take(OTHER, FLEET[1], limits(1)) == 0.0


def test_a_policy_that_changed_lets_those_that_wait_ask_again() -> None:
    world = World()
    for one in FLEET[:3]:
        spaced(world, one, limits(1))
    world.places.forget_policy(POLICY)
    assert world.woken == FLEET[1:3]
    assert spaced(world, FLEET[1], limits(2)) == 0.0


@given(st.lists(st.integers(0, 7), max_size=20))
@settings(max_examples=50)
def test_a_workload_that_is_gone_leaves_nothing_behind(order: list[int]) -> None:
    world = World()
    for place in order:
        spaced(world, FLEET[place], limits(2))
    for one in FLEET:
        world.places.forget(one)
    world.places.forget_policy(POLICY)
    assert world.places._policies == {}
    assert world.places._place_of == {}
    assert world.places._woken == {}


class Crowd(RuleBasedStateMachine):
    """Workloads that come, rotate, lose interest and go, in any order: no place is lost, and nobody waits beside a free one."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.wants: set[tuple[str, str]] = set()
        self.bounds = limits(2, rate=1000)

    def come(self, one: tuple[str, str]) -> None:
        self.world.now += 1
        if self.world.places.take(POLICY, one, self.bounds) == 0.0:
            self.wants.discard(one)

    def answer_all(self) -> None:
        while self.world.woken:
            one = self.world.woken.pop(0)
            if one in self.wants:
                self.come(one)
            else:
                self.world.places.release(one)

    @rule(place=st.integers(0, 7))
    def one_is_due(self, place: int) -> None:
        one = FLEET[place]
        if self.world.places._place_of.get(one) is None:
            self.wants.add(one)
            self.come(one)
        self.answer_all()

    @rule(place=st.integers(0, 7))
    def one_is_over_or_not_due_any_more(self, place: int) -> None:
        self.wants.discard(FLEET[place])
        self.world.places.release(FLEET[place])
        self.answer_all()

    @rule(place=st.integers(0, 7))
    def one_is_gone(self, place: int) -> None:
        self.wants.discard(FLEET[place])
        self.world.places.forget(FLEET[place])
        self.answer_all()

    @invariant()
    def never_too_many(self) -> None:
        assert self.world.places.held(POLICY) <= 2

    @invariant()
    def nobody_waits_beside_a_free_place(self) -> None:
        if self.world.places.held(POLICY) < 2:
            assert not self.wants


TestCrowd = Crowd.TestCase
