"""The store finds by name and by owner, and forgets completely."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from secureai_operator.runtime.store import Store


@dataclass(frozen=True)
class Thing:
    owner: str | None
    digest: int = 0


def owner_of(thing: Thing) -> Hashable | None:
    return thing.owner


def test_an_object_that_changes_its_owner_is_found_under_the_new_one_only() -> None:
    store = Store(owner_of)
    assert store.set(("ns", "a"), Thing("one")) is None
    assert store.set(("ns", "a"), Thing("two")) == Thing("one")
    assert store.owned("one") == {}
    assert store.owned("two") == {("ns", "a"): Thing("two")}


def test_an_object_without_an_owner_is_found_by_name() -> None:
    store = Store(owner_of)
    store.set(("", "node"), Thing(None))
    assert store.get(("", "node")) == Thing(None)
    assert store.owned(None) == {}


def test_what_is_removed_leaves_nothing_behind() -> None:
    store = Store(owner_of)
    store.set(("ns", "a"), Thing("one"))
    assert store.remove(("ns", "a")) == Thing("one")
    assert store.remove(("ns", "a")) is None
    assert len(store) == 0
    assert store._by_owner == {}


NAMES = st.tuples(st.sampled_from(["n1", "n2"]), st.sampled_from("abc"))
THINGS = st.builds(Thing, st.sampled_from([None, "one", "two"]), st.integers(0, 2))


@given(st.lists(st.tuples(NAMES, st.none() | THINGS)))
def test_the_index_always_agrees_with_the_values(steps: list[tuple[tuple[str, str], Thing | None]]) -> None:
    store = Store(owner_of)
    model: dict[tuple[str, str], Thing] = {}
    for key, thing in steps:
        if thing is None:
            assert store.remove(key) == model.pop(key, None)
        else:
            assert store.set(key, thing) == model.get(key)
            model[key] = thing
    assert dict(store.items()) == model
    for owner in ("one", "two"):
        assert store.owned(owner) == {key: thing for key, thing in model.items() if thing.owner == owner}
