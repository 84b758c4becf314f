"""What every test may use: one lab per session, a namespace per test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from lab import Lab, LabError, start_lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab of this session, started by the first test that asks for it.

    Where no lab can be had the session fails with the reason: a skipped test proves nothing.
    """
    running = start_lab()
    try:
        entered = running.__enter__()
    except LabError as error:
        pytest.exit(f"the lab cannot be started: {error}", returncode=pytest.ExitCode.TESTS_FAILED)
    try:
        yield entered
    finally:
        running.__exit__(None, None, None)


@pytest.fixture
def namespace(lab: Lab) -> Iterator[str]:
    """A namespace of its own, deleted (without waiting) when the test is over."""
    name = f"test-{secrets.token_hex(4)}"
    lab.create_namespace(name)
    yield name
    lab.delete_namespace(name)
