"""`secureai vault bootstrap`: what a Vault must hold before the operator can work with it, printed or applied."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from secureai_operator.api.vault_setup import ItemReport, Outcome, SetupItem
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.cli import vault_commands
from secureai_operator.cli.client import add_output_flag
from secureai_operator.cli.exits import NO, OK, USAGE, CliError
from secureai_operator.cli.operator_config import add_config_flag, from_file, vault_connection
from secureai_operator.cli.output import Mark, Table, Word, print_json, print_table
from secureai_operator.core.bootstrap import BootstrapSpec, bootstrap_items
from secureai_operator.settings import Settings, VaultConnectionSettings

_MARKS = {
    Outcome.CREATED: Mark.GOOD,
    Outcome.UPDATED: Mark.WARNING,
    Outcome.UNCHANGED: Mark.QUIET,
    Outcome.CONFLICT: Mark.ERROR,
}


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "vault", help="prepare a Vault for the operator", description="Prepares a Vault for the operator."
    )
    verbs = parser.add_subparsers(dest="vault_verb", metavar="VERB", required=True)
    bootstrap = verbs.add_parser(
        "bootstrap",
        help="mounts, policies, authority and login that the operator needs",
        description="Prints the vault commands that prepare a Vault for the operator. With --apply it does the same "
        "itself at VAULT_ADDR with VAULT_TOKEN, compares first and writes only what differs, so it may be "
        "repeated at any time. It never replaces a mount of another type, an authority, or anybody's key.",
        epilog="exit codes: 0 done, 1 something else is in the way (a conflict), 2 wrong usage, 3 no answer",
    )
    _add_flags(bootstrap)


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add_config_flag(parser, "the flags below")
    parser.add_argument(
        "--connection", default="default", metavar="NAME", help="connection of the configuration"
    )
    parser.add_argument("--cluster", default="main", help="name of the cluster, without --config")
    parser.add_argument(
        "--address",
        metavar="URL",
        help="Vault as the operator reaches it, without --config (default: VAULT_ADDR)",
    )
    parser.add_argument(
        "--kubernetes-host",
        metavar="URL",
        help="the API server as Vault reaches it; without it the auth method's configuration is left alone",
    )
    parser.add_argument(
        "--kubernetes-ca", metavar="FILE", type=Path, help="certificate authority of that API server"
    )
    parser.add_argument(
        "--reviewer-token-file",
        metavar="FILE",
        type=Path,
        help="token by which Vault reviews logins (default: with the token that logs in)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--apply", action="store_true", help="do it, at VAULT_ADDR with VAULT_TOKEN")
    what.add_argument("--dry-run", action="store_true", help="only compare, at VAULT_ADDR with VAULT_TOKEN")
    add_output_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    spec = _spec(arguments)
    items = bootstrap_items(spec)
    if arguments.apply or arguments.dry_run:
        return _report(_applied(spec.connection, items, dry_run=arguments.dry_run), arguments.output)
    if arguments.output == "json":
        print_json(vault_commands.as_json(items))
    else:
        print(vault_commands.script(items), end="")
    return OK


def _spec(arguments: argparse.Namespace) -> BootstrapSpec:
    return BootstrapSpec(
        connection=_connection(arguments),
        kubernetes_host=arguments.kubernetes_host,
        kubernetes_ca_pem=_content(arguments.kubernetes_ca),
        reviewer_jwt=_content(arguments.reviewer_token_file),
    )


def _connection(arguments: argparse.Namespace) -> VaultConnection:
    if arguments.config is not None:
        return vault_connection(from_file(arguments.config), arguments.connection)
    address = arguments.address or os.environ.get("VAULT_ADDR") or "https://vault.vault.svc:8200"
    try:
        configured = Settings(
            cluster=arguments.cluster,
            connections={arguments.connection: VaultConnectionSettings(address=address.rstrip("/"))},
        )
    except ValueError:
        raise CliError(
            "--cluster and --connection are DNS labels, --address is a URL without a path", USAGE
        ) from None
    return vault_connection(configured, arguments.connection)


def _content(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise CliError(f"{path}: cannot be read", USAGE) from None


def _applied(
    connection: VaultConnection, items: Sequence[SetupItem], *, dry_run: bool
) -> tuple[ItemReport, ...]:
    import asyncio  # noqa: PLC0415 - with the client, a third of a second that printing never needs

    from secureai_operator.clients.vault_bootstrap import VaultAdministrator  # noqa: PLC0415
    from secureai_operator.clients.vault_user import VaultAccess  # noqa: PLC0415

    access = VaultAccess.from_environment()
    if access is None or access.token is None:
        raise CliError("set VAULT_ADDR and VAULT_TOKEN (an administrator's) to apply", USAGE)
    # The administrator may reach Vault by another way than the operator: a port-forward, say.
    reached = replace(
        connection,
        address=access.address,
        ca_file=access.ca_file or connection.ca_file,
        namespace=access.namespace or connection.namespace,
    )
    token = access.token

    async def work() -> tuple[ItemReport, ...]:
        async with VaultAdministrator(reached, token) as administrator:
            return await administrator.apply(items, dry_run=dry_run)

    return asyncio.run(work())


def _report(reports: Sequence[ItemReport], output: str) -> int:
    if output == "json":
        print_json([asdict(one) for one in reports])
    else:
        rows = [(one.name, Word(one.outcome, _MARKS[one.outcome]), one.detail) for one in reports]
        print_table(Table(rows, ("ITEM", "OUTCOME", "DETAIL")))
    return NO if any(one.outcome is Outcome.CONFLICT for one in reports) else OK
