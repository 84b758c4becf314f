"""Keys: one that is lost, replaced or exposed is told, and never made anew."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator.api import reasons
from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.reasons import Reason
from secureai_operator.api.workload import ENCRYPTING_KEY_TYPES, KeyType
from secureai_operator.api.workload_status import DataKeyStatus, KeyStatus, SecureAIWorkloadStatus
from secureai_operator.core.desired.keys import (
    desired_keys_secret,
    encoded_context,
    key_awaited_verdict,
    key_verdict,
    key_version,
    may_create_key,
    missing_data_keys,
    never_had_key,
    spec_verdict,
)
from secureai_operator.core.facts import Connection, Workload
from tests.unit.samples import CONNECTION, CUSTOMERS, NOW, Json, key_state, workload

MADE = int(NOW.timestamp())
WRAPPED = "vault:v1:" + "A" * 40


def known(latest: int = 1, created_at: str | None = rfc3339(NOW), **others: Any) -> SecureAIWorkloadStatus:
    key = KeyStatus(type="aes256-gcm96", latest_version=latest, created_at=created_at)
    return SecureAIWorkloadStatus(key=key, **others)


def data_key(name: str = "model", wrapped: str = WRAPPED) -> DataKeyStatus:
    return DataKeyStatus(name=name, key_version=1, wrapped=wrapped)


# What may be made ---------------------------------------------------------------------------------------------


OWNED = {"keys": {"custody": "hold-your-own-key"}, "vault": {"connection": "customer-a"}}
BROUGHT = {"keys": {"custody": "customer-managed"}}


@pytest.mark.parametrize("spec", [{}, OWNED], ids=["service-managed", "hold-your-own-key"])
def test_a_key_that_never_was_may_be_made(spec: Json) -> None:
    assert may_create_key(workload(spec))
    assert may_create_key(workload(spec, status=known(0, None)))


def test_a_key_that_is_the_customer_s_to_bring_is_never_made() -> None:
    for status in (None, known(0, None), known()):
        assert not may_create_key(workload(BROUGHT, status=status))
    assert never_had_key(workload(BROUGHT))
    assert not never_had_key(workload(BROUGHT, status=known()))


def test_what_the_customer_is_to_bring_is_said_and_is_no_end() -> None:
    item = workload({"keys": {**BROUGHT["keys"], "type": "rsa-3072"}})
    verdict = key_awaited_verdict(item, "saw.main.team-a.llm")
    assert (verdict.status, verdict.reason) == ("False", reasons.AWAITING_KEY_MATERIAL)
    assert not verdict.terminal
    assert verdict.message == (
        "import version 1 of key saw.main.team-a.llm of type rsa-3072 (secureai key import)"
    )


def test_a_brought_key_that_is_gone_is_lost_as_any_other() -> None:
    assert key_verdict(workload(BROUGHT, status=known()), None).reason is reasons.KEY_LOST


@pytest.mark.parametrize(
    "status",
    [known(), SecureAIWorkloadStatus(data_keys=(data_key(),)), known(0, None, data_keys=(data_key(),))],
)
def test_a_key_that_something_was_made_with_is_never_made_anew(status: SecureAIWorkloadStatus) -> None:
    item = workload(status=status)
    assert not may_create_key(item)
    verdict = key_verdict(item, None)
    assert verdict.reason is reasons.KEY_LOST
    assert verdict.terminal


def test_a_lost_key_is_called_by_its_name_in_vault() -> None:
    status = SecureAIWorkloadStatus.model_validate(
        {**known().model_dump(by_alias=True), "vault": {"name": "saw.main.team-a.llm"}}
    )
    assert "saw.main.team-a.llm" in key_verdict(workload(status=status), None).message


# What is there ------------------------------------------------------------------------------------------------


def test_the_key_that_was_made_is_available() -> None:
    for status in (None, known()):
        verdict = key_verdict(workload(status=status), key_state())
        assert (verdict.status, verdict.reason) == ("True", reasons.KEY_AVAILABLE)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exportable": True}, reasons.KEY_EXPOSED),
        ({"allow_plaintext_backup": True}, reasons.KEY_EXPOSED),
        ({"type": "ed25519"}, reasons.IMMUTABLE_FIELD_DRIFT),
        ({"derived": True}, reasons.IMMUTABLE_FIELD_DRIFT),
        ({"convergent": True}, reasons.IMMUTABLE_FIELD_DRIFT),
    ],
)
def test_a_key_that_is_not_as_declared_says_why(changed: dict[str, Any], reason: Reason) -> None:
    verdict = key_verdict(workload(status=known()), key_state(**changed))
    assert (verdict.status, verdict.reason) == ("False", reason)
    assert not verdict.terminal


@pytest.mark.parametrize(
    ("latest", "created_at", "versions"),
    [
        (2, MADE, {1: MADE}),  # restored from an older backup
        (1, MADE, {1: MADE + 60}),  # deleted and made again
        (1, MADE, {1: MADE - 60}),  # another, older one put in its place
        (2, MADE, {1: MADE - 60, 2: MADE - 30}),
        (2, MADE, {1: MADE + 60, 2: MADE + 90}),
        (3, MADE, {2: MADE - 60, 3: MADE + 90}),  # the recorded version should stand between these
    ],
)
def test_another_key_in_its_place_is_told(latest: int, created_at: int, versions: dict[int, int]) -> None:
    status = known(latest, rfc3339(NOW.fromtimestamp(created_at, NOW.tzinfo)))
    key = key_state(latest_version=max(versions), versions=versions)
    verdict = key_verdict(workload(status=status), key)
    assert verdict.reason is reasons.KEY_REPLACED
    assert verdict.terminal


@pytest.mark.parametrize(
    ("created_at", "versions"),
    [
        (MADE, {1: MADE, 2: MADE + 60}),  # rotated by somebody else
        (MADE, {2: MADE + 60, 3: MADE + 90}),  # the recorded version has retired
        (MADE, {1: MADE - 60, 2: MADE, 3: MADE + 60}),  # an older one came back from retirement
        (MADE, {}),  # Vault lists none
    ],
)
def test_versions_that_come_and_go_are_the_same_key(created_at: int, versions: dict[int, int]) -> None:
    status = known(1, rfc3339(NOW.fromtimestamp(created_at, NOW.tzinfo)))
    key = key_state(latest_version=max(versions, default=1), versions=versions)
    assert key_verdict(workload(status=status), key).status == "True"


@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=5, unique=True).map(sorted),
    st.integers(0, 4),
    st.integers(0, 4),
)
def test_no_rotation_and_no_retirement_looks_like_a_replacement(
    times: list[int], first_seen: int, retired: int
) -> None:
    """Whatever was listed when the key was first seen, and whatever is listed now."""
    versions = {number: MADE + time for number, time in enumerate(times, 1)}
    seen = {number: time for number, time in versions.items() if number > min(first_seen, len(times) - 1)}
    listed = {number: time for number, time in versions.items() if number > min(retired, len(times) - 1)}
    status = known(len(seen), rfc3339(NOW.fromtimestamp(min(seen.values()), NOW.tzinfo)))
    key = key_state(latest_version=len(times), versions=listed)
    assert key_verdict(workload(status=status), key).status == "True"


@pytest.mark.parametrize(
    ("spec", "changed", "says"),
    [
        ({}, {"type": "ed25519"}, "is of type ed25519, and the spec wants aes256-gcm96"),
        ({}, {"derived": True}, "has derived true, and the spec wants false"),
        ({"keys": {"derived": True}}, {}, "has derived false, and the spec wants true"),
        ({}, {"convergent": True}, "encrypts convergently"),
        ({}, {"imported": True}, "was imported, and custody service-managed wants one that Vault makes"),
        (BROUGHT, {}, "was made by Vault, and custody customer-managed wants one that the customer imports"),
    ],
)
def test_what_was_settled_as_the_key_was_made_is_told_in_words(spec: Json, changed: Json, says: str) -> None:
    verdict = key_verdict(workload(spec), key_state(**changed))
    assert (verdict.status, verdict.reason) == ("False", reasons.IMMUTABLE_FIELD_DRIFT)
    assert says in verdict.message
    assert not verdict.terminal


@pytest.mark.parametrize(
    ("spec", "changed"),
    [
        (BROUGHT, {"imported": True}),
        (OWNED, {}),
        (OWNED, {"imported": True}),  # what a customer does in their own Vault is theirs to decide
        ({"keys": {"derived": True}}, {"derived": True}),
    ],
)
def test_a_key_as_its_custody_and_derivation_want_it_is_available(spec: Json, changed: Json) -> None:
    assert key_verdict(workload(spec), key_state(**changed)).reason is reasons.KEY_AVAILABLE


# What the spec alone says -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KeyType)
def test_data_keys_need_a_key_that_encrypts(kind: KeyType) -> None:
    """The API server refuses this too; should its rules be gone, the condition still says it."""
    item = workload({"keys": {"type": kind.value, "dataKeys": [{"name": "model"}]}})
    verdict = spec_verdict(item, CONNECTION)
    if kind in ENCRYPTING_KEY_TYPES:
        assert verdict is None
    else:
        assert verdict is not None
        assert verdict.reason is reasons.KEY_TYPE_CANNOT_WRAP
        assert verdict.terminal
        assert kind.value in verdict.message
    assert spec_verdict(workload({"keys": {"type": kind.value}}), CONNECTION) is None


@pytest.mark.parametrize(
    ("custody", "connection"),
    [
        ("service-managed", CONNECTION),
        ("customer-managed", CONNECTION),
        ("hold-your-own-key", CUSTOMERS),
    ],
)
def test_a_custody_goes_with_the_vault_of_its_holder(custody: str, connection: Connection) -> None:
    assert spec_verdict(workload({"keys": {"custody": custody}}), connection) is None


@pytest.mark.parametrize(
    ("custody", "connection", "says"),
    [
        ("hold-your-own-key", CONNECTION, "default is the platform's; name a customer-held connection"),
        ("service-managed", CUSTOMERS, "customer-a is a customer's own Vault"),
        ("customer-managed", CUSTOMERS, "make a new workload with custody hold-your-own-key"),
    ],
)
def test_custody_of_others_is_not_pretended(custody: str, connection: Connection, says: str) -> None:
    verdict = spec_verdict(workload({"keys": {"custody": custody}}), connection)
    assert verdict is not None
    assert verdict.reason is reasons.CUSTODY_MISMATCH
    assert verdict.terminal
    assert says in verdict.message


# Data keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (WRAPPED, 1),
        ("vault:v12:" + "A" * 40, 12),
        ("vault:v0:" + "A" * 40, None),
        ("vault:v1:short", None),
        ("vault:v1:" + "A" * 2000, None),
        (WRAPPED + "\n", None),
        (" " + WRAPPED, None),
        ("plaintext of a key", None),
        ("", None),
    ],
)
def test_only_transit_ciphertext_is_taken_for_a_wrapped_key(text: str, version: int | None) -> None:
    assert key_version(text) == version


def declared(*names: str, recorded: tuple[DataKeyStatus, ...] = ()) -> Workload:
    spec = {"keys": {"dataKeys": [{"name": name} for name in names]}}
    return workload(spec, status=known(data_keys=recorded))


def test_what_status_records_is_not_made_again() -> None:
    item = declared("model", "prompts", recorded=(data_key("model"),))
    (missing,) = missing_data_keys(item)
    assert (missing.name, missing.bits, missing.context) == ("prompts", 256, None)


def test_a_context_goes_to_vault_in_base64_and_none_goes_without_one() -> None:
    assert encoded_context("tenant-42") == base64.b64encode(b"tenant-42").decode()
    assert encoded_context("ä") == base64.b64encode("ä".encode()).decode()
    assert encoded_context(None) is None
    assert encoded_context("") is None


def test_the_secret_holds_every_recorded_key_wrapped_and_also_those_no_longer_declared() -> None:
    item = declared("model", recorded=(data_key("old"), data_key("model")))
    secret = desired_keys_secret(item, item.status.data_keys)
    assert secret is not None
    assert list(secret.manifest["data"]) == ["model", "old"]
    assert {base64.b64decode(value).decode() for value in secret.manifest["data"].values()} == {WRAPPED}
    assert desired_keys_secret(item, ()) is None
