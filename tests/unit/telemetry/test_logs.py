"""Logs: one JSON line per record whoever logs, and no secret in it."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import kopf
import pytest
import structlog

from secureai_operator.telemetry import logs
from secureai_operator.telemetry.redaction import REDACTED, redacted

TOKEN = "hvs." + "CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ym"
LEGACY_TOKEN = "s." + "f3Hq8ZxLw0vBnM5kTyUjR2aP"
JWT = "eyJhbGciOiJSUzI1NiJ9" + ".eyJpc3MiOiJrdWJlcm5ldGVzIn0" + ".c2lnbmF0dXJl"
WRAPPED = "vault:v1:" + "8SDd3WHDOjf7mq69CyCqYjBXAiQQAVZRkFM13ok481zoCmHnSeDX9vyf7w=="
PRIVATE_KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIOGz\n-----END EC PRIVATE KEY-----"
SECRETS = [TOKEN, LEGACY_TOKEN, JWT, WRAPPED, PRIVATE_KEY, f"Bearer {TOKEN}"]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream that everything is logged to; what was configured before comes back."""
    root = logging.getLogger()
    before = root.level, list(root.handlers), sys.excepthook, threading.excepthook
    stream = io.StringIO()
    yield stream
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    sys.excepthook, threading.excepthook = before[2], before[3]
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_json_line_with_its_extras(stream: io.StringIO) -> None:
    logs.configure(stream=stream)
    logging.getLogger("secureai_operator.x").info(
        "pass took %s", "long", extra={"workload": "llm", "seconds": 1.5}
    )
    (line,) = lines(stream)
    assert line["message"] == "pass took long"
    assert (line["workload"], line["seconds"], line["level"], line["logger"]) == (
        "llm",
        1.5,
        "info",
        "secureai_operator.x",
    )
    assert line["time"].endswith("Z")
    assert list(line)[:4] == ["time", "level", "logger", "message"]


def test_structlog_and_stdlib_take_the_same_way(stream: io.StringIO) -> None:
    logs.configure(stream=stream)
    structlog.get_logger("secureai_operator.y").warning("drift healed", kind="Role")
    (line,) = lines(stream)
    assert (line["message"], line["kind"], line["level"]) == ("drift healed", "Role", "warning")


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", list(logs.LogFormat))
def test_no_secret_reaches_the_stream(stream: io.StringIO, secret: str, form: logs.LogFormat) -> None:
    logs.configure(form=form, stream=stream)
    log = logging.getLogger("secureai_operator.z")
    log.error("said %s", secret)
    log.error("in a field", extra={"detail": f"a {secret} b", "deep": [{"deeper": secret}], secret: 1})
    log.error("failed", exc_info=ValueError(f"quoted {secret}"))
    structlog.get_logger("secureai_operator.z").error(secret, field=secret)
    assert secret not in stream.getvalue()
    assert secret.rsplit("\n", maxsplit=1)[-1] not in stream.getvalue()
    assert stream.getvalue().count(REDACTED) >= 6


def test_a_field_with_a_secrets_name_is_dropped_whatever_it_holds(stream: io.StringIO) -> None:
    logs.configure(stream=stream)
    logging.getLogger("x").warning("m", extra={"token": "short", "nested": {"Password": "pw"}})
    (line,) = lines(stream)
    assert (line["token"], line["nested"]["Password"]) == (REDACTED, REDACTED)


def test_a_private_key_that_is_cut_off_is_still_taken_out() -> None:
    assert "MHcC" not in redacted(PRIVATE_KEY[:45])


@pytest.mark.parametrize(
    "harmless",
    [
        "secrets.team-a is missing",
        "saw.main.team-a.llm",
        "networkpolicies.networking.k8s.io team-a/saw-llm-allow: 409 Conflict",
        "vault://main/team-a/llm",
        "https://vault.example:8200",
    ],
)
def test_what_is_no_secret_stays(harmless: str) -> None:
    assert redacted(harmless) == harmless


def test_kopfs_object_is_named_and_its_settings_are_not(stream: io.StringIO) -> None:
    logs.configure(stream=stream)
    extra = {
        # Kopf's own handler, if another test made it, reads them.
        "settings": kopf.OperatorSettings(),
        "k8s_skip": True,
        "k8s_ref": {"kind": "SecureAIWorkload", "namespace": "a", "name": "llm"},
    }
    logging.getLogger("kopf.objects").warning("seen", extra=extra)
    (line,) = lines(stream)
    assert (line["kind"], line["namespace"], line["name"]) == ("SecureAIWorkload", "a", "llm")
    assert "settings" not in line
    assert "k8s_skip" not in line


def test_the_level_is_kept_and_chatty_libraries_are_not_heard(stream: io.StringIO) -> None:
    logs.configure(level="INFO", stream=stream)
    logging.getLogger("secureai_operator").debug("no")
    logging.getLogger("aiohttp.access").info("no")
    logging.getLogger("aiohttp.access").warning("yes")
    assert [line["message"] for line in lines(stream)] == ["yes"]


def test_a_value_cannot_forge_a_line(stream: io.StringIO) -> None:
    for form in logs.LogFormat:
        logs.configure(form=form, stream=stream)
        logging.getLogger("x").warning("one\ntwo", extra={"name_of": "a\nb\x1b[31m"})
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b[31m" not in stream.getvalue()


def test_an_uncaught_error_is_a_record_without_secrets(stream: io.StringIO) -> None:
    logs.configure(stream=stream)
    error = RuntimeError(TOKEN)
    sys.excepthook(RuntimeError, error, None)
    (line,) = lines(stream)
    assert line["level"] == "critical"
    assert TOKEN not in stream.getvalue()


def test_configuring_twice_does_not_double_the_lines(stream: io.StringIO) -> None:
    logs.configure(stream=stream)
    logs.configure(stream=stream)
    logging.getLogger("x").warning("once")
    assert len(lines(stream)) == 1
