"""The page that stands where another cannot be shown. Pure."""

from __future__ import annotations

from secureai_operator.ui.frame import Frame, live, page
from secureai_operator.ui.html import element, prose
from secureai_operator.ui.links import Links
from secureai_operator.ui.troubles import Trouble


def trouble_page(trouble: Trouble, links: Links) -> str:
    """The whole page."""
    steps = element("ul", *(element("li", prose(step)) for step in trouble.steps)) if trouble.steps else ""
    said = element("div", element("p", trouble.message), steps, class_="notice err", role="alert")
    return page(Frame(trouble.title, links), live("trouble", said))
