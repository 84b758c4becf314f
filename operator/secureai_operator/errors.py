"""Errors, typed by what the caller can do about them: retry, wait for the user, or give up.

Every error carries the `reason` of a status condition (see `api.reasons`) and a message that is
safe to show to the owner of a workload: it never holds a secret, and never quotes what a remote
side answered.
"""

from __future__ import annotations


class OperatorError(Exception):
    """The root of all errors that the operator itself raises."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Retry(OperatorError):
    """It may work later without anybody doing anything; `after` is in seconds, if it is known."""

    def __init__(self, reason: str, message: str, after: float | None = None) -> None:
        super().__init__(reason, message)
        self.after = after


class WaitForUser(OperatorError):
    """Somebody has to change something outside the CR (a grant, a setting) before it can work."""


class Terminal(OperatorError):
    """The same request can never work; only another spec can."""


class KubeConflict(Retry):
    """409: the object changed under us, or somebody else's object has the name."""


class KubeThrottled(Retry):
    """429: the API server asks for patience."""


class KubeUnavailable(Retry):
    """No answer, or 5xx."""


class KubeExpired(Retry):
    """410: the resource version is too old, list again."""


class KubeNotFound(Retry):
    """404 where something has to be: the object or its namespace is gone, or the kind is not served."""


class KubeForbidden(WaitForUser):
    """401 or 403: the operator's own identity lacks a right."""


class KubeInvalid(Terminal):
    """400 or 422: the API server refuses the object as it is."""


class VaultUnavailable(Retry):
    """Vault is unreachable, sealed, not initialised, rate limited, or the breaker is open."""


class VaultUncertain(Retry):
    """A write was sent and its outcome is not known: read again before doing it once more."""


class VaultDenied(WaitForUser):
    """403 also after a new login, or the login itself was refused."""


class VaultRefused(Terminal):
    """400: Vault will never accept this request."""
