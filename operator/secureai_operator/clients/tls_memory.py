"""What a TLS connection of asyncio takes in memory: a watch for each namespace and kind adds up."""

from __future__ import annotations

from asyncio.sslproto import SSLProtocol

READ_BYTES = 32 * 1024
"""Two TLS records of the largest size. asyncio's own 256 KiB stay resident for each connection that was ever read from."""


def keep_reads_small() -> None:
    """Have all connections of this process that are opened from now on read so much at a time.

    asyncio has no other setting for it: https://github.com/python/cpython/blob/3.11/Lib/asyncio/sslproto.py (max_size).
    """
    SSLProtocol.max_size = READ_BYTES
