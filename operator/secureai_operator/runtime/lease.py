"""Leadership by a coordination.k8s.io Lease: one leader, warm standbys, a handover in under two seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random as _random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from secureai_operator import errors
from secureai_operator.runtime.clock import Clock, SystemClock
from secureai_operator.runtime.identity import Identity
from secureai_operator.runtime.versions import is_older

log = logging.getLogger(__name__)

Json = dict[str, Any]


class LeaseStore(Protocol):
    """The one Lease object; writes are compare-and-swap by its resource version."""

    async def read(self) -> Json | None: ...

    async def create(self, spec: Json) -> Json:
        """Create the Lease; errors.KubeConflict if somebody was faster."""
        ...

    async def replace(self, lease: Json) -> Json:
        """Write the Lease as read and edited; errors.KubeConflict if somebody wrote in between."""
        ...


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Durations in seconds; `renew_deadline` must leave room below `duration`."""

    duration: float = 10.0
    renew: float = 2.5
    renew_deadline: float = 8.0
    """A leader that could not renew for so long steps down, before a standby may take over."""
    retry: float = 1.0
    """How often a standby looks."""


@dataclass(frozen=True, slots=True)
class _Sighting:
    """What a standby saw of another holder, and when it first saw exactly this."""

    holder: str
    version: str
    at: float


class Elector:
    """Become the leader, stay it, and leave at once.

    - Whether a holder's time is over is decided by how long *this* process has seen the Lease unchanged, never by
      a timestamp that another clock wrote. Only a holder that is dead for certain is not waited for.
    - `is_leader` is false as soon as the last renewal, counted from before its request, is too old: also in a process
      that was frozen for a while and did not notice.
    - `lost` is set when leadership ends without `stop`; the process should exit, for its passes may be stale.
    - `stop` gives the Lease back, so that a standby takes over at its next look.
    - A Lease older than one that was seen before tells that the API server's data were restored: whatever this process
      knows is of a future that never was, and its watches would stay silent until that future has come. It is `lost`.
    """

    def __init__(
        self,
        store: LeaseStore,
        identity: Identity,
        *,
        settings: LeaseSettings | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.identity = identity.holder
        self._succeeds = identity.succeeds
        self.lost = asyncio.Event()
        self._store = store
        self._settings = settings or LeaseSettings()
        self._clock = clock or SystemClock()
        self._random = random
        self._elected = asyncio.Event()
        self._stop = asyncio.Event()
        self._lease: Json = {}
        self._renewed_at = 0.0
        self._sighting: _Sighting | None = None

    @property
    def is_leader(self) -> bool:
        age = self._clock.monotonic() - self._renewed_at
        return self._elected.is_set() and age < self._settings.renew_deadline

    async def wait_until_leader(self) -> None:
        await self._elected.wait()

    def stop(self) -> None:
        """End `run`; a leader gives the Lease back first."""
        self._stop.set()

    async def run(self) -> None:
        """Stand by, lead, and return after `stop` or when leadership is lost."""
        try:
            while not self._is_over() and not await self._try_to_acquire():
                await self._wait(self._settings.retry * (0.8 + 0.2 * self._random()))
            if self._elected.is_set():
                log.info("leader", extra={"identity": self.identity})
                await self._lead()
        finally:
            was_leader = self._elected.is_set()
            self._elected.clear()
            if was_leader and not self.lost.is_set():
                await self._release()

    async def _lead(self) -> None:
        while not self._stop.is_set():
            await self._wait(self._settings.renew)
            if not self._stop.is_set() and not await self._renew():
                log.warning("leadership lost", extra={"identity": self.identity})
                self.lost.set()
                return

    async def _renew(self) -> bool:
        """Renew until it works; False once another one holds the Lease or the deadline has passed."""
        while self.is_leader:
            started = self._clock.monotonic()
            remaining = self._renewed_at + self._settings.renew_deadline - started
            try:
                async with asyncio.timeout(min(self._settings.renew, remaining)):
                    self._lease = await self._store.replace(self._held(self._lease))
            except errors.KubeConflict:
                if not await self._reread():
                    return False
            except (errors.Retry, errors.WaitForUser, TimeoutError):
                # Also a missing right: it may be back before the deadline, and until then nobody else can take over.
                await self._wait(self._settings.retry / 4)
            else:
                self._renewed_at = started
                return True
        return False

    async def _reread(self) -> bool:
        """After a conflict, learn the present version; False if we are not its holder, or not in its time."""
        try:
            async with asyncio.timeout(self._settings.renew):
                lease = await self._store.read()
        except (errors.Retry, errors.WaitForUser, TimeoutError):
            await self._wait(self._settings.retry / 4)
            return True
        if lease is None or _holder(lease) != self.identity:
            return False
        restored = self._is_restored(lease, _version(self._lease))
        self._lease = lease
        if restored:
            # Ours still: whoever begins anew need not wait for its time.
            await self._release()
        return not restored

    async def _try_to_acquire(self) -> bool:
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._settings.renew):
                lease = await self._store.read()
                if lease is not None and self._sighting and self._is_restored(lease, self._sighting.version):
                    self.lost.set()
                    return False
                if lease is not None and not self._is_free(lease):
                    return False
                if lease is None:
                    self._lease = await self._store.create(self._spec(transitions=0))
                else:
                    self._lease = await self._store.replace(self._held(lease))
        except (errors.Retry, errors.WaitForUser, TimeoutError) as error:
            log.info("lease not acquired", extra={"identity": self.identity, "error": type(error).__name__})
            return False
        self._renewed_at = started
        self._elected.set()
        return True

    def _is_free(self, lease: Json) -> bool:
        """Whether nobody holds the Lease, or its holder is dead, or has been silent for its duration before our eyes."""
        holder = _holder(lease)
        if holder in ("", self.identity) or self._succeeds(holder):
            return True
        version = _version(lease)
        seen = self._sighting
        if seen is None or (seen.holder, seen.version) != (holder, version):
            seen = self._sighting = _Sighting(holder, version, self._clock.monotonic())
        duration = lease["spec"].get("leaseDurationSeconds") or self._settings.duration
        return self._clock.monotonic() - seen.at > duration

    def _is_restored(self, lease: Json, before: str) -> bool:
        """Whether the API server shows a Lease from before the one of that version, which it showed already."""
        went_back = is_older(_version(lease), before)
        if went_back:
            log.error("the API server's data were restored", extra={"identity": self.identity})
        return went_back

    def _is_over(self) -> bool:
        return self._stop.is_set() or self.lost.is_set()

    async def _release(self) -> None:
        """Give the Lease back; if that fails, it runs out by itself."""
        with contextlib.suppress(errors.OperatorError, TimeoutError):
            async with asyncio.timeout(self._settings.retry):
                try:
                    await self._store.replace(self._vacant(self._lease))
                except errors.KubeConflict:
                    # A renewal whose answer never came may have gone through.
                    lease = await self._store.read()
                    if lease is None or _holder(lease) != self.identity:
                        return
                    await self._store.replace(self._vacant(lease))
                log.info("lease released", extra={"identity": self.identity})

    def _vacant(self, lease: Json) -> Json:
        return {**lease, "spec": {**lease["spec"], "holderIdentity": "", "renewTime": self._timestamp()}}

    def _held(self, lease: Json) -> Json:
        """Return the Lease with us as its holder and everything else kept."""
        before = lease["spec"]
        transitions = before.get("leaseTransitions") or 0
        if _holder(lease) == self.identity:
            spec = {
                **before,
                **self._spec(transitions),
                "acquireTime": before.get("acquireTime") or self._timestamp(),
            }
        else:
            spec = {**before, **self._spec(transitions + 1)}
        return {**lease, "spec": spec}

    def _spec(self, transitions: int) -> Json:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._settings.duration),
            "acquireTime": self._timestamp(),
            "renewTime": self._timestamp(),
            "leaseTransitions": transitions,
        }

    def _timestamp(self) -> str:
        """For people and other clients; no decision of ours reads it."""
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def _wait(self, seconds: float) -> None:
        """Sleep, but not beyond `stop`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()


def _version(lease: Json) -> str:
    return str(lease["metadata"]["resourceVersion"])


def _holder(lease: Json) -> str:
    return (lease.get("spec") or {}).get("holderIdentity") or ""
