"""`secureai report`: one zip for a support case: what explains the state of a fleet, and no secret."""

from __future__ import annotations

import argparse
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from secureai_operator import __version__, names
from secureai_operator.api.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    KEY_ROTATION_POLICIES,
    LEASES,
    PODS,
    SECURE_AI_WORKLOADS,
)
from secureai_operator.cli import client, report_parts
from secureai_operator.cli.completers import completed_by, workload_names
from secureai_operator.cli.exits import OK, USAGE, CliError
from secureai_operator.cli.operator_config import CONFIG_KEY, CONFIG_MAP, from_cluster
from secureai_operator.cli.operator_lease import leadership
from secureai_operator.cli.output import Mark, Word, print_json, print_line, string, utc_now
from secureai_operator.cli.selected import workloads
from secureai_operator.cli.tree import as_json, look
from secureai_operator.cli.why import diagnose
from secureai_operator.cli.workloads import WorkloadView, view
from secureai_operator.clients.kube_user import Json
from secureai_operator.errors import OperatorError

WORKLOADS_MAX = 500
"""Most workloads in one report; each costs a handful of requests."""
LOG_BYTES = 2 * 2**20
"""Of the end of each log: some ten thousand lines."""
BYTES_MAX = 128 * 2**20
"""Of all parts before they are packed."""

_OPERATOR = f"app.kubernetes.io/name={names.OPERATOR_SERVICE_ACCOUNT}"


@dataclass(frozen=True)
class Part:
    """One file of the report, or why it is not there."""

    name: str
    text: str = ""
    missing: str = ""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "report",
        help="one zip for a support case, without secrets",
        description="Collects what explains the state of SecureAIWorkloads: their specs and status, what they own by name "
        "and state, policies, events, what `why` and `check` say, and the operator's configuration, pods and logs. What "
        "looks like a secret is taken out, and no Secret is read. What you may not read is named in it.",
        epilog="exit codes: 0 written, 2 wrong usage, 3 no answer",
    )
    completed_by(
        parser.add_argument(
            "names", metavar="NAME", nargs="*", help="only these workloads (default: all of them)"
        ),
        workload_names,
    )
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    parser.add_argument(
        "--file", type=Path, metavar="FILE", help="where to write it (default: a name with the time)"
    )
    parser.add_argument("--no-logs", action="store_true", help="without the operator's logs")
    client.add_cluster_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.names and arguments.all_namespaces:
        raise CliError("NAME and -A: name workloads of one namespace, or none", USAGE)
    now = utc_now()
    path = arguments.file or Path(f"secureai-report-{now:%Y%m%dT%H%M%SZ}.zip")
    with client.connected(arguments) as cluster:
        parts = list(_within(BYTES_MAX, collected(cluster, arguments)))
    summary = {
        "secureai": __version__,
        "at": now.isoformat(),
        "parts": [part.name for part in parts if not part.missing],
        "missing": {part.name: part.missing for part in parts if part.missing},
    }
    write(path, [Part("report.json", _text(summary)), *(part for part in parts if not part.missing)])
    if arguments.output == "json":
        print_json({"file": str(path), **summary})
    else:
        show(path, parts)
    return OK


def collected(cluster: client.Cluster, arguments: argparse.Namespace) -> Iterator[Part]:
    """Every part, one after the other; one that cannot be had hides nothing else."""
    found = _selected(cluster, arguments)
    leader = leadership(cluster.kube, utc_now())
    yield from _of_the_installation(cluster, logs=not arguments.no_logs)
    for namespace in sorted({one.namespace for one in found} | {cluster.namespace}):
        yield from _of_the_namespace(cluster, namespace)
    for workload in found:
        where = client.Cluster(cluster.kube, workload.namespace)
        folder = f"workloads/{workload.namespace}/{workload.name}"
        yield Part(
            f"{folder}/workload.json",
            _text(report_parts.custom_resource(workload.raw, SECURE_AI_WORKLOADS.kind)),
        )
        yield Part(f"{folder}/why.json", _text(asdict(diagnose(workload, leader))))
        yield _part(f"{folder}/tree.json", partial(_tree, where, workload.name))


def _tree(cluster: client.Cluster, name: str) -> Json:
    return as_json(look(cluster, None, name))


def _selected(cluster: client.Cluster, arguments: argparse.Namespace) -> list[WorkloadView]:
    if arguments.names:
        found = [view(client.find_workload(cluster, name)) for name in dict.fromkeys(arguments.names)]
    else:
        found = workloads(cluster, everywhere=arguments.all_namespaces)
    if len(found) > WORKLOADS_MAX:
        raise CliError(
            f"{len(found)} workloads: a report holds {WORKLOADS_MAX}; name some, or a namespace", USAGE
        )
    return found


def _of_the_installation(cluster: client.Cluster, *, logs: bool) -> Iterator[Part]:
    from secureai_operator.cli.check import checks  # noqa: PLC0415 - slow to import

    kube, system = cluster.kube, names.OPERATOR_NAMESPACE
    yield _part("cluster.json", lambda: {"version": kube.version()})
    yield _part("check.json", lambda: [asdict(item) for item in checks(kube, from_cluster(kube), None)])
    yield _part(
        "operator/lease.json",
        lambda: (kube.get(LEASES, system, names.OPERATOR_SERVICE_ACCOUNT) or {}).get("spec"),
    )
    yield _part(
        f"operator/{CONFIG_KEY}",
        lambda: string(kube.get(CONFIG_MAPS, system, CONFIG_MAP), "data", CONFIG_KEY),
    )
    yield _part(
        "operator/deployment.json",
        lambda: report_parts.deployment(
            _found(kube.get(DEPLOYMENTS, system, names.OPERATOR_SERVICE_ACCOUNT))
        ),
    )
    try:
        pods = kube.list(PODS, system, labels=_OPERATOR)
    except OperatorError as error:
        yield Part("operator/pods.json", missing=error.message)
        return
    yield Part("operator/pods.json", _text([report_parts.pod(one) for one in pods]))
    if logs:
        yield from _logs(cluster, pods)


def _logs(cluster: client.Cluster, pods: Sequence[Json]) -> Iterator[Part]:
    for pod in pods:
        name = string(pod, "metadata", "name")
        for container, restarted in report_parts.containers(pod):
            for previous in (False, True) if restarted else (False,):
                file = f"operator/logs/{name}.{container}{'.previous' if previous else ''}.log"
                read = partial(cluster.kube.log, names.OPERATOR_NAMESPACE, name, container)
                yield _part(file, partial(read, previous=previous, size=LOG_BYTES))


def _of_the_namespace(cluster: client.Cluster, namespace: str) -> Iterator[Part]:
    kube, folder = cluster.kube, f"namespaces/{namespace}"

    def policies() -> list[Json]:
        kind = KEY_ROTATION_POLICIES.kind
        listed = kube.list(KEY_ROTATION_POLICIES, namespace)
        return [report_parts.custom_resource(one, kind) for one in listed]

    yield _part(f"{folder}/policies.json", policies)
    yield _part(f"{folder}/events.json", lambda: report_parts.events(kube.list(EVENTS, namespace)))


def _part(name: str, make: Callable[[], Any]) -> Part:
    try:
        made = make()
    except (OperatorError, CliError) as error:
        return Part(name, missing=error.message)
    if made is None or made == "":
        return Part(name, missing="there is none")
    return Part(name, _text(made))


def _found(raw: Json | None) -> Json:
    if raw is None:
        raise CliError("there is none")
    return raw


def _within(size: int, parts: Iterator[Part]) -> Iterator[Part]:
    """As many as fit; of those that do not it is said."""
    for part in parts:
        size -= len(part.text)
        yield part if size >= 0 else Part(part.name, missing="the report is full")


def _text(value: Any) -> str:
    """As it is written: what looks like a secret is taken out of the text as a whole."""
    from secureai_operator.telemetry.redaction import redacted  # noqa: PLC0415 - only this verb needs it

    return redacted(value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False))


def write(path: Path, parts: Sequence[Part]) -> None:
    """Only its owner may read it, and what is there already is not overwritten."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CliError(f"{path} is there already", USAGE) from None
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", USAGE) from None
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            archive.writestr(f"{path.stem}/{part.name}", part.text)


def show(path: Path, parts: Sequence[Part]) -> None:
    there = sum(1 for part in parts if not part.missing)
    print_line(Word(str(path), Mark.GOOD), f": {there} parts")
    for part in parts:
        if part.missing:
            print_line("  ", Word("not there", Mark.WARNING), f" {part.name}: {part.missing}")
    print_line("Look through it before you send it: names, labels and addresses of your own are in it.")
