"""Requests to one Vault from the event loop: in threads of their own, bounded, measured, and cut off when it is down."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.clients._vault_errors import (
    RATE_LIMITED,
    TIMEOUT,
    Effect,
    error_of,
    trouble_of,
    unavailable,
)
from secureai_operator.clients._vault_http import Answer, PoolAdapter, TransportError
from secureai_operator.clients._vault_limits import Breaker, TokenBucket

Observe = Callable[[str, str, float], None]

PROBE_THREADS = 2
PROBE_SECONDS = 2.0
PATIENCE = 30.0
"""Seconds that a call may wait for its turn before it is told to come again."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of Vault: `op` is its name in metrics and messages, `effect` what asking twice would do."""

    op: str
    method: str
    path: str
    body: Any = field(default=None, repr=False)
    effect: Effect = Effect.READ


class VaultLine:
    """Sends one request at a time per slot and tells every outcome to breaker and metrics.

    Returns the answers that say something about the request (2xx, 400, 401, 403, 404) and raises for those that
    say something about Vault. The only second attempt is the one after a kept-alive connection turned out
    to be dead, for requests that may be sent twice.
    """

    def __init__(self, connection: VaultConnection, observe: Observe, is_urgent: Callable[[], bool]) -> None:
        slots = connection.max_in_flight
        self._adapter = PoolAdapter(
            connection.address,
            timeout=connection.timeout,
            ca_file=connection.ca_file,
            namespace=connection.namespace,
        )
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix=f"vault-{connection.name}")
        # Apart from the others: eight hung requests must not make Vault's health unknown.
        self._probe_threads = ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="vault-probe")
        self._slots = asyncio.Semaphore(slots)
        self._bucket = TokenBucket(connection.requests_per_second, connection.burst, time.monotonic)
        self._observe = observe
        self._is_urgent = is_urgent
        self.breaker = Breaker(time.monotonic)

    async def send(self, request: Request, token: str | None = None) -> Answer:
        is_trial = self._pass_breaker(request.op)
        await self._take_turn(request.op)
        async with self._slot(request.op):
            # Again: while this call waited, those before it may have found out that Vault is gone.
            if self.breaker.reason and not is_trial:
                self._pass_breaker(request.op)
            outcome = await self._blocking(self._threads, request, token)
            if _lost_before_use(outcome) and request.effect is not Effect.ONCE:
                outcome = await self._blocking(self._threads, request, token)
        return self._judged(outcome, request)

    async def probe(self, request: Request, token: str | None = None) -> Answer | TransportError:
        """Past breaker, bucket and slots, for the health monitor alone."""
        return await self._blocking(self._probe_threads, request, token, PROBE_SECONDS)

    def close(self) -> None:
        """Ends requests under way and waits for none."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._probe_threads.shutdown(wait=False, cancel_futures=True)
        self._adapter.close()

    def _pass_breaker(self, op: str) -> bool:
        """Whether this call is the one that finds out if Vault is back; raises for all others meanwhile."""
        if (refusal := self.breaker.refusal()) is not None:
            self._observe(op, "breaker", 0.0)
            raise unavailable(refusal.reason, refusal.after)
        return bool(self.breaker.reason)

    async def _take_turn(self, op: str) -> None:
        wait = self._bucket.reserve(urgent=self._is_urgent(), patience=PATIENCE)
        if wait is None:
            self._observe(op, "bucket", 0.0)
            raise unavailable(RATE_LIMITED, PATIENCE / 2)
        if wait > 0:
            await asyncio.sleep(wait)

    @contextlib.asynccontextmanager
    async def _slot(self, op: str) -> AsyncIterator[None]:
        if self._slots.locked():
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._slots.acquire()
            except TimeoutError:
                self._observe(op, "slots", PATIENCE)
                raise unavailable(TIMEOUT, PATIENCE / 2) from None
        else:
            await self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()

    async def _blocking(
        self, threads: ThreadPoolExecutor, request: Request, token: str | None, seconds: float | None = None
    ) -> Answer | TransportError:
        begun = time.perf_counter()
        outcome: Answer | TransportError
        send = functools.partial(
            self._adapter.send, request.method, request.path, request.body, token=token, timeout=seconds
        )
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(threads, send)
            code = str(outcome.status_code)
        except TransportError as error:
            outcome, code = error, error.code
        self._observe(request.op, code, time.perf_counter() - begun)
        return outcome

    def _judged(self, outcome: Answer | TransportError, request: Request) -> Answer:
        trouble = trouble_of(outcome)
        if trouble is None:
            self.breaker.succeeded()
        else:
            self.breaker.failed(trouble.reason, certain=trouble.certain, pause=trouble.pause)
        if isinstance(outcome, TransportError) or trouble is not None:
            raise error_of(outcome, request.op, request.effect)
        if outcome.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise error_of(outcome, request.op, request.effect)
        return outcome


def _lost_before_use(outcome: Answer | TransportError) -> bool:
    """A kept-alive connection that the other side had closed: the request may never have arrived."""
    return isinstance(outcome, TransportError) and outcome.code == "broken"
