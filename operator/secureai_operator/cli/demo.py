"""`secureai demo`: a lab, the operator at work on it, and a proof of each thing it promises."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secureai_operator.cli.client import add_output_flag
from secureai_operator.cli.demo_report import ProofFailed, Report, SetupFailed
from secureai_operator.cli.exits import NO, OK, CliError
from secureai_operator.cli.output import Mark, Word, print_json, print_line
from secureai_operator.errors import OperatorError

if TYPE_CHECKING:
    from lab import Lab
    from secureai_operator.cli.demo_stage import Stage
    from secureai_operator.cli.demo_workloads import Cast

Proof = Callable[["Stage", "Cast", Report], Awaitable[None]]


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="start a lab, run the operator on it and prove what it promises",
        description="Starts a real etcd, Kubernetes and Vault on this machine, installs and runs the operator under its "
        "own identity, applies examples/ and proves line by line that what they declare is true and stays true. "
        "Runs from a checkout. Everything is gone afterwards.",
        epilog="exit codes: 0 each claim holds, 1 one does not, 2 wrong usage, 3 it could not be tried, 130 interrupted",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave everything running until Ctrl-C, and say how to look around",
    )
    add_output_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    lab = _lab()
    root = Path(lab.__file__).resolve().parent.parent
    report = Report(quiet=arguments.output == "json")
    report.section("Set-up")
    try:
        with report.claim("a real etcd, Kubernetes and Vault, and nodes of which some are TDX hosts") as line:
            started = lab.start_lab()
            running = started.__enter__()
            line.note = f"in {running.directory}"
        try:
            _, cast = asyncio.run(play(running, root, report))
            _conclude(report, arguments.output)
            if arguments.keep:
                _wait(running, cast, report)
        finally:
            started.__exit__(None, None, None)
    except (lab.LabError, SetupFailed) as error:
        raise CliError(str(error)) from error
    return OK if report.held else NO


def _lab() -> Any:
    """The lab, which is part of the repository and not of the installed package."""
    if importlib.util.find_spec("lab") is None:
        raise CliError(
            "the demo runs from a checkout of the project (it needs lab/ and examples/): run `make demo` there"
        )
    return importlib.import_module("lab")


async def play(lab: Lab, root: Path, report: Report) -> tuple[Stage, Cast]:
    """Set up on a running lab, and prove; returns what it was shown on and with."""
    from secureai_operator.cli import demo_stage, demo_workloads  # noqa: PLC0415 - slow to import
    from secureai_operator.clients.kube import AioKube, KubeSettings  # noqa: PLC0415

    settings = KubeSettings(
        kubeconfig=str(lab.admin_kubeconfig), user_agent="secureai-demo", field_manager="demo"
    )
    async with await AioKube.connect(settings) as kube:
        stage = await demo_stage.build(lab, kube, root, report)
        report.section("Workloads: kubectl apply -f examples/")
        workloads = await demo_workloads.apply_examples(stage, report)
        cast = demo_workloads.cast(workloads)
        for proof in _proofs():
            await _tried(proof, stage, cast, report)
    return stage, cast


def _proofs() -> tuple[Proof, ...]:
    from secureai_operator.cli import (  # noqa: PLC0415 - slow to import
        demo_certificate,
        demo_healing,
        demo_identity,
        demo_placement,
        demo_rotation,
    )

    return (
        demo_identity.prove,
        demo_placement.prove,
        demo_healing.prove,
        demo_certificate.prove,
        demo_rotation.prove,
    )


async def _tried(proof: Proof, stage: Stage, cast: Cast, report: Report) -> None:
    """A proof that cannot be tried has failed; the next ones are tried all the same."""
    from lab import LabError  # noqa: PLC0415 - only a checkout has it

    try:
        await proof(stage, cast, report)
    except (ProofFailed, OperatorError, LabError) as error:
        report.failed("the rest of this proof", str(error))


def _conclude(report: Report, output: str) -> None:
    failed = [line for line in report.lines if not line.held]
    if output == "json":
        print_json({"held": report.held, "lines": [asdict(line) for line in report.lines]})
        return
    print_line("")
    if failed:
        print_line(Word(f"{len(failed)} of {len(report.lines)} claims do not hold", Mark.ERROR))
    else:
        print_line(Word(f"all {len(report.lines)} claims hold", Mark.GOOD))


def _wait(lab: Lab, cast: Cast, report: Report) -> None:
    """Until Ctrl-C. The root token is in a file that only its owner reads, never on the screen."""
    environment = lab.directory / "environment"
    environment.touch(mode=0o600)
    environment.write_text(
        "".join(f"export {name}={shlex.quote(value)}\n" for name, value in lab.environment().items())
    )
    if not report.quiet:
        hero, logs = cast.hero, lab.directory / "logs"
        text = _LOOK_AROUND.format(
            environment=environment, logs=logs, name=hero.name, namespace=hero.namespace
        )
        for line in text.splitlines():
            print_line(line)
    try:
        asyncio.run(asyncio.Event().wait())
    except KeyboardInterrupt:
        if not report.quiet:
            print_line("ending the lab")


_LOOK_AROUND = """
Everything is left running until Ctrl-C. In another terminal, with KUBECONFIG, VAULT_ADDR and VAULT_TOKEN of the lab:
  . {environment}
  kubectl get secureai -A
  secureai tree {name} -n {namespace} --watch
  secureai status {name} -n {namespace}
  secureai check
  vault list saw-transit/keys
  tail -f {logs}/operator.log
"""
