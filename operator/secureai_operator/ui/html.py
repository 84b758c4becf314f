"""Elements of HTML. Text is escaped wherever it comes from; only an `Html` is taken as it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from secureai_operator.cli.timeline_svg import text as escaped

_VOID = frozenset({"input", "link", "meta"})

Attribute = str | int | bool | None
"""False and None leave the attribute out, True gives it no value."""


@dataclass(frozen=True, slots=True)
class Html:
    """Mark-up of our own that is sent as it is."""

    text: str


Part = Html | str


def element(name: str, /, *parts: Part, **attributes: Attribute) -> Html:
    """An element; `class_` is class, `aria_label` is aria-label."""
    opened = f"<{name}{''.join(_attribute(*one) for one in attributes.items())}>"
    if name in _VOID:
        return Html(opened)
    return Html(f"{opened}{''.join(_written(part) for part in parts)}</{name}>")


def joined(parts: Iterable[Part], between: str = "") -> Html:
    return Html(between.join(_written(part) for part in parts))


def prose(words: str) -> Html:
    """A sentence in which `what stands between backticks` is code."""
    pieces = words.split("`")
    return joined(element("code", piece) if at % 2 else piece for at, piece in enumerate(pieces))


def _written(part: Part) -> str:
    return part.text if isinstance(part, Html) else escaped(part)


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escaped(str(value))}"'
