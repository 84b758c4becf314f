"""The tree shows what is there, what is missing, and what is not the workload's."""

from __future__ import annotations

from datetime import UTC, datetime

from secureai_operator import names
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.cli.output import plain_lines
from secureai_operator.cli.owned import expected_names, in_vault_by_status, of_kind
from secureai_operator.cli.tree import Inventory, as_json, drawn
from tests.unit.cli.crs import SINCE, workload

NOW = datetime(2026, 1, 31, 13, 0, tzinfo=UTC)
VAULT = {
    "vault": {
        "connection": "default",
        "name": "saw.main.team-a.llm",
        "transitMount": "saw-transit",
        "pkiMount": "saw-pki",
        "authMount": "kubernetes",
    },
    "key": {"latestVersion": 3, "type": "aes256-gcm96", "createdAt": SINCE},
}


def item(name: str, uid: str = "uid-1", **metadata: object) -> dict[str, object]:
    owners = [{"uid": uid, "controller": True}]
    return {"metadata": {"name": name, "creationTimestamp": SINCE, "ownerReferences": owners, **metadata}}


def test_a_minimal_workload_expects_the_secure_defaults() -> None:
    assert expected_names(workload()) == {
        "ServiceAccount": ("saw-llm",),
        "Role": (),
        "RoleBinding": (),
        "Secret": ("saw-llm-tls",),
        "NetworkPolicy": ("saw-llm-allow", "saw-llm-quarantine"),
    }


def test_what_is_declared_is_expected() -> None:
    spec = {
        "keys": {"dataKeys": [{"name": "model"}]},
        "certificate": {"delivery": "None"},
        "access": {"rules": [{}], "roleRefs": [{}, {}]},
        "enforcement": "Audit",
    }
    expected = expected_names(workload(spec=spec))
    assert expected["Secret"] == ("saw-llm-keys",)
    assert expected["Role"] == ("saw-llm",)
    assert expected["RoleBinding"] == ("saw-llm-rules", "saw-llm-ref0", "saw-llm-ref1")
    assert expected["NetworkPolicy"] == ()


def test_missing_foreign_and_vanishing_objects_are_told_apart() -> None:
    found = [
        item("saw-llm-allow"),
        item("borrowed", uid="uid-2"),
        item("going", deletionTimestamp=SINCE),
    ]
    wanted = ("saw-llm-allow", "saw-llm-quarantine")
    things = of_kind(workload(), "NetworkPolicy", C.NETWORK_ISOLATED, found, wanted)
    assert {one.name: one.state.text for one in things} == {
        "saw-llm-quarantine": "MISSING",
        "saw-llm-allow": "ok",
        "borrowed": "not owned",
        "going": "deleting",
    }


def test_a_missing_object_says_which_reason_keeps_it_away() -> None:
    failing = workload({C.CERTIFICATE_READY: ("False", "VaultSealed"), C.KEY_READY: ("False", "VaultSealed")})
    (thing,) = of_kind(failing, "Secret", C.KEY_READY, [], (names.tls_secret("llm"),))
    assert (thing.state.text, thing.note) == ("MISSING", "VaultSealed")


def test_the_vault_half_comes_from_status_and_its_conditions() -> None:
    failing = {C.KEY_READY: ("False", "KeyLost")}
    things = {one.kind: one for one in in_vault_by_status(workload(failing, status=VAULT))}
    assert things["Key"].name == "saw-transit/saw.main.team-a.llm"
    assert things["Key"].state.text == "KeyLost"
    assert things["Key"].note == "v3 aes256-gcm96"
    assert things["AuthRole"].state.text == "ok"
    assert set(things) == {"Key", "Policy", "AuthRole", "PkiRole"}


def test_the_whole_tree_reads_without_colour_and_as_json() -> None:
    one = workload(status=VAULT)
    kubernetes = tuple(of_kind(one, "ServiceAccount", C.IDENTITY_READY, [item("saw-llm")], ("saw-llm",)))
    found = Inventory(one, kubernetes, (), tuple(in_vault_by_status(one)), "as the operator last saw it")
    lines = plain_lines(drawn(found, NOW))
    assert lines[1].split() == ["SecureAIWorkload/llm", "Ready", "60m"]
    assert any("ServiceAccount/saw-llm" in line and " ok " in line for line in lines)
    assert found.complete
    assert as_json(found)["kubernetes"][0]["name"] == "saw-llm"


def test_a_ready_workload_with_a_missing_object_is_not_complete() -> None:
    one = workload()
    missing = tuple(of_kind(one, "Secret", C.KEY_READY, [], ("saw-llm-tls",)))
    assert not Inventory(one, missing, (), (), "").complete
