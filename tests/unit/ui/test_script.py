"""The one script of the pages, in a real browser: it filters as one types and refreshes in place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from secureai_operator.cli.workloads import view
from secureai_operator.ui import html
from secureai_operator.ui.server import UiServer
from secureai_operator.ui.troubles import BUSY
from tests.unit.ui.chromium import Chromium, Tab, installed
from tests.unit.ui.samples import PlainSource

ROWS = "[...document.querySelectorAll('#workloads tbody tr')].filter(row => !row.hidden).length"
PRESSED = "document.getElementById('refresh').getAttribute('aria-pressed')"

pytestmark = pytest.mark.skipif(installed() is None, reason="there is no Chromium on this machine")


@pytest.fixture
async def tab(server: UiServer) -> AsyncIterator[Tab]:
    async with Chromium(installed() or "").tab(server.url) as opened:
        yield opened


def typed(text: str) -> str:
    return f"(() => {{ const q = document.getElementById('q'); q.value = {text!r}; q.dispatchEvent(new Event('input')); }})()"


async def test_rows_are_filtered_as_one_types(tab: Tab) -> None:
    assert await tab.evaluate(ROWS) == 9
    await tab.evaluate(typed("TEAM-B"))
    assert await tab.evaluate(ROWS) == 2
    assert "2 of the rows" in await tab.evaluate("document.getElementById('shown').textContent")
    await tab.evaluate(typed(""))
    assert await tab.evaluate(ROWS) == 9
    assert await tab.evaluate("document.getElementById('shown').textContent") == "9 of 9 workloads"


async def test_a_refresh_takes_what_is_new_and_keeps_focus_and_filter(tab: Tab, source: PlainSource) -> None:
    await tab.evaluate(typed("team-a"))
    await tab.evaluate("[...document.links].find(one => one.href.endsWith('/team-a/llm')).focus()")
    before = source.asked
    source.found = replace(source.found, workloads=source.found.workloads[:4])
    await tab.evaluate("document.getElementById('refresh').click()")
    await tab.until("document.querySelectorAll('#workloads tbody tr').length === 4")
    assert source.asked == before + 1
    assert await tab.evaluate(ROWS) == 3
    assert await tab.evaluate("document.activeElement.href.endsWith('/team-a/llm')")
    assert await tab.evaluate("document.getElementById('q').value") == "team-a"
    assert await tab.evaluate(PRESSED) == "true"


async def test_nothing_is_refreshed_unless_asked_for(tab: Tab, source: PlainSource) -> None:
    assert await tab.evaluate(PRESSED) == "false"
    before = source.asked
    await asyncio.sleep(0.5)
    assert source.asked == before


async def test_a_refresh_that_fails_says_that_the_page_is_old(tab: Tab, source: PlainSource) -> None:
    source.trouble = BUSY
    await tab.evaluate("document.getElementById('refresh').click()")
    await tab.until("document.getElementById('notice').textContent.includes('old')")
    assert await tab.evaluate(ROWS) == 9


async def test_a_script_that_gets_through_the_escaping_does_not_run(
    source: PlainSource, server: UiServer, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "<script>window.broken = 1</script><img src=x onerror='window.broken = 1'>"
    (bad,) = [one for one in source.found.workloads if one.name == "ranker"]
    for condition in bad.raw["status"]["conditions"]:
        condition["message"] = script
    source.found = replace(source.found, workloads=(view(bad.raw),))
    monkeypatch.setattr(html, "escaped", str)
    await tab.open(server.url + "?q=")
    await tab.until("document.querySelectorAll('main script, main img').length >= 2")
    await asyncio.sleep(0.2)
    assert await tab.evaluate("window.broken === undefined")


@pytest.mark.parametrize("path", ["", "workloads/team-b/ranker"])
async def test_the_browser_complains_about_nothing(server: UiServer, path: str) -> None:
    dom = await asyncio.to_thread(Chromium(installed() or "").dom, server.url + path)
    assert dom.complaints == ()
    assert "<h1>" in dom.text
    assert 'data-live="">' in dom.text
