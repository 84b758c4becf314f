"""OpenTelemetry traces: a span for each pass, and one below it for each request that the pass made. Off unless configured.

Nothing of OpenTelemetry is imported while it is off. Spans name kinds, verbs and codes, the workload and the reason; never a path, a
body, or what a remote side answered.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from secureai_operator import __version__
from secureai_operator.errors import OperatorError
from secureai_operator.settings import TracingSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExportResult

SERVICE = "secureai-operator"
EXPORT_SECONDS = 5.0
"""For the collector's answer: what it does not take in time is lost, and counted."""
CLOSE_SECONDS = 2.0
QUEUE_MAX = 4096
"""Spans that wait for the collector; a pass has about twenty. What does not fit is lost."""
TRACE_ID = "trace_id"
"""The field of log lines, as OpenTelemetry's own integrations call it."""

_LIBRARY = "opentelemetry"

F = TypeVar("F", bound=Callable[..., None])
Reconcile = Callable[[tuple[str, str]], Awaitable[float | None]]
OnExport = Callable[[str], None]
"""Told of each batch how it ended: `ok` or `failed`."""


class Traces:
    """What records spans. When it is off it costs nothing: it hands back what it is given."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer(SERVICE, __version__)

    @classmethod
    def of(cls, to: TracingSettings | None, *, instance: str, on_export: OnExport) -> Traces:
        """Export over OTLP and HTTP to the collector of the settings; without one it is off.

        OTEL_EXPORTER_OTLP_HEADERS and OTEL_EXPORTER_OTLP_CERTIFICATE count as the specification says.
        """
        return cls(None if to is None else _provider(to, instance, on_export))

    def traced(self, reconcile: Reconcile) -> Reconcile:
        """The same pass within a span; its log lines carry the span's trace id."""
        tracer = self._tracer
        if tracer is None:
            return reconcile

        async def reconciled(key: tuple[str, str]) -> float | None:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415 - only where it is on

            namespace, name = key
            attributes = {"k8s.namespace.name": namespace, "secureai.workload": name}
            with tracer.start_as_current_span(
                "reconcile", attributes=attributes, record_exception=False, set_status_on_exception=False
            ) as span:
                id_of = {TRACE_ID: f"{span.get_span_context().trace_id:032x}"} if span.is_recording() else {}
                with structlog.contextvars.bound_contextvars(**id_of):
                    try:
                        return await reconcile(key)
                    except OperatorError as error:
                        span.set_attribute("secureai.reason", error.reason)
                        span.set_status(StatusCode.ERROR)
                        raise
                    except BaseException as error:
                        # Its text may quote what a remote side sent.
                        span.set_attribute("error.type", type(error).__name__)
                        span.set_status(StatusCode.ERROR)
                        raise

        return reconciled

    def of_kubernetes(self, observe: F) -> F:
        """What observes requests to the API server, and tells the pass that made them."""

        def told(verb: str, plural: str, status: object, seconds: float) -> None:
            observe(verb, plural, status, seconds)
            self._request(f"kubernetes {verb} {plural}", seconds, {"http.response.status_code": status})

        return observe if self._tracer is None else told  # type: ignore[return-value]  # of the same arguments

    def of_vault(self, connection: str, observe: F) -> F:
        """What observes requests to a Vault, and tells the pass that made them."""

        def told(op: str, code: str, seconds: float) -> None:
            observe(op, code, seconds)
            self._request(f"vault {op}", seconds, {"secureai.connection": connection, "secureai.code": code})

        return observe if self._tracer is None else told  # type: ignore[return-value]  # of the same arguments

    def close(self) -> None:
        """Send what waits, for some seconds at most. Blocks: to be called at the very end, from a thread."""
        if self._provider is None:
            return
        # The library waits as long as a collector that hangs; a successor waits for the end of this process.
        last = threading.Thread(target=self._provider.shutdown, name="traces-end", daemon=True)
        last.start()
        last.join(CLOSE_SECONDS)

    def _request(self, name: str, seconds: float, attributes: dict[str, Any]) -> None:
        """A span that is over already; the Lease, watches and probes belong to no pass, and have none."""
        from opentelemetry.trace import SpanKind, get_current_span  # noqa: PLC0415 - only where it is on

        if self._tracer is None or not get_current_span().is_recording():
            return
        end = time.time_ns()
        begin = end - int(seconds * 1e9)
        span = self._tracer.start_span(
            name,
            kind=SpanKind.CLIENT,
            start_time=begin,
            attributes={k: str(v) for k, v in attributes.items()},
        )
        span.end(end)


def _provider(to: TracingSettings, instance: str, on_export: OnExport) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider as Provider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased  # noqa: PLC0415

    class Counted(OTLPSpanExporter):
        """Tells how each batch ended. The library itself would log what the collector answered."""

        def export(self, spans: Any) -> SpanExportResult:
            result = super().export(spans)
            on_export("ok" if result.name == "SUCCESS" else "failed")
            return result

    logging.getLogger(_LIBRARY).setLevel(logging.CRITICAL + 1)
    resource = Resource.create(
        {"service.name": SERVICE, "service.version": __version__, "service.instance.id": instance}
    )
    provider = Provider(resource=resource, sampler=TraceIdRatioBased(to.sample_ratio), shutdown_on_exit=False)
    exporter = Counted(endpoint=f"{to.endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE_MAX))
    return provider
