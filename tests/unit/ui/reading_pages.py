"""A page as a browser takes it: its elements, its text and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"input", "link", "meta"})


@dataclass
class Element:
    """An element with its attributes and all text below it."""

    name: str
    attributes: dict[str, str]
    parent: Element | None = None
    words: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, name: str) -> list[Element]:
        """Those of that name below it, in the order of the document."""
        found = []
        for child in self.children:
            found += [child] if child.name == name else []
            found += child.all(name)
        return found

    def with_id(self, name: str) -> Element:
        (found,) = [one for one in self.everything() if one.attributes.get("id") == name]
        return found

    def everything(self) -> list[Element]:
        return [self, *(below for child in self.children for below in child.everything())]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.at = Element("", {})

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        one = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.children.append(one)
        if tag not in VOID:
            self.at = one

    def handle_endtag(self, tag: str) -> None:
        assert self.at.name == tag, f"</{tag}> ends <{self.at.name}>"
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        at: Element | None = self.at
        while at is not None:
            at.words.append(data)
            at = at.parent


def read(page: str) -> Element:
    """The document; fails if an element is not closed where it should be."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.at is reader.root, f"<{reader.at.name}> is not closed"
    return reader.root


def table(page: Element, caption: str) -> list[list[str]]:
    """The cells of the table with that caption, row by row."""
    (found,) = [one for one in page.all("table") if one.all("caption")[0].text == caption]
    (body,) = found.all("tbody")
    return [[cell.text for cell in row.children] for row in body.all("tr")]
