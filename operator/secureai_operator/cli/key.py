"""`secureai key`: a customer's own key material, from its file to the key in Vault, without passing the cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from secureai_operator.api.workload import KeyType
from secureai_operator.cli import client, key_files
from secureai_operator.cli.exits import OK, USAGE, CliError
from secureai_operator.cli.operator_config import add_config_flag

DEFAULT_MOUNT = "saw-transit"
_ENCODINGS = ("raw", "base64", "hex")
_MAX_WRITTEN = 64 * 1024


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "key",
        help="bring key material of your own: wrap it, import it",
        description="Brings key material of your own into the key of a workload with custody customer-managed.",
    )
    verbs = parser.add_subparsers(dest="key_verb", metavar="VERB", required=True)
    _add_wrapping_key(verbs)
    _add_wrap(verbs)
    _add_import(verbs)


def _add_wrapping_key(verbs: Any) -> None:
    parser = verbs.add_parser(
        "wrapping-key",
        help="print the public key of Vault that material is wrapped with",
        description="Prints Vault's public wrapping key (PEM), read at VAULT_ADDR with VAULT_TOKEN, and its SHA-256 "
        "fingerprint on standard error. Who wraps should get the fingerprint a second way and compare.",
        epilog="exit codes: 0 done, 2 wrong usage, 3 no answer",
    )
    parser.add_argument("--mount", default=DEFAULT_MOUNT, help=f"transit mount (default: {DEFAULT_MOUNT})")


def _add_wrap(verbs: Any) -> None:
    parser = verbs.add_parser(
        "wrap",
        help="wrap key material for Vault, offline",
        description="Wraps key material so that only the Vault of the wrapping key can unwrap it. It uses no network and "
        "prints no key material: it may run on a machine of its own.",
        epilog="exit codes: 0 done, 2 the material, a file or the command line is wrong",
    )
    parser.add_argument(
        "--type",
        required=True,
        choices=[one.value for one in KeyType],
        metavar="TYPE",
        help="spec.keys.type of the workload: %(choices)s",
    )
    parser.add_argument(
        "--wrapping-key",
        required=True,
        metavar="FILE",
        help="Vault's wrapping key, as `secureai key wrapping-key` prints it",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--material",
        metavar="FILE",
        help="key material, - for standard input: 32 bytes, or a private key as PEM or DER",
    )
    source.add_argument(
        "--generate",
        metavar="FILE",
        type=Path,
        help="make new key material, and keep it in this new file (mode 0600)",
    )
    parser.add_argument(
        "--encoding",
        choices=_ENCODINGS,
        default="raw",
        help="how the 32 bytes of a symmetric key are written (default: raw)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="new file for the wrapped key (mode 0600; default: standard output)",
    )


def _add_import(verbs: Any) -> None:
    parser = verbs.add_parser(
        "import",
        help="import wrapped key material into the key of a workload",
        description="Imports wrapped key material as the first or the next version of a workload's key, at VAULT_ADDR "
        "with VAULT_TOKEN, and asks the operator to look at once.",
        epilog="exit codes: 0 imported, or there already, 2 the file or the command line is wrong, "
        "3 no answer, or refused",
    )
    client.add_name(parser)
    parser.add_argument(
        "--from", dest="document", required=True, metavar="FILE", help="what `secureai key wrap` wrote"
    )
    parser.add_argument(
        "--version",
        type=int,
        metavar="N",
        help="the version that this becomes: nothing is done if the key has it already",
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, import nothing")
    add_config_flag(parser, "the installed operator's, if the status does not name the key")
    client.add_cluster_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    return _VERBS[arguments.key_verb](arguments)


def _wrapping_key(arguments: argparse.Namespace) -> int:
    from secureai_operator.cli import key_import, key_target  # noqa: PLC0415 - wrapping needs no client of Vault

    if not key_target.MOUNT.fullmatch(arguments.mount):
        raise CliError("--mount is a path of letters, digits, '-', '_' and '/'", USAGE)
    with key_import.connected_vault() as vault:
        key = key_import.wrapping_key(vault, arguments.mount)
    print(f"SHA-256 fingerprint: {key.fingerprint}", file=sys.stderr)
    print(key.pem, end="")
    return OK


def _wrap(arguments: argparse.Namespace) -> int:
    from secureai_operator.clients import key_material, key_wrapping  # noqa: PLC0415 - only this verb needs it

    key_type, encoding = KeyType(arguments.type), key_material.MaterialEncoding(arguments.encoding)
    if encoding is not key_material.MaterialEncoding.RAW and key_type not in key_material.SYMMETRIC_TYPES:
        raise CliError("--encoding is for symmetric keys: a private key is PEM or DER", USAGE)
    key_files.refuse_existing(arguments.out)
    key_files.refuse_existing(arguments.generate)
    try:
        wrapping_key = key_wrapping.WrappingKey.from_pem(
            bytes(key_files.read(arguments.wrapping_key, _MAX_WRITTEN))
        )
        material = _generated(arguments) if arguments.generate else _read(arguments)
        try:
            wrapped = key_wrapping.wrapped(key_type, material, wrapping_key)
        finally:
            key_material.wipe(material)
    except (key_wrapping.WrappingKeyRefused, key_material.MaterialRefused) as error:
        raise CliError(str(error), USAGE) from None
    key_files.write_out(wrapped.document, arguments.out)
    return OK


def _read(arguments: argparse.Namespace) -> bytearray:
    """The key material that the flags name, out of its encoding."""
    from secureai_operator.clients import key_material  # noqa: PLC0415 - see _wrap

    written = key_files.read(arguments.material, key_material.MAX_MATERIAL_BYTES)
    try:
        return key_material.decoded(written, key_material.MaterialEncoding(arguments.encoding))
    finally:
        key_material.wipe(written)


def _generated(arguments: argparse.Namespace) -> bytearray:
    """New key material, safe in its file before anything is done with it."""
    from secureai_operator.clients import key_material  # noqa: PLC0415 - see _wrap

    material = key_material.new_material(KeyType(arguments.type))
    written = key_material.encoded(material, key_material.MaterialEncoding(arguments.encoding))
    try:
        key_files.write_new(arguments.generate, written)
    finally:
        key_material.wipe(written)
    print(
        f"new key material is in {arguments.generate}: keep it where the cluster cannot read it, "
        "it is the only copy outside Vault",
        file=sys.stderr,
    )
    return material


def _import(arguments: argparse.Namespace) -> int:
    from secureai_operator.cli import key_import, key_target  # noqa: PLC0415 - see _wrapping_key

    if arguments.version is not None and arguments.version < 1:
        raise CliError("--version is 1 or more", USAGE)
    wrapped = key_import.read_document(arguments.document)
    with client.connected(arguments) as cluster:
        workload = client.find_workload(cluster, arguments.name)
        target = key_target.target_of(workload, lambda: key_import.configured(cluster.kube, arguments.config))
        with key_import.connected_vault() as vault:
            done = key_import.brought(
                vault, target, wrapped, version=arguments.version, dry_run=arguments.dry_run
            )
        asked = key_import.operator_asked(cluster, workload, done)
    key_import.show(done, asked, arguments.output)
    return OK


_VERBS: Mapping[str, Callable[[argparse.Namespace], int]] = MappingProxyType(
    {"wrapping-key": _wrapping_key, "wrap": _wrap, "import": _import}
)
