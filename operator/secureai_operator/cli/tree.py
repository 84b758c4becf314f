"""`secureai tree NAME`: everything a workload owns, in Kubernetes and in Vault, with state and age."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from secureai_operator.cli import client, owned
from secureai_operator.cli.exits import NO, OK, CliError
from secureai_operator.cli.output import (
    Branch,
    Cell,
    Mark,
    Table,
    Word,
    age,
    is_plain,
    plain_lines,
    print_json,
    print_table,
    rich_table,
    tree_table,
    utc_now,
)
from secureai_operator.cli.owned import Owned
from secureai_operator.cli.workloads import WorkloadView, view
from secureai_operator.errors import OperatorError

COLUMNS = ("NAME", "STATE", "AGE", "NOTE")
_SECONDS = 1.0


@dataclass(frozen=True)
class Inventory:
    """One look at a workload and all it owns; `vault_source` says where the Vault half was read."""

    workload: WorkloadView
    kubernetes: tuple[Owned, ...]
    pods: tuple[Owned, ...]
    vault: tuple[Owned, ...]
    vault_source: str

    @property
    def complete(self) -> bool:
        return self.workload.ready and owned.MISSING not in {
            one.state for one in (*self.kubernetes, *self.vault)
        }


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "tree",
        help="everything a workload owns, in Kubernetes and in Vault",
        description="Shows everything that a SecureAIWorkload owns, with state and age. The Vault half is what the "
        "operator last saw, or what Vault holds now if VAULT_ADDR and VAULT_TOKEN are set.",
        epilog="exit codes: 0 Ready and complete, 1 not, 2 wrong usage, 3 no answer",
    )
    client.add_name(parser)
    parser.add_argument("-w", "--watch", action="store_true", help="show it again whenever it changes")
    client.add_cluster_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    with client.connected(arguments) as cluster, _vault() as vault:
        if arguments.watch:
            return _watch(cluster, vault, arguments)
        found = look(cluster, vault, arguments.name)
    if arguments.output == "json":
        print_json(as_json(found))
    else:
        print_table(drawn(found, utc_now()))
    return OK if found.complete else NO


def look(cluster: client.Cluster, vault: Any, name: str) -> Inventory:
    """Everything as it is now."""
    workload = view(client.find_workload(cluster, name))
    return Inventory(
        workload,
        tuple(owned.in_kubernetes(cluster.kube, workload)),
        tuple(owned.pods(cluster.kube, workload)),
        tuple(owned.in_vault_by_status(workload) if vault is None else owned.in_vault(vault, workload)),
        "as the operator last saw it" if vault is None else "as Vault has it now",
    )


def drawn(found: Inventory, now: datetime) -> Table:
    return tree_table(branches(found, now), COLUMNS)


def branches(found: Inventory, now: datetime) -> Branch:
    """The inventory as a tree. Pure."""
    workload = found.workload
    groups: list[Branch] = []
    for title, things, note in (
        ("Kubernetes", found.kubernetes, ""),
        ("Vault", found.vault, found.vault_source),
        ("Pods", found.pods, ""),
    ):
        if things:
            groups.append(Branch(title, ("", "", note) if note else (), tuple(_leaves(things, now))))
    return Branch(
        f"SecureAIWorkload/{workload.name}",
        (workload.state, age(workload.created, now), _ready_note(workload)),
        tuple(groups),
    )


def _leaves(things: Iterable[Owned], now: datetime) -> Iterator[Branch]:
    for one in things:
        cells: tuple[Cell, ...] = (one.state, age(one.created, now), one.note)
        yield Branch(f"{one.kind}/{one.name}", cells)


def _ready_note(workload: WorkloadView) -> str:
    if workload.ready:
        return ""
    return next(
        (one.reason for one in workload.conditions if one.type == "Ready"), "not seen by an operator yet"
    )


def as_json(found: Inventory) -> dict[str, Any]:
    return {
        "name": found.workload.name,
        "namespace": found.workload.namespace,
        "state": found.workload.state.text,
        "ready": found.workload.ready,
        "complete": found.complete,
        "kubernetes": _things(found.kubernetes),
        "vault": _things(found.vault),
        "vaultSource": found.vault_source,
        "pods": _things(found.pods),
    }


def _things(things: Sequence[Owned]) -> list[dict[str, Any]]:
    return [
        {
            "kind": one.kind,
            "name": one.name,
            "state": one.state.text,
            "created": None if one.created is None else one.created.isoformat(),
            "note": one.note,
        }
        for one in things
    ]


@contextlib.contextmanager
def _vault() -> Iterator[Any]:
    """The user's own access to Vault, or None without VAULT_ADDR and VAULT_TOKEN."""
    if not client.has_vault_access():
        yield None
        return
    from secureai_operator.clients.vault_user import VaultAccess, VaultUser  # noqa: PLC0415 - slow to import

    access = VaultAccess.from_environment()
    assert access is not None  # noqa: S101 - narrows the type; has_vault_access asked for the same
    with VaultUser(access) as vault:
        yield vault


def _watch(cluster: client.Cluster, vault: Any, arguments: argparse.Namespace) -> int:
    """Look once a second; on a terminal the tree stays in place, elsewhere it is printed again when it changed."""
    if arguments.output == "json" or is_plain():
        return _watch_lines(cluster, vault, arguments)
    from rich.live import Live  # noqa: PLC0415 - only a terminal needs it

    with contextlib.suppress(KeyboardInterrupt), Live(auto_refresh=False, screen=False) as live:
        while True:
            live.update(rich_table(_try(cluster, vault, arguments.name)), refresh=True)
            time.sleep(_SECONDS)
    return OK


def _try(cluster: client.Cluster, vault: Any, name: str) -> Table:
    """The tree, or what keeps it away: a restart of the API server must not end a watch."""
    try:
        return drawn(look(cluster, vault, name), utc_now())
    except (OperatorError, CliError) as error:
        return Table([(Word(error.message, Mark.ERROR),)])


def _watch_lines(cluster: client.Cluster, vault: Any, arguments: argparse.Namespace) -> int:
    before: Any = None
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            try:
                found = look(cluster, vault, arguments.name)
            except OperatorError as error:
                now: Any = error.message
                lines = [error.message]
            else:
                now = as_json(found)
                lines = plain_lines(drawn(found, utc_now()))
            if now != before:
                _print_change(now, lines, arguments.output, first=before is None)
                before = now
            time.sleep(_SECONDS)
    return OK


def _print_change(found: Any, lines: Sequence[str], output: str, *, first: bool) -> None:
    if output == "json":
        import json  # noqa: PLC0415 - one line for each change, not the indented form

        print(json.dumps(found if isinstance(found, dict) else {"error": found}), flush=True)
        return
    print("\n".join(lines if first else ["", *lines]), flush=True)
