"""That asyncio still takes the size of its reads from where we set it."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol

import pytest

from secureai_operator.clients.tls_memory import READ_BYTES, keep_reads_small


async def test_a_connection_keeps_a_small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SSLProtocol, "max_size", SSLProtocol.max_size)
    keep_reads_small()
    loop = asyncio.get_running_loop()
    made = SSLProtocol(loop, asyncio.Protocol(), ssl.create_default_context(), loop.create_future())
    assert len(made.get_buffer(-1)) == READ_BYTES
