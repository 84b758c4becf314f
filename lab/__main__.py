"""`python -m lab up|down|env|build`: a lab for people."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import Any

from lab.background import Background
from lab.errors import LabError
from lab.start import prepare


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    lab = Background(options.name)
    match options.command:
        case "up":
            _print_up(lab.up(fsync=options.fsync), options)
        case "down":
            ended = lab.down()
            print(f"lab {lab.name!r} {'is gone' if ended else 'was not running'}", file=sys.stderr)
        case "env":
            state = lab.state()
            if state is None:
                raise LabError(f"the lab {lab.name!r} does not run: start it with `python -m lab up`")
            _print_environment(state, as_json=options.json)
        case "build":
            prepare()
        case "hold":
            lab.hold(fsync=options.fsync)
    return 0


def _print_up(state: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        _print_environment(state, as_json=True)
        return
    name = "" if options.name == "default" else f" --name {options.name}"
    print(
        f"The lab is up ({state['source']}): API server {state['api_url']}, Vault {state['environment']['VAULT_ADDR']}"
    )
    print(f'  eval "$({sys.executable} -m lab env{name})"     # KUBECONFIG, VAULT_ADDR, VAULT_TOKEN')
    print(f"  {state['kubectl']} get nodes")
    print(f"  logs: {state['directory']}/logs")
    print(f"  {sys.executable} -m lab down{name}")


def _print_environment(state: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(state, indent=2))
        return
    for name, value in state["environment"].items():
        print(f"export {name}={shlex.quote(value)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab", description="A real cluster and a real Vault to try things on."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|down|env|build")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--name", default="default", help="which of several background labs (default: default)"
    )
    up = commands.add_parser("up", parents=[common], help="start it and leave it running in the background")
    up.add_argument("--json", action="store_true", help="print everything about it as JSON (holds a secret)")
    up.add_argument("--fsync", action="store_true", help="let etcd write to disk for real")
    commands.add_parser("down", parents=[common], help="end it and remove its data")
    env = commands.add_parser("env", parents=[common], help="print export lines for a shell (hold a secret)")
    env.add_argument("--json", action="store_true", help="print everything about it as JSON")
    commands.add_parser("build", parents=[common], help="have its binaries ready, and start nothing")
    hold = commands.add_parser("hold", parents=[common])
    hold.add_argument("--fsync", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
