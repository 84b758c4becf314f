"""`secureai keys [NAME]`: versions, ages, users and the next rotation of keys, as text, as JSON and as a picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from secureai_operator.cli import client, keys_table, selected
from secureai_operator.cli.completers import completed_by, workload_names
from secureai_operator.cli.exits import NO, OK, USAGE, CliError
from secureai_operator.cli.key_views import KeyView, Versions, seconds
from secureai_operator.cli.output import Table, print_json, print_line, print_table, utc_now
from secureai_operator.cli.workloads import view


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "keys",
        help="the keys of workloads: versions, ages, users and the next rotation, also as a picture",
        description="Shows the keys of SecureAIWorkloads as their status has them; with NAME one key in detail. "
        "--svg and --html draw a timeline of their versions and rotations.",
        epilog="exit codes: 0 every rotation is on track, 1 one needs attention, 2 wrong usage, 3 no answer",
    )
    completed_by(
        parser.add_argument("name", metavar="NAME", nargs="?", help="name of one SecureAIWorkload"),
        workload_names,
    )
    selected.add_selector(parser, "only SecureAIWorkloads with these labels, such as tier=prod")
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    parser.add_argument(
        "--svg", metavar="FILE", help="draw a timeline as SVG; - writes it to standard output"
    )
    parser.add_argument("--html", metavar="FILE", help="the same as a page with a table; - as above")
    parser.add_argument(
        "--since", metavar="TIME", help="how far back the timeline goes, such as 30d (default: all rotations)"
    )
    client.add_cluster_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    since = _checked(arguments)
    with client.connected(arguments) as cluster:
        if arguments.name:
            found = [view(client.find_workload(cluster, arguments.name))]
        else:
            everywhere = arguments.all_namespaces
            found = selected.workloads(cluster, arguments.selector or "", everywhere=everywhere)
        keys = selected.keys(cluster, found)
    now = utc_now()
    drawn = _draw(arguments, keys, now, since)
    if "-" not in (arguments.svg, arguments.html):
        _say(arguments, keys, now, drawn)
    return NO if any(key.needs_attention for key in keys) else OK


def _checked(arguments: argparse.Namespace) -> timedelta | None:
    """How far back the picture goes, once the flags go together."""
    if arguments.name and (arguments.selector or arguments.all_namespaces):
        raise CliError("NAME is one workload: leave -l and -A out", USAGE)
    if arguments.namespace and arguments.all_namespaces:
        raise CliError("-n and -A exclude each other", USAGE)
    outputs = (arguments.svg, arguments.html, "-" if arguments.output == "json" else None)
    if outputs.count("-") > 1:
        raise CliError("standard output holds one of --svg -, --html - and -o json", USAGE)
    if arguments.since is None:
        return None
    if not (arguments.svg or arguments.html):
        raise CliError("--since goes with --svg or --html", USAGE)
    found = seconds(arguments.since)
    if not found or found > _MAX_SINCE:
        raise CliError("--since is a length of time such as 12h, 30d or 365d", USAGE)
    return timedelta(seconds=found)


_MAX_SINCE = 100 * 365 * 86400


def _draw(
    arguments: argparse.Namespace, keys: Sequence[KeyView], now: datetime, since: timedelta | None
) -> list[str]:
    """Write the pictures that are asked for; what was written, in words."""
    if not (arguments.svg or arguments.html):
        return []
    from secureai_operator.cli.timeline import timeline  # noqa: PLC0415 - most calls draw nothing
    from secureai_operator.cli.timeline_html import page  # noqa: PLC0415
    from secureai_operator.cli.timeline_svg import svg  # noqa: PLC0415

    picture = timeline(keys, now, since)
    made: tuple[tuple[str | None, Callable[[], str]], ...] = (
        (arguments.svg, lambda: svg(picture)),
        (arguments.html, lambda: page(picture, keys, now)),
    )
    said = []
    for target, drawn in made:
        if target:
            _write(target, drawn())
            left_out = f" ({picture.left_out} are left out)" if picture.left_out else ""
            said.append(f"{len(picture.rows)} keys drawn in {target}{left_out}")
    return said


def _write(target: str, content: str) -> None:
    if target == "-":
        sys.stdout.write(content)
        return
    try:
        Path(target).write_text(content, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{target}: {error.strerror}", USAGE) from error


def _say(arguments: argparse.Namespace, keys: Sequence[KeyView], now: datetime, drawn: Sequence[str]) -> None:
    if arguments.output == "json":
        print_json(as_json(keys[0]) if arguments.name else [as_json(key) for key in keys])
        return
    if drawn:
        for line in drawn:
            print_line(line)
    elif arguments.name:
        show(keys[0], now)
    elif keys:
        print_table(keys_table.fleet(keys, now, everywhere=arguments.all_namespaces))
    else:
        print_line("no SecureAIWorkloads")


def show(key: KeyView, now: datetime) -> None:
    """One key in detail."""
    workload = key.workload
    print_line(f"{workload.namespace}/{workload.name}  ", keys_table.state(key))
    print_line("")
    print_table(Table(list(keys_table.facts(key, now))))
    for title, table in (
        ("Versions", keys_table.versions(key, now)),
        ("Rotations", keys_table.history(key)),
    ):
        if table.rows:
            print_line("")
            print_line(title)
            print_table(table)
    for block in (keys_table.emergency(key), keys_table.data_keys(key, now)):
        for place, part in enumerate(block):
            if place == 0:
                print_line("")
            if isinstance(part, Table):
                print_table(part)
            else:
                print_line(part)


def as_json(key: KeyView) -> dict[str, Any]:
    """A key for programs; wrapped data keys are named and left out."""
    workload, track = key.workload, key.on_track
    return {
        "name": workload.name,
        "namespace": workload.namespace,
        "type": key.type,
        "custody": key.custody,
        "latestVersion": key.latest,
        "latestVersionAt": _stamp(key.latest_made),
        "minDecryptionVersion": key.minimum if key.latest else 0,
        "oldestVersionInUse": key.oldest_in_use,
        "policy": key.policy,
        "phase": key.phase,
        "nextTime": _stamp(key.next_time),
        "state": key.state.text,
        "needsAttention": key.needs_attention,
        "message": "" if track is None else track.message,
        "versions": [_version(one) for one in key.versions],
        "rotation": dict(key.rotation),
        "emergency": dict(key.emergency) or None,
        "dataKeyRotation": dict(key.data_key_rotation) or None,
    }


def _version(one: Versions) -> dict[str, Any]:
    return {
        "first": one.first,
        "last": one.last,
        "state": one.state.name.capitalize(),
        "madeAt": _stamp(one.made),
        "retiresAt": _stamp(one.retires),
        "dataKeys": list(one.users),
    }


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
