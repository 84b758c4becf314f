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
    key_verdict,
    key_version,
    may_create_key,
    missing_data_keys,
    spec_verdict,
)
from secureai_operator.core.facts import Workload
from tests.unit.samples import NOW, key_state, workload

MADE = int(NOW.timestamp())
WRAPPED = "vault:v1:" + "A" * 40


def known(latest: int = 1, created_at: str | None = rfc3339(NOW), **others: Any) -> SecureAIWorkloadStatus:
    key = KeyStatus(type="aes256-gcm96", latest_version=latest, created_at=created_at)
    return SecureAIWorkloadStatus(key=key, **others)


def data_key(name: str = "model", wrapped: str = WRAPPED) -> DataKeyStatus:
    return DataKeyStatus(name=name, key_version=1, wrapped=wrapped)


# What may be made ---------------------------------------------------------------------------------------------


def test_a_key_that_never_was_may_be_made() -> None:
    assert may_create_key(workload())
    assert may_create_key(workload(status=known(0, None)))


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
        ({"type": "ed25519"}, reasons.KEY_CONFIGURATION_DRIFT),
        ({"derived": True}, reasons.KEY_CONFIGURATION_DRIFT),
        ({"convergent": True}, reasons.KEY_CONFIGURATION_DRIFT),
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


# What the spec alone says -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KeyType)
def test_data_keys_need_a_key_that_encrypts(kind: KeyType) -> None:
    """The API server refuses this too; should its rules be gone, the condition still says it."""
    verdict = spec_verdict(workload({"keys": {"type": kind.value, "dataKeys": [{"name": "model"}]}}))
    if kind in ENCRYPTING_KEY_TYPES:
        assert verdict is None
    else:
        assert verdict is not None
        assert verdict.reason is reasons.KEY_TYPE_CANNOT_WRAP
        assert verdict.terminal
        assert kind.value in verdict.message
    assert spec_verdict(workload({"keys": {"type": kind.value}})) is None


@pytest.mark.parametrize("custody", ["customer-managed", "hold-your-own-key"])
def test_custody_of_others_is_not_pretended(custody: str) -> None:
    verdict = spec_verdict(workload({"keys": {"custody": custody}}))
    assert verdict is not None
    assert verdict.reason is reasons.CUSTODY_NOT_SUPPORTED
    assert verdict.terminal


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
    assert missing_data_keys(item) == (("prompts", 256),)


def test_the_secret_holds_every_recorded_key_wrapped_and_also_those_no_longer_declared() -> None:
    item = declared("model", recorded=(data_key("old"), data_key("model")))
    secret = desired_keys_secret(item, item.status.data_keys)
    assert secret is not None
    assert list(secret.manifest["data"]) == ["model", "old"]
    assert {base64.b64decode(value).decode() for value in secret.manifest["data"].values()} == {WRAPPED}
    assert desired_keys_secret(item, ()) is None
