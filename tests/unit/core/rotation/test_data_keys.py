"""Data keys over time: none is ever dropped, and the current one has the plain name."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from secureai_operator.api import reasons
from secureai_operator.api.workload import DataKey
from secureai_operator.api.workload_status import DATA_KEYS_MAX, DataKeyStatus
from secureai_operator.core.rotation.data_keys import (
    current,
    recorded,
    room_verdict,
    with_new_generation,
    with_rewrapped,
)


def text(version: int, what: int = 0) -> str:
    return f"vault:v{version}:" + f"{what:040d}"


def data_key(name: str, version: int = 1, what: int = 0) -> DataKeyStatus:
    return DataKeyStatus(name=name, key_version=version, wrapped=text(version, what))


def test_the_new_one_takes_the_name_and_the_earlier_one_stays_under_a_number() -> None:
    after = with_new_generation([data_key("model", what=1)], {"model": text(3, 2)})
    assert {one.name: (one.wrapped, one.generation, one.key_version) for one in after} == {
        "model": (text(3, 2), 2, 3),
        "model.1": (text(1, 1), 1, 1),
    }
    third = with_new_generation(after, {"model": text(3, 4)})
    assert {one.name for one in third} == {"model", "model.1", "model.2"}


@given(st.lists(st.sets(st.sampled_from(["a", "b", "c"])), max_size=8))
def test_no_data_key_is_ever_lost(rotations: list[set[str]]) -> None:
    keys: tuple[DataKeyStatus, ...] = tuple(data_key(name, what=place) for place, name in enumerate("abc"))
    seen = {one.wrapped for one in keys}
    for number, names in enumerate(rotations, start=10):
        made = {name: text(1, number * 10 + place) for place, name in enumerate(sorted(names))}
        keys = with_new_generation(keys, made)
        seen |= set(made.values())
        assert {one.wrapped for one in keys} == seen
        assert len({one.name for one in keys}) == len(keys)
        assert {one.name for one in current(keys)} == {"a", "b", "c"}


def test_a_rewrap_changes_what_came_back_and_nothing_else() -> None:
    keys = (data_key("a"), data_key("b"))
    after = with_rewrapped(keys, {"b": text(2)})
    assert after[0] == keys[0]
    assert (after[1].wrapped, after[1].key_version) == (text(2), 2)


def test_there_is_room_until_there_is_none() -> None:
    declared = (DataKey(name="a"), DataKey(name="b"))
    full = [data_key(f"k{number}") for number in range(DATA_KEYS_MAX)]
    assert room_verdict(full[:-2], declared) is None
    verdict = room_verdict(full[:-1], declared)
    assert verdict is not None
    assert verdict.reason is reasons.DATA_KEYS_FULL


@given(st.lists(st.sets(st.sampled_from(["a", "b", "c"])), max_size=8))
def test_what_a_secret_recorded_is_all_there_again_and_goes_on_as_before(rotations: list[set[str]]) -> None:
    """The status is gone, the Secret is not: the same data keys come of it, and the next generation takes no name in use."""
    keys: tuple[DataKeyStatus, ...] = tuple(data_key(name, what=place) for place, name in enumerate("abc"))
    for number, names in enumerate(rotations, start=10):
        made = {name: text(1, number * 10 + place) for place, name in enumerate(sorted(names))}
        keys = with_new_generation(keys, made)
    again = recorded({one.name: one.wrapped for one in keys}, [DataKey(name="a"), DataKey(name="d")])
    assert again == keys
    after = with_new_generation(again, {name: text(1, 999) for name in "abc"})
    assert len({one.name for one in after}) == len(keys) + 3
    assert {one.wrapped for one in keys} <= {one.wrapped for one in after}


def test_a_context_that_is_declared_counts_for_earlier_ones_too() -> None:
    found = {"model": text(1), "model.1": text(1, 1), "other": text(1, 2)}
    again = recorded(found, [DataKey(name="model", context="tenant-42")])
    assert {one.name: one.context for one in again} == {
        "model": "tenant-42",
        "model.1": "tenant-42",
        "other": "",
    }


def test_an_entry_with_a_name_that_we_never_give_is_not_ours() -> None:
    found = dict.fromkeys(["model", ".1", "model.0", "model.x", "Model", "model.1.2", "a" * 64], text(1))
    assert [one.name for one in recorded(found, [])] == ["model"]
