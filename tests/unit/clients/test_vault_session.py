"""When the operator's own token for Vault is renewed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from secureai_operator.clients._vault_session import Token, renewal_in


@given(st.floats(10, 3600), st.floats(0, 1e6))
def test_a_new_token_is_renewed_with_a_third_of_its_life_left(ttl: float, now: float) -> None:
    token = Token("", 1, ttl, now + ttl)
    assert ttl * 0.59 <= renewal_in(token, now) <= ttl * 0.67


@given(st.floats(10, 3600), st.floats(0.667, 1.5))
def test_a_renewal_that_failed_is_not_put_off_beyond_the_end(ttl: float, lived: float) -> None:
    """It was, by as long as for a new one: then a request was refused before there was another login."""
    token = Token("", 1, ttl, 1000.0 + ttl)
    assert renewal_in(token, 1000.0 + ttl * lived) == 1.0
