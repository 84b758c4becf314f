"""Our own writes are known before the watch tells of them, and never hide what others do."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from secureai_operator import names
from secureai_operator.controllers.children import Children, Place, as_child, child_of, is_secrets_binding
from secureai_operator.core.drift import Child
from secureai_operator.runtime.informer import Informer
from secureai_operator.runtime.informer_set import InformerSet
from secureai_operator.runtime.store import Store
from tests.unit.samples import Json, live, made_for, workload

ROLE = next(
    item
    for item in made_for(
        workload({"access": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}})
    )
    if item.resource.kind == "Role"
)
PLACE: Place = ("Role", "saw-llm")


def raw(version: int, uid: str = "u1", verbs: str = "get") -> Json:
    found = live(ROLE, str(version), uid)
    return {**found, "rules": [{**found["rules"][0], "verbs": [verbs]}]}


def owner_of(child: Child) -> str | None:
    return child.owner_uid or None


@dataclass
class Seen:
    """Children with the store that an informer would fill; `tells` is one event of its watch."""

    at: float = 100.0
    store: Store[Child] = field(default_factory=lambda: Store(owner_of))
    children: Children = field(init=False)

    def __post_init__(self) -> None:
        self.children = Children(lambda: self.at)
        informer = cast("Informer[Child]", self)
        self.children.follow(
            [informer], cast("InformerSet[Child]", InformerSet("secrets", lambda _: informer))
        )

    def tells(self, new: Json | None) -> bool:
        key = ("team-a", "saw-llm")
        if new is None:
            old = self.store.remove(key)
            return self.children.saw(old, None)
        child = as_child(new)
        return self.children.saw(self.store.set(key, child), child)

    @property
    def now(self) -> Child | None:
        return self.children.owned("team-a", "uid-1").get(PLACE)

    @property
    def remembered(self) -> int:
        inner = self.children
        return sum(map(len, inner._echoes.values())) + len(inner._echoes) + len(inner._gone) + len(inner._due)


def test_what_we_wrote_counts_at_once_and_its_event_is_no_news() -> None:
    seen = Seen()
    wrote = seen.children.wrote(raw(10))
    assert seen.now == wrote
    assert not seen.tells(raw(10))
    assert seen.now == wrote
    assert seen.tells(raw(11, verbs="list"))


def test_an_event_from_before_our_write_is_no_news() -> None:
    seen = Seen()
    seen.tells(raw(5))
    wrote = seen.children.wrote(raw(10))
    assert not seen.tells(raw(7, verbs="list"))
    assert seen.now == wrote


def test_a_change_by_somebody_else_after_our_write_is_news() -> None:
    seen = Seen()
    seen.children.wrote(raw(10))
    assert seen.tells(raw(11, verbs="list"))
    assert seen.now == as_child(raw(11, verbs="list"))


def test_a_touch_that_changes_nothing_of_ours_is_no_news() -> None:
    seen = Seen()
    seen.children.wrote(raw(10))
    assert not seen.tells(raw(11))


def test_a_change_that_the_watch_tells_before_the_api_server_answers_is_not_hidden() -> None:
    """Or it would stand until the next look, minutes later."""
    seen = Seen()
    seen.tells(raw(10))
    assert seen.tells(raw(11, verbs="list"))
    seen.children.wrote(raw(10))
    assert seen.now == as_child(raw(11, verbs="list"))


def test_what_we_are_writing_is_no_news_and_anything_else_is() -> None:
    seen = Seen()
    with seen.children.writing("uid-1", PLACE, as_child(raw(1)).digest):
        assert seen.tells(raw(2, verbs="list"))
        assert not seen.tells(raw(3))
        assert seen.tells(None)
    assert seen.tells(raw(4))


def test_a_deletion_that_the_watch_tells_before_the_api_server_answers_is_not_hidden() -> None:
    seen = Seen()
    seen.tells(raw(10))
    assert seen.tells(None)
    seen.children.wrote(raw(10))
    assert seen.now is None


def test_an_object_that_only_lost_its_label_is_there_again_once_it_was_read() -> None:
    seen = Seen()
    seen.tells(raw(10))
    seen.tells(None)
    seen.children.exists("u1")
    wrote = seen.children.wrote(raw(12))
    assert seen.now == wrote
    assert not seen.tells(raw(12))


def test_the_deletion_of_what_we_wrote_is_news() -> None:
    seen = Seen()
    seen.children.wrote(raw(10))
    seen.tells(raw(10))
    assert seen.tells(None)
    assert seen.now is None


def test_our_own_deletion_is_no_news_and_what_comes_after_it_is() -> None:
    seen = Seen()
    seen.tells(raw(10))
    seen.children.deleted(as_child(raw(10)))
    assert seen.now is None
    assert not seen.tells(raw(11))
    assert seen.now is None
    assert not seen.tells(None)
    assert seen.tells(raw(13, uid="u2"))
    assert seen.now == as_child(raw(13, uid="u2"))


def test_the_end_of_the_one_that_we_replaced_is_no_news() -> None:
    seen = Seen()
    seen.tells(raw(10))
    seen.children.deleted(as_child(raw(10)))
    wrote = seen.children.wrote(raw(12, uid="u2"))
    assert not seen.tells(None)
    assert seen.now == wrote
    assert not seen.tells(raw(12, uid="u2"))
    assert seen.tells(None)


def test_a_deletion_does_not_hide_another_object_of_the_same_name() -> None:
    seen = Seen()
    seen.tells(raw(10))
    seen.children.deleted(as_child(raw(10)))
    seen.store.set(("team-a", "saw-llm"), as_child(raw(12, uid="u2")))
    assert seen.now == as_child(raw(12, uid="u2"))


def test_the_watch_counts_again_when_it_is_late_for_too_long() -> None:
    seen = Seen()
    seen.tells(raw(5))
    seen.children.wrote(raw(10))
    seen.at += 11
    assert seen.now == as_child(raw(5))


def test_nothing_is_remembered_for_long_whoever_it_belonged_to() -> None:
    seen = Seen()
    for number in range(500):
        owner = as_child(raw(10 + number, uid=f"u{number}"))
        seen.children._remember(replace(owner, owner_uid=f"owner-{number}"), deleted=False)
        seen.children.saw(owner, None)
    assert seen.remembered > 1000
    seen.at += 11
    seen.children.saw(as_child(raw(1)), as_child(raw(2)))
    assert seen.remembered == 0


def test_a_write_again_and_again_is_remembered_once() -> None:
    seen = Seen()
    for version in range(10, 60):
        seen.children.wrote(raw(version))
        seen.at += 0.9
    assert sum(map(len, seen.children._echoes.values())) == 1
    assert len(seen.children._due) <= 12


def test_a_workload_that_is_gone_is_forgotten() -> None:
    seen = Seen()
    seen.children.wrote(raw(10))
    seen.children.forget("uid-1")
    assert seen.now is None
    assert not seen.children._echoes


def test_a_lost_owner_is_news_to_the_one_who_had_it() -> None:
    seen = Seen()
    seen.tells(raw(10))
    orphan = raw(11)
    del orphan["metadata"]["ownerReferences"]
    assert seen.tells(orphan)
    assert seen.now is None


# What is kept of an object ------------------------------------------------------------------------------------


def test_a_projection_knows_its_kind() -> None:
    item = raw(10)
    del item["kind"]
    child = child_of("Role")(item)
    assert child is not None
    assert (child.kind, child.name, child.owner_uid) == ("Role", "saw-llm", "uid-1")
    assert child.certificate is None


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"tls.crt": "x"},
        {"tls.crt": "?", "tls.key": "?", "ca.crt": "?"},
        {"tls.crt": None, "tls.key": None, "ca.crt": None},
        {"tls.crt": base64.b64encode(b"no certificate").decode(), "tls.key": "", "ca.crt": ""},
        {"tls.crt": "ä", "tls.key": "ä", "ca.crt": "ä"},
    ],
)
def test_a_secret_that_holds_no_certificate_is_read_as_none(data: dict[str, Any] | None) -> None:
    secret = {
        **raw(10),
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "data": data,
    }
    assert as_child(secret).certificate is None


def test_what_is_kept_of_a_secret_shows_none_of_it() -> None:
    value = base64.b64encode(b"the private key").decode()
    secret = {**raw(10), "kind": "Secret", "type": "kubernetes.io/tls", "data": {"tls.key": value}}
    assert value not in repr(as_child(secret))
    assert "private" not in repr(as_child(secret))


def test_the_operator_s_own_binding_is_known_by_its_name() -> None:
    child = as_child(raw(10))
    assert not is_secrets_binding(child)
    assert is_secrets_binding(replace(child, kind="RoleBinding", name=names.NAMESPACE_SECRETS_ROLE))
