"""What the verbs share: the flags that name a cluster, the connection, and finding a workload by name."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.cli.completers import completed_by, namespace_names, workload_names
from secureai_operator.cli.exits import USAGE, CliError
from secureai_operator.clients.kube_user import Json, KubeUser
from secureai_operator.errors import KubeNotFound

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Cluster:
    """A cluster, and the namespace that the verb speaks of."""

    kube: KubeUser
    namespace: str


def add_cluster_flags(parser: argparse.ArgumentParser) -> None:
    """`-n`, `--kubeconfig`, `--context` and `-o`, with kubectl's meanings."""
    namespace = parser.add_argument("-n", "--namespace", help="namespace (default: the context's)")
    completed_by(namespace, namespace_names)
    add_kubeconfig_flags(parser)
    add_output_flag(parser)


def add_kubeconfig_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="kubeconfig file (default: $KUBECONFIG, then ~/.kube/config)"
    )
    parser.add_argument("--context", help="context of the kubeconfig (default: its current one)")


def add_output_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="output format")


def add_name(parser: argparse.ArgumentParser) -> None:
    completed_by(
        parser.add_argument("name", metavar="NAME", help="name of the SecureAIWorkload"), workload_names
    )


@contextlib.contextmanager
def connected(arguments: argparse.Namespace) -> Iterator[Cluster]:
    """The cluster that the flags name, for the length of the `with` block."""
    with KubeUser.connect(arguments.kubeconfig, arguments.context) as kube:
        namespace = arguments.namespace or kube.namespace
        if not is_namespace(namespace):
            raise CliError("the namespace is not a valid name", USAGE)
        yield Cluster(kube, namespace)


def is_namespace(name: str) -> bool:
    """Whether a namespace may have the name."""
    return _NAME.fullmatch(name) is not None


def find_workload(cluster: Cluster, name: str) -> Json:
    """The SecureAIWorkload as it is now; a CliError that helps if there is none."""
    name = name.removeprefix("saw/").removeprefix("secureaiworkload/")
    if not _NAME.fullmatch(name) or len(name) > names.WORKLOAD_NAME_MAX:
        raise CliError("NAME is not a valid name of a SecureAIWorkload", USAGE)
    found = cluster.kube.get(SECURE_AI_WORKLOADS, cluster.namespace, name)
    if found is None:
        raise CliError(_not_found(cluster, name))
    return found


def _not_found(cluster: Cluster, name: str) -> str:
    try:
        there = [
            item["metadata"]["name"]
            for item in cluster.kube.list(SECURE_AI_WORKLOADS, cluster.namespace, metadata_only=True)
        ]
    except KubeNotFound:
        return "the cluster does not know SecureAIWorkloads: install crds/, or run `secureai check`"
    text = f"no SecureAIWorkload {name!r} in namespace {cluster.namespace!r}"
    near = difflib.get_close_matches(name, there, n=1)
    if near:
        return f"{text}; did you mean {near[0]!r}?"
    return f"{text}; it has {', '.join(sorted(there)[:5]) or 'none'}"


def has_vault_access() -> bool:
    """Whether the person at the terminal has an access to Vault of their own."""
    return bool(os.environ.get("VAULT_ADDR") and os.environ.get("VAULT_TOKEN"))
