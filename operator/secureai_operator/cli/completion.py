"""`secureai completion SHELL`: the lines by which a shell completes verbs, flags and live names."""

from __future__ import annotations

import argparse
from typing import Any

from secureai_operator.cli.exits import OK

SHELLS = ("bash", "zsh", "fish")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "completion",
        help="completion for your shell, of live names too",
        description="Prints what makes a shell complete verbs, flags, namespaces and the names of workloads and policies as "
        "they are in the cluster. In bash: source <(secureai completion bash)",
        epilog="exit codes: 0 printed, 2 wrong usage",
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def run(arguments: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - no other verb needs it

    print(shellcode(["secureai"], shell=arguments.shell))
    return OK
