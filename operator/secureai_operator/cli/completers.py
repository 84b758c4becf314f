"""What a shell offers for a flag or an argument: live names, asked of the cluster with the rights of who types."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable

from secureai_operator.api.resources import (
    KEY_ROTATION_POLICIES,
    NAMESPACES,
    SECURE_AI_WORKLOADS,
    Resource,
)
from secureai_operator.clients.kube_user import KubeUser
from secureai_operator.errors import OperatorError

SECONDS = 2.0
"""For the API server's answer: somebody waits with a finger on a key."""
NAMES_MAX = 200
"""More than that nobody looks through."""

Completer = Callable[..., list[str]]


def completed_by(action: argparse.Action, completer: Completer) -> None:
    """Have the shell offer these values for the flag or argument."""
    # argcomplete looks for this attribute, which argparse does not know of.
    action.completer = completer  # type: ignore[attr-defined]


def workload_names(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    return _names(parsed_args, SECURE_AI_WORKLOADS)


def policy_names(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    return _names(parsed_args, KEY_ROTATION_POLICIES)


def namespace_names(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    return _names(parsed_args, NAMESPACES)


def _names(parsed_args: argparse.Namespace, res: Resource) -> list[str]:
    """Of the objects there are; none where nobody answers: a completion has no place to say why."""
    with (
        contextlib.suppress(OperatorError, OSError),
        KubeUser.connect(
            getattr(parsed_args, "kubeconfig", None), getattr(parsed_args, "context", None), timeout=SECONDS
        ) as kube,
    ):
        namespace = (getattr(parsed_args, "namespace", None) or kube.namespace) if res.namespaced else None
        found = kube.list(res, namespace, metadata_only=True)
        return sorted(one["metadata"]["name"] for one in found)[:NAMES_MAX]
    return []
