"""`secureai rotate`: asks for a rotation by an annotation, says what it would do, and follows it to its end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from secureai_operator.cli import client, rotate_show, selected
from secureai_operator.cli.completers import completed_by, policy_names, workload_names
from secureai_operator.cli.exits import NO, OK, UNANSWERED, USAGE, CliError
from secureai_operator.cli.key_views import KeyView, key_views, seconds
from secureai_operator.cli.output import print_json, utc_now
from secureai_operator.cli.policies import PolicyView, ruled
from secureai_operator.cli.rotate_wait import Followed, follow
from secureai_operator.cli.rotation_plan import ANNOTATIONS, Action, rotation_plan
from secureai_operator.cli.rotation_requests import (
    REQUEST_ID,
    Asking,
    Outcome,
    asking_policy,
    asking_workload,
    made,
    new_request_id,
)
from secureai_operator.cli.workloads import view

TIMEOUT = "120s"


@dataclass(frozen=True)
class Request:
    """What is asked for, under which id."""

    action: Action
    request_id: str
    now: datetime


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "rotate",
        help="ask for a rotation of keys, or say what it would do",
        description="Asks the operator to rotate the key of a SecureAIWorkload, of several, or of all that a "
        "KeyRotationPolicy rules. A request has an id; the same id twice does nothing twice.",
        epilog="exit codes: 0 asked for (with --wait: done), 1 refused, failed or not done in time, 2 wrong usage, "
        "3 no answer",
    )
    completed_by(
        parser.add_argument("name", metavar="NAME", nargs="?", help="name of the SecureAIWorkload"),
        workload_names,
    )
    selected.add_selector(
        parser, "all SecureAIWorkloads of the namespace with these labels, such as tier=prod"
    )
    completed_by(
        parser.add_argument("--policy", metavar="POLICY", help="all that this KeyRotationPolicy rules"),
        policy_names,
    )
    _add_actions(parser)
    parser.add_argument(
        "--request-id", metavar="ID", help="id of the request, at most 63 characters (default: a new one)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before an emergency rotation")
    parser.add_argument("-w", "--wait", action="store_true", help="follow the request until it is done")
    parser.add_argument(
        "--timeout", metavar="TIME", help=f"with --wait: give up after this, such as 5m (default: {TIMEOUT})"
    )
    client.add_cluster_flags(parser)


def _add_actions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to ask for (default: a new version of the key)")
    only = group.add_mutually_exclusive_group()
    for flag, action, summary in (
        (
            "--emergency",
            Action.EMERGENCY,
            "withdraw access, rotate, end old versions, restart the pods, restore access",
        ),
        ("--data-keys", Action.DATA_KEYS, "new data keys; what runs the pods is restarted for them"),
        (
            "--retry-retirement",
            Action.RETRY_RETIREMENT,
            "retire old versions again, after a failed decrypt brought them back",
        ),
        (
            "--report-decrypt-failure",
            Action.DECRYPT_FAILURE,
            "say that a decrypt failed: versions that are retiring on trial come back",
        ),
    ):
        only.add_argument(
            flag, dest="action", action="store_const", const=action, default=Action.ROTATE, help=summary
        )


def run(arguments: argparse.Namespace) -> int:
    timeout = _checked(arguments)
    now = utc_now()
    request = Request(arguments.action, arguments.request_id or new_request_id(now), now)
    with client.connected(arguments) as cluster:
        askings = _askings(cluster, arguments, request)
        text = arguments.output == "text"
        if arguments.dry_run:
            return _dry_run(askings, request, text=text)
        if request.action is Action.EMERGENCY and not arguments.yes:
            _confirm(askings)
        askings = made(cluster, askings, request.action, request.request_id)
        if text:
            rotate_show.show_asked(askings, request.action, request.request_id)
        followed: list[Followed] = []
        if arguments.wait:
            tell = rotate_show.teller(several=len(askings) > 1) if text else rotate_show.silent
            live = [one for one in askings if one.live]
            followed = follow(cluster, live, request.action, request.request_id, timeout, tell)
    if not text:
        print_json(_as_json(askings, request, followed))
    elif followed:
        rotate_show.show_ends(followed)
    return exit_code(askings, followed)


def exit_code(askings: Sequence[Asking], followed: Sequence[Followed]) -> int:
    """No answer counts most, then what was refused or is not done."""
    unanswered = any(one.unanswered for one in followed if one.ended is None)
    if unanswered or any(one.outcome is Outcome.FAILED for one in askings):
        return UNANSWERED
    refused = any(one.outcome is Outcome.REFUSED for one in askings)
    return NO if refused or any(not one.done for one in followed) else OK


def _checked(arguments: argparse.Namespace) -> float:
    """The timeout in seconds, once the flags go together."""
    if sum(bool(one) for one in (arguments.name, arguments.selector, arguments.policy)) != 1:
        raise CliError("name one of NAME, -l LABELS and --policy POLICY", USAGE)
    if arguments.policy and arguments.action is not Action.ROTATE:
        raise CliError(f"--policy asks for rotations only, not for a {arguments.action}", USAGE)
    if arguments.request_id is not None and not REQUEST_ID.fullmatch(arguments.request_id):
        raise CliError("--request-id has 1 to 63 letters, digits, '-', '_', '.' and ':'", USAGE)
    if arguments.timeout is not None and not arguments.wait:
        raise CliError("--timeout goes with --wait", USAGE)
    if arguments.wait and arguments.dry_run:
        raise CliError("--dry-run does nothing that --wait could follow", USAGE)
    asked = arguments.timeout or TIMEOUT
    found = seconds(f"{asked}s" if asked.isdigit() else asked)
    if not found:
        raise CliError("--timeout is a length of time such as 90s, 5m or 1h30m", USAGE)
    return float(found)


def _askings(cluster: client.Cluster, arguments: argparse.Namespace, request: Request) -> list[Asking]:
    if arguments.policy:
        policy = selected.policy(cluster, arguments.policy)
        return [_asking_policy(cluster, policy, request, planned=arguments.dry_run)]
    if arguments.name:
        found = [view(client.find_workload(cluster, arguments.name))]
    else:
        found = selected.workloads(cluster, arguments.selector)
    if not found:
        raise CliError(f"no SecureAIWorkload in namespace {cluster.namespace!r} has these labels")
    keys = key_views(found)
    policies = {}
    if arguments.dry_run or request.action is Action.EMERGENCY:
        policies = dict(selected.ruling(cluster, keys))
    return [
        _with_plan(
            asking_workload(key, request.action, request.request_id), key, policies.get(key.policy), request
        )
        for key in keys
    ]


def _with_plan(one: Asking, key: KeyView, policy: PolicyView | None, request: Request) -> Asking:
    plan = rotation_plan(key, request.action, policy, request.request_id, request.now)
    return replace(one, plans=(plan,))


def _asking_policy(cluster: client.Cluster, policy: PolicyView, request: Request, *, planned: bool) -> Asking:
    asking = asking_policy(policy, request.request_id)
    if not planned:
        return asking
    keys = ruled(policy, key_views(selected.workloads(cluster, everywhere=policy.everywhere)))
    plans = (rotation_plan(key, request.action, policy, request.request_id, request.now) for key in keys)
    return replace(asking, plans=tuple(plans))


def _dry_run(askings: Sequence[Asking], request: Request, *, text: bool) -> int:
    if text:
        for one in askings:
            rotate_show.show_plan(one, request.action)
    else:
        print_json(_as_json(askings, request, (), dry_run=True))
    return exit_code(askings, ())


def _confirm(askings: Sequence[Asking]) -> None:
    """Let a person at a terminal think once more; where nobody can be asked, --yes is needed."""
    open_ones = [one for one in askings if one.outcome is Outcome.OPEN]
    if not open_ones:
        return
    if not sys.stdin.isatty():
        raise CliError("an emergency rotation withdraws access while it runs: confirm it with --yes", USAGE)
    said = rotate_show.emergency_warning(open_ones)
    print(f"{said}\nType yes to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise CliError("nothing was done", NO)


def _as_json(
    askings: Sequence[Asking], request: Request, followed: Sequence[Followed], *, dry_run: bool = False
) -> dict[str, Any]:
    return {
        "action": request.action.name.lower().replace("_", "-"),
        "annotation": ANNOTATIONS[request.action],
        "requestId": request.request_id,
        "dryRun": dry_run,
        "items": rotate_show.items(askings, followed, plans=dry_run),
    }
