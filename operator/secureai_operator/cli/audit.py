"""`secureai audit`: what Vault's audit log proves of the versions of keys, and telling workloads of decrypts it refused."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from secureai_operator import names
from secureai_operator.cli.client import add_kubeconfig_flags, add_output_flag, has_vault_access
from secureai_operator.cli.exits import OK, USAGE, CliError
from secureai_operator.cli.output import print_line
from secureai_operator.core.rotation.audit import TEXTS, Reading, Refusal

_HASH = re.compile(r"hmac-sha256:[0-9a-f]{64}")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "audit", help="evidence from Vault's audit log", description="Evidence from Vault's audit log."
    )
    verbs = parser.add_subparsers(dest="audit_verb", metavar="VERB", required=True)
    follow = verbs.add_parser(
        "follow",
        help="tell workloads at once of decrypts that Vault refused because the version had retired",
        description="Follows the log of Vault's file audit device, and sets the annotation "
        f"{names.DECRYPT_FAILED_ANNOTATION} on a SecureAIWorkload when Vault refuses a decrypt with its key because the "
        "version is below min_decryption_version: while versions retire on trial, the operator then brings them back. "
        "Ends on SIGTERM.",
        epilog="exit codes: 0 ended by SIGTERM, 2 wrong usage or input, 3 Vault did not answer at the start",
    )
    _add_log_flags(follow)
    _add_follow_flags(follow)
    report = verbs.add_parser(
        "report",
        help="what a log says of the versions that were used and the decrypts that were refused",
        description="Reads a log of Vault's file audit device: the versions of each workload's key that something was "
        "encrypted, rewrapped or signed with, and what was refused, by reason.",
        epilog="exit codes: 0 no version was missed, 1 a version was or may have been missed, 2 wrong usage or input",
    )
    _add_log_flags(report)
    _add_report_flags(report)


def _add_log_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="the audit log, one JSON object a line")
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="the operator's configuration (default: the flags below)"
    )
    parser.add_argument(
        "--connection", default="default", metavar="NAME", help="connection of the configuration"
    )
    parser.add_argument("--cluster", default="main", help="name of the cluster, without --config")
    parser.add_argument(
        "--mount", default="saw-transit", help="transit mount, without --config (default: %(default)s)"
    )
    why = parser.add_argument_group(
        "why a request was refused", "The log holds it as an HMAC; one of these makes it readable."
    )
    why.add_argument(
        "--errors-in-clear",
        action="store_true",
        help="the mount is tuned with audit_non_hmac_response_keys=error",
    )
    why.add_argument(
        "--too-old-hash",
        metavar="HASH",
        help="what sys/audit-hash/DEVICE answers for Vault's text of a version that is too old",
    )
    why.add_argument(
        "--device",
        default="file",
        help="path of the audit device, to ask Vault itself at VAULT_ADDR with VAULT_TOKEN (default: %(default)s)",
    )


def _add_follow_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--position",
        metavar="FILE",
        type=Path,
        help="where to keep the place in the log, to go on from after a restart",
    )
    parser.add_argument(
        "--from-start",
        action="store_true",
        help="without a place, begin with the log's first line, not with what comes",
    )
    parser.add_argument(
        "--no-batches",
        action="store_true",
        help="do not tell of batches in which something was refused: the log does not say why",
    )
    add_kubeconfig_flags(parser)


def _add_report_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="only workloads of this name")
    parser.add_argument("-n", "--namespace", help="only workloads of this namespace")
    parser.add_argument("--since", metavar="TIME", help="only what came later (RFC 3339)")
    add_output_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    reading = _reading(arguments)
    if arguments.audit_verb == "report":
        from secureai_operator.cli import audit_report  # noqa: PLC0415 - following needs none of it

        return audit_report.run(arguments, reading)
    return _follow(arguments, reading)


def _follow(arguments: argparse.Namespace, reading: Reading) -> int:
    from secureai_operator.cli import audit_follow, audit_tail  # noqa: PLC0415 - reporting needs none of it

    if not reading.hashes and not arguments.errors_in_clear:
        raise CliError(
            "the log hides why Vault refused: give --too-old-hash, or VAULT_ADDR and VAULT_TOKEN, or tune the mount and "
            "say --errors-in-clear (see docs/audit-evidence.md)",
            USAGE,
        )
    ending = audit_follow.Ending()
    ending.listen()
    position = audit_tail.load_position(arguments.position) if arguments.position else None
    tail = audit_tail.Tail(arguments.file, position, from_start=arguments.from_start)
    follower = audit_follow.Follower(
        tail,
        reading,
        audit_follow.telling(arguments.kubeconfig, arguments.context),
        batches=not arguments.no_batches,
        keep=audit_follow.keeping(arguments.position),
    )
    there = "" if arguments.file.exists() else ", which is not there yet"
    print_line(f"following {arguments.file}{there} for cluster {reading.cluster}")
    audit_follow.follow(follower, tail, ending)
    tail.close()
    return OK


def _reading(arguments: argparse.Namespace) -> Reading:
    if arguments.config is not None:
        from secureai_operator.cli.operator_config import from_file  # noqa: PLC0415 - a third of a second

        configured = from_file(arguments.config)
        connection = configured.connections.get(arguments.connection)
        if connection is None:
            raise CliError(f"no connection {arguments.connection!r} in the configuration", USAGE)
        namespace = (connection.vault_namespace or "").strip("/")
        reading = Reading(configured.cluster, connection.transit_mount, namespace)
    else:
        reading = Reading(_label(arguments.cluster), arguments.mount.strip("/"))
    return replace(reading, hashes=_hashes(arguments))


def _label(cluster: str) -> str:
    try:
        names.vault_name(cluster, "a", "a")
    except ValueError:
        raise CliError("--cluster is a DNS label", USAGE) from None
    return cluster


def _hashes(arguments: argparse.Namespace) -> Mapping[str, Refusal]:
    """What the device writes for each text, as far as it is known here."""
    if arguments.too_old_hash is not None:
        if not _HASH.fullmatch(arguments.too_old_hash):
            raise CliError("--too-old-hash is hmac-sha256: and 64 hexadecimal digits", USAGE)
        return {arguments.too_old_hash: Refusal.TOO_OLD}
    if arguments.errors_in_clear or not has_vault_access():
        return {}
    from secureai_operator.clients.vault_user import VaultAccess, VaultUser  # noqa: PLC0415 - slow to import

    access = VaultAccess.from_environment()
    if access is None:
        return {}
    with VaultUser(access) as vault:
        return {vault.audit_hash(arguments.device, text): refusal for text, refusal in TEXTS.items()}
