"""A server of the pages on loopback, over workloads in every state."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from secureai_operator.ui.server import UiServer
from tests.unit.ui.samples import PlainSource, showcase


@pytest.fixture
def source() -> PlainSource:
    return PlainSource(showcase())


@pytest.fixture
async def server(source: PlainSource) -> AsyncIterator[UiServer]:
    async with UiServer(source) as running:
        yield running
