"""`secureai ui`: the fleet in a browser, read-only, for nobody but the person who started it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from typing import Any

from secureai_operator.cli.client import add_kubeconfig_flags, is_namespace
from secureai_operator.cli.exits import OK, USAGE, CliError
from secureai_operator.clients.kube_user import KubeUser

_PORT_MAX = 65535


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "ui",
        help="look at the fleet in a browser, read-only",
        description="Serves a read-only page of SecureAIWorkloads, their keys, certificates and history, with your own "
        "rights. It listens on 127.0.0.1 only, and its address holds a secret: whoever has it reads what you may read. "
        "Ctrl-C ends it.",
        epilog="exit codes: 0 ended by Ctrl-C, 2 wrong usage, 3 no answer",
    )
    parser.add_argument("-n", "--namespace", help="only this namespace (default: all of them)")
    parser.add_argument("--port", type=int, default=0, metavar="P", help="port (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    add_kubeconfig_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.namespace is not None and not is_namespace(arguments.namespace):
        raise CliError("the namespace is not a valid name", USAGE)
    if not 0 <= arguments.port <= _PORT_MAX:
        raise CliError(f"--port is a number from 0 to {_PORT_MAX}", USAGE)
    kube = KubeUser.connect(arguments.kubeconfig, arguments.context)
    # Where signals cannot be handled by the loop, Ctrl-C arrives as usual.
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(kube, arguments))
    return OK


async def _serve(kube: KubeUser, arguments: argparse.Namespace) -> None:
    """Until Ctrl-C, or until the process is asked to end."""
    from secureai_operator.ui.browser import door, has_screen, show  # noqa: PLC0415 - `--help` needs none of it
    from secureai_operator.ui.reading import ClusterSource  # noqa: PLC0415
    from secureai_operator.ui.server import UiServer  # noqa: PLC0415

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(sign, ended.set)
    with contextlib.closing(ClusterSource(kube, arguments.namespace)) as source:
        server = UiServer(source)
        try:
            await server.start(arguments.port)
        except OSError:
            raise CliError(
                f"port {arguments.port} cannot be had: take another, or none for a free one", USAGE
            ) from None
        try:
            with door(server.url) as address:
                _say(server.url, arguments.namespace)
                if not arguments.no_browser and has_screen():
                    await asyncio.to_thread(show, address)
                await ended.wait()
        finally:
            await server.close()


def _say(url: str, namespace: str | None) -> None:
    """Plain lines: an address that is broken over two of them cannot be clicked."""
    where = "all namespaces" if namespace is None else f"namespace {namespace}"
    print(f"SecureAIWorkloads of {where}, read-only:\n\n  {url}\n", flush=True)
    print("Whoever has this address reads what you may read. Ctrl-C ends it.", flush=True)
