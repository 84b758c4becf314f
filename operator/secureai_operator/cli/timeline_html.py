"""A page of its own around the timeline: the picture, and the table of what it shows. No scripts, nothing from outside. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from secureai_operator.cli.key_views import KeyView
from secureai_operator.cli.keys_table import fleet
from secureai_operator.cli.output import Cell, Mark, Word, age, duration
from secureai_operator.cli.timeline import Timeline
from secureai_operator.cli.timeline_axis import stamp
from secureai_operator.cli.timeline_svg import svg, text

_HEADINGS = {
    "STATE": "State",
    "LATEST": "Latest",
    "AGE": "Age",
    "DECRYPTS": "Decrypts from",
    "IN USE": "In use from",
    "NEXT": "Next rotation",
    "POLICY": "Policy",
    "TYPE": "Key type",
    "CUSTODY": "Custody",
}
"""The columns of the table in the order of the page, after the workload."""
_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1f2733;--mut:#57606e;--line:#dfe4ea;--soft:#f6f8fa;--card:#f6f8fa;
--good:#1a7f37;--busy:#1d4fd8;--warn:#9a4a06;--err:#c11f2b}
@media (prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--mut:#9da7b3;--line:#262e39;--soft:#131922;--card:#161d27;
--good:#3fb950;--busy:#79a6ff;--warn:#e3b341;--err:#ff7b72}}
*{box-sizing:border-box}
body{margin:0 auto;padding:28px 24px 56px;max-width:1280px;background:var(--bg);color:var(--fg);
font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif}
h1{font-size:22px;margin:0 0 2px}h2{font-size:16px;margin:34px 0 10px}p{margin:0;color:var(--mut)}
dl{display:flex;flex-wrap:wrap;gap:12px;margin:20px 0}
dl div{flex:1 1 170px;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}
dt{color:var(--mut);font-size:12px}dd{margin:0;font-size:22px;font-weight:650;font-variant-numeric:tabular-nums}
dd small{font-size:12px;font-weight:400;color:var(--mut);display:block;overflow-wrap:anywhere}
figure{margin:0;border:1px solid var(--line);border-radius:10px;overflow-x:auto}
figure svg{display:block;width:100%;min-width:1000px;height:auto}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:8px 10px;border-top:1px solid var(--line);white-space:nowrap}
thead th{border-top:0;background:var(--soft);font-size:12px;color:var(--mut);font-weight:600}
tbody th{font-weight:600;white-space:normal;overflow-wrap:anywhere;min-width:16em}tbody tr:nth-child(even){background:var(--soft)}
td.why{white-space:normal;min-width:16em;color:var(--mut)}
.good{color:var(--good)}.busy{color:var(--busy)}.warn{color:var(--warn);font-weight:600}.err{color:var(--err);font-weight:600}
"""
_CLASSES = {Mark.GOOD: "good", Mark.PROGRESS: "busy", Mark.WARNING: "warn", Mark.ERROR: "err"}


def page(picture: Timeline, keys: Sequence[KeyView], now: datetime) -> str:
    """The page of the picture and of the keys in it, in the order of its rows."""
    named = {(key.workload.namespace, key.workload.name): key for key in keys}
    rows = [named[row.namespace, row.name] for row in picture.rows]
    left_out = f" \u00b7 {picture.left_out} more workloads are left out" if picture.left_out else ""
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{text(picture.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            f"<h1>{text(picture.title)}</h1>\n<p>{text(stamp(now))}{text(left_out)}</p>",
            *_cards(rows, now),
            f"<figure>\n{svg(picture, standalone=False)}</figure>",
            *_table(rows, now),
            "</body>\n</html>\n",
        ]
    )


def _cards(keys: Sequence[KeyView], now: datetime) -> Iterator[str]:
    """The few numbers that one looks for first."""
    bad = [key for key in keys if key.needs_attention]
    made = [(key.latest_made, _name(key)) for key in keys if key.latest_made is not None]
    coming = [
        (key.next_time, _name(key)) for key in keys if key.next_time is not None and key.next_time > now
    ]
    behind = sum(0 < key.oldest_in_use < key.latest for key in keys)
    yield "<dl>"
    yield _card("Keys", str(len(keys)))
    yield _card("Need attention", str(len(bad)), ", ".join(map(_name, bad[:3])), "err" if bad else "good")
    if coming:
        at, name = min(coming)
        yield _card("Next rotation", f"in {duration(int((at - now).total_seconds()))}", name)
    if made:
        at, name = min(made)
        yield _card("Oldest latest version", age(at, now), name)
    yield _card("Data keys behind", str(behind), "workloads with a data key on an older version")
    yield "</dl>"


def _card(label: str, value: str, below: str = "", tone: str = "") -> str:
    small = f"<small>{text(below)}</small>" if below else ""
    mark = f' class="{tone}"' if tone else ""
    return f"<div><dt>{text(label)}</dt><dd><span{mark}>{text(value)}</span>{small}</dd></div>"


def _table(keys: Sequence[KeyView], now: datetime) -> Iterator[str]:
    table = fleet(keys, now, everywhere=True)
    places = [table.columns.index(heading) for heading in _HEADINGS]
    yield '<h2>All keys</h2>\n<div class="scroll"><table>\n<thead><tr><th scope="col">Workload</th>'
    yield "".join(f'<th scope="col">{text(said)}</th>' for said in (*_HEADINGS.values(), "Why"))
    yield "</tr></thead>\n<tbody>"
    for key, row in zip(keys, table.rows, strict=True):
        cells = "".join(_cell(row[place]) for place in places)
        why = "" if key.on_track is None else key.on_track.message
        yield f'<tr><th scope="row">{text(_name(key))}</th>{cells}<td class="why">{text(why)}</td></tr>'
    yield "</tbody></table></div>"


def _cell(cell: Cell) -> str:
    if isinstance(cell, Word):
        return f'<td class="{_CLASSES.get(cell.mark, "")}">{text(cell.text)}</td>'
    return f"<td>{text(cell)}</td>"


def _name(key: KeyView) -> str:
    return f"{key.workload.namespace}/{key.workload.name}"
