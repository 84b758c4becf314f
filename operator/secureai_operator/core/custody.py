"""A Vault that its customer runs: sealing it, and refusing the operator, is their right and no outage. Pure."""

from __future__ import annotations

from secureai_operator.api import reasons
from secureai_operator.core.facts import Connection
from secureai_operator.core.verdict import Verdict, bad

_REFUSES = "refuses the operator; ask its owner to give the operator's role and policy back"
_LOCKS = {
    reasons.VAULT_SEALED.name: "is sealed; ask its owner to unseal it",
    reasons.VAULT_FORBIDDEN.name: _REFUSES,
    reasons.VAULT_LOGIN_FAILED.name: _REFUSES,
}
"""What the owner of a Vault can do to lock it, and what to ask of them."""


def lock_verdict(connection: Connection | None, reason: str) -> Verdict | None:
    """What to say of a reason by which a customer locks their own Vault; None of any other, or of the platform's Vault."""
    if connection is None or not connection.customer_held or reason not in _LOCKS:
        return None
    return bad(
        reasons.CUSTOMER_LOCKED,
        f"the customer's Vault (connection {connection.name}) {_LOCKS[reason]}. Everything stays as it last was, and "
        "goes on by itself.",
    )
