"""One screen of status: nothing secret, nothing misleading."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.cli.output import Mark
from secureai_operator.cli.status import as_json, certificate_text, facts, pods_text, show
from tests.unit.cli.crs import workload

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def test_wrapped_data_keys_are_named_and_never_printed(capsys: pytest.CaptureFixture[str]) -> None:
    wrapped = "vault:v1:c2VjcmV0LXNlY3JldC1zZWNyZXQ="
    one = workload(status={"dataKeys": [{"name": "model", "keyVersion": 2, "wrapped": wrapped}]})
    show(one, NOW)
    printed = capsys.readouterr().out
    assert "model (v2)" in printed
    assert wrapped not in printed
    assert wrapped not in json.dumps(as_json(one))


@pytest.mark.parametrize(
    ("not_after", "renewal", "text", "mark"),
    [
        ("2026-02-01T12:00:00Z", "2026-02-01T04:00:00Z", "24h left, renews in 16h", Mark.GOOD),
        ("2026-02-01T12:00:00Z", "2026-01-31T11:00:00Z", "24h left, renews in 0s", Mark.WARNING),
        ("2026-01-31T11:00:00Z", "2026-01-31T10:00:00Z", "EXPIRED 60m ago", Mark.ERROR),
        (None, None, "no expiry known", Mark.WARNING),
    ],
)
def test_a_certificate_tells_how_long_it_lives(not_after: str, renewal: str, text: str, mark: Mark) -> None:
    found = certificate_text({"notAfter": not_after, "renewalTime": renewal}, NOW)
    assert (found.text, found.mark) == (text, mark)


def test_unbound_pods_are_named() -> None:
    found = pods_text({"bound": 1, "unbound": 2, "unboundNames": ["a", "b"], "quarantined": 1})
    assert found.text == "1 bound, 2 unbound, 1 quarantined (a, b)"
    assert found.mark is Mark.WARNING


def test_an_old_status_is_said_to_be_old(capsys: pytest.CaptureFixture[str]) -> None:
    show(workload(generation=3, observed=2), NOW)
    printed = capsys.readouterr().out
    assert "Pending" in printed
    assert "generation 3, seen 2" in printed


def test_a_condition_that_does_not_hold_is_marked_by_a_word_and_a_sign(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(workload({C.READY: ("False", "VaultSealed"), C.STALLED: ("True", "KeyLost")}), NOW)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("Ready !") and " False " in line for line in lines)
    assert any(line.startswith("Stalled !") and " True " in line for line in lines)
    assert not any(line.startswith("KeyReady !") for line in lines)


def test_an_empty_status_shows_no_facts() -> None:
    assert list(facts(workload(), NOW)) == []
