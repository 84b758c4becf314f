"""Vault's audit log: lines of a real Vault 1.21.2 are understood, and no line of anybody else's can do harm."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator import names
from secureai_operator.core.rotation.audit import (
    TEXTS,
    NotAnEntry,
    Operation,
    Reading,
    Refusal,
    Use,
    use_of,
    workload_of,
)

RECORDED = Path(__file__).with_name("audit_lines.jsonl")
"""Written by the file device; hashes of tokens and plaintexts are replaced, those of errors are as they were."""

Json = dict[str, Any]


@cache
def recorded() -> tuple[str, dict[str, Json]]:
    """The hash of `too old`, and each entry by what it is."""
    first, *rest = (json.loads(line) for line in RECORDED.read_text().splitlines())
    return first["tooOldHash"], {one["case"]: one["entry"] for one in rest}


def line(case: str, **changes: Any) -> bytes:
    """A recorded line, with parts of it changed: `request__path="…"`."""
    entry = json.loads(json.dumps(recorded()[1][case]))
    for where, what in changes.items():
        *steps, last = where.split("__")
        part = entry
        for step in steps:
            part = part[step]
        part[last] = what
    return json.dumps(entry, separators=(",", ":")).encode()


KNOWING = Reading(hashes={recorded()[0]: Refusal.TOO_OLD})
LLM = ("team-a", "llm")


@pytest.mark.parametrize(
    ("case", "operation", "versions"),
    [
        ("encrypted", Operation.ENCRYPT, (1,)),
        ("encrypted batch", Operation.ENCRYPT, (2, 2)),
        ("data key wrapped", Operation.DATA_KEY, (2,)),
        ("data key plaintext", Operation.DATA_KEY, (2,)),
        ("rewrapped batch", Operation.REWRAP, (2, 2)),
        ("signed", Operation.SIGN, (2,)),
        ("done", Operation.DECRYPT, ()),
        ("batch done", Operation.DECRYPT, ()),
    ],
)
def test_what_was_done_tells_the_versions_that_it_was_done_with(
    case: str, operation: Operation, versions: tuple[int, ...]
) -> None:
    use = use_of(line(case), KNOWING)
    assert use is not None
    assert (use.operation, use.versions, use.refusal) == (operation, versions, None)


@pytest.mark.parametrize(
    ("case", "operation", "refusal"),
    [
        ("too old, hidden", Operation.DECRYPT, Refusal.TOO_OLD),
        ("rewrap too old, hidden", Operation.REWRAP, Refusal.TOO_OLD),
        ("verify too old, hidden", Operation.VERIFY, Refusal.TOO_OLD),
        ("too old, in clear", Operation.DECRYPT, Refusal.TOO_OLD),
        ("in a batch", Operation.DECRYPT, Refusal.IN_BATCH),
        ("in a batch with 200", Operation.DECRYPT, Refusal.IN_BATCH),
        ("denied", Operation.DECRYPT, Refusal.DENIED),
        ("no token", Operation.DECRYPT, Refusal.DENIED),
        ("bad token", Operation.DECRYPT, Refusal.DENIED),
        ("unreadable", Operation.DECRYPT, Refusal.UNREADABLE),
        ("unreadable chacha", Operation.DECRYPT, Refusal.UNREADABLE),
        ("no ciphertext", Operation.DECRYPT, Refusal.UNREADABLE),
        ("too new", Operation.DECRYPT, Refusal.TOO_NEW),
        ("no key", Operation.DECRYPT, Refusal.NO_KEY),
        ("other", Operation.ENCRYPT, Refusal.OTHER),
    ],
)
def test_what_was_refused_tells_why(case: str, operation: Operation, refusal: Refusal) -> None:
    use = use_of(line(case), KNOWING)
    assert use is not None
    assert (use.operation, use.versions, use.refusal) == (operation, (), refusal)


def test_a_reason_that_the_log_hides_is_not_guessed() -> None:
    use = use_of(line("too old, hidden"), Reading())
    assert use is not None
    assert use.refusal is Refusal.HIDDEN


def test_a_use_names_its_workload_time_and_request() -> None:
    use = use_of(line("too old, hidden", time="2026-01-31T13:00:00.123456789+01:00"), KNOWING)
    assert use is not None
    assert use.workload == LLM
    assert use.at == "2026-01-31T12:00:00Z"
    assert use.request_id == recorded()[1]["too old, hidden"]["request"]["id"]


def test_a_request_that_is_not_answered_yet_and_a_key_that_is_read_tell_nothing() -> None:
    assert use_of(line("request"), KNOWING) is None
    assert use_of(line("key read"), KNOWING) is None


@pytest.mark.parametrize(
    "path",
    [
        "other-transit/decrypt/saw.main.team-a.llm",
        "saw-transit/decrypt/saw.other.team-a.llm",
        "saw-transit/decrypt/saw.main.team-a.llm.more",
        "saw-transit/decrypt/saw.main.team-a",
        "saw-transit/decrypt/saw.main.team_a.llm",
        "saw-transit/decrypt/saw.main.Team-a.llm",
        "saw-transit/decrypt/saw.main..llm",
        f"saw-transit/decrypt/saw.main.team-a.{'x' * 53}",
        "saw-transit/decrypt/saw.main.team-a.llm/more",
        "saw-transit/datakey/saw.main.team-a.llm",
        "saw-transit/keys/saw.main.team-a.llm",
        "x/saw-transit/decrypt/saw.main.team-a.llm",
        "sys/audit-hash/saw.main.team-a.llm",
    ],
)
def test_a_path_of_somebody_else_is_nobodys(path: str) -> None:
    assert use_of(line("too old, hidden", request__path=path), KNOWING) is None


def test_another_namespace_of_vault_has_mounts_of_the_same_name() -> None:
    elsewhere = {"id": "x1", "path": "customer/"}
    theirs = line("too old, hidden", request__namespace=elsewhere)
    assert use_of(theirs, KNOWING) is None
    assert use_of(theirs, replace(KNOWING, namespace="customer")) is not None
    assert use_of(line("too old, hidden"), replace(KNOWING, namespace="customer")) is None


def test_a_mount_may_have_a_path_of_several_steps() -> None:
    moved = line("too old, hidden", request__path="a/b/decrypt/saw.main.team-a.llm")
    assert use_of(moved, replace(KNOWING, mount="a/b")) is not None


def test_a_failure_of_vault_itself_in_a_batch_says_nothing_of_the_versions() -> None:
    use = use_of(line("in a batch", response__data__http_status_code=500), KNOWING)
    assert use is not None
    assert use.refusal is Refusal.OTHER


@pytest.mark.parametrize("value", [True, 0, -1, 10**12, "2", 2.0, None, [2]])
def test_a_version_is_a_number_that_vault_could_have_counted_to(value: object) -> None:
    use = use_of(line("encrypted", response__data__key_version=value), KNOWING)
    assert use is not None
    assert use.versions == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"request__id": "not an id"},
        {"request__id": "bfb41ed0-16b4-e0fe-80dd-0a636022c0ca\n"},
        {"request__id": 7},
        {"time": "yesterday"},
        {"time": "2026-01-31T12:00:00"},
        {"time": "0001-01-01T00:00:00+14:00"},
        {"time": None},
    ],
)
def test_what_would_be_written_down_is_checked_word_by_word(changes: Json) -> None:
    with pytest.raises(NotAnEntry):
        use_of(line("too old, hidden", **changes), KNOWING)


@pytest.mark.parametrize(
    "changes",
    [
        {"response": None},
        {"response": []},
        {"response__data": "text"},
        {"response__data__batch_results": [None, 1, "x", {}]},
        {"request__path": None},
        {"request__path": ["decrypt"]},
        {"request": 1},
        {"type": 7},
        {"error": {"a": 1}},
    ],
)
def test_an_entry_of_another_shape_is_no_error(changes: Json) -> None:
    use = use_of(line("encrypted", **changes), KNOWING)
    assert use is None or use.versions == () or use.refusal is not None


MARK = b'"response" /saw.main.'


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{" + MARK,
        b"[" * 100_000 + MARK,
        b'{"a":' * 100_000 + MARK,
        b"\xff\xfe" + MARK,
        b'["response", "/saw.main."]',
        b"{}",
        b'"response/saw.main."',
        b'{"n": ' + b"9" * 10_000 + b', "type": "response", "p": "/saw.main."}',
    ],
)
def test_a_line_that_is_no_entry_is_told_from_one_that_is_not_ours(text: bytes) -> None:
    try:
        assert use_of(text, KNOWING) is None
    except NotAnEntry as error:
        assert str(error) in {"not JSON", "not a JSON object"}  # noqa: PT017 - either, and nothing of the line


def test_a_prefix_that_the_device_writes_in_front_does_not_matter() -> None:
    assert use_of(b"@cee: " + line("encrypted"), KNOWING) is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    ),
    st.sampled_from(["request", "response", "response__data", "request__namespace", "error", "time", "type"]),
)
def test_nothing_that_a_line_can_hold_breaks_its_reader(anything: Any, where: str) -> None:
    try:
        use = use_of(line("too old, hidden", **{where: anything}), KNOWING)
    except NotAnEntry:
        return
    assert use is None or isinstance(use, Use)


def test_a_use_keeps_nothing_that_could_be_a_value_of_the_log() -> None:
    """Every field is a word from a small set, a number, or was matched as a whole."""
    assert {field.name for field in fields(Use)} == {
        "workload",
        "operation",
        "at",
        "request_id",
        "versions",
        "refusal",
    }


@given(st.text(alphabet="saw.main-/_* \n", max_size=40) | st.text(max_size=40))
def test_only_the_name_of_a_workload_is_one(text: str) -> None:
    found = workload_of(text, "main")
    assert found is None or names.vault_name("main", *found) == text


def test_vaults_texts_are_those_of_the_recorded_lines() -> None:
    said = {entry["response"]["data"].get("error") for entry in recorded()[1].values() if "response" in entry}
    assert set(TEXTS) <= said
