"""What a status or a missing answer means to the operator: the one place that knows."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus

from secureai_operator.clients._vault_http import Answer, TransportError
from secureai_operator.errors import (
    OperatorError,
    VaultDenied,
    VaultRefused,
    VaultUnavailable,
    VaultUncertain,
)

UNREACHABLE = "VaultUnreachable"
TIMEOUT = "VaultTimeout"
SEALED = "VaultSealed"
RATE_LIMITED = "VaultRateLimited"
NOT_INITIALIZED = "VaultNotInitialized"
FORBIDDEN = "VaultForbidden"
LOGIN_FAILED = "VaultLoginFailed"
REJECTED = "VaultRejected"
MOUNT_MISSING = "VaultMountMissing"

_MESSAGES = {
    UNREACHABLE: "Vault does not answer",
    TIMEOUT: "Vault did not answer in time",
    SEALED: "Vault is sealed",
    RATE_LIMITED: "Vault asks for fewer requests",
    NOT_INITIALIZED: "Vault is not initialised",
}


class Effect(Enum):
    """What sending a request twice would do."""

    READ = auto()
    WRITE = auto()
    """The same state again."""
    ONCE = auto()
    """Something more: another version, another certificate."""


@dataclass(frozen=True)
class Trouble:
    """A sign that Vault as a whole, not this request, is unwell; `certain` if Vault said so itself."""

    reason: str
    certain: bool = False
    pause: float | None = None


def unavailable(reason: str, after: float | None = None) -> VaultUnavailable:
    return VaultUnavailable(reason, _MESSAGES[reason], after)


def trouble_of(outcome: Answer | TransportError) -> Trouble | None:
    """None if the outcome shows that Vault is alive."""
    if isinstance(outcome, TransportError):
        return Trouble(TIMEOUT if outcome.code == "timeout" else UNREACHABLE)
    status = outcome.status_code
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Trouble(SEALED, certain=True) if _says(outcome, "sealed") else Trouble(UNREACHABLE)
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return Trouble(NOT_INITIALIZED, certain=True)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Trouble(RATE_LIMITED, pause=outcome.retry_after)
    if status in (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT):
        return Trouble(UNREACHABLE)
    return None


def error_of(outcome: Answer | TransportError, op: str, effect: Effect) -> OperatorError:
    """The error that tells the caller what to do; it holds nothing of what Vault said."""
    if isinstance(outcome, TransportError):
        reason = TIMEOUT if outcome.code == "timeout" else UNREACHABLE
        uncertain = outcome.sent and effect is not Effect.READ
        return _uncertain(reason, op) if uncertain else unavailable(reason)
    return _unwell(outcome, op, effect) or _refused(outcome, op)


def _unwell(outcome: Answer, op: str, effect: Effect) -> OperatorError | None:
    trouble = trouble_of(outcome)
    status = outcome.status_code
    if trouble is not None and (effect is Effect.READ or trouble.reason != UNREACHABLE):
        return unavailable(trouble.reason, trouble.pause)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return unavailable(UNREACHABLE) if effect is Effect.READ else _uncertain(UNREACHABLE, op)
    if status == HTTPStatus.PRECONDITION_FAILED or _is_redirect(status):
        return unavailable(UNREACHABLE, 1.0)
    return None


def _refused(outcome: Answer, op: str) -> OperatorError:
    status = outcome.status_code
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return VaultDenied(FORBIDDEN, f"Vault does not allow the operator to do `{op}`")
    if status == HTTPStatus.NOT_FOUND and _says(outcome, "no handler for route"):
        return VaultDenied(MOUNT_MISSING, f"Vault has nothing mounted where the operator does `{op}`")
    return VaultRefused(REJECTED, f"Vault refuses `{op}` as it was asked")


def _uncertain(reason: str, op: str) -> VaultUncertain:
    return VaultUncertain(reason, f"it is not known whether Vault did `{op}`")


def _says(answer: Answer, words: str) -> bool:
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        return any(words in str(error).lower() for error in answer.json().get("errors") or ())
    return False


def _is_redirect(status: int) -> bool:
    return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
