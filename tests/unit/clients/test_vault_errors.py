"""Each status, and each kind of silence, becomes the error that tells what to do."""

from __future__ import annotations

import json

import pytest

from secureai_operator.clients._vault_errors import Effect, error_of, trouble_of
from secureai_operator.clients._vault_http import Answer, TransportError
from secureai_operator.errors import (
    OperatorError,
    VaultDenied,
    VaultRefused,
    VaultUnavailable,
    VaultUncertain,
)


def answer(status: int, *errors: str) -> Answer:
    return Answer(status, json.dumps({"errors": errors}).encode())


READS: list[tuple[Answer | TransportError, type[OperatorError], str]] = [
    (TransportError("unreachable", sent=False), VaultUnavailable, "VaultUnreachable"),
    (TransportError("timeout", sent=False), VaultUnavailable, "VaultTimeout"),
    (TransportError("timeout", sent=True), VaultUnavailable, "VaultTimeout"),
    (TransportError("broken", sent=True), VaultUnavailable, "VaultUnreachable"),
    (answer(503, "Vault is sealed"), VaultUnavailable, "VaultSealed"),
    (answer(503, "too busy"), VaultUnavailable, "VaultUnreachable"),
    (answer(501), VaultUnavailable, "VaultNotInitialized"),
    (answer(429), VaultUnavailable, "VaultRateLimited"),
    (answer(500), VaultUnavailable, "VaultUnreachable"),
    (answer(502), VaultUnavailable, "VaultUnreachable"),
    (answer(412), VaultUnavailable, "VaultUnreachable"),
    (answer(307), VaultUnavailable, "VaultUnreachable"),
    (answer(403, "permission denied"), VaultDenied, "VaultForbidden"),
    (answer(401), VaultDenied, "VaultForbidden"),
    (answer(404, 'no handler for route "x"'), VaultDenied, "VaultMountMissing"),
    (answer(400, "bad"), VaultRefused, "VaultRejected"),
    (answer(405), VaultRefused, "VaultRejected"),
    (Answer(503, b"<html>"), VaultUnavailable, "VaultUnreachable"),
    (Answer(404, b"[1]"), VaultRefused, "VaultRejected"),
]

WRITES: list[tuple[Answer | TransportError, type[OperatorError], str]] = [
    (TransportError("unreachable", sent=False), VaultUnavailable, "VaultUnreachable"),
    (TransportError("timeout", sent=False), VaultUnavailable, "VaultTimeout"),
    (TransportError("timeout", sent=True), VaultUncertain, "VaultTimeout"),
    (TransportError("broken", sent=True), VaultUncertain, "VaultUnreachable"),
    (answer(503, "Vault is sealed"), VaultUnavailable, "VaultSealed"),
    (answer(429), VaultUnavailable, "VaultRateLimited"),
    (answer(500), VaultUncertain, "VaultUnreachable"),
    (answer(502), VaultUncertain, "VaultUnreachable"),
    (answer(504), VaultUncertain, "VaultUnreachable"),
    (answer(403), VaultDenied, "VaultForbidden"),
    (answer(400), VaultRefused, "VaultRejected"),
]


@pytest.mark.parametrize(("outcome", "kind", "reason"), READS, ids=repr)
def test_what_a_failed_read_becomes(
    outcome: Answer | TransportError, kind: type[OperatorError], reason: str
) -> None:
    error = error_of(outcome, "key/read", Effect.READ)
    assert (type(error), error.reason) == (kind, reason)


@pytest.mark.parametrize("effect", [Effect.WRITE, Effect.ONCE])
@pytest.mark.parametrize(("outcome", "kind", "reason"), WRITES, ids=repr)
def test_what_a_failed_write_becomes(
    outcome: Answer | TransportError, kind: type[OperatorError], reason: str, effect: Effect
) -> None:
    error = error_of(outcome, "key/rotate", effect)
    assert (type(error), error.reason) == (kind, reason)


@pytest.mark.parametrize("status", [200, 204, 307, 400, 403, 404, 412, 500])
def test_what_says_something_about_the_request_is_no_trouble_of_vaults(status: int) -> None:
    assert trouble_of(answer(status, "Vault is sealed")) is None


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_no_error_quotes_vault(status: int) -> None:
    error = error_of(answer(status, "s3cr3t sealed words"), "key/read", Effect.READ)
    assert "s3cr3t" not in f"{error} {error!r} {error.message}"
