"""Watches one Vault: is it there, is it unsealed, does it still let the operator do its work."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from secureai_operator.api.vault_types import VaultHealth, VaultStatus
from secureai_operator.clients._vault_errors import (
    FORBIDDEN,
    NOT_INITIALIZED,
    RATE_LIMITED,
    SEALED,
    TIMEOUT,
    UNREACHABLE,
    trouble_of,
)
from secureai_operator.clients._vault_http import Answer, TransportError
from secureai_operator.clients._vault_line import Request, VaultLine
from secureai_operator.clients._vault_session import VaultSession
from secureai_operator.errors import OperatorError

logger = logging.getLogger(__name__)

_HEALTH = Request("health", "GET", "/v1/sys/health?standbyok=true&perfstandbyok=true")
HEALTHY_PAUSE = 1.8
UNWELL_PAUSE = 0.8
ACCESS_PAUSE = 3.0
CONFIRM_PAUSE = 0.15

HealthCallback = Callable[[VaultHealth], None]

_STATUS = {
    UNREACHABLE: VaultStatus.UNREACHABLE,
    TIMEOUT: VaultStatus.UNREACHABLE,
    SEALED: VaultStatus.SEALED,
    NOT_INITIALIZED: VaultStatus.NOT_INITIALIZED,
    RATE_LIMITED: VaultStatus.RATE_LIMITED,
}

_USABLE = (VaultStatus.HEALTHY, VaultStatus.STANDBY)


class HealthMonitor:
    """Says within five seconds what is wrong with Vault, and within five that it is over.

    `sys/health` needs no token and no quota; every three seconds one `sys/capabilities-self` asks whether the
    token may still do each thing in `needed`. Opens the breaker when Vault is gone and closes it when it is back.
    """

    def __init__(self, line: VaultLine, session: VaultSession, needed: Mapping[str, str]) -> None:
        self._line = line
        self._session = session
        self._needed = dict(needed)
        self._callbacks: list[HealthCallback] = []
        self._access_due = 0.0
        self._access_denied = ""
        self._told_time: tuple[float, float] | None = None
        self.health = VaultHealth(VaultStatus.UNKNOWN, time.time(), UNREACHABLE)

    def subscribe(self, callback: HealthCallback) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def time(self) -> float:
        """Unix time by Vault's clock: what it said last, and what passed since; by ours while it has said nothing."""
        if self._told_time is None:
            return time.time()
        told, at = self._told_time
        return told + time.monotonic() - at

    async def run(self) -> None:
        while True:
            await self.check()
            pause = HEALTHY_PAUSE if self.health.usable else UNWELL_PAUSE
            await asyncio.sleep(pause * random.uniform(0.85, 1.0))  # noqa: S311  # jitter

    async def check(self) -> VaultHealth:
        """Look once; at the latest after twice the timeout of a probe."""
        status, reason = await self._seen()
        if status in _USABLE:
            reason = await self._reason_of_usable()
            status = _STATUS.get(reason, VaultStatus.DENIED) if reason else status
        else:
            self._access_due = 0.0
            self._line.breaker.failed(reason, certain=True)
        self._announce(status, reason)
        return self.health

    async def _reason_of_usable(self) -> str:
        """Why a Vault that says it is well is of no use to the operator, or ""."""
        breaker = self._line.breaker
        if breaker.reason == RATE_LIMITED:
            # Health has no quota and cannot tell whether the storm is over; the check of access can.
            self._access_due = 0.0
        elif breaker.reason:
            breaker.succeeded()
        reason = await self._access_reason()
        if reason not in _STATUS:
            breaker.succeeded()
        return reason

    async def _seen(self) -> tuple[VaultStatus, str]:
        outcome = await self._probe()
        if isinstance(outcome, TransportError) and outcome.code != "timeout":
            # One refused connection may be one restart of a proxy; a second one is an outage.
            await asyncio.sleep(CONFIRM_PAUSE)
            outcome = await self._probe()
        told = (_body_of(outcome) or {}).get("server_time_utc")
        if isinstance(told, int | float):
            self._told_time = float(told), time.monotonic()
        return _status_of(outcome)

    async def _probe(self) -> Answer | TransportError:
        return await self._line.probe(_HEALTH)

    async def _access_reason(self) -> str:
        """Why the operator cannot do its work, or ""; asks Vault only when it is time to."""
        now = time.monotonic()
        if now < self._access_due:
            return self._access_denied
        self._access_denied = await self._asked_access()
        self._access_due = time.monotonic() + ACCESS_PAUSE * random.uniform(0.85, 1.0)  # noqa: S311  # jitter
        return self._access_denied

    async def _asked_access(self) -> str:
        if not self._needed:
            return ""
        try:
            token = await self._session.token()
            answer = await self._capabilities(token.value)
            if _is_denial(answer) or (isinstance(answer, Answer) and not self._grants(answer)):
                # The token may be revoked, or older than a change of the role: only a login tells.
                other = await self._session.replaced(token)
                if other is None:
                    return FORBIDDEN
                answer = await self._capabilities(other.value)
        except OperatorError as error:
            return error.reason
        if (trouble := trouble_of(answer)) is not None:
            return trouble.reason
        return "" if isinstance(answer, Answer) and self._grants(answer) else FORBIDDEN

    async def _capabilities(self, token: str) -> Answer | TransportError:
        body = {"paths": list(self._needed)}
        request = Request("capabilities", "POST", "/v1/sys/capabilities-self", body)
        return await self._line.probe(request, token)

    def _grants(self, answer: Answer) -> bool:
        """Every needed path has its capability; an answer without the paths grants nothing."""
        if not answer.ok:
            return False
        try:
            data = answer.json()["data"]
            return all(want in data[path] or "root" in data[path] for path, want in self._needed.items())
        except (ValueError, KeyError, TypeError):
            return False

    def _announce(self, status: VaultStatus, reason: str) -> None:
        if (status, reason) == (self.health.status, self.health.reason):
            return
        before = self.health
        since = before.since if status is before.status else time.time()
        self.health = VaultHealth(status, since, reason)
        logger.log(
            logging.INFO if self.health.usable else logging.WARNING,
            "Vault is now %s",
            status.value,
            extra={"status": status.value, "before": before.status.value, "reason": reason},
        )
        for callback in list(self._callbacks):
            try:
                callback(self.health)
            except Exception:
                logger.exception("a subscriber to Vault's health failed")


def _is_denial(outcome: Answer | TransportError) -> bool:
    return isinstance(outcome, Answer) and outcome.status_code in (
        HTTPStatus.FORBIDDEN,
        HTTPStatus.UNAUTHORIZED,
    )


def _status_of(outcome: Answer | TransportError) -> tuple[VaultStatus, str]:
    """`sys/health` tells its state in the body, and in a status that depends on how it was asked."""
    body = _body_of(outcome)
    if body is None:
        trouble = trouble_of(outcome)
        reason = UNREACHABLE if trouble is None else trouble.reason
        return _STATUS[reason], reason
    if body.get("initialized") is not True:
        return VaultStatus.NOT_INITIALIZED, NOT_INITIALIZED
    if body.get("sealed") is not False:
        return VaultStatus.SEALED, SEALED
    if isinstance(outcome, Answer) and not outcome.ok:
        # Unsealed and yet unwell: the standby of a disaster recovery cluster.
        return VaultStatus.UNREACHABLE, UNREACHABLE
    standby = body.get("standby") or body.get("performance_standby")
    return (VaultStatus.STANDBY if standby else VaultStatus.HEALTHY), ""


def _body_of(outcome: Answer | TransportError) -> dict[str, Any] | None:
    """What `sys/health` says, or None if this is not from `sys/health` at all."""
    if isinstance(outcome, TransportError):
        return None
    try:
        body = outcome.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) and "sealed" in body else None
