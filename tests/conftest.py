"""What every test may use: one lab per session, a namespace per test."""

from __future__ import annotations

import contextlib
import secrets
import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest

from lab import Lab, LabError, prepare, start_lab

pytest_plugins = ("tests.fixtures_operator",)


def pytest_configure() -> None:
    """A shell that starts us in the background has SIGINT ignored, and so would every process that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that restart the API server come last, those with the product before the others.

    After its start admission does not know our kinds for a minute or more, and refuses what our policies match.
    """
    items.sort(key=_restarts)


def _restarts(item: pytest.Item) -> int:
    if item.get_closest_marker("restarts_api_server") is None:
        return 0
    return 1 if "product" in getattr(item, "fixturenames", ()) else 2


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the lab's binaries before the first test: no test's timeout counts it, and its progress is seen."""
    wanted = any("lab" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        try:
            prepare()
        except LabError as error:
            _end_session(error)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab of this session, started by the first test that asks for it.

    Where no lab can be had the session fails with the reason: a skipped test proves nothing.
    """
    running = start_lab()
    try:
        entered = running.__enter__()
    except LabError as error:
        _end_session(error)
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


def _end_session(error: LabError) -> NoReturn:
    pytest.exit(f"the lab cannot be started: {error}", returncode=pytest.ExitCode.TESTS_FAILED)
