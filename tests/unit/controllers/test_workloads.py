"""The store of CRs: the newest counts, foreign changes of status are due, and every spec is read or told wrong."""

from __future__ import annotations

from typing import Any

import pytest

from secureai_operator import errors, names
from secureai_operator.controllers.status_json import decoded
from secureai_operator.controllers.workloads import GONE_MAX, Workloads, as_workload, stored
from tests.unit.samples import Json


def cr(version: int = 1, uid: str = "u1", *, status: Json | None = None, **changed: Any) -> Json:
    metadata = {
        "name": "llm",
        "namespace": "team-a",
        "uid": uid,
        "resourceVersion": str(version),
        "generation": 1,
        "finalizers": [names.FINALIZER],
        "creationTimestamp": "2026-01-31T12:00:00Z",
    }
    return {"metadata": {**metadata, **changed}, "spec": {}, "status": status or {}}


KEY = ("team-a", "llm")


def test_what_is_older_than_what_is_known_is_left_out() -> None:
    store = Workloads()
    assert store.put(cr(5))
    assert not store.put(cr(3, generation=9))
    kept = store.get(KEY)
    assert kept is not None
    assert kept.generation == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"generation": 2},
        {"deletionTimestamp": "2026-01-31T12:00:00Z"},
        {"finalizers": []},
        {"annotations": {names.RESYNC_ANNOTATION: "1"}},
        {"annotations": {names.FORCE_DELETE_ANNOTATION: "true"}},
        {"annotations": {names.ROTATE_ANNOTATION: "a"}},
        {"annotations": {names.EMERGENCY_ANNOTATION: "a"}},
        {"annotations": {names.ROTATE_DATA_KEYS_ANNOTATION: "a"}},
        {"annotations": {names.DECRYPT_FAILED_ANNOTATION: "a"}},
        {"annotations": {names.RETRY_RETIREMENT_ANNOTATION: "a"}},
        {"labels": {"tier": "prod"}},
    ],
)
def test_what_a_user_asks_for_is_due(changed: dict[str, Any]) -> None:
    store = Workloads()
    store.put(cr(1))
    assert store.put(cr(2, **changed))


@pytest.mark.parametrize("changed", [{"managedFields": []}, {"annotations": {"a": "b"}}])
def test_what_nobody_asks_for_is_not(changed: dict[str, Any]) -> None:
    store = Workloads()
    store.put(cr(1))
    assert not store.put(cr(2, **changed))


def test_our_finalizer_is_due_when_it_goes_and_not_when_it_comes() -> None:
    store = Workloads()
    store.put(cr(1, finalizers=["theirs"]))
    assert not store.put(cr(2, finalizers=["theirs", names.FINALIZER]))
    assert store.put(cr(3, finalizers=["theirs"]))
    assert store.put(cr(4, finalizers=[names.FINALIZER]))


def test_a_status_that_somebody_else_wrote_is_due_and_our_own_is_not() -> None:
    store = Workloads()
    store.put(cr(1))
    with store.writing_status(KEY):
        assert not store.put(cr(2, status={"observedGeneration": 1}))
    assert not store.put(cr(3, status={"observedGeneration": 1}))
    assert store.put(cr(4, status={"observedGeneration": 7}))
    assert not store._writing


def test_another_of_the_same_name_replaces_and_is_not_removed_for_the_first() -> None:
    store = Workloads()
    store.put(cr(5))
    assert store.put(cr(7, uid="u2"))
    assert store.key_of("u1") is None
    assert store.key_of("u2") == KEY
    assert store.remove(KEY, "u1") is None
    assert store.remove(KEY, "u2") is not None
    assert store.remove(KEY) is None


def test_a_late_word_of_one_that_is_gone_does_not_replace_its_successor() -> None:
    store = Workloads()
    store.put(cr(7, uid="u2"))
    assert not store.put(cr(5, uid="u1"))
    assert store.key_of("u1") is None
    assert store.key_of("u2") == KEY


def test_a_late_word_of_one_that_is_gone_does_not_bring_it_back() -> None:
    store = Workloads()
    store.put(cr(5))
    assert store.remove(KEY, "u1", "7") is not None
    assert not store.put(cr(6))
    assert store.get(KEY) is None
    assert store.put(cr(8, uid="u2"))


def test_the_last_state_of_one_that_was_found_gone_does_not_bring_it_back() -> None:
    """A read said so before the watch: its end is known by the state that it was last seen in, and then by the watch's word."""
    store = Workloads()
    store.put(cr(5))
    assert store.remove(KEY, "u1") is not None
    assert not store.put(cr(5))
    assert store.remove(KEY, "u1", "7") is None
    assert not store.put(cr(6))
    assert store.get(KEY) is None
    assert store.put(cr(8, uid="u2"))


def test_a_change_that_the_answer_to_our_own_write_shows_first_is_due_when_the_watch_tells_of_it() -> None:
    store = Workloads()
    store.put(cr(1))
    with store.writing_status(KEY):
        assert not store.put(cr(3, generation=2, status={"observedGeneration": 1}), own=True)
    assert store.put(cr(2, generation=2))
    assert not store.put(cr(3, generation=2))


def test_of_those_that_are_gone_only_some_are_remembered() -> None:
    store = Workloads()
    for number in range(GONE_MAX + 5):
        store.put(cr(1, uid=f"u{number}", name=f"w{number}"))
        store.remove(("team-a", f"w{number}"))
    assert len(store._gone) == GONE_MAX


def test_nothing_is_left_of_what_is_removed() -> None:
    store = Workloads()
    for number in range(5):
        store.put(cr(1, uid=f"u{number}", name=f"w{number}"))
    assert [item.name for item in store.in_namespace("team-a")] == [f"w{number}" for number in range(5)]
    for number in range(5):
        store.remove(("team-a", f"w{number}"))
    assert len(store) == 0
    assert store.namespaces() == frozenset()
    assert not store._key_by_uid


def test_a_cr_is_read_as_its_models() -> None:
    item = as_workload(
        stored(
            {**cr(annotations={names.FORCE_DELETE_ANNOTATION: "true"}), "spec": {"keys": {"type": "ed25519"}}}
        )
    )
    assert item.spec.keys.type == "ed25519"
    assert item.has_finalizer
    assert item.force_delete
    assert not item.deleting
    assert item.pod_labels == {names.WORKLOAD_LABEL: "llm"}
    assert not as_workload(stored(cr(annotations={names.FORCE_DELETE_ANNOTATION: "yes"}))).force_delete


def test_a_spec_that_cannot_be_read_names_the_field_and_quotes_nothing() -> None:
    secret = "hunter2-hunter2"
    raw = {**cr(), "spec": {"keys": {"type": secret}, "novel": secret}}
    with pytest.raises(errors.Terminal) as error:
        as_workload(stored(raw))
    assert error.value.reason == "InvalidSpec"
    assert "spec.keys.type" in error.value.message
    assert secret not in error.value.message


@pytest.mark.parametrize("status", [{"conditions": "x"}, {"observedGeneration": "x"}, {"dataKeys": [{}]}])
def test_a_status_that_cannot_be_read_counts_as_none(status: Json) -> None:
    assert decoded(stored(cr(status=status)).status).observed_generation == -1


def test_a_status_of_a_later_version_is_read() -> None:
    assert decoded(stored(cr(status={"novel": 1, "observedGeneration": 3})).status).observed_generation == 3


def test_a_resync_value_is_cut_to_what_status_can_hold() -> None:
    item = as_workload(stored(cr(annotations={names.RESYNC_ANNOTATION: "x" * 999})))
    assert len(item.resync) == 256
