"""From an answer of the API server to an error that says what the caller can do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from secureai_operator import errors

_REASON = re.compile(r"[A-Z][A-Za-z]{1,40}")
_AUTHORIZER = re.compile(r'is forbidden: User "[^"]*" cannot [a-z]+ resource ')
_MAX_STATUS_BYTES = 64 * 1024
_MAX_RETRY_AFTER = 60.0

_CLIENT_ERRORS, _SERVER_ERRORS = 400, 500
_UNAUTHORIZED, _FORBIDDEN, _CONFLICT, _INVALID = 401, 403, 409, 422

_RETRIED: dict[int, tuple[type[errors.Retry], str, float | None]] = {
    404: (errors.KubeNotFound, "Retrying", None),
    _CONFLICT: (errors.KubeConflict, "Retrying", None),
    410: (errors.KubeExpired, "Retrying", None),
    429: (errors.KubeThrottled, "KubernetesUnavailable", 1.0),
}
"""Status codes that may pass, with how long to wait if the answer does not say."""


_POLICY_NOT_READY = "failed to configure policy"
"""What a ValidatingAdmissionPolicy says whose paramKind cannot be found yet. Source: apiserver, policy/validating."""
_POLICY_SECONDS = 1.0


def error_from_answer(
    what: str, status: int, headers: Mapping[str, str], body: bytes, *, conditional: bool = False
) -> errors.OperatorError:
    """Return the typed error for an answer that is not a success.

    `what` is our own name of the request. Nothing of the answer is quoted but the status code and the API server's
    one-word reason. `conditional` says that the request was a JSON patch with `test` operations.
    """
    details = _status(body)
    message = f"{what}: {status} {_word(details.get('reason'))}".rstrip()
    if status == _INVALID and conditional and not _causes(details):
        # A `test` that does not hold is answered like an invalid object, only without a cause.
        status = _CONFLICT
    if status in (_INVALID, _FORBIDDEN) and _POLICY_NOT_READY in str(details.get("message", "")):
        # After its start an API server's admission does not know our kinds until its next look at what it serves.
        return errors.KubeUnavailable("KubernetesUnavailable", message, _POLICY_SECONDS)
    if status == _FORBIDDEN:
        return errors.KubeForbidden(_reason_of_forbidden(details), message)
    if status == _UNAUTHORIZED:
        return errors.KubeForbidden("OperatorForbidden", message)
    if _CLIENT_ERRORS <= status < _SERVER_ERRORS and status not in _RETRIED:
        return errors.KubeInvalid("KubernetesRefused", message)
    retried, reason, patience = _RETRIED.get(status, (errors.KubeUnavailable, "KubernetesUnavailable", None))
    return retried(reason, message, _retry_after(headers) or patience)


def error_from_event(what: str, status: Mapping[str, Any]) -> errors.OperatorError:
    """Return the typed error for an ERROR event in a watch."""
    code = status.get("code")
    body = json.dumps({"reason": status.get("reason")}).encode()
    return error_from_answer(what, code if isinstance(code, int) else 500, {}, body)


def unavailable(what: str, error: BaseException) -> errors.KubeUnavailable:
    """Return the typed error for no answer at all; only the kind of failure is named."""
    return errors.KubeUnavailable("KubernetesUnavailable", f"{what}: no answer ({type(error).__name__})")


def _status(body: bytes) -> Mapping[str, Any]:
    """Return the metav1.Status in the body, or an empty mapping if it holds none."""
    try:
        found = json.loads(body[:_MAX_STATUS_BYTES])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason_of_forbidden(status: Mapping[str, Any]) -> str:
    """Tell our own missing right from a namespace that goes away and from a quota or policy of the cluster.

    All three are a plain 403; only the authorizer's text names a user who "cannot" do something.
    """
    if "NamespaceTerminating" in _causes(status):
        return "Terminating"
    text = status.get("message")
    return "OperatorForbidden" if isinstance(text, str) and _AUTHORIZER.search(text) else "KubernetesRefused"


def _causes(status: Mapping[str, Any]) -> list[str]:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    found = [cause.get("reason") for cause in causes or [] if isinstance(cause, dict)]
    return [_word(reason) for reason in found]


def _word(reason: object) -> str:
    """Return the reason if it is one CamelCase word; an admission plugin may have put anything there."""
    return reason if isinstance(reason, str) and _REASON.fullmatch(reason) else ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of Retry-After, within reason."""
    value = headers.get("Retry-After", "")
    return min(float(value), _MAX_RETRY_AFTER) if value.isascii() and value.isdigit() else None
