"""The model of Vault that rotation is proved against (tests/unit/core/rotation/test_model.py) behaves as Vault does."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from lab import Lab, RequestFailed
from tests.unit.core.rotation.test_model import VaultModel
from tests.unit.samples import NOW

pytestmark = pytest.mark.integration

MOUNT = "model"


@pytest.fixture(scope="module")
def transit(lab: Lab) -> Lab:
    lab.vault_request("POST", f"sys/mounts/{MOUNT}", {"type": "transit"})
    return lab


class Both(RuleBasedStateMachine):
    """One key in the real Vault and in the model, through the same sequence."""

    lab: ClassVar[Lab]

    def __init__(self) -> None:
        super().__init__()
        self.model = VaultModel()
        self.name = f"k{secrets.token_hex(6)}"
        self.ciphertexts: list[str] = []
        self.call("POST", "keys", {"type": "aes256-gcm96"})

    def call(self, method: str, verb: str, body: Any = None, suffix: str = "") -> dict[str, Any]:
        return self.lab.vault_request(method, f"{MOUNT}/{verb}/{self.name}{suffix}", body)

    def refused(self, verb: str, body: Any, suffix: str = "") -> bool:
        try:
            self.call("POST", verb, body, suffix)
        except RequestFailed:
            return True
        return False

    @rule()
    def rotate(self) -> None:
        self.call("POST", "keys", {}, "/rotate")
        self.model.rotate(NOW)

    @rule()
    def encrypt(self) -> None:
        answer = self.call("POST", "encrypt", {"plaintext": "YQ=="})
        self.ciphertexts.append(answer["data"]["ciphertext"])
        assert answer["data"]["ciphertext"].startswith(f"vault:v{self.model.latest}:")

    @rule(to=st.integers(1, 6))
    def set_minimum(self, to: int) -> None:
        # As the operator does it: the minimum for encryption follows once there is one.
        body = {"min_decryption_version": to}
        if self.model.available and to > self.model.available:
            body["min_encryption_version"] = to
        refused = self.refused("keys", body, "/config")
        fits = max(self.model.available, 1) <= to <= self.model.latest
        assert refused != fits
        if fits:
            self.model.set_minimum(to)

    @rule(to=st.integers(1, 6))
    def trim(self, to: int) -> None:
        if to > self.model.minimum:
            return
        self.call("POST", "keys", {"min_encryption_version": self.model.minimum}, "/config")
        refused = self.refused("keys", {"min_available_version": to}, "/trim")
        fits = to >= self.model.available
        assert refused != fits
        if fits:
            self.model.trim(to)

    @rule()
    def rewrap(self) -> None:
        readable = [text for text in self.ciphertexts if self.version(text) >= self.model.minimum]
        if not readable:
            return
        answer = self.call("POST", "rewrap", {"batch_input": [{"ciphertext": text} for text in readable]})
        made = [self.version(one["ciphertext"]) for one in answer["data"]["batch_results"]]
        assert made == self.model.rewrap([self.version(text) for text in readable])

    @rule()
    def decrypt(self) -> None:
        for text in self.ciphertexts[-3:]:
            refused = self.refused("decrypt", {"ciphertext": text})
            assert refused == (self.version(text) < self.model.minimum)

    @staticmethod
    def version(ciphertext: str) -> int:
        return int(ciphertext.split(":")[1].removeprefix("v"))

    @invariant()
    def what_is_read_is_the_same(self) -> None:
        data = self.call("GET", "keys")["data"]
        state = self.model.state()
        assert data["latest_version"] == state.latest_version
        assert data["min_decryption_version"] == state.min_decryption_version
        assert (data.get("min_available_version") or 0) == state.min_available_version
        assert {int(version) for version in data["keys"]} == set(state.versions)


def test_the_model_of_vault_is_true_to_it(transit: Lab) -> None:
    """Random sequences on both: what one refuses the other refuses, and what is read afterwards is the same."""
    Both.lab = transit
    run_state_machine_as_test(
        Both,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
