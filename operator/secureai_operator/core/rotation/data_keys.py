"""Data keys over time: new ones beside the earlier ones of the same name, which stay for what they encrypted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from secureai_operator.api import reasons
from secureai_operator.api.workload import DataKey
from secureai_operator.api.workload_status import DATA_KEYS_MAX, DataKeyStatus
from secureai_operator.core.desired.keys import key_version
from secureai_operator.core.verdict import Verdict, bad

_ENTRY = re.compile(r"(?P<name>[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)(?:\.(?P<number>[1-9][0-9]{0,5}))?")
"""An entry of the Secret: a data key's name, and of an earlier one the number of its generation."""


def current(data_keys: Iterable[DataKeyStatus]) -> tuple[DataKeyStatus, ...]:
    """The data keys that the workload encrypts with; an earlier one has a number after its name."""
    return tuple(one for one in data_keys if "." not in one.name)


def earlier_name(name: str, generation: int) -> str:
    """The name of an earlier data key: no declared name has a dot, so the two can never meet."""
    return f"{name}.{generation}"


def recorded(found: Mapping[str, str], declared: Iterable[DataKey]) -> tuple[DataKeyStatus, ...]:
    """What a Secret that outlived its status records (wrapped data keys by entry), earlier generations too.

    Entries with names that we never give are left out. A current data key is one generation further than the latest of its
    earlier ones: the next one must not take a name that is in use.
    """
    contexts = {key.name: key.context or "" for key in declared}
    named = {name: parts for name in found if (parts := _ENTRY.fullmatch(name)) is not None}
    earlier: dict[str, int] = {}
    for parts in named.values():
        if parts["number"] is not None:
            earlier[parts["name"]] = max(earlier.get(parts["name"], 0), int(parts["number"]))
    return tuple(
        DataKeyStatus(
            name=name,
            key_version=key_version(found[name]) or 0,
            wrapped=found[name],
            generation=earlier.get(parts["name"], 0) + 1 if parts["number"] is None else int(parts["number"]),
            context=contexts.get(parts["name"], ""),
        )
        for name, parts in sorted(named.items())
    )


def room_verdict(data_keys: Iterable[DataKeyStatus], declared: Iterable[DataKey]) -> Verdict | None:
    """Why one more generation of every declared data key cannot be kept, or None if it can."""
    kept = len(tuple(data_keys))
    if kept + len(tuple(declared)) <= DATA_KEYS_MAX:
        return None
    return bad(reasons.DATA_KEYS_FULL, f"{kept} data keys are kept, and there is no room for new ones")


def with_new_generation(
    data_keys: Iterable[DataKeyStatus], made: Mapping[str, str]
) -> tuple[DataKeyStatus, ...]:
    """The data keys after those that were just made (wrapped, by name) took their names; none is dropped."""
    after = []
    for one in data_keys:
        wrapped = made.get(one.name)
        if wrapped is None:
            after.append(one)
            continue
        after.append(one.model_copy(update={"name": earlier_name(one.name, one.generation)}))
        after.append(
            one.model_copy(
                update={
                    "wrapped": wrapped,
                    "key_version": key_version(wrapped) or 0,
                    "generation": one.generation + 1,
                }
            )
        )
    return tuple(sorted(after, key=lambda one: one.name))


def with_rewrapped(
    data_keys: Iterable[DataKeyStatus], rewrapped: Mapping[str, str]
) -> tuple[DataKeyStatus, ...]:
    """The data keys with the ciphertexts that came back from a rewrap, by name."""
    return tuple(
        one.model_copy(
            update={"wrapped": rewrapped[one.name], "key_version": key_version(rewrapped[one.name]) or 0}
        )
        if one.name in rewrapped
        else one
        for one in data_keys
    )
