"""The cells, tables and trees that the verbs print, as HTML. Colour only ever repeats what a word already says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from secureai_operator.cli.output import Branch, Cell, Mark, Table, Word, age
from secureai_operator.ui.html import Html, Part, element, joined

TONES = {
    Mark.GOOD: "good",
    Mark.PROGRESS: "busy",
    Mark.WARNING: "warn",
    Mark.ERROR: "err",
    Mark.QUIET: "quiet",
}
NOTHING = element("span", "\u2013", class_="quiet")


def worded(cell: Cell) -> Html:
    """A cell as text, coloured if it says how good it is."""
    if isinstance(cell, Word):
        return element("span", cell.text, class_=TONES.get(cell.mark))
    return joined([cell])


def badge(word: Word) -> Html:
    """A state that one looks for first."""
    return element("span", word.text, class_=f"badge {TONES.get(word.mark, 'quiet')}")


def since(at: datetime | None, now: datetime) -> Html:
    """How long ago; the moment itself for machines and on hovering."""
    if at is None:
        return NOTHING
    return element("time", age(at, now), datetime=at.isoformat(), title=_seconds(at))


def moment_of(at: datetime | None) -> Html:
    """The moment to the second, as the tables of the verbs have it."""
    return NOTHING if at is None else element("time", _seconds(at), datetime=at.isoformat())


def _seconds(at: datetime) -> str:
    # Not strftime, which writes the year 1 of a strange certificate as `1`.
    return at.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def facts(pairs: Iterable[tuple[str, Cell]]) -> Html:
    """Names and what there is to say of each."""
    rows = [element("div", element("dt", name), element("dd", worded(cell))) for name, cell in pairs]
    return element("dl", *rows, class_="facts") if rows else Html("")


def grid(caption: str, columns: Sequence[Part], rows: Iterable[Sequence[Part]], *, id_: str = "") -> Html:
    """A table whose first column names its rows. It scrolls by itself where it does not fit, with the keyboard too."""
    head = element("thead", element("tr", *(_heading(one) for one in columns)))
    lines = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:]))
        for row in rows
    ]
    body = element("tbody", *lines)
    drawn = element("table", element("caption", caption), head, body, id=id_ or None)
    return element("div", drawn, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _heading(one: Part) -> Html:
    # A heading that is an element already knows more of itself, how the table is sorted for example.
    if isinstance(one, Html) and one.text.startswith("<th"):
        return one
    return element("th", one, scope="col")


def printed(caption: str, table: Table) -> Html:
    """A table of a verb, its headings in the page's own case."""
    columns = [heading.capitalize() for heading in table.columns]
    return grid(caption, columns, ([worded(cell) for cell in row] for row in table.rows))


def tree(root: Branch) -> Html:
    """A branch and what hangs below it, as nested lists: a screen reader counts and walks them."""
    return element("ul", _node(root), class_="tree")


def _node(branch: Branch) -> Html:
    cells = [element("span", worded(cell), class_="cell") for cell in branch.cells if cell not in ("", "-")]
    below = [element("ul", *(_node(child) for child in branch.children))] if branch.children else []
    kind, slash, name = branch.name.partition("/")
    title = [element("span", f"{kind} ", class_="quiet"), name] if slash else [kind]
    return element("li", element("span", *title, class_="node"), *cells, *below)
