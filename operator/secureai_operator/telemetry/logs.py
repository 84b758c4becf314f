"""Logs: one line per decision to stderr, JSON for machines or text for people, the same for every library."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from enum import StrEnum
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from secureai_operator.telemetry.redaction import redacted, redacted_fields, redacted_value

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FROM_KOPF = frozenset({"k8s_skip", "k8s_ref", "settings"})
"""Kopf hangs its whole settings on each record."""

_QUIET = (
    "asyncio",
    "aiohttp.access",
    "urllib3",
    "kubernetes",
    "hvac",
    "kopf.activities",
    "kopf.objects",
    "kopf._core",
)
"""Libraries that tell at INFO what only a developer asks: they are heard from WARNING on, unless at DEBUG."""


_FIRST = ("time", "level", "logger", "message")


class LogFormat(StrEnum):
    """What a line looks like."""

    JSON = "json"
    CONSOLE = "console"


def configure(
    level: int | str = logging.INFO, form: LogFormat = LogFormat.JSON, stream: TextIO | None = None
) -> None:
    """Route everything that this process logs through one handler; replaces what was configured before.

    Uncaught exceptions of the process and of its threads take the same way, so that a traceback is
    redacted too.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_common(), processors=[_drop_meta, *_rendering(form, stream)]
        )
    )
    root = logging.getLogger()
    for old in tuple(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET if root.level <= logging.DEBUG else logging.WARNING)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _take_extras,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]


def _rendering(form: LogFormat, stream: TextIO) -> list[Processor]:
    """Tracebacks become text first, so that redaction sees them as it sees everything else."""
    to_text: list[Processor] = [
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _redact,
    ]
    if form is LogFormat.JSON:
        rename = structlog.processors.EventRenamer("message")
        return [*to_text, rename, _in_order, structlog.processors.JSONRenderer(serializer=_dumps)]
    return [*to_text, _one_line, structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time")]


def _drop_meta(logger: Any, method: str, event: EventDict) -> EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, method, event)


def _take_extras(_: Any, __: str, event: EventDict) -> EventDict:
    """Take over what a stdlib logger got as `extra`; of Kopf's, the object only."""
    record = event.get("_record")
    if record is None:
        return event
    for name, value in vars(record).items():
        if name not in _STANDARD and name not in _FROM_KOPF:
            event.setdefault(name, value)
    reference = getattr(record, "k8s_ref", None)
    if isinstance(reference, Mapping):
        for ours, theirs in (("kind", "kind"), ("namespace", "namespace"), ("name", "name")):
            event.setdefault(ours, reference.get(theirs))
    return event


def _redact(_: Any, __: str, event: EventDict) -> MutableMapping[str, Any]:
    trace = event.pop("exception", None)
    message = redacted_value(event.pop("event", ""))
    fields = redacted_fields(event)
    fields["event"] = message if isinstance(message, str) else str(message)
    if trace is not None:
        fields["exception"] = redacted(str(trace))
    return fields


def _in_order(_: Any, __: str, event: EventDict) -> EventDict:
    """What every record has comes first, where an eye looks for it."""
    return {name: event[name] for name in (*_FIRST, *event) if name in event}


def _one_line(_: Any, __: str, event: EventDict) -> EventDict:
    """Keep a value from starting a line of its own, which could pass for another record; JSON escapes anyway."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in value)
    return event


def _dumps(value: Any, **_: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("secureai_operator").critical("uncaught error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and args.exc_type is not SystemExit:
        _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
