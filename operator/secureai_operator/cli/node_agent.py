"""`secureai node-agent`: cuts the established connections of quarantined pods on one node."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from types import ModuleType
from typing import cast

from secureai_operator.cli import exits

DESCRIPTION = (
    "Runs on each node, as manifests/node-agent does it: a NetworkPolicy that isolates a quarantined pod refuses new "
    "connections, and this has the kernel forget the established ones, so that they are refused as well."
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "node-agent", help="cut established connections of quarantined pods", description=DESCRIPTION
    )
    parser.add_argument("--node", default=os.environ.get("NODE_NAME"), help="this node (default: $NODE_NAME)")
    parser.add_argument("--kubeconfig", help="kubeconfig (default: the pod's own ServiceAccount)")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    parser.add_argument("--log-format", default="json", choices=["json", "console"])


def run(args: argparse.Namespace) -> int:
    if not args.node:
        raise exits.CliError("name the node: --node, or NODE_NAME in the environment", exits.USAGE)
    # Four megabytes for tracebacks that JSON lines never show, as in `run`.
    sys.modules.setdefault("rich", cast("ModuleType", None))
    from secureai_operator.node_agent import agent  # noqa: PLC0415 - the other half of it
    from secureai_operator.telemetry.logs import LogFormat, configure  # noqa: PLC0415

    configure(getattr(logging, args.log_level), LogFormat(args.log_format))
    return asyncio.run(agent.main(args.node, args.kubeconfig))
