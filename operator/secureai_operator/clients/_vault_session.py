"""The operator's own token: one login at a time, renewed at two thirds, replaced when Vault stops honouring it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.clients._vault_errors import LOGIN_FAILED, UNREACHABLE, Effect, unavailable
from secureai_operator.clients._vault_http import Answer
from secureai_operator.clients._vault_line import Request, VaultLine
from secureai_operator.errors import OperatorError, VaultDenied

logger = logging.getLogger(__name__)

LOGIN_PAUSE = 2.0
"""Seconds between two logins at least, whatever happens: a refused identity must not become a storm."""

CLOSE_PATIENCE = 1.0
"""Seconds that stopping may take: a successor is waiting for the Lease."""

_RENEW = Request("token/renew", "POST", "/v1/auth/token/renew-self", {}, Effect.WRITE)
_REVOKE = Request("token/revoke", "POST", "/v1/auth/token/revoke-self", {}, Effect.WRITE)


@dataclass(frozen=True)
class Token:
    """A login's result. `generation` counts logins; the value stays out of `repr`."""

    value: str = field(repr=False)
    generation: int
    ttl: float
    expires: float


def renewal_in(token: Token, now: float) -> float:
    """Seconds until two thirds of its life are over, a little less by chance; one second if they are.

    Counted to its end: a renewal that failed is tried again at once, and not after as long again, when it has expired.
    """
    left = token.ttl * random.uniform(1 / 3, 0.4)  # noqa: S311 - jitter
    return max(1.0, token.expires - now - left)


class VaultSession:
    """Hands out the current token and makes a new one when there is none.

    However many calls need a token at once, one of them logs in and the others wait for it; if it
    fails they all get its error, and so does everybody until the pause is over.
    """

    def __init__(self, line: VaultLine, connection: VaultConnection, role: str) -> None:
        self._line = line
        self._connection = connection
        self._role = role
        self._login = asyncio.Lock()
        self._token: Token | None = None
        self._fresh = asyncio.Event()
        self._attempted = -math.inf
        self._failure: VaultDenied | None = None

    async def token(self) -> Token:
        """The current token, after a login if need be; raises what the login raised."""
        if (token := self._token) is not None:
            return token
        return await self._replace(None)

    async def replaced(self, denied: Token) -> Token | None:
        """Another token than the one that got a 403, or None if it is too early for another login."""
        current = self._token
        if current is not None and current.generation != denied.generation:
            return current
        # A login under way is for everybody: only when none is, the pause counts.
        if not self._login.locked() and time.monotonic() - self._attempted < LOGIN_PAUSE:
            if self._failure is not None:
                # Or the reason would change between "may not log in" and "may not do this" with every pause.
                raise self._failure
            return None
        return await self._replace(denied)

    @property
    def remaining(self) -> float:
        """Seconds until the token expires, for metrics."""
        return max(0.0, self._token.expires - time.monotonic()) if self._token else 0.0

    async def run(self) -> None:
        """Renew the token for as long as this runs."""
        while True:
            if self._token is None:
                self._fresh.clear()
                await self._fresh.wait()
                continue
            token = self._token
            await self._wait_for_other(token, renewal_in(token, time.monotonic()))
            if self._token is token:
                await self._renew(token)

    async def _wait_for_other(self, token: Token, seconds: float) -> None:
        """Until it is time to renew this token, or it was replaced."""
        self._fresh.clear()
        if self._token is not token:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._fresh.wait()
        except TimeoutError:
            return

    async def _renew(self, token: Token) -> None:
        try:
            answer = await self._line.send(_RENEW, token.value)
            if answer.ok:
                renewed = _token_of(answer, token.generation)
                # Near its maximum TTL Vault grants less and less: then only a login helps.
                if renewed is not None and renewed.ttl > token.ttl / 2:
                    self._token = renewed
                    return
            await self._replace(token)
        except OperatorError as error:
            logger.warning("could not renew the token for Vault", extra={"reason": error.reason})
            await asyncio.sleep(random.uniform(1.0, 3.0))  # noqa: S311  # jitter

    async def _replace(self, old: Token | None) -> Token:
        async with self._login:
            current = self._token
            if current is not None and (old is None or current.generation != old.generation):
                return current
            if self._failure is not None and time.monotonic() - self._attempted < LOGIN_PAUSE:
                raise self._failure
            self._attempted = time.monotonic()
            try:
                token = await self._logged_in(1 if old is None else old.generation + 1)
            except VaultDenied as error:
                self._failure = error
                raise
            self._failure = None
            self._token = token
            self._fresh.set()
        if old is not None:
            await self._discard(old)
        return token

    async def _logged_in(self, generation: int) -> Token:
        try:
            jwt = (await asyncio.to_thread(Path(self._connection.token_file).read_text)).strip()
        except (OSError, UnicodeDecodeError):
            raise VaultDenied(LOGIN_FAILED, "the operator's ServiceAccount token cannot be read") from None
        path = f"/v1/auth/{self._connection.auth_mount}/login"
        body = {"role": self._role, "jwt": jwt}
        answer = await self._line.send(Request("login", "POST", path, body, Effect.WRITE))
        if not answer.ok:
            raise VaultDenied(LOGIN_FAILED, "Vault does not let the operator log in")
        token = _token_of(answer, generation)
        if token is None:
            raise unavailable(UNREACHABLE)
        return token

    async def _discard(self, token: Token) -> None:
        """A replaced token that is still good must not live on until its TTL ends."""
        try:
            await self._line.send(_REVOKE, token.value)
        except OperatorError as error:
            logger.debug("could not revoke the replaced token", extra={"reason": error.reason})

    async def close(self) -> None:
        """Revoke the token: a stopped operator leaves no access behind."""
        token, self._token = self._token, None
        if token is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_PATIENCE):
                    await self._discard(token)


def _token_of(answer: Answer, generation: int) -> Token | None:
    try:
        auth = answer.json()["auth"]
        ttl = float(auth["lease_duration"])
        return Token(str(auth["client_token"]), generation, ttl, time.monotonic() + ttl)
    except (ValueError, KeyError, TypeError):
        return None
