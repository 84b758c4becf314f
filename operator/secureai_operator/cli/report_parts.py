"""What a report holds of each thing: that which explains a state, and nothing that is secret or nobody's business. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from secureai_operator import names
from secureai_operator.clients.kube_user import Json

_KINDS = frozenset({"SecureAIWorkload", "KeyRotationPolicy"})
_OURS = f"{names.GROUP}/"
_METADATA = (
    "name",
    "namespace",
    "uid",
    "generation",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "finalizers",
    "ownerReferences",
)
_EVENT = (
    "type",
    "reason",
    "message",
    "note",
    "count",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "series",
    "reportingComponent",
)
_CONTAINER = ("name", "image", "args", "ports", "resources", "readinessProbe", "livenessProbe")
_POD = ("phase", "reason", "startTime", "conditions")
_STATE = ("name", "image", "imageID", "ready", "restartCount", "state", "lastState")


def custom_resource(raw: Mapping[str, Any], kind: str) -> Json:
    """A SecureAIWorkload or a KeyRotationPolicy: spec, status, and of the annotations those that ask something of us.

    Whatever else people annotate may be anything; who wrote which field explains no state.
    """
    annotations = raw["metadata"].get("annotations") or {}
    ours = {key: value for key, value in annotations.items() if key.startswith(_OURS)}
    metadata = {**_some(raw["metadata"], _METADATA), "annotations": ours}
    return {
        "kind": kind,
        "metadata": metadata,
        "spec": raw.get("spec"),
        "status": raw.get("status"),
    }


def events(raw: Iterable[Json]) -> list[Json]:
    """Those about our kinds, in the order in which they were written."""
    mine = [one for one in raw if (one.get("involvedObject") or {}).get("kind") in _KINDS]
    mine.sort(key=lambda one: str(one["metadata"].get("creationTimestamp", "")))
    return [
        {"about": _some(one["involvedObject"], ("kind", "namespace", "name")), **_some(one, _EVENT)}
        for one in mine
    ]


def deployment(raw: Json) -> Json:
    """The operator's Deployment; of its environment the names only."""
    spec = raw.get("spec") or {}
    pod = (spec.get("template") or {}).get("spec") or {}
    return {
        "metadata": _some(raw["metadata"], _METADATA),
        "replicas": spec.get("replicas"),
        "strategy": spec.get("strategy"),
        "containers": [
            {
                **_some(one, _CONTAINER),
                "environment": [variable.get("name") for variable in one.get("env") or ()],
            }
            for one in pod.get("containers") or ()
        ],
        "status": raw.get("status"),
    }


def pod(raw: Json) -> Json:
    """How a pod of the operator fares."""
    status = raw.get("status") or {}
    return {
        "metadata": _some(raw["metadata"], _METADATA),
        "node": (raw.get("spec") or {}).get("nodeName"),
        **_some(status, _POD),
        "containers": [_some(one, _STATE) for one in status.get("containerStatuses") or ()],
    }


def containers(raw: Json) -> Iterator[tuple[str, bool]]:
    """The containers of a pod whose logs there are, and whether there is the log of one before."""
    for one in (raw.get("status") or {}).get("containerStatuses") or ():
        yield str(one.get("name", "")), int(one.get("restartCount", 0)) > 0


def _some(raw: Mapping[str, Any], wanted: Iterable[str]) -> Json:
    return {key: raw[key] for key in wanted if key in raw}
