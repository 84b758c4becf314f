"""The operator's metrics, each with a method that says what happened. Labels are few words, never text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder

from secureai_operator import __version__
from secureai_operator.api.reasons import REASONS, Severity
from secureai_operator.telemetry.labels import Words, field_group
from secureai_operator.telemetry.policy_metrics import PolicyFacts, PolicyMetrics
from secureai_operator.telemetry.rotation_metrics import RotationMetrics
from secureai_operator.telemetry.workload_metrics import WorkloadFacts, WorkloadMetrics

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""From a pass without a difference (about a millisecond) to a request that timed out."""


@dataclass(frozen=True, slots=True)
class QueueLane:
    """How to read one lane of the work queue at a scrape."""

    depth: Callable[[], int]
    oldest_seconds: Callable[[], float]


class Metrics:
    """All metrics, in a registry of their own: nothing of another library's is exposed.

    Counting is safe from any thread. What is read at a scrape (queues, informers) is read by `refresh`, which belongs
    to the event loop; `render` may then run in a thread.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry(auto_describe=True)
        self.workloads = WorkloadMetrics()
        self.registry.register(self.workloads)
        self.policies = PolicyMetrics()
        self.registry.register(self.policies)
        self.rotation = RotationMetrics(self.registry)
        self._lanes: dict[str, QueueLane] = {}
        self._informers: dict[str, Callable[[], float]] = {}
        self._count_tasks: Callable[[], int] = int
        self._define_passes()
        self._define_clients()
        self._define_process()

    def _define_passes(self) -> None:
        make, words = self.registry, Words
        self._outcomes, self._triggers = words(16), words(16)
        self._kinds, self._fields, self._actions, self._reasons = words(32), words(64), words(8), words(128)
        self._reconcile_seconds = Histogram(
            "secureai_reconcile_seconds",
            "Duration of a pass over one workload.",
            ("outcome", "trigger"),
            buckets=_FAST,
            registry=make,
        )
        self._reconciles = Counter(
            "secureai_reconcile_total", "Passes over workloads.", ("outcome", "trigger"), registry=make
        )
        self._depth = Gauge(
            "secureai_workqueue_depth", "Workloads that wait for a pass.", ("lane",), registry=make
        )
        self._oldest = Gauge(
            "secureai_workqueue_oldest_seconds",
            "How long the first workload of the lane has been waiting.",
            ("lane",),
            registry=make,
        )
        self._drift = Counter(
            "secureai_drift_total",
            "Changes of others to what the operator owns.",
            ("kind", "field_group", "action"),
            registry=make,
        )
        self._heal_seconds = Histogram(
            "secureai_heal_seconds",
            "From the sight of a foreign change or deletion to its repair.",
            buckets=_FAST,
            registry=make,
        )
        self._security = Counter(
            "secureai_security_events_total",
            "Facts that a person has to look at, by reason.",
            ("reason",),
            registry=make,
        )
        # From the start: `increase` sees no change in a series that begins with 1.
        for reason in REASONS.values():
            if reason.severity is Severity.SECURITY:
                self._security.labels(self._reasons(reason.name))

    def _define_clients(self) -> None:
        make, words = self.registry, Words
        self._verbs, self._resources, self._codes = words(16), words(64), words(64)
        self._connections, self._ops = words(32), words(64)
        self._kube = Counter(
            "secureai_kubernetes_requests_total",
            "Requests to the API server.",
            ("verb", "resource", "code"),
            registry=make,
        )
        self._kube_seconds = Histogram(
            "secureai_kubernetes_request_seconds",
            "Duration of a request to the API server.",
            ("verb",),
            buckets=_FAST,
            registry=make,
        )
        self._vault = Counter(
            "secureai_vault_requests_total",
            "Requests to Vault; a code that is not a number tells what kept the request from being sent.",
            ("connection", "op", "code"),
            registry=make,
        )
        self._vault_seconds = Histogram(
            "secureai_vault_request_seconds",
            "Duration of a request to Vault.",
            ("connection", "op"),
            buckets=_FAST,
            registry=make,
        )
        self._trace_exports = Counter(
            "secureai_trace_exports_total",
            "Batches of spans that were sent to the collector, by how that ended: ok or failed.",
            ("result",),
            registry=make,
        )
        self._vault_up = Gauge(
            "secureai_vault_up",
            "1 if Vault answers and accepts the operator.",
            ("connection",),
            registry=make,
        )
        self._token_ttl = Gauge(
            "secureai_vault_token_expires_timestamp_seconds",
            "When the operator's own Vault token ends, in unix time.",
            ("connection",),
            registry=make,
        )

    def _define_process(self) -> None:
        self._leader = Gauge("secureai_leader", "1 on the replica that acts.", registry=self.registry)
        self._tasks = Gauge(
            "secureai_tasks",
            "Tasks of the event loop; the number follows the work under way, and with no more workloads it does not grow.",
            registry=self.registry,
        )
        self._informer_names = Words(64)
        self._silence = Gauge(
            "secureai_informer_last_activity_seconds",
            "Seconds since the API server last said something to the informer; a bookmark comes each minute.",
            ("informer",),
            registry=self.registry,
        )
        self._event_results = Words(8)
        self._events = Counter(
            "secureai_kubernetes_events_total",
            "Kubernetes events by what became of them.",
            ("result",),
            registry=self.registry,
        )
        Info("secureai_build", "The operator's version.", registry=self.registry).info(
            {"version": __version__}
        )

    def reconciled(self, outcome: str, seconds: float, trigger: str = "routine") -> None:
        """Count a pass; `trigger` is the lane that it came from."""
        labels = self._outcomes(outcome), self._triggers(trigger)
        self._reconciles.labels(*labels).inc()
        self._reconcile_seconds.labels(*labels).observe(seconds)

    def drifted(self, kind: str, field: str, action: str) -> None:
        """Count a foreign change: the object's kind, the first field that differed, Healed or Reported."""
        self._drift.labels(self._kinds(kind), self._fields(field_group(field)), self._actions(action)).inc()

    def healed(self, seconds: float) -> None:
        self._heal_seconds.observe(seconds)

    def security_event(self, reason: str) -> None:
        self._security.labels(self._reasons(reason)).inc()

    def kubernetes_request(self, verb: str, resource: str, code: int | str, seconds: float) -> None:
        verb = self._verbs(verb)
        self._kube.labels(verb, self._resources(resource), self._codes(str(code))).inc()
        self._kube_seconds.labels(verb).observe(seconds)

    def trace_export(self, result: str) -> None:
        """Called from the exporter's own thread."""
        self._trace_exports.labels(result).inc()

    def vault_request(self, connection: str, op: str, code: int | str, seconds: float) -> None:
        connection, op = self._connections(connection), self._ops(op)
        self._vault.labels(connection, op, self._codes(str(code))).inc()
        self._vault_seconds.labels(connection, op).observe(seconds)

    def vault_up(self, connection: str, *, up: bool) -> None:
        self._vault_up.labels(self._connections(connection)).set(up)

    def vault_token_expires(self, connection: str, timestamp: float) -> None:
        self._token_ttl.labels(self._connections(connection)).set(timestamp)

    def leads(self, *, leader: bool) -> None:
        self._leader.set(leader)

    def kubernetes_event(self, result: str) -> None:
        self._events.labels(self._event_results(result)).inc()

    def workload(self, namespace: str, name: str, facts: WorkloadFacts) -> None:
        self.workloads.set(namespace, name, facts)

    def workload_gone(self, namespace: str, name: str) -> None:
        self.workloads.remove(namespace, name)

    def policy(self, namespace: str, name: str, facts: PolicyFacts) -> None:
        self.policies.set(namespace, name, facts)

    def policy_gone(self, namespace: str, name: str) -> None:
        self.policies.remove(namespace, name)

    def watch_queue(self, lane: str, depth: Callable[[], int], oldest_seconds: Callable[[], float]) -> None:
        """Read the lane at each scrape."""
        self._lanes[lane] = QueueLane(depth, oldest_seconds)

    def watch_informer(self, name: str, silent_for: Callable[[], float]) -> None:
        """Read at each scrape how long the informer has heard nothing."""
        self._informers[self._informer_names(name)] = silent_for

    def watch_tasks(self, count: Callable[[], int]) -> None:
        """Count the tasks of the event loop at each scrape."""
        self._count_tasks = count

    def refresh(self) -> None:
        """Take the current values of queues, informers and tasks over; on the event loop, before `render`."""
        for name, lane in self._lanes.items():
            self._depth.labels(name).set(lane.depth())
            self._oldest.labels(name).set(lane.oldest_seconds())
        for name, silent_for in self._informers.items():
            self._silence.labels(name).set(silent_for())
        self._tasks.set(self._count_tasks())

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return all metrics and their content type, in the format that the scraper accepts."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
