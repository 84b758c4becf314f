"""A tenant with rights on nothing but the two kinds in their own namespace attacks: each attack is refused or harmless."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.fixtures_operator import SharedOperator, Workloads
from tests.product import Product
from tests.security.arena import Arena, opened
from tests.security.catalogue import ADVISORIES, DOCUMENT, Attack, attacks, document
from tests.security.fields import declared_texts, fields

MINIMUM = 60


@pytest.fixture(scope="module")
def arena(
    lab: Lab, product: Product, workloads: Workloads, running_operator: SharedOperator
) -> Iterator[Arena]:
    made = opened(lab, product, workloads, running_operator)
    yield made
    made.close()


@pytest.mark.integration
@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("row", attacks(), ids=str)
def test_an_attack_is_refused_or_harmless(arena: Arena, row: Attack) -> None:
    try:
        row.run(arena)
        arena.nobody_else_was_touched()
    except BaseException:
        # So that the next attack is judged by what it does itself.
        arena.clear()
        arena.rest()
        raise


def test_there_are_enough_attacks_and_one_for_each_advisory() -> None:
    rows = attacks()
    assert len(rows) >= MINIMUM
    named = " ".join(row.stands_for for row in rows)
    assert not [advisory for advisory in ADVISORIES if advisory not in named]


def test_the_document_says_what_is_tried() -> None:
    assert DOCUMENT.read_text() == document(), "write it anew: python -m tests.security.write_documents"


@pytest.mark.parametrize("kind", ["SecureAIWorkload", "KeyRotationPolicy"])
def test_attacks_on_every_field_leave_out_none(kind: str) -> None:
    assert {field.path for field in fields() if field.kind == kind} == set(declared_texts(kind))


@pytest.mark.integration
def test_every_field_takes_something(arena: Arena) -> None:
    """A field that refuses everything would refuse an attack for another reason."""
    for field in fields():
        manifest = field.manifest(arena.namespace, "harmless")
        if field.kind == "SecureAIWorkload" and not field.path.startswith("spec.access"):
            answer = arena.tenant.create(manifest, dry_run=True)
            assert answer.accepted, f"{field}: {answer.causes}"


@pytest.mark.integration
def test_whoever_does_touch_somebody_else_is_found(arena: Arena) -> None:
    """The comparison after each attack is only worth what it finds."""
    change = {"metadata": {"labels": {"touched": "true"}}}
    arena.workloads.patch(arena.victim, "llm", change)
    with pytest.raises(AssertionError, match="SecureAIWorkload llm"):
        arena.nobody_else_was_touched()
    arena.remember()
    arena.nobody_else_was_touched()
    where = f"sys/policies/acl/saw.main.{arena.victim}.llm"
    before = arena.lab.vault_request("GET", where)["data"]["policy"]
    arena.lab.vault_request("PUT", "sys/policies/acl/saw.main.x.y", {"policy": before})
    try:
        with pytest.raises(AssertionError, match=r"saw\.main\.x\.y"):
            arena.nobody_else_was_touched()
    finally:
        arena.lab.vault_request("DELETE", "sys/policies/acl/saw.main.x.y")
