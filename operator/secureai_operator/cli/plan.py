"""`secureai plan -f FILE`: what an apply would change, without changing it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from secureai_operator.api.resources import KEY_ROTATION_POLICIES, SECURE_AI_WORKLOADS, Resource
from secureai_operator.cli import client
from secureai_operator.cli.exits import NO, OK, USAGE, CliError
from secureai_operator.cli.operator_config import add_config_flag, from_cluster, from_file
from secureai_operator.cli.output import Mark, Table, Word, print_json, print_line, print_table
from secureai_operator.cli.plan_steps import Action, Change, Preview, changed_fields, previewed
from secureai_operator.clients.kube_user import Json
from secureai_operator.errors import KubeNotFound
from secureai_operator.settings import Settings

_OURS: Mapping[str, Resource] = {
    "SecureAIWorkload": SECURE_AI_WORKLOADS,
    "KeyRotationPolicy": KEY_ROTATION_POLICIES,
}
_MAX_BYTES = 4 * 2**20
_MARKS = {Action.CREATE: Mark.GOOD, Action.CHANGE: Mark.WARNING, Action.DELETE: Mark.ERROR}


@dataclass(frozen=True)
class Planned:
    """What would become of one object of the file."""

    kind: str
    namespace: str
    name: str
    outcome: str
    """created, changed, unchanged, refused or skipped."""
    message: str = ""
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "plan",
        help="what applying a file would change, without changing it",
        description="Asks the API server whether it would accept each object of a file (a server-side dry run, so "
        "admission policies are asked too), and compares what the operator would then want with what there is, in "
        "Kubernetes and in Vault. Nothing is changed.",
        epilog="exit codes as of kubectl diff: 0 nothing would change, 1 something would, "
        "2 the file would be refused (or wrong usage), 3 no answer",
    )
    parser.add_argument(
        "-f", "--filename", metavar="FILE", required=True, help="manifest to plan; - reads standard input"
    )
    add_config_flag(parser, "the ConfigMap of the installed operator")
    client.add_cluster_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    documents = _documents(arguments.filename)
    with client.connected(arguments) as cluster:
        settings = from_file(arguments.config) if arguments.config else from_cluster(cluster.kube)
        planned = [_planned(cluster, settings, document) for document in documents]
    if arguments.output == "json":
        print_json([asdict(one) for one in planned])
    else:
        for one in planned:
            show(one)
        print_line(summary(planned))
    return exit_code(planned)


def exit_code(planned: Sequence[Planned]) -> int:
    if any(one.outcome == "refused" for one in planned):
        return USAGE
    return NO if any(one.outcome in ("created", "changed") or one.changes for one in planned) else OK


def _documents(filename: str) -> list[Json]:
    import yaml  # noqa: PLC0415 - with the parser, only for this verb

    try:
        text = sys.stdin.read(_MAX_BYTES) if filename == "-" else Path(filename).read_text()[:_MAX_BYTES]
        found = [document for document in yaml.safe_load_all(text) if document is not None]
    except OSError as error:
        raise CliError(f"{filename}: {error.strerror}", USAGE) from error
    except UnicodeDecodeError as error:
        raise CliError(f"{filename}: not UTF-8", USAGE) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise CliError(f"{filename}: not YAML{where}", USAGE) from error
    if not found:
        raise CliError(f"{filename}: no objects in it", USAGE)
    return [_checked(filename, document) for document in _flattened(found)]


def _flattened(documents: Sequence[Any]) -> Iterator[Any]:
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "List":
            yield from document.get("items") or ()
        else:
            yield document


def _checked(filename: str, document: Any) -> Json:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if (
        not isinstance(metadata, dict)
        or not isinstance(metadata.get("name"), str)
        or not document.get("kind")
    ):
        raise CliError(f"{filename}: an object without kind or metadata.name", USAGE)
    return dict(document)


def _planned(cluster: client.Cluster, settings: Settings | None, document: Json) -> Planned:
    kind, name = str(document["kind"]), str(document["metadata"]["name"])
    namespace = str(document["metadata"].get("namespace") or cluster.namespace)
    resource = _OURS.get(kind)
    if resource is None or document.get("apiVersion") != resource.api_version:
        return Planned(kind, namespace, name, "skipped", "not one of secureai.dev's kinds")
    try:
        path_is_good = bool(resource.path(namespace, name))
    except ValueError:
        path_is_good = False
    if not path_is_good:
        return Planned(kind, namespace, name, "refused", "metadata.name is not a valid name")
    manifest = {**document, "metadata": {**document["metadata"], "namespace": namespace}}
    live = cluster.kube.get(resource, namespace, name)
    try:
        trial = cluster.kube.dry_run(resource, namespace, name, manifest)
    except KubeNotFound:
        message = f"namespace {namespace} does not exist, or the cluster does not know {kind}s"
        return Planned(kind, namespace, name, "refused", message)
    if trial.accepted is None:
        return Planned(kind, namespace, name, "refused", trial.refusal)
    fields = changed_fields((live or {}).get("spec"), trial.accepted.get("spec"))
    outcome = "created" if live is None else "changed" if fields else "unchanged"
    preview = Preview((), ())
    if resource is SECURE_AI_WORKLOADS:
        preview = previewed(cluster.kube, settings, trial.accepted, live)
    return Planned(kind, namespace, name, outcome, ", ".join(fields), preview.changes, preview.notes)


def show(one: Planned) -> None:
    mark = {
        "refused": Mark.ERROR,
        "created": Mark.GOOD,
        "changed": Mark.WARNING,
    }.get(one.outcome, Mark.QUIET)
    print_line(f"{one.kind} {one.namespace}/{one.name} ", Word(f"would be {one.outcome}", mark))
    if one.message and one.outcome != "created":
        print_line(f"  {one.message}")
    rows = [
        (Word(f"  {change.action}", _MARKS[change.action]), change.system, change.name, change.what)
        for change in one.changes
    ]
    if rows:
        print_table(Table(rows))
    for change in one.changes:
        for line in change.diff:
            print_line("      ", Word(line, _diff_mark(line)))
    for note in one.notes:
        print_line("  ", Word("note", Mark.WARNING), f"  {note}")


def summary(planned: Sequence[Planned]) -> str:
    changes = [change for one in planned for change in one.changes]
    counts = {action: sum(1 for change in changes if change.action is action) for action in Action}
    refused = sum(1 for one in planned if one.outcome == "refused")
    text = ", ".join(f"{count} to {action.value}" for action, count in counts.items())
    return f"{text}; {refused} refused" if refused else text


def _diff_mark(line: str) -> Mark:
    return {"+": Mark.GOOD, "-": Mark.ERROR}.get(line[:1], Mark.QUIET)
