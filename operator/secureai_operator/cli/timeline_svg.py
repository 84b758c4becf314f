"""The laid-out timeline as SVG text: for light and dark, without scripts, fonts or anything else from outside. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from xml.sax.saxutils import escape

from secureai_operator.cli.key_views import VersionState
from secureai_operator.cli.output import Mark, clean
from secureai_operator.cli.timeline import (
    AXIS_ROWS,
    BAR,
    LANE,
    LEFT,
    RIGHT,
    WIDTH,
    Bar,
    Line,
    Pin,
    Row,
    Timeline,
)
from secureai_operator.cli.timeline_axis import Tick, stamp

TRIGGERS = ("Scheduled", "Manual", "Emergency", "External")
_STATES = {
    VersionState.CURRENT: "cur",
    VersionState.OLD: "old",
    VersionState.RETIRED: "ret",
    VersionState.DESTROYED: "des",
}
_SHAPES = {
    "Scheduled": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z",
    "Manual": "M0 -5.8L5.8 0L0 5.8L-5.8 0Z",
    "Emergency": "M0 -6L6.2 5H-6.2Z",
    "External": "M-4.5 -4.5H4.5V4.5H-4.5Z",
    "": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z",
}
_SIGNS = {
    Mark.GOOD: ("good", "M-3 .2L-.9 2.3L3 -2.2"),
    Mark.PROGRESS: ("busy", "M-3 0H3M.8 -2.4L3.2 0L.8 2.4"),
    Mark.WARNING: ("warn", "M0 -3.2V.6M0 3V3.1"),
    Mark.ERROR: ("err", "M-2.4 -2.4L2.4 2.4M2.4 -2.4L-2.4 2.4"),
}
_LETTER = 5.9
"""Width of a letter of eleven pixels, on the average."""
_FORBIDDEN = frozenset({"Cc", "Cs", "Cn"})
_ROOM_OF_NOW = 48
_GAP = 4.0
"""Bars wider than this have a pixel between them."""
_HEAD, _LEFT_OUT = 66, 26
"""Height of the heading, and of the line that says what is left out."""
_HATCH = (
    '<defs><pattern id="tl-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path d="M0 0V6" stroke="#8a94a1" stroke-opacity=".45" stroke-width="2"/>'
    "</pattern></defs>"
)

STYLE = """
.tl{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif;font-size:11px}
.tl .bg{fill:#fff}.tl .z{fill:#f6f8fa}.tl .gr{fill:#eaeef3}
.tl text{fill:#1f2733}.tl .h1{font-size:19px;font-weight:650}.tl .sub{font-size:12.5px;fill:#57606e}
.tl .nm{font-size:13px;font-weight:600}.tl .mut{fill:#626c7a}.tl .gn{font-size:12px;font-weight:650;fill:#3c4654}
.tl .grid{stroke:#dfe4ea;stroke-width:1}.tl .now{stroke:#d1242f;stroke-width:1.2}.tl .nowt{fill:#d1242f;font-weight:650}
.tl .cur{fill:#2563eb}.tl .old{fill:#a9c7fb}.tl .ret{fill:#d9dee5}.tl .des{fill:none;stroke:#9aa4b1;stroke-dasharray:3 2.5}
.tl .bl{font-size:10.5px;font-weight:600;text-anchor:middle}.tl .bl-cur{fill:#fff}.tl .bl-old{fill:#153b7d}
.tl .bl-ret,.tl .bl-des{fill:#59636f}
.tl .ln{fill:none;stroke:#7fabf5;stroke-width:2.4;stroke-linecap:round;stroke-linejoin:round}.tl .un{stroke-dasharray:.1 4.6}
.tl .end{fill:none;stroke:#7fabf5;stroke-width:2.4;stroke-linecap:round}
.tl .stem{stroke:#8c96a3;stroke-width:1}.tl .pin{stroke:#fff;stroke-width:1.4;paint-order:stroke}
.tl .p-Scheduled{fill:#475569}.tl .p-Manual{fill:#0d7a70}.tl .p-Emergency{fill:#d1242f}.tl .p-External{fill:#c2570c}
.tl .next{fill:#fff;stroke:#475569;stroke-width:1.8}.tl .dots{stroke:#8c96a3;stroke-width:1.4;stroke-dasharray:.1 4;stroke-linecap:round}
.tl .late{stroke:#d1242f}
.tl .arr{fill:none;stroke:#475569;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}
.tl .s-good{fill:#1a7f37}.tl .s-busy{fill:#2563eb}.tl .s-warn{fill:#b45309}.tl .s-err{fill:#d1242f}
.tl .sg{fill:none;stroke:#fff;stroke-width:1.7;stroke-linecap:round;stroke-linejoin:round}
.tl text.t-warn{fill:#9a4a06;font-weight:600}.tl text.t-err{fill:#c11f2b;font-weight:600}
@media (prefers-color-scheme:dark){
.tl .bg{fill:#0d1117}.tl .z{fill:#131922}.tl .gr{fill:#1c2430}
.tl text{fill:#e6edf3}.tl .sub{fill:#9da7b3}.tl .mut{fill:#98a2ae}.tl .gn{fill:#c3ccd6}
.tl .grid{stroke:#262e39}.tl .now{stroke:#ff7b72}.tl .nowt{fill:#ff7b72}
.tl .cur{fill:#3f7ff5}.tl .old{fill:#284a80}.tl .ret{fill:#2f3742}.tl .des{fill:none;stroke:#6b7684}
.tl .bl-cur{fill:#fff}.tl .bl-old{fill:#cfe0ff}.tl .bl-ret,.tl .bl-des{fill:#a6b0bc}
.tl .ln,.tl .end{stroke:#4e7fcf}.tl .stem{stroke:#6b7684}.tl .pin{stroke:#0d1117}
.tl .p-Scheduled{fill:#aab6c5}.tl .p-Manual{fill:#3cc4b4}.tl .p-Emergency{fill:#ff7b72}.tl .p-External{fill:#f0a35e}
.tl .next{fill:#0d1117;stroke:#aab6c5}.tl .late{stroke:#ff7b72}.tl .dots{stroke:#6b7684}.tl .arr{stroke:#aab6c5}
.tl .s-good{fill:#2ea043}.tl .s-busy{fill:#3f7ff5}.tl .s-warn{fill:#b7791f}.tl .s-err{fill:#e5484d}
.tl text.t-warn{fill:#e3b341}.tl text.t-err{fill:#ff7b72}
}
"""


def svg(picture: Timeline, *, standalone: bool = True) -> str:
    """The picture; `standalone` as a file of its own, otherwise without its heading, to be set into a page."""
    top = 0 if standalone else _HEAD
    height = picture.height + (_LEFT_OUT if picture.left_out else 0)
    size = f' width="{WIDTH}" height="{_n(height)}"' if standalone else ""
    box = f'viewBox="0 {top} {WIDTH} {_n(height - top)}"{size}'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tl" {box} role="img" aria-labelledby="tl-title tl-desc">',
        f'<title id="tl-title">{text(picture.title)}</title>',
        f'<desc id="tl-desc">{text(description(picture))}</desc>',
        f"<style>{STYLE}</style>",
        _HATCH,
        f'<rect class="bg" width="{WIDTH}" height="{_n(height)}"/>',
        *(_head(picture) if standalone else ()),
        *_legend(picture),
        *_stripes(picture),
        *_grid(picture),
        *_now(picture),
        *(part for row in picture.rows for part in _row(row, picture)),
        *_foot(picture, height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def description(picture: Timeline) -> str:
    """What the picture shows, for those who do not see it."""
    span = f"from {stamp(picture.axis.start)} to {stamp(picture.axis.end)}"
    left_out = f" {picture.left_out} more workloads are left out." if picture.left_out else ""
    return (
        f"A row for each of {len(picture.rows)} workloads, {span}; now is {stamp(picture.now)}. "
        f"{picture.summary[:1].upper()}{picture.summary[1:]}.{left_out}"
    )


def text(value: str) -> str:
    """Text of others made harmless: nothing that XML forbids, and no mark-up."""
    allowed = clean(value)
    if not allowed.isascii():
        allowed = "".join(sign for sign in allowed if unicodedata.category(sign) not in _FORBIDDEN)
    return escape(allowed, {'"': "&quot;", "'": "&#39;"})


def _head(picture: Timeline) -> Iterator[str]:
    yield f'<text class="h1" x="24" y="36">{text(picture.title)}</text>'
    said = f"{picture.summary} \u00b7 {stamp(picture.now)}"
    yield f'<text class="sub" x="24" y="58">{text(said)}</text>'


def _legend(picture: Timeline) -> Iterator[str]:
    """One line: a sign and its words, each as wide as its words are likely to be."""
    x, y = 24.0, 84.0
    for sign, width, said in _legend_items(picture):
        yield f'<g transform="translate({_n(x)} {_n(y)})">{sign}<text x="{width}">{text(said)}</text></g>'
        x += width + len(said) * _LETTER + 15


def _legend_items(picture: Timeline) -> Iterator[tuple[str, int, str]]:
    always = (VersionState.CURRENT, VersionState.OLD, VersionState.RETIRED)
    for state in VersionState:
        if state in always or state in picture.states:
            yield _swatch(state), 28, state.value
    line = '<path class="ln" d="M0 -4h14"/><path class="ln un" d="M19 -4h12"/>'
    yield line, 38, "decrypts on; dotted: until it retires"
    for trigger in TRIGGERS:
        yield (
            f'<path class="pin p-{trigger}" transform="translate(5 -4)" d="{_SHAPES[trigger]}"/>',
            15,
            trigger,
        )
    yield f'<path class="next" transform="translate(5 -4)" d="{_SHAPES[""]}"/>', 15, "next rotation"


def _swatch(state: VersionState) -> str:
    box = 'y="-10" width="22" height="12" rx="3"'
    hatch = f'<rect {box} fill="url(#tl-hatch)"/>' if state is VersionState.RETIRED else ""
    return f'<rect class="{_STATES[state]}" {box}/>{hatch}'


def _stripes(picture: Timeline) -> Iterator[str]:
    for group in picture.groups:
        yield f'<rect class="gr" x="0" y="{_n(group.y)}" width="{WIDTH}" height="30"/>'
        yield f'<text class="gn" x="24" y="{_n(group.y + 19)}">{text(_fitting(group.name, 90))}</text>'
    for place, row in enumerate(picture.rows):
        if place % 2:
            yield f'<rect class="z" x="0" y="{_n(row.y)}" width="{WIDTH}" height="{_n(row.height)}"/>'
        if row.mark in (Mark.WARNING, Mark.ERROR):
            tone = _SIGNS[row.mark][0]
            yield f'<rect class="s-{tone}" x="0" y="{_n(row.y)}" width="4" height="{_n(row.height)}"/>'


def _grid(picture: Timeline) -> Iterator[str]:
    bottom = _bottom(picture)
    now = picture.axis.x(picture.now)
    for tick in picture.axis.ticks:
        yield f'<path class="grid" d="M{_n(tick.x)} {_n(picture.top)}V{_n(bottom)}"/>'
        # The word "now" stands in the same line.
        below = "" if abs(tick.x - now) < _ROOM_OF_NOW else tick.below
        yield from _tick_label(replace(tick, below=below), picture.top - 22)
        if len(picture.rows) > AXIS_ROWS:
            yield from _tick_label(tick, bottom + 16)


def _tick_label(tick: Tick, y: float) -> Iterator[str]:
    place = f'x="{_n(tick.x)}" text-anchor="middle"'
    yield f'<text class="mut" {place} y="{_n(y)}">{text(tick.label)}</text>'
    if tick.below:
        yield f'<text class="mut" {place} y="{_n(y + 13)}" font-weight="650">{text(tick.below)}</text>'


def _row(row: Row, picture: Timeline) -> Iterator[str]:
    yield f"<g><title>{text(row.text)}</title>"
    yield f'<text class="nm" x="24" y="{_n(row.y + 21)}">{text(_fitting(row.name, 25))}</text>'
    yield f'<text class="mut" x="24" y="{_n(row.y + 36)}">{text(_fitting(row.note, 32))}</text>'
    yield from _state(row)
    for line in sorted(row.lines, key=lambda one: -one.lane):
        yield from _line(line, row)
    for bar in row.bars:
        yield from _bar(bar, row)
    if not row.bars:
        yield f'<text class="mut" x="{LEFT}" y="{_n(row.bar_y + 12)}">no version is known yet</text>'
    for pin in sorted(row.pins, key=lambda one: one.trigger == "Emergency"):
        yield from _pin(pin, row, picture)
    yield "</g>"


def _state(row: Row) -> Iterator[str]:
    x, sign = WIDTH - RIGHT + 22, _SIGNS.get(row.mark)
    yield f'<text class="nm" x="{x}" y="{_n(row.y + 21)}">{text(row.version)}</text>'
    tone = ""
    if sign is not None:
        name, path = sign
        tone = f" t-{name}"
        yield (
            f'<g transform="translate({x + 5.5} {_n(row.y + 32.5)})"><circle class="s-{name}" r="6"/>'
            f'<path class="sg" d="{path}"/></g>'
        )
    yield f'<text class="mut{tone}" x="{x + 17}" y="{_n(row.y + 36)}">{text(_fitting(row.state, 25))}</text>'


def _bar(bar: Bar, row: Row) -> Iterator[str]:
    kind, box = _STATES[bar.state], _box(bar, row)
    yield f'<g><title>{text(bar.text)}</title><path class="{kind}" d="{box}"/>'
    if bar.state is VersionState.RETIRED:
        yield f'<path fill="url(#tl-hatch)" d="{box}"/>'
    if len(bar.label) * 6.6 + 6 <= bar.width:
        x, y = _n(bar.x + bar.width / 2 - 0.5), _n(row.bar_y + 11.2)
        yield f'<text class="bl bl-{kind}" x="{x}" y="{y}">{text(bar.label)}</text>'
    yield "</g>"


def _box(bar: Bar, row: Row) -> str:
    """Round at its ends; torn at the left if it began before the picture does."""
    x, y, width = bar.x, row.bar_y, bar.width - (1.0 if bar.width > _GAP else 0.4)
    r = min(3.0, width / 3)
    side = BAR - 2 * r
    right = f"a{_n(r)} {_n(r)} 0 0 1 {_n(r)} {_n(r)}v{_n(side)}a{_n(r)} {_n(r)} 0 0 1 {_n(-r)} {_n(r)}"
    if bar.cut and width > _GAP:
        return f"M{_n(x)} {_n(y)}h{_n(width - r)}{right}h{_n(r - width)}l3 -3.8l-3 -3.7l3 -3.7Z"
    left = f"a{_n(r)} {_n(r)} 0 0 1 {_n(-r)} {_n(-r)}v{_n(-side)}a{_n(r)} {_n(r)} 0 0 1 {_n(r)} {_n(-r)}"
    return f"M{_n(x + r)} {_n(y)}h{_n(width - 2 * r)}{right}h{_n(2 * r - width)}{left}Z"


def _line(line: Line, row: Row) -> Iterator[str]:
    """From the bar's end down to its lane, and on to now; dotted on to where it retires."""
    foot = row.bar_y + BAR
    y = foot + 2 + line.lane * LANE
    start = line.x - 4
    bend = min(5.0, y - foot, max(line.end - start, 0.1))
    yield f"<g><title>{text(line.text)}</title>"
    if line.cut:
        yield f'<path class="ln" d="M{_n(line.x)} {_n(y)}H{_n(line.end)}"/>'
    else:
        turn = f"V{_n(y - bend)}q0 {_n(bend)} {_n(bend)} {_n(bend)}"
        yield f'<path class="ln" d="M{_n(start)} {_n(foot - 2)}{turn}H{_n(max(line.end, start + bend))}"/>'
    if line.until is not None:
        yield f'<path class="ln un" d="M{_n(line.end + 5)} {_n(y)}H{_n(line.until)}"/>'
        yield f'<path class="end" d="M{_n(line.until)} {_n(y - 3)}v6"/>'
    yield "</g>"


def _pin(pin: Pin, row: Row, picture: Timeline) -> Iterator[str]:
    shape = _SHAPES.get(pin.trigger, _SHAPES["External"])
    yield f"<g><title>{text(pin.text)}</title>"
    if pin.trigger:
        kind = pin.trigger if pin.trigger in TRIGGERS else "External"
        yield f'<path class="pin p-{kind}" transform="translate({_n(pin.x)} {_n(row.bar_y - 5)})" d="{shape}"/>'
    else:
        y, now = row.bar_y + BAR / 2, picture.axis.x(picture.now)
        stop = pin.x - (16 if pin.beyond else 7)
        if stop > now + 4:
            yield f'<path class="dots" d="M{_n(now + 5)} {_n(y)}H{_n(stop)}"/>'
        if pin.beyond:
            yield f'<path class="arr" d="M{_n(pin.x - 2)} {_n(y - 4)}l4 4l-4 4"/>'
        x = pin.x - 10 if pin.beyond else pin.x
        late = " late" if pin.late else ""
        yield f'<path class="next{late}" transform="translate({_n(x)} {_n(y)})" d="{shape}"/>'
    yield "</g>"


def _now(picture: Timeline) -> Iterator[str]:
    x = picture.axis.x(picture.now)
    yield f'<path class="now" d="M{_n(x)} {_n(picture.top - 4)}V{_n(_bottom(picture))}"/>'
    yield f'<text class="nowt" x="{_n(x)}" y="{_n(picture.top - 9)}" text-anchor="middle">now</text>'


def _foot(picture: Timeline, height: float) -> Iterator[str]:
    if not picture.rows:
        yield f'<text class="mut" x="24" y="{_n(picture.top + 20)}">no workloads</text>'
    if picture.left_out:
        said = (
            f"{picture.left_out} more workloads are left out: those that need attention were taken first. "
            "Choose by -n or -l."
        )
        yield f'<text class="sub" x="24" y="{_n(height - 16)}">{text(said)}</text>'


def _bottom(picture: Timeline) -> float:
    last = picture.rows[-1] if picture.rows else None
    return picture.top if last is None else last.y + last.height


def _fitting(value: str, letters: int) -> str:
    return value if len(value) <= letters else value[: letters - 1] + "\u2026"


def _n(value: float) -> str:
    """A number as short as it can be said: the same on every machine."""
    said = f"{value:.1f}".removesuffix(".0")
    return "0" if said == "-0" else said
