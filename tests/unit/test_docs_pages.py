"""The documents in users' hands: pages that are in the site's nav, links that lead somewhere, numbers that were measured."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.unit.test_project import ROOT

DOCS = ROOT / "docs"
SITE = DOCS / "mkdocs.yml"
PAGES = (*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md")))
HOW_TOS = sorted((DOCS / "how-to").glob("*.md"))
PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())

Json = dict[str, Any]


@cache
def tokens(page: Path) -> tuple[Token, ...]:
    return tuple(MarkdownIt("commonmark").enable("table").parse(page.read_text()))


def targets(page: Path) -> Iterator[str]:
    """Of all links and pictures, those by reference included."""
    for token in tokens(page):
        for child in token.children or ():
            if child.type in {"link_open", "image"}:
                yield str(child.attrs.get("href") or child.attrs.get("src"))


def slug_of_a_repository(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def slug_of_the_site(heading: str) -> str:
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


@cache
def anchors(page: Path) -> frozenset[str]:
    """Of headings that have the same anchor in the repository and on the site."""
    found = set()
    for opening, inside in zip(tokens(page), tokens(page)[1:], strict=False):
        if opening.type == "heading_open":
            text = "".join(
                one.content for one in inside.children or () if one.type in {"text", "code_inline"}
            )
            found |= {slug_of_a_repository(text)} & {slug_of_the_site(text)}
    return frozenset(found)


# Pages and links ----------------------------------------------------------------------------------------------


class SiteLoader(yaml.SafeLoader):
    """Reads mkdocs' configuration, in which Python objects are named."""


SiteLoader.add_multi_constructor("tag:yaml.org,2002:python/", lambda _loader, suffix, _node: suffix)


def listed(nav: Any) -> Iterator[str]:
    """The pages of the nav, in their order."""
    if isinstance(nav, str):
        yield nav
    else:
        for one in nav.values() if isinstance(nav, dict) else nav:
            yield from listed(one)


def site() -> Json:
    found = yaml.load(SITE.read_text(), SiteLoader)  # noqa: S506 -- a SafeLoader that makes nothing of Python's tags
    assert isinstance(found, dict)
    return found


def test_every_page_is_in_the_nav_once() -> None:
    assert sorted(listed(site()["nav"])) == sorted(
        page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")
    )


def test_a_how_to_is_short() -> None:
    assert HOW_TOS
    assert not [page.name for page in HOW_TOS if len(page.read_text().splitlines()) > 120]


def dead(page: Path, target: str) -> str:
    """Why a link of the page leads nowhere, or ""."""
    path, _, anchor = target.partition("#")
    if re.match(r"[a-z]+:", target):
        return "" if target.startswith("https://") else "neither https nor a file"
    there = (page.parent / path).resolve() if path else page
    if not there.is_relative_to(ROOT) or not there.exists():
        return "there is no such file"
    if anchor and there.suffix == ".md" and anchor not in anchors(there):
        return "there is no such heading"
    return ""


@PAGE
def test_every_link_and_anchor_leads_somewhere(page: Path) -> None:
    assert not [f"{target}: {why}" for target in targets(page) if (why := dead(page, target))]


def test_a_link_that_leads_nowhere_is_found_out() -> None:
    page = DOCS / "quick-start.md"
    assert dead(page, "reasons.md#keylost") == ""
    assert dead(page, "reasons.md#keyfound") == "there is no such heading"
    assert dead(page, "how-to/no-such-page.md") == "there is no such file"
    assert dead(page, "http://example.com") == "neither https nor a file"


def test_what_looks_like_a_reference_is_one() -> None:
    """`[text][name]` without a `[name]: address` is shown as it is written."""
    left = r"\]\[[\w-]+\]"
    assert not [
        page.name
        for page in PAGES
        for token in tokens(page)
        for child in token.children or ()
        if child.type == "text" and re.search(left, child.content)
    ]


# Numbers ------------------------------------------------------------------------------------------------------


def test_the_numbers_of_the_comparison_are_those_of_the_recorded_run() -> None:
    section = (DOCS / "comparison.md").read_text().split("\n## Numbers\n")[1]
    results = (ROOT / "bench" / "RESULTS.md").read_text()
    numbers = re.findall(r"(?<![\w.])\d+(?:\.\d+)? (?:ms|s|MiB|KiB|%)", section)
    assert len(numbers) > 10
    assert not [number for number in numbers if number not in results]
