"""A collector of OpenTelemetry traces on loopback: takes OTLP over HTTP as the protocol says, and keeps what came."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATH = "/v1/traces"


@dataclass(frozen=True)
class Span:
    """One span, with what of it tests look at."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    failed: bool
    attributes: dict[str, str] = field(repr=False)


@dataclass
class Collector:
    """What was exported so far."""

    endpoint: str
    bodies: list[bytes] = field(default_factory=list)
    refuses: bool = False
    """Answer 400, with words that nobody is to repeat."""

    def spans(self) -> list[Span]:
        return [span for body in tuple(self.bodies) for span in _spans(body)]

    def of_workload(self, name: str) -> list[list[Span]]:
        """The traces of its passes, each with its root first."""
        spans = self.spans()
        roots = [span for span in spans if span.attributes.get("secureai.workload") == name]
        return [[root, *(one for one in spans if one.parent == root.span_id)] for root in roots]


ITS_WORDS = "Words Of The Collector"


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            refused = found.refuses or self.path != PATH
            if not refused:
                found.bodies.append(body)
            answer = ITS_WORDS.encode() if refused else ExportTraceServiceResponse().SerializeToString()
            self.send_response(400 if refused else 200, ITS_WORDS)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, name="collector", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _spans(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    attributes={one.key: one.value.string_value for one in span.attributes},
                )
