"""The workloads and policies that a verb's flags select, as they are now."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence

from secureai_operator.api.resources import KEY_ROTATION_POLICIES, SECURE_AI_WORKLOADS
from secureai_operator.cli import client
from secureai_operator.cli.exits import USAGE, CliError
from secureai_operator.cli.key_views import KeyView, key_views
from secureai_operator.cli.policies import PolicyView
from secureai_operator.cli.workloads import WorkloadView, view
from secureai_operator.errors import KubeInvalid, KubeNotFound, OperatorError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def add_selector(parser: argparse.ArgumentParser, summary: str) -> None:
    parser.add_argument("-l", "--selector", metavar="LABELS", help=summary)


def workloads(cluster: client.Cluster, labels: str = "", *, everywhere: bool = False) -> list[WorkloadView]:
    """The workloads of the namespace, or of all, by namespace and name."""
    namespace = None if everywhere else cluster.namespace
    try:
        found = cluster.kube.list(SECURE_AI_WORKLOADS, namespace, labels=labels)
    except KubeNotFound:
        raise CliError(
            "the cluster does not know SecureAIWorkloads: install crds/, or run `secureai check`"
        ) from None
    except KubeInvalid as error:
        raise CliError("-l: not a label selector such as tier=prod", USAGE) from error
    return sorted((view(one) for one in found), key=lambda one: (one.namespace, one.name))


def policy(cluster: client.Cluster, name: str) -> PolicyView:
    """The KeyRotationPolicy of that name; a CliError that helps if there is none."""
    name = name.removeprefix("krp/").removeprefix("keyrotationpolicy/")
    if not _NAME.fullmatch(name):
        raise CliError("--policy is not a valid name of a KeyRotationPolicy", USAGE)
    found = cluster.kube.get(KEY_ROTATION_POLICIES, cluster.namespace, name)
    if found is None:
        there = sorted(policies(cluster, {cluster.namespace}))
        names = ", ".join(key.partition("/")[2] for key in there[:5]) or "none"
        raise CliError(f"no KeyRotationPolicy {name!r} in namespace {cluster.namespace!r}; it has {names}")
    return PolicyView(found)


def policies(cluster: client.Cluster, namespaces: Iterable[str]) -> Mapping[str, PolicyView]:
    """The policies of the namespaces by NAMESPACE/NAME; a namespace that may not be looked at has none."""
    found: dict[str, PolicyView] = {}
    for namespace in sorted(set(namespaces)):
        try:
            listed = [PolicyView(one) for one in cluster.kube.list(KEY_ROTATION_POLICIES, namespace)]
        except (OperatorError, ValueError):
            # They only make the answer more exact: without them it says what it does not know.
            continue
        found |= {one.key: one for one in listed}
    return found


def ruling(cluster: client.Cluster, keys: Iterable[KeyView]) -> Mapping[str, PolicyView]:
    """The policies that rule the keys, as far as they may be read."""
    return policies(cluster, {key.policy.partition("/")[0] for key in keys if key.policy})


def keys(cluster: client.Cluster, found: Sequence[WorkloadView]) -> tuple[KeyView, ...]:
    """The keys of the workloads, with what their policies say of retirement."""
    rules = ruling(cluster, key_views(found))
    return key_views(found, {key: one.keep for key, one in rules.items()})
