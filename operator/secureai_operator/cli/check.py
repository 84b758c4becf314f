"""`secureai check`: whether the cluster, the installation and Vault are as they should be, item by item."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from secureai_operator.cli import client
from secureai_operator.cli.check_item import MARKS, Item, Verdict, guarded
from secureai_operator.cli.exits import NO, OK
from secureai_operator.cli.operator_config import add_config_flag, from_cluster, from_file
from secureai_operator.cli.output import Cell, Table, Word, print_json, print_line, print_table
from secureai_operator.clients.kube_user import KubeUser
from secureai_operator.settings import Settings


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "check",
        help="whether the cluster, the installation and Vault are as they should be",
        description="Looks at the API server, the CRDs, the operator's rights, the admission policies, the nodes, the "
        "operator's Lease and each Vault connection, and changes nothing. With VAULT_ADDR and VAULT_TOKEN (an "
        "administrator's) it also looks inside Vault.",
        epilog="exit codes: 0 nothing failed, 1 something did, 2 wrong usage, 3 no answer",
    )
    parser.add_argument(
        "--as",
        dest="subject",
        metavar="USER",
        help="whose rights to check (default: the operator's ServiceAccount); `self` asks for your own",
    )
    add_config_flag(parser, "the ConfigMap of the installed operator")
    client.add_cluster_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    with client.connected(arguments) as cluster:
        settings = from_file(arguments.config) if arguments.config else from_cluster(cluster.kube)
        items = list(checks(cluster.kube, settings, arguments.subject))
    if arguments.output == "json":
        print_json([asdict(item) for item in items])
    else:
        show(items)
    return NO if any(item.verdict is Verdict.FAIL for item in items) else OK


def checks(kube: KubeUser, settings: Settings | None, subject: str | None) -> Iterator[Item]:
    """Every item, in the order in which one depends on the next."""
    from secureai_operator.cli import check_cluster, check_rights, check_vault  # noqa: PLC0415 - slow to import

    yield from guarded("cluster", "API server", lambda: check_cluster.version(kube))
    yield from guarded("installation", "CRDs", lambda: check_cluster.definitions(kube))
    yield from guarded("installation", "admission policies", lambda: check_cluster.policies(kube))
    yield from guarded("installation", "grant ceiling", lambda: check_cluster.ceiling(kube))
    yield from guarded("rights", "operator", lambda: check_rights.rights(kube, subject))
    yield from guarded("nodes", "confidential nodes", lambda: check_cluster.nodes(kube))
    yield from guarded("operator", "Lease", lambda: check_cluster.lease(kube))
    yield from check_vault.connections(kube, settings)


def show(items: Sequence[Item]) -> None:
    rows: list[tuple[Cell, ...]] = []
    for item in items:
        text = f"{item.message}. Next: {item.next_step}" if item.next_step else item.message
        rows.append((Word(item.verdict, MARKS[item.verdict]), item.area, item.name, text))
    print_table(Table(rows, ("", "AREA", "ITEM", "FOUND")))
    failed = sum(1 for item in items if item.verdict is Verdict.FAIL)
    warned = sum(1 for item in items if item.verdict is Verdict.WARN)
    skipped = sum(1 for item in items if item.verdict is Verdict.SKIP)
    print_line(f"{len(items)} items: {failed} failed, {warned} with a warning, {skipped} not looked at")
