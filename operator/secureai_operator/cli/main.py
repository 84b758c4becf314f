"""The entry point: finds the verb, imports only its module, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from secureai_operator import __version__
from secureai_operator.cli import exits
from secureai_operator.errors import OperatorError

VERBS = MappingProxyType({
    "status": "what is true of a workload",
    "tree": "everything a workload owns, in Kubernetes and in Vault",
    "why": "why a workload is not Ready, and what to do next",
    "keys": "the keys of workloads: versions, ages, users and the next rotation, also as a picture",
    "rotate": "ask for a rotation of keys, or say what it would do",
    "plan": "what applying a file would change, without changing it",
    "check": "whether the cluster, the installation and Vault are as they should be",
    "vault": "prepare a Vault for the operator",
    "key": "bring key material of your own: wrap it, import it",
    "report": "one zip for a support case: states, events, logs, and no secret",
    "audit": "evidence from Vault's audit log: versions in use, decrypts that were refused",
    "completion": "completion for your shell, of live names too",
    "crds": "print the CustomResourceDefinitions",
    "docs": "print the generated reference documentation",
    "demo": "start a lab, run the operator on it and prove what it promises",
    "ui": "look at the fleet in a browser, read-only",
    "run": "run the operator",
    "node-agent": "cut the established connections of quarantined pods on one node",
})  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code (see `exits`)."""
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    words = list(sys.argv[1:] if argv is None else argv)
    verb = next((word for word in words if not word.startswith("-")), None)
    module = _module(verb)
    arguments = _parser(verb, module).parse_args(words)
    if module is None:  # only without a verb: argparse has refused an unknown one
        _parser(None, None).print_help()
        return exits.USAGE
    return _ended(module, arguments)


def _complete() -> None:
    """A shell asks what could come next: argcomplete answers it, and ends the process."""
    import argcomplete  # noqa: PLC0415 - only a shell that completes needs it

    typed = os.environ.get("COMP_LINE", "").split()[1:]
    verb = next((word for word in typed if not word.startswith("-")), None)
    argcomplete.autocomplete(_parser(verb, _module(verb)))


def _module(verb: str | None) -> Any:
    if verb is None or verb not in VERBS:
        return None
    return importlib.import_module(f"secureai_operator.cli.{verb.replace('-', '_')}")


def _parser(verb: str | None, module: Any) -> argparse.ArgumentParser:
    """The parser of one verb; the others are only named in it, so that their modules need not be imported."""
    called = Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(
        prog="kubectl secureai" if called == "kubectl-secureai" else "secureai",
        description="Declares, enforces and proves the security of AI workloads.",
        epilog=exits.EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"secureai {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, summary in VERBS.items():
        if name == verb:
            module.add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=summary)
    return parser


def _ended(module: Any, arguments: argparse.Namespace) -> int:
    """Run the verb; a user's mistake or a cluster's refusal is one line on stderr, never a traceback."""
    try:
        code = int(module.run(arguments))
        sys.stdout.flush()
    except exits.CliError as error:
        return _failed(error.message, error.code)
    except OperatorError as error:
        return _failed(f"{error.message} ({error.reason})", exits.UNANSWERED)
    except BrokenPipeError:
        # The reader (`| head`) has left. Python would complain once more while it closes stdout.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except KeyboardInterrupt:
        return _failed("interrupted", exits.INTERRUPTED)
    return code


def _failed(message: str, code: int) -> int:
    print(f"secureai: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
