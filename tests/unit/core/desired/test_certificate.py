"""Certificates: the first reason to renew, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator.core.desired.certificate import is_expired, renewal_reason, renewal_time
from tests.unit.samples import HOUR, NOW, certificate, workload


def reason(hours: float = 0, ca: str = "ca", spec: dict[str, Any] | None = None, **changed: Any) -> str:
    return renewal_reason(workload(spec), certificate(**changed), ca, NOW + timedelta(hours=hours), 0.5)


def test_a_good_certificate_is_left_alone() -> None:
    assert reason() == ""
    assert reason(hours=15.9) == ""


def test_it_is_renewed_at_two_thirds() -> None:
    assert reason(hours=16.1) == "RenewalDue"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"intact": False}, "SecretNotIntact"),
        ({"ca_digest": "other"}, "CAChanged"),
        ({"dns_names": frozenset({"other.team-a.svc"})}, "NamesChanged"),
        ({"dns_names": frozenset({"llm.team-a.svc", "more.team-a.svc"})}, "NamesChanged"),
        ({"usages": frozenset({"serverAuth"})}, "UsagesChanged"),
        ({"usages": frozenset({"serverAuth", "clientAuth", "1.2.3"})}, "UsagesChanged"),
    ],
)
def test_what_is_wrong_with_it_is_its_reason(changed: dict[str, Any], expected: str) -> None:
    assert reason(**changed) == expected


def test_no_certificate_is_the_first_reason_and_a_broken_secret_the_next() -> None:
    assert renewal_reason(workload(), None, "ca", NOW, 0.5) == "SecretDoesNotExist"
    assert reason(hours=99, intact=False, ca_digest="x", dns_names=frozenset()) == "SecretNotIntact"
    assert reason(hours=99, ca_digest="x", dns_names=frozenset()) == "CAChanged"


def test_a_ca_that_is_not_known_yet_is_no_reason() -> None:
    assert reason(ca="", ca_digest="anything") == ""


def test_the_spec_s_own_names_and_usages_count() -> None:
    spec = {"certificate": {"dnsNames": ["a.team-a.svc"], "usages": ["client"]}}
    assert reason(spec=spec) == "NamesChanged"
    names, usages = frozenset({"a.team-a.svc"}), frozenset({"clientAuth"})
    assert reason(spec=spec, dns_names=names, usages=usages) == ""


def test_one_that_outlives_a_shortened_lifetime_is_replaced_at_once() -> None:
    assert reason(spec={"certificate": {"ttl": "23h"}}) == "LifetimeShortened"
    start = int(NOW.timestamp())
    backdated: dict[str, Any] = {"not_before": start - 30, "not_after": start + 23 * HOUR}
    assert reason(spec={"certificate": {"ttl": "23h"}}, **backdated) == ""


def test_a_longer_lifetime_waits_for_the_renewal() -> None:
    assert reason(spec={"certificate": {"ttl": "48h"}}) == ""


@given(st.floats(0, 1), st.integers(300, 2160 * HOUR))
def test_renewals_spread_and_leave_a_third_for_vault_to_come_back(spread: float, lifetime: int) -> None:
    start = int(NOW.timestamp())
    part = (
        renewal_time(certificate(not_before=start, not_after=start + lifetime), spread) - start
    ) / lifetime
    assert 0.63 <= part <= 0.70


def test_expiry_is_the_moment_itself() -> None:
    assert not is_expired(certificate(), NOW + timedelta(hours=24, seconds=-1))
    assert is_expired(certificate(), NOW + timedelta(hours=24))
