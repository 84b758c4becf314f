"""A fault at every request of something that was asked for: all workloads stand at their points, then it strikes once.

One crash tries as many points as there are workloads: each was stopped as if the operator had died for it alone.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lab import LabTimeout
from tests.faults.proxy import Seen
from tests.faults.stage import PATIENCE, QUIET_SECONDS, Stage
from tests.faults.trap import Kind, Point, Side, of_a_pass

AT_ONCE = 20
"""Workloads in one round: the operator has 24 routine requests in flight to the API server, and renews its Lease by one."""
DONE_SECONDS = 60.0
"""On a machine that is busy with other things; seconds on a quiet one."""

Json = dict[str, Any]

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=/replicasets/NAME-)[a-z0-9]+")


@dataclass(slots=True)
class Sweep:
    """What is asked of each workload, when it is over, and what it leaves without any fault."""

    stage: Stage
    prefix: str
    spec: Json
    ask: Callable[[str], None]
    is_over: Callable[[Json], bool]
    also: Callable[[str], Iterable[str]] = lambda _: ()
    """By what else than its name the workload's requests are known."""
    prepare: Callable[[Collection[str]], None] = lambda _: None
    """What is done with new workloads before anything is asked of them."""
    make: Callable[[Collection[str]], None] | None = None
    """What there is before anything is asked, where that is not a Ready workload for each name."""
    kind: Kind = of_a_pass
    is_certain: Callable[[Seen], bool] = lambda _: True
    """Whether every run sends the request."""
    keeps_data_keys: bool = True
    at_once: int = AT_ONCE
    clean_name: str = ""
    requests: tuple[Seen, ...] = ()
    clean: Json = field(default_factory=dict)
    """The end state of a run without faults, and of every other run too."""
    told: frozenset[str] = frozenset()
    """The events of that run. A crash may take some of them away, and adds none: nothing half done is anybody's drift."""
    _struck: set[tuple[Side, str]] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def run_clean(self) -> None:
        """Once without a fault: learn what is sent, and what is there at the end."""
        (name,) = self._new(1)
        self.clean_name = name
        self.stage.trap.watch(name, also=self.also(name), kind=self.kind)
        self.ask(name)
        self.wait_over([name])
        self.stage.lab.wait_for(lambda: self.stage.trap.quiet_for() > QUIET_SECONDS, PATIENCE, "quiet")
        # A rollout may have begun meanwhile, of which the end is not to be a part.
        self.wait_over([name])
        self.requests = tuple(self.stage.trap.sent(name))
        self.stage.proxies.call(self.stage.trap.let_go)
        self.clean = self.stage.end_state(name)
        self.told = frozenset(self.stage.told(name))

    def points(self, *sides: Side) -> list[Point]:
        """Every request, on these sides; and one more, for a status that is written again as a watch comes late.

        For the same reason a run may have a request less: its workload is over then, and stands nowhere. Each is known by
        what it asks, and not by its place: those that are sent side by side arrive in any order.
        """
        met: Counter[str] = Counter()
        found = []
        for seen in self.requests:
            what = _what(seen, self.clean_name)
            met[what] += 1
            found += [Point(met[what], side, what) for side in sides]
        return [*found, *(Point(len(self.requests) + 1, side) for side in sides)]

    def rounds(self, points: Sequence[Point]) -> Iterator[Mapping[str, Point]]:
        """Workloads that are Ready, one for each point, as many at once as may stand."""
        # Neighbours apart: those of a wave of requests hold the whole of it, and each of these takes a place.
        count = -(-len(points) // self.at_once)
        for number in range(count):
            chosen = points[number::count]
            yield dict(zip(self._new(len(chosen)), chosen, strict=True))

    def bring(self, points: Mapping[str, Point]) -> None:
        """Ask for it, and return when every workload stands at its point, or is over where there need be no such request."""
        self.watch(points)
        for name in points:
            self.ask(name)
        self.wait_standing_or_over(points)
        for name, point in points.items():
            if self.stage.trap.has_reached(name):
                self._struck.add((point.side, _what(self.stage.trap.sent(name)[-1], name)))

    def watch(self, points: Mapping[str, Point]) -> None:
        for name, point in points.items():
            meant = partial(_is_meant, point, name)
            self.stage.trap.watch(name, point, also=self.also(name), kind=self.kind, meant=meant)

    def wait_standing_or_over(self, points: Mapping[str, Point]) -> None:
        """Until each workload stands at its point, or has come to the end before it.

        One that is over may still have its last requests before it, or their answers: then some more time is quiet.
        """

        def moving() -> list[str]:
            left = [name for name in points if not self.stage.trap.has_reached(name)]
            if not left:
                return []
            listed = self.stage.listed()
            going = [name for name in left if not self.is_over(listed.get(name, {}))]
            return going or (left if self.stage.trap.quiet_for() <= QUIET_SECONDS else [])

        try:
            self.stage.lab.wait_for(lambda: not moving(), DONE_SECONDS, "all to stand at their points")
        except LabTimeout as error:
            error.add_note("\n".join(f"{name} moves, for {self._at(points[name])}" for name in moving()))
            raise

    def arrived(self, points: Mapping[str, Point]) -> dict[str, list[Seen]]:
        """What the servers have heard of each workload."""
        found = {}
        for name, point in points.items():
            sent = self.stage.trap.sent(name)
            held = point.side is Side.BEFORE and self.stage.trap.has_reached(name)
            found[name] = sent[:-1] if held else sent
        return found

    def wait_over(self, wanted: Collection[str]) -> None:
        def left(name: str) -> bool:
            return not self.is_over(listed.get(name, {}))

        listed: dict[str, Json] = {}

        def look() -> bool:
            listed.clear()
            listed.update(self.stage.listed())
            return not any(map(left, wanted))

        try:
            self.stage.lab.wait_for(look, DONE_SECONDS, "all to be over")
        except LabTimeout as error:
            behind = [name for name in wanted if left(name)]
            error.add_note(f"behind: {behind}; the first: {listed.get(behind[0]) if behind else None}")
            raise

    def assert_all_struck(self, *sides: Side) -> None:
        """Every request that a run sends has been held on these sides, however often it is sent and in which order.

        What is only read for a doubt that a watch settles sooner in most runs is left out.
        """
        sent = [seen for seen in self.requests if self.is_certain(seen)]
        wanted = {(side, _what(seen, self.clean_name)) for side in sides for seen in sent}
        missed = sorted(f"{side.value} {what}" for side, what in wanted - self._struck)
        assert not missed, "\n".join(["never held:", *missed])

    def assert_same_end(self, points: Mapping[str, Point]) -> None:
        """Over, at rest, and all as if nothing had happened; every data key decrypts to what it was."""
        self.wait_over(points)
        self.stage.wait_quiet(points)
        # A rollout may still be under way, which is nothing of the operator's.
        with contextlib.suppress(LabTimeout):
            self.stage.lab.wait_for(lambda: not self._differing(points), PATIENCE, "the same end")
        differing = self._differing(points)
        assert not differing, "\n".join(["other than without a fault:", *differing])

    def _differing(self, points: Mapping[str, Point]) -> list[str]:
        return [
            f"{name}, {self._at(point)}: {what}"
            for name, point in points.items()
            for what in (
                *differences(self.clean, self.stage.end_state(name)),
                *(f"data key {entry} is another" for entry in self._changed_data_keys(name)),
                *(f"event {reason} was told" for reason in self.stage.told(name) - self.told),
            )
        ]

    def _changed_data_keys(self, name: str) -> list[str]:
        return self.stage.changed_data_keys(name) if self.keeps_data_keys else []

    def _new(self, count: int) -> tuple[str, ...]:
        # All of one length: no name is a part of another.
        wanted = tuple(f"{self.prefix}-{number:04}" for number in itertools.islice(self._numbers, count))
        if self.make is None:
            self.stage.make(wanted, self.prepare, **self.spec)
        else:
            self.make(wanted)
        return wanted

    def _at(self, point: Point) -> str:
        """The point in words, for a test that fails."""
        known = point.number <= len(self.requests)
        seen = self.requests[point.number - 1] if known else "more than a run without faults sends"
        return f"{point.side.value} {point.number} of {len(self.requests)}: {point.what or seen}"


def _is_meant(point: Point, workload: str, seen: Seen) -> bool:
    return not point.what or _what(seen, workload) == point.what


def _what(seen: Seen, workload: str) -> str:
    """The request whoever sends it: without the workload's name, and what Vault and Kubernetes made of it."""
    target = _ID.sub("*", seen.target.replace(workload, "NAME"))
    return f"{seen.server}: {seen.method} {target}"


def differences(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """Where two JSON values differ, in words."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted(wanted.keys() | found.keys()):
            yield from differences(wanted.get(key), found.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif wanted != found:
        yield f"{path} is {found}, not {wanted}"
