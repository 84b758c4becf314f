"""`secureai rotate --wait` with the operator at work: the key has one version more, and everything is wrapped by it."""

from __future__ import annotations

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import KEY_ROTATION_POLICIES
from secureai_operator.cli.exits import OK
from tests.fixtures_operator import Workloads
from tests.integration.verbs import Secureai, as_administrator

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]


@pytest.fixture
def secureai(lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Secureai:
    return as_administrator(lab, capsys, monkeypatch)


def test_a_rotation_is_followed_to_its_end_and_the_same_request_does_nothing_more(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    words = ("rotate", "llm", "-n", namespace, "--request-id", "audit-7", "--wait", "--timeout", "30s")
    said = secureai(*words, "-o", "json")
    assert said.code == OK
    (item,) = said.json["items"]
    assert item["done"]
    assert [one["stage"] for one in item["stages"]][:3] == ["Planned", "Rotated", "Rewrapped"]
    again = secureai(*words)
    assert again.code == OK
    assert "was acted on: nothing happens twice" in again.out
    found = secureai("keys", "llm", "-n", namespace, "-o", "json").json
    assert found["latestVersion"] == 2
    assert found["versions"][-1]["dataKeys"] == ["model"]
    (record,) = found["rotation"]["history"]
    assert (record["trigger"], record["toVersion"], record["itemsRewrapped"]) == ("Manual", 2, 1)


def test_an_emergency_is_followed_until_access_is_restored(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    words = ("rotate", "llm", "-n", namespace, "--emergency", "--yes", "--request-id", "incident-7")
    said = secureai(*words, "--wait", "--timeout", "60s", "-o", "json")
    assert said.code == OK
    (item,) = said.json["items"]
    assert [one["stage"] for one in item["stages"]] == [
        "AccessWithdrawn",
        "KeyRotated",
        "DataKeysRewrapped",
        "MinimumRaised",
        "CertificateReissued",
        "IdentityReplaced",
        "PodsRestarted",
        "AccessRestored",
    ]
    assert secureai("keys", "llm", "-n", namespace, "-o", "json").json["minDecryptionVersion"] == 2


def test_new_data_keys_are_followed_until_their_consumers_were_told(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    words = ("rotate", "llm", "-n", namespace, "--data-keys", "--request-id", "audit-7")
    said = secureai(*words, "--wait", "--timeout", "30s")
    assert said.code == OK
    found = secureai("keys", "llm", "-n", namespace, "-o", "json").json
    assert sorted(found["versions"][-1]["dataKeys"]) == ["model", "model.1"]


def test_a_policy_is_followed_until_all_that_it_rules_have_rotated(
    secureai: Secureai, workloads: Workloads, lab: Lab, namespace: str
) -> None:
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    policy = {
        "apiVersion": names.API_VERSION,
        "kind": "KeyRotationPolicy",
        "metadata": {"name": "monthly"},
        "spec": {"selector": {}, "schedule": {"interval": "720h"}},
    }
    lab.api.request("POST", KEY_ROTATION_POLICIES.path(namespace), policy)

    def ruled() -> bool:
        rotation = workloads.get(namespace)["status"].get("rotation") or {}
        return bool(rotation.get("policy") == f"{namespace}/monthly")

    lab.wait_for(ruled, 60, "the policy to rule")
    words = ("rotate", "--policy", "monthly", "-n", namespace, "--wait", "--timeout", "60s", "-o", "json")
    said = secureai(*words)
    assert said.code == OK, said.out
    assert said.json["items"][0]["stages"][-1]["detail"] == "1 of 1 keys rotated"
    assert secureai("keys", "llm", "-n", namespace, "-o", "json").json["latestVersion"] == 2
