"""A thousand workloads are one page. How long it takes is printed (`-s` shows it), and judged by nobody here."""

from __future__ import annotations

import time

import aiohttp
import pytest

from secureai_operator.ui.server import UiServer
from tests.unit.ui.reading_pages import read, table
from tests.unit.ui.samples import PlainSource, many

COUNT = 1000


@pytest.mark.parametrize("path", ["", "?q=model-00500", "?state=not-ready", "keys", "history"])
async def test_a_thousand_workloads_are_answered(path: str) -> None:
    async with UiServer(PlainSource(many(COUNT))) as server, aiohttp.ClientSession() as client:
        start = time.perf_counter()
        async with client.get(server.url + path) as answer:
            content = await answer.read()
        seconds = time.perf_counter() - start
        assert answer.status == 200
    print(f"{COUNT} workloads, /{path}: {seconds * 1000:.0f} ms, {len(content) / 1024:.0f} KiB")  # noqa: T201 - the result


async def test_all_of_them_are_on_the_page() -> None:
    async with UiServer(PlainSource(many(COUNT))) as server, aiohttp.ClientSession() as client:
        async with client.get(server.url) as answer:
            page = read(await answer.text())
        async with client.get(f"{server.url}keys") as answer:
            keys = read(await answer.text())
    names = {row[0] for row in table(page, "Workloads")}
    assert len(names) == COUNT
    assert page.with_id("shown").text == f"{COUNT} of {COUNT} workloads"
    assert len(table(keys, "Keys, the oldest first")) == COUNT
