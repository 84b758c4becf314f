"""Which answer becomes which error, and that no answer is ever quoted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator import errors
from secureai_operator.api import reasons
from secureai_operator.clients._kube_errors import error_from_answer, error_from_event

SENTINEL = "s3cr3t-sentinel"


def status(reason: str = "X", message: str = SENTINEL, causes: list[str] | None = None) -> bytes:
    details = {"causes": [{"reason": cause, "message": SENTINEL} for cause in causes or []]}
    return json.dumps({"kind": "Status", "reason": reason, "message": message, "details": details}).encode()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (400, errors.KubeInvalid),
        (401, errors.KubeForbidden),
        (403, errors.KubeForbidden),
        (404, errors.KubeNotFound),
        (405, errors.KubeInvalid),
        (409, errors.KubeConflict),
        (410, errors.KubeExpired),
        (413, errors.KubeInvalid),
        (415, errors.KubeInvalid),
        (422, errors.KubeInvalid),
        (429, errors.KubeThrottled),
        (500, errors.KubeUnavailable),
        (503, errors.KubeUnavailable),
        (504, errors.KubeUnavailable),
        (302, errors.KubeUnavailable),
    ],
)
def test_each_code_says_what_the_caller_can_do(code: int, expected: type[errors.OperatorError]) -> None:
    assert type(error_from_answer("get pods a/b", code, {}, status())) is expected


@given(
    code=st.integers(300, 599),
    reason=st.text(max_size=80) | st.none() | st.integers(),
    body=st.binary(max_size=200) | st.none(),
)
def test_nothing_of_an_answer_is_quoted_but_one_word(code: int, reason: object, body: bytes | None) -> None:
    answer = body if body is not None else json.dumps({"reason": reason, "message": SENTINEL}).encode()
    error = error_from_answer("get pods a/b", code, {}, answer)
    assert SENTINEL not in str(error)
    assert len(str(error)) < 80
    assert error.reason in reasons.REASONS


def test_the_one_word_is_named() -> None:
    assert (
        str(error_from_answer("get pods a/b", 409, {}, status("AlreadyExists")))
        == "get pods a/b: 409 AlreadyExists"
    )


def test_retry_after_is_honoured_within_reason() -> None:
    def after(value: str) -> float | None:
        error = error_from_answer("x", 429, {"Retry-After": value}, b"")
        assert isinstance(error, errors.Retry)
        return error.after

    assert after("7") == 7
    assert after("86400") == 60
    assert after("Wed, 21 Oct 2026 07:28:00 GMT") == after("-1") == after("") == 1


def test_a_test_that_does_not_hold_is_a_conflict_but_an_invalid_result_is_not() -> None:
    failed_test = error_from_answer("x", 422, {}, status("Invalid"), conditional=True)
    invalid = error_from_answer(
        "x", 422, {}, status("Invalid", causes=["FieldValueInvalid"]), conditional=True
    )
    assert type(failed_test) is errors.KubeConflict
    assert type(invalid) is errors.KubeInvalid


def test_three_kinds_of_403_are_told_apart() -> None:
    authorizer = 'secrets is forbidden: User "u" cannot list resource "secrets" in API group ""'
    assert error_from_answer("x", 403, {}, status("Forbidden", authorizer)).reason == "OperatorForbidden"
    quota = 'roles "r" is forbidden: exceeded quota: none'
    assert error_from_answer("x", 403, {}, status("Forbidden", quota)).reason == "KubernetesRefused"
    terminating = status("Forbidden", causes=["NamespaceTerminating"])
    assert error_from_answer("x", 403, {}, terminating).reason == "Terminating"


def test_an_error_event_is_typed_like_an_answer() -> None:
    assert type(error_from_event("watch pods", {"code": 410, "reason": "Expired"})) is errors.KubeExpired
    assert type(error_from_event("watch pods", {"code": 500})) is errors.KubeUnavailable
    assert type(error_from_event("watch pods", {})) is errors.KubeUnavailable
