"""Waiting for conditions: polling with a deadline, never a sleep in the hope of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lab.errors import LabError, LabTimeout

T = TypeVar("T")

POLL_SECONDS = 0.025


def wait_for(
    condition: Callable[[], T],
    deadline: float = 30.0,
    what: str = "the condition",
    poll: float = POLL_SECONDS,
) -> T:
    """Return the first truthy value of `condition`, or raise LabTimeout after `deadline` seconds.

    A LabError raised by the condition means "not yet" and is told in the timeout's text.
    """
    end = time.monotonic() + deadline
    while True:
        last = "it was never true"
        try:
            if value := condition():
                return value
        except LabTimeout:
            raise
        except LabError as error:
            last = str(error)
        if time.monotonic() >= end:
            raise LabTimeout(f"waited {deadline:g} s for {what}: {last}")
        time.sleep(poll)


async def wait_until(
    condition: Callable[[], Awaitable[T]],
    deadline: float = 30.0,
    what: str = "the condition",
    poll: float = POLL_SECONDS,
) -> T:
    """As `wait_for`, for a coroutine function and without blocking the event loop."""
    last = "it was never true"
    try:
        async with asyncio.timeout(deadline):
            while True:
                try:
                    if value := await condition():
                        return value
                    last = "it was never true"
                except LabError as error:
                    last = str(error)
                await asyncio.sleep(poll)
    except TimeoutError as error:
        raise LabTimeout(f"waited {deadline:g} s for {what}: {last}") from error
