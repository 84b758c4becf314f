"""`secureai run`: the operator itself."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import cast

from secureai_operator.cli import exits
from secureai_operator.settings import SettingsError, load

DEFAULT_CONFIG = Path("/etc/secureai/config.yaml")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("run", help="run the operator", description=__doc__)
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="settings (default: %(default)s)")
    parser.add_argument("--kubeconfig", help="kubeconfig (default: the pod's own ServiceAccount)")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    parser.add_argument("--log-format", default="json", choices=["json", "console"])


def run(args: argparse.Namespace) -> int:
    try:
        settings = load(args.config)
    except SettingsError as error:
        sys.stderr.write(f"secureai run: {error}\n")
        return exits.USAGE
    # structlog and prometheus load rich where they find it, for tracebacks that JSON lines never show: 4 MiB of the
    # operator's memory. Nothing else of this process needs it.
    sys.modules.setdefault("rich", cast("ModuleType", None))
    import resource  # noqa: PLC0415 - not on every machine that has the other verbs

    # Tokens and new private keys are in memory: none of it is written to a file if the process dies.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from secureai_operator import app  # noqa: PLC0415 - the other half of it
    from secureai_operator.telemetry.logs import LogFormat, configure  # noqa: PLC0415

    configure(getattr(logging, args.log_level), LogFormat(args.log_format))
    return asyncio.run(app.main(settings, args.kubeconfig))
