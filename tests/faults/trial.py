"""A trial of changes: judged by the API server, carried out by the operator, compared with what was made so, and taken back."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from lab import Lab, LabTimeout
from secureai_operator import names
from tests.faults.draws import drawn
from tests.faults.fleet import placed
from tests.faults.judge import Asked, Judge, Ruling
from tests.faults.schema import Change, Field, changes
from tests.faults.transitions import differences

PATIENCE = 60.0
"""In seconds, for what takes a moment on a quiet machine."""

Json = dict[str, Any]
States = Mapping[str, Json]


class Fleet(Protocol):
    """The objects of one kind in one namespace."""

    @property
    def lab(self) -> Lab:
        """Where they are."""

    @property
    def namespace(self) -> str:
        """Their namespace."""

    def listed(self) -> dict[str, Json]:
        """All of them by name."""

    def unseen(self, wanted: Iterable[str]) -> list[str]:
        """Those whose status does not yet speak of what they are now."""

    def states(self, wanted: Iterable[str]) -> dict[str, Json]:
        """What each of them is, without what differs from one to another."""


@dataclass(slots=True)
class Trial:
    """Specs, what the API server says to their changes, what the operator makes of them, and all that is wrong."""

    judge: Judge
    fleet: Fleet
    whole: Field
    model: type[BaseModel]
    expected: Callable[[Json, Json], Json]
    """The state of one that is as the first, and was as the second."""
    unexplained: Callable[[Json], Iterator[str]]
    alarms: list[str] = field(default_factory=list)
    judged: int = 0
    refused: int = 0
    carried_out: int = 0
    touched: set[str] = field(default_factory=set)
    """Fields that were changed in what was judged."""
    now: dict[str, Json] = field(default_factory=dict)
    """The last known state of each workload."""

    def draw_bases(self, count: int, number: int, *fixed: Json) -> dict[str, Json]:
        """Specs that the API server accepts, by the name of the workload that is to have them."""
        specs = [*fixed, *drawn(self.whole.valid, 6 * count, number)]
        named = {f"from-{place:04}": spec for place, spec in enumerate(_different(specs))}
        bodies = [
            self._manifest(name, placed(spec, self.fleet.namespace, name)) for name, spec in named.items()
        ]
        rulings = self.judge.would_create(bodies)
        self.judged += len(bodies)
        self.alarms += [
            f"{json.dumps(spec)[:300]}: {what}"
            for spec, ruling in zip(named.values(), rulings, strict=True)
            for what in self._unfit(ruling)
        ]
        taken = [name for name, ruling in zip(named, rulings, strict=True) if ruling.accepted]
        chosen = [name for name in taken if _is_cheap(named[name])][:count]
        self.refused += len(named) - len(taken)
        return {name: named[name] for name in chosen}

    def rule(self, bases: Mapping[str, Json], count: int, number: int) -> dict[str, list[Change]]:
        """Have so many changes judged; those that would be accepted, by the workload that they change."""
        asked = changes(bases, self.whole, count, number)
        namespace = self.fleet.namespace
        rulings = self.judge.rulings(
            Asked(name, placed(change.spec, namespace, name)) for name, change in asked
        )
        accepted: dict[str, list[Change]] = defaultdict(list)
        for (name, change), ruling in zip(asked, rulings, strict=True):
            self.judged += 1
            self.touched.add(change.where)
            self.alarms += [f"{change}: {what}" for what in self._wrong(change, ruling)]
            if ruling.accepted:
                accepted[name].append(change)
            else:
                self.refused += 1
        return accepted

    # Carried out

    def make(self, specs: Mapping[str, Json]) -> States:
        """Workloads made with these specs, and what they are."""
        namespace = self.fleet.namespace
        rulings = self.judge.create(
            self._manifest(name, placed(spec, namespace, name)) for name, spec in specs.items()
        )
        self._assert_accepted(rulings)
        self.wait_seen(specs)
        left = set(specs)

        def settled() -> bool:
            self.now |= self.fleet.states(left)
            left.difference_update([name for name in left if not list(self.unexplained(self.now[name]))])
            return not left

        self._until(settled)
        self.alarms += [f"{specs[name]}: {told(self.unexplained(self.now[name]))}" for name in sorted(left)]
        return self.now

    def change(self, specs: Mapping[str, Json]) -> None:
        """Have workloads changed to these specs, and wait until the operator has seen that."""
        namespace = self.fleet.namespace
        rulings = self.judge.make(Asked(name, placed(spec, namespace, name)) for name, spec in specs.items())
        self._assert_accepted(rulings)
        self.carried_out += len(specs)
        self.wait_seen(specs)

    def compare(self, pairs: Mapping[str, str], what: Mapping[str, object]) -> None:
        """Each workload is now what its pair was made as; what differs for good is an alarm."""
        before = {name: self.now[name] for name in pairs}

        def odd(name: str) -> list[str]:
            wanted = self.expected(self.now[pairs[name]], before[name])
            return [*differences(wanted, self.now[name]), *self.unexplained(self.now[name])]

        left = set(pairs)

        def settled() -> bool:
            self.now |= self.fleet.states({*left, *(pairs[name] for name in left)})
            left.difference_update([name for name in left if not odd(name)])
            return not left

        self._until(settled)
        self.alarms += [f"{what[name]}: {told(odd(name))}" for name in sorted(left)]

    def compare_with_earlier(self, wanted: States, what: Mapping[str, object]) -> None:
        """Each workload is again what it was."""
        before = {name: self.now[name] for name in wanted}

        def odd(name: str) -> list[str]:
            return list(differences(self.expected(wanted[name], before[name]), self.now[name]))

        left = set(wanted)

        def settled() -> bool:
            self.now |= self.fleet.states(left)
            left.difference_update([name for name in left if not odd(name)])
            return not left

        self._until(settled)
        self.alarms += [f"{what[name]}, taken back: {told(odd(name))}" for name in sorted(left)]

    def wait_seen(self, wanted: Iterable[str]) -> None:
        wanted = list(wanted)
        try:
            self.fleet.lab.wait_for(lambda: not self.fleet.unseen(wanted), PATIENCE, "all of them to be seen")
        except LabTimeout as error:
            listed = self.fleet.listed()
            left = [listed[name] for name in self.fleet.unseen(wanted)]
            error.add_note(json.dumps([(one["spec"], one.get("status")) for one in left[:3]]))
            raise

    def _until(self, settled: Callable[[], bool]) -> None:
        """Wait for it, but not for ever: what then is left is told, and the trial goes on."""
        try:
            self.fleet.lab.wait_for(settled, PATIENCE / 4, "the same state")
        except LabTimeout:
            return

    def _manifest(self, name: str, spec: Json) -> Json:
        kind = self.judge.resource.kind
        return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}

    def _wrong(self, change: Change, ruling: Ruling) -> Iterator[str]:
        if ruling.accepted and change.must_be_refused:
            yield "accepted"
        yield from self._unfit(ruling)

    def _unfit(self, ruling: Ruling) -> Iterator[str]:
        """What is wrong with the answer whatever was asked."""
        if not ruling.accepted:
            if not ruling.is_explained:
                yield f"refused without a field: {ruling.code} {ruling.text[:300]}"
            return
        try:
            self.model.model_validate_json(json.dumps(ruling.spec))
        except ValidationError as error:
            yield f"accepted, and cannot be read: {error.errors(include_url=False)[0]}"

    def _assert_accepted(self, rulings: Iterable[Ruling]) -> None:
        assert [ruling.text for ruling in rulings if not ruling.accepted] == []


def told(found: Iterable[str]) -> str:
    """The first of many things that are wrong with one workload."""
    return "; ".join(list(found)[:4])


def _is_cheap(spec: Json) -> bool:
    """An RSA key takes Vault seconds."""
    return not str(spec.get("keys", {}).get("type", "")).startswith("rsa")


def _different(specs: Sequence[Json]) -> list[Json]:
    return list({json.dumps(spec, sort_keys=True): spec for spec in specs}.values())
