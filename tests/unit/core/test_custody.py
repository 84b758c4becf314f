"""A customer's own Vault: what is their right to do is told apart from what happens to them."""

from __future__ import annotations

import pytest

from secureai_operator.api import reasons
from secureai_operator.api.reasons import REASONS
from secureai_operator.core.custody import lock_verdict
from tests.unit.samples import CONNECTION, CUSTOMERS

LOCKS = {"VaultSealed": "unseal", "VaultForbidden": "role and policy", "VaultLoginFailed": "role and policy"}


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_only_sealing_and_refusing_lock_and_only_a_customer_s_vault(reason: str) -> None:
    verdict = lock_verdict(CUSTOMERS, reason)
    assert (verdict is not None) is (reason in LOCKS)
    assert lock_verdict(CONNECTION, reason) is None
    assert lock_verdict(None, reason) is None


@pytest.mark.parametrize(("reason", "ask"), LOCKS.items())
def test_a_lock_names_the_connection_and_what_to_ask_of_its_owner(reason: str, ask: str) -> None:
    verdict = lock_verdict(CUSTOMERS, reason)
    assert verdict is not None
    assert (verdict.status, verdict.reason) == ("False", reasons.CUSTOMER_LOCKED)
    assert not verdict.terminal
    assert "customer-a" in verdict.message
    assert ask in verdict.message
