"""Requests of `secureai rotate`: whom they are made to, whether they are to be made, and making them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from secureai_operator import names
from secureai_operator.api.resources import KEY_ROTATION_POLICIES, SECURE_AI_WORKLOADS, Resource
from secureai_operator.cli import client
from secureai_operator.cli.key_views import KeyView
from secureai_operator.cli.output import string
from secureai_operator.cli.policies import PolicyView
from secureai_operator.cli.rotation_plan import (
    ANNOTATIONS,
    Action,
    RotationPlan,
    policy_refusal,
    refusal,
)
from secureai_operator.errors import OperatorError

REQUEST_ID = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.:]{0,61}[A-Za-z0-9])?")

_ACTED_ON: Mapping[Action, Callable[[KeyView], str]] = MappingProxyType(
    {
        Action.ROTATE: lambda view: string(view.rotation, "requestId"),
        Action.EMERGENCY: lambda view: (
            string(view.emergency, "requestId") or string(view.rotation, "emergencyRequestId")
        ),
        Action.DATA_KEYS: lambda view: string(view.data_key_rotation, "requestId"),
        Action.RETRY_RETIREMENT: lambda view: string(view.rotation, "retirementRequest"),
        Action.DECRYPT_FAILURE: lambda view: string(view.rotation, "decryptFailure"),
    }
)


class Outcome(StrEnum):
    """What became of a request to one object."""

    OPEN = "would be asked for"
    ASKED = "asked for"
    REPEATED = "asked for before"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class Asking:
    """A request to one workload or policy, and what becomes of it."""

    resource: Resource
    namespace: str
    name: str
    outcome: Outcome
    message: str = ""
    replaces: str = ""
    """The request whose place it takes before the operator has acted on it."""
    plans: tuple[RotationPlan, ...] = ()

    @property
    def live(self) -> bool:
        """Whether the operator has it to act on."""
        return self.outcome in (Outcome.ASKED, Outcome.REPEATED)

    @property
    def kind(self) -> str:
        return self.resource.kind


def new_request_id(now: datetime) -> str:
    """An id that nobody had before: a DNS label that sorts by its time, which is UTC."""
    return f"{now:%Y%m%dt%H%M%Sz}-{secrets.token_hex(3)}"


def asking_workload(view: KeyView, action: Action, request_id: str) -> Asking:
    """The request to a workload, before anything is done. Pure."""
    workload = view.workload
    before = string(workload.raw, "metadata", "annotations", ANNOTATIONS[action])
    acted_on = _ACTED_ON[action](view)
    why = refusal(view, action, request_id)
    return _decided(
        Asking(SECURE_AI_WORKLOADS, workload.namespace, workload.name, Outcome.OPEN),
        request_id,
        before,
        acted_on,
        why,
    )


def asking_policy(policy: PolicyView, request_id: str) -> Asking:
    """The request to a policy, before anything is done. Pure."""
    return _decided(
        Asking(KEY_ROTATION_POLICIES, policy.namespace, policy.name, Outcome.OPEN),
        request_id,
        string(policy.raw, "metadata", "annotations", names.ROTATE_ANNOTATION),
        policy.request_id,
        policy_refusal(policy),
    )


def _decided(one: Asking, request_id: str, before: str, acted_on: str, why: str) -> Asking:
    """A request that was made before is never refused: who asks twice must hear the same."""
    if request_id in (before, acted_on):
        state = "was acted on" if acted_on == request_id else "waits for the operator"
        return replace(
            one,
            outcome=Outcome.REPEATED,
            message=f"request {request_id} was made before and {state}: nothing happens twice",
        )
    if why:
        return replace(one, outcome=Outcome.REFUSED, message=why)
    return replace(one, replaces=before if before != acted_on else "")


def made(cluster: client.Cluster, askings: Sequence[Asking], action: Action, request_id: str) -> list[Asking]:
    """The requests after those that are open were made; one that fails leaves the others alone."""
    return [_made(cluster, one, ANNOTATIONS[action], request_id) for one in askings]


def _made(cluster: client.Cluster, one: Asking, annotation: str, request_id: str) -> Asking:
    if one.outcome is not Outcome.OPEN:
        return one
    try:
        cluster.kube.annotate(one.resource, one.namespace, one.name, {annotation: request_id})
    except OperatorError as error:
        return replace(one, outcome=Outcome.FAILED, message=f"{error.message} ({error.reason})")
    return replace(one, outcome=Outcome.ASKED)
