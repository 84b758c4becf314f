"""The page of all metrics, made from the registry that the operator exposes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import Metric

from secureai_operator.api.condition_types import ConditionType
from secureai_operator.api.rotation_status import EmergencyStep, RotationPhase, Trigger
from secureai_operator.runtime.controller import Outcome
from secureai_operator.runtime.workqueue import Lane
from secureai_operator.telemetry.metrics import Metrics
from secureai_operator.telemetry.policy_metrics import STATES, PolicyFacts
from secureai_operator.telemetry.workload_metrics import WorkloadFacts

HEADS: Final = ("Name", "Type", "Labels", "What")
LABEL_HEADS: Final = ("Label", "Values")

SAID: Final = """What the operator exposes at `/metrics`. How to scrape it and what to make of it is in
[operations.md](operations.md), and what to do when an alert fires in [runbooks](runbooks/README.md).

A counter only rises, and starts anew with the process. A histogram has the series `_bucket` (by `le`), `_sum` and `_count`.
What is of a workload or a policy is exposed by the replica that leads, and goes with its object.

"""

LABELS_SAID: Final = """
## Labels

A label has few values. What would be one too many, or is no word, counts as `other`.

"""

PHASES: Final = (RotationPhase.ROTATED, RotationPhase.REWRAPPED, RotationPhase.RETIRED)
_SUFFIXES: Final = {"counter": "_total", "info": "_info"}
_OF_HISTOGRAMS: Final = "le"


def everything_once() -> Metrics:
    """Metrics of an operator to which everything has happened once: each has a series, with all its labels."""
    metrics = Metrics()
    trouble = ConditionType.KEY_READY.value, "KeyLost"
    facts = WorkloadFacts(((ConditionType.READY.value, "True"),), (trouble,), *([1] * 10))
    metrics.workload("team-a", "llm", facts)
    metrics.policy("team-a", "weekly", PolicyFacts(next_rotation=1.0))
    metrics.reconciled(Outcome.DONE.value, 0.1, Lane.URGENT.name.lower())
    metrics.drifted("Role", "rules", "Healed")
    metrics.security_event("KeyLost")
    metrics.kubernetes_request("get", "pods", 200, 0.1)
    metrics.vault_request("default", "key/read", 200, 0.1)
    metrics.vault_up("default", up=True)
    metrics.vault_token_expires("default", 1.0)
    metrics.kubernetes_event("created")
    metrics.trace_export("ok")
    metrics.watch_queue(Lane.URGENT.name.lower(), lambda: 0, lambda: 0.0)
    metrics.watch_informer("pods", lambda: 0.0)
    metrics.rotation.rotated(Trigger.SCHEDULED.value, "Done")
    for phase in PHASES:
        metrics.rotation.phase(phase.value, 1.0)
    metrics.rotation.emergency_step(EmergencyStep.KEY_ROTATED.value, 1.0)
    metrics.rotation.restarted("Deployment")
    metrics.refresh()
    return metrics


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Name, type, labels and help of each metric, by name."""
    for family in sorted(everything_once().registry.collect(), key=exposed_name):
        yield f"`{exposed_name(family)}`", family.type, _words(labels(family)), family.documentation


def label_rows() -> Iterator[tuple[str, str]]:
    """Each label and its values."""
    return ((f"`{label}`", said) for label, said in sorted(LABELS.items()))


def exposed_name(family: Metric) -> str:
    """The family's name with the suffix that its samples have; the library keeps it apart."""
    return family.name + _SUFFIXES.get(family.type, "")


def labels(family: Metric) -> tuple[str, ...]:
    """The labels of the family's series, in their order."""
    found = dict.fromkeys(label for sample in family.samples for label in sample.labels)
    return tuple(label for label in found if label != _OF_HISTOGRAMS)


def _words(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


_LANES: Final = _words(lane.name.lower() for lane in Lane)

LABELS: Final[Mapping[str, str]] = {
    "action": "`Healed`, `Reported`",
    "code": "The answer's status. Of Kubernetes `0` if none came; of Vault `timeout` or `broken`, and `breaker`, `bucket` or `slots` "
    "for a request that was not sent",
    "connection": "The Vault connections of the operator's settings",
    "field_group": "The first two steps of the first field that differed; `object` for an object that was gone",
    "informer": "What is watched",
    "kind": "Of drift the kind of the object, of restarts that of what runs the pods",
    "lane": f"{_LANES}: drift, what somebody asked for, what is due",
    "name": "Of the SecureAIWorkload or the KeyRotationPolicy",
    "namespace": "Of the SecureAIWorkload or the KeyRotationPolicy",
    "op": "What was asked of Vault, such as `key/rotate`",
    "outcome": _words(outcome.value for outcome in Outcome),
    "phase": _words(phase.value for phase in PHASES),
    "reason": "A [reason](reasons.md#all-reasons)",
    "resource": "Plural of the kind; an eviction is `create` of `pods`",
    "result": "Of events `created`, `suppressed` (a flood of one object), `dropped` (the queue was full), `failed`; "
    "of rotations `Done`, `Adopted` (made by others) or the reason that stopped it; of traces `ok`, `failed`",
    "state": f"{_words(STATES)}: every workload is selected, and one of the others",
    "step": _words(step.value for step in EmergencyStep),
    "trigger": f"Of passes the lane ({_LANES}), of rotations {_words(trigger.value for trigger in Trigger)}",
    "type": "A [condition](reasons.md#by-condition)",
    "verb": "What was asked of the API server",
    "version": "Of the operator",
}
