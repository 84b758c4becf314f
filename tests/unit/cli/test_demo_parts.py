"""The demo's own honesty: a claim that does not hold, or could not be tried, is never reported as held."""

from __future__ import annotations

import asyncio

import pytest

from secureai_operator.cli.demo_placement import _policy_message
from secureai_operator.cli.demo_report import ProofFailed, Report, SetupFailed, elapsed, expect
from secureai_operator.cli.demo_workloads import cast, workload_key
from tests.unit.cli.crs import workload


def test_a_claim_that_fails_is_told_and_the_next_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    with report.claim("the moon is made of cheese"):
        expect(False, "it is rock")
    with report.claim("water is wet"):
        pass
    assert not report.held
    assert [line.held for line in report.lines] == [False, True]
    printed = capsys.readouterr().out
    assert "FAILED" in printed
    assert "it is rock" in printed


def test_an_error_in_a_claim_is_not_swallowed() -> None:
    report = Report(quiet=True)
    with pytest.raises(SetupFailed), report.claim("the lab starts"):
        raise SetupFailed("no Go")
    assert not report.held


def test_no_claims_at_all_is_not_success() -> None:
    assert not Report().held


def test_an_interruption_is_no_verdict() -> None:
    report = Report(quiet=True)
    with pytest.raises(asyncio.CancelledError), report.claim("it is fast"):
        raise asyncio.CancelledError
    assert report.lines == []


def test_a_claim_may_bring_its_own_measurement() -> None:
    report = Report(quiet=True)
    with report.claim("it is back") as line:
        line.measured = 0.0123
    assert elapsed(report.lines[0].seconds) == "12 ms"
    assert elapsed(1.25) == "1.2 s"


def test_a_refusal_by_somebody_else_is_no_proof() -> None:
    ours = (
        'POST x was answered with 403: {"message":"pods \\"a\\" is forbidden: ValidatingAdmissionPolicy '
        '\'secureai-bound-pods\' with binding \'secureai-bound-pods\' denied request: not yours","reason":"Invalid"}'
    )
    assert _policy_message(ours) == "not yours"
    with pytest.raises(ProofFailed, match="not by a policy of ours"):
        _policy_message('{"message":"pods \\"a\\" is forbidden: violates PodSecurity"}')


def test_the_proofs_need_a_confined_workload_a_granted_one_a_rotating_one_and_another() -> None:
    hero = workload(spec={"confidential": {"mode": "Required"}})
    granted = workload(spec={"access": {"rules": [{}]}})
    rotating = workload(status={"rotation": {"policy": "team-a/weekly"}, "dataKeys": [{"name": "model"}]})
    chosen = cast([granted, hero, rotating])
    assert chosen.hero is hero
    assert chosen.other is granted
    assert chosen.granted is granted
    assert chosen.rotating is rotating
    for missing in ([granted, rotating], [hero, rotating], [granted, hero]):
        with pytest.raises(SetupFailed):
            cast(missing)


def test_workloads_are_found_among_other_objects() -> None:
    document = {"kind": "SecureAIWorkload", "metadata": {"name": "llm", "namespace": "team-a"}}
    assert workload_key(document) == ("team-a", "llm")
    assert workload_key({"kind": "Namespace", "metadata": {"name": "team-a"}}) is None
