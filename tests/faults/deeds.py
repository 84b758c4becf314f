"""What happens to a workload while the operator sees it wrongly: each deed, and when it is over."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab import RequestFailed
from secureai_operator import names
from secureai_operator.api import reasons
from secureai_operator.api.resources import (
    NETWORK_POLICIES,
    ROLES,
    SECRETS,
    SECURE_AI_WORKLOADS,
    SERVICE_ACCOUNTS,
    Resource,
)
from tests.faults.rotations import KEYS, REQUEST, is_rotated, part
from tests.faults.stage import PATIENCE, Stage
from tests.fixtures_operator import condition

EGRESS = {"egress": [{"to": [{"cidr": "10.20.0.0/16"}], "ports": [443]}]}
MORE_KEYS = {"dataKeys": [*KEYS["dataKeys"], {"name": "index"}]}
SPEC: dict[str, Any] = {"keys": KEYS}
WAIT_SECONDS = 60.0
"""A deletion waits for the operator to see it, and so for the fault to end."""

Json = dict[str, Any]
Do = Callable[[Stage, str], None]


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that is done, and what may come of it."""

    name: str
    do: Do
    is_over: Callable[[Json], bool]
    before: bool = True
    """Whether the workload is there, Ready, before."""
    lives: bool = True
    """Whether the workload is there afterwards."""
    same_uid: bool = True
    foreign: int = 0
    """How often somebody else takes an object away from what is desired at the end, or the old spec did."""
    rotations: int = 0
    heals: bool = False
    """Whether something may be healed, and told of as drift."""
    certificates: int = 0
    """The most that may be signed."""
    unwanted: tuple[Callable[[str], str], ...] = ()
    """The objects that the operator itself is to delete."""
    may_tell: frozenset[str] = frozenset()
    """Reasons that may be told or not, by who is faster."""


def is_ready(workload: Json) -> bool:
    """Ready, for the spec as it is now."""
    ready = condition(workload, "Ready")
    generation = workload.get("metadata", {}).get("generation")
    return ready.get("status") == "True" and ready.get("observedGeneration") == generation


def is_gone(workload: Json) -> bool:
    return workload == {}


def create(stage: Stage, name: str) -> None:
    stage.workloads.create(stage.home(name), name, **SPEC)


def _respec(**spec: Any) -> Do:
    def do(stage: Stage, name: str) -> None:
        stage.workloads.respec(stage.home(name), name, **spec)

    return do


def _there_and_back(stage: Stage, name: str) -> None:
    stage.workloads.respec(stage.home(name), name, network=EGRESS)
    stage.workloads.respec(stage.home(name), name, network=None)


def _patch(resource: Resource, of: Callable[[str], str], change: Json) -> Do:
    def do(stage: Stage, name: str) -> None:
        with contextlib.suppress(RequestFailed):
            stage.workloads.patch(stage.home(name), of(name), change, resource)

    return do


def _remove(resource: Resource, of: Callable[[str], str]) -> Do:
    def do(stage: Stage, name: str) -> None:
        with contextlib.suppress(RequestFailed):
            stage.workloads.delete(stage.home(name), of(name), resource)

    return do


def _annotate(annotation: str) -> Do:
    def do(stage: Stage, name: str) -> None:
        stage.annotate(name, annotation, REQUEST)

    return do


def _delete(stage: Stage, name: str) -> None:
    stage.workloads.delete(stage.home(name), name)


def _delete_and_create(stage: Stage, name: str) -> None:
    _delete(stage, name)
    stage.workloads.wait_gone(stage.home(name), name, WAIT_SECONDS)
    create(stage, name)


def usurp(stage: Stage, name: str) -> None:
    """Somebody takes the finalizer away: the CR goes at once, and another one takes its name."""
    _delete(stage, name)
    with contextlib.suppress(RequestFailed):
        stage.workloads.patch(stage.home(name), name, {"metadata": {"finalizers": []}})
    stage.lab.wait_for(
        lambda: stage.workloads.find(SECURE_AI_WORKLOADS, stage.home(name), name) is None,
        PATIENCE,
        f"{name} to be gone",
    )
    create(stage, name)


def _then(first: Do, second: Do) -> Do:
    def do(stage: Stage, name: str) -> None:
        first(stage, name)
        second(stage, name)

    return do


def _has_anew(workload: Json) -> bool:
    rotation = part(workload, "dataKeyRotation")
    return rotation.get("requestId") == REQUEST and bool(rotation.get("restartedAt"))


_UNLABELLED = {"metadata": {"labels": {names.MANAGED_BY_LABEL: None}}}
_OPENED = {"spec": {"ingress": [{}], "policyTypes": ["Ingress"]}}

DEEDS = (
    Deed("create", create, is_ready, before=False, certificates=1),
    Deed("respec", _respec(network=EGRESS), is_ready),
    Deed("more keys", _respec(keys=MORE_KEYS), is_ready),
    Deed("there and back", _there_and_back, is_ready, foreign=1),
    Deed(
        "no certificate",
        _respec(certificate={"delivery": "None"}),
        is_ready,
        unwanted=(names.tls_secret,),
    ),
    Deed("open", _patch(NETWORK_POLICIES, names.allow_policy, _OPENED), is_ready, foreign=1, heals=True),
    Deed("unlabel", _patch(ROLES, names.role, _UNLABELLED), is_ready, foreign=1, heals=True),
    Deed(
        "unlabel a Secret", _patch(SECRETS, names.keys_secret, _UNLABELLED), is_ready, foreign=1, heals=True
    ),
    Deed(
        "empty a Secret", _patch(SECRETS, names.keys_secret, {"data": None}), is_ready, foreign=1, heals=True
    ),
    Deed("remove", _remove(NETWORK_POLICIES, names.allow_policy), is_ready, heals=True),
    Deed("remove a Secret", _remove(SECRETS, names.keys_secret), is_ready, heals=True),
    Deed("rotate", _annotate(names.ROTATE_ANNOTATION), is_rotated, rotations=1),
    Deed("rotate data keys", _annotate(names.ROTATE_DATA_KEYS_ANNOTATION), _has_anew),
    Deed(
        "rotate without a Secret",
        _then(_annotate(names.ROTATE_ANNOTATION), _remove(SECRETS, names.keys_secret)),
        is_rotated,
        rotations=1,
        heals=True,
    ),
    Deed("delete", _delete, is_gone, lives=False),
    Deed("delete and create", _delete_and_create, is_ready, same_uid=False, certificates=1),
    # What is made for the new uid may be what the garbage collector still takes for the old one, more than once.
    Deed(
        "usurp",
        usurp,
        is_ready,
        same_uid=False,
        heals=True,
        certificates=16,
        # Where the operator finalizes what is being deleted before its finalizer is taken away.
        may_tell=frozenset({reasons.ACCESS_REVOKED.name, reasons.KEY_RETAINED.name}),
    ),
)

nudge = _remove(SERVICE_ACCOUNTS, names.service_account)
"""A change that the operator sees by another stream: a pass that believes what it sees of the workload."""
