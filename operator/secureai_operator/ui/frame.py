"""What all pages have around them: head, navigation, and the line that says how old they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from secureai_operator.ui.cells import moment_of
from secureai_operator.ui.html import Html, Part, element
from secureai_operator.ui.links import Links


@dataclass(frozen=True)
class Frame:
    """Which page it is; `current` is its entry in the navigation, `at` when it was read."""

    title: str
    links: Links
    current: str = ""
    scope: str = ""
    at: datetime | None = None


def page(frame: Frame, *parts: Part) -> str:
    """The whole document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{frame.title} \u00b7 SecureAI Operator"),
        element("link", rel="stylesheet", href=frame.links.asset("ui.css")),
        element("link", rel="icon", type="image/svg+xml", href=frame.links.asset("icon.svg")),
        element("script", src=frame.links.asset("ui.js"), defer=True),
    )
    body = element(
        "body",
        element("a", "Skip to the content", href="#main", class_="skip"),
        _header(frame),
        element("p", id="notice", role="status"),
        element("main", element("h1", frame.title), *parts, id="main", tabindex=-1),
        element(
            "footer", element("p", "Read-only: nothing here changes a cluster. No secret is read or shown.")
        ),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en').text}\n"


def live(name: str, *parts: Part) -> Html:
    """A part of a page that is replaced when it is refreshed."""
    return element("div", *parts, id=name, data_live=True)


def _header(frame: Frame) -> Html:
    links = frame.links
    entries = (
        ("Fleet", links.fleet()),
        ("Keys and certificates", links.keys),
        ("Drift and rotations", links.history),
    )
    items = [
        element("li", element("a", title, href=href, aria_current="page" if title == frame.current else None))
        for title, href in entries
    ]
    return element(
        "header",
        element("p", element("strong", "SecureAI"), f" {frame.scope}" if frame.scope else "", class_="brand"),
        element("nav", element("ul", *items), aria_label="Pages"),
        element("div", *_age(frame), class_="age"),
    )


def _age(frame: Frame) -> list[Html]:
    if frame.at is None:
        return []
    read = element("span", "as of ", moment_of(frame.at))
    # Shown by the script: without it there is nothing to press.
    button = element(
        "button", "Refresh every 10 s", type="button", id="refresh", aria_pressed="false", hidden=True
    )
    return [live("read", read), button]
