"""The recorder of events: never in the way, each event at most once, nothing lost in silence."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from secureai_operator import errors
from secureai_operator.api import reasons
from secureai_operator.telemetry.event_aggregation import AggregationSettings, Regarding
from secureai_operator.telemetry.events import MESSAGE_MAX, EventRecorder, EventSettings

LLM = Regarding("secureai.dev/v1alpha1", "SecureAIWorkload", "team-a", "llm", "uid-1")
TOKEN = "hvs." + "CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ym"


class Written:
    """Where events arrive; `failures` are raised first, one per request."""

    def __init__(self, *failures: Exception) -> None:
        self.manifests: list[dict[str, Any]] = []
        self.requests = 0
        self.failures = list(failures)
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, namespace: str, manifest: dict[str, Any]) -> None:
        await self.gate.wait()
        self.requests += 1
        if self.failures:
            raise self.failures.pop(0)
        assert namespace == manifest["metadata"]["namespace"]
        self.manifests.append(manifest)


@asynccontextmanager
async def running(
    written: Written, settings: EventSettings | None = None, results: Counter[str] | None = None
) -> AsyncIterator[EventRecorder]:
    counts: Counter[str] = Counter() if results is None else results
    recorder = EventRecorder(
        written,
        instance="pod-1",
        settings=settings,
        on_result=lambda result: counts.update([result]),
        rng=lambda: 0.0,
    )
    task = asyncio.create_task(recorder.run())
    yield recorder
    written.gate.set()
    await recorder.close(deadline=5)
    await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_an_event_names_object_reason_and_reporter() -> None:
    written = Written()
    async with running(written) as recorder:
        recorder.record(LLM, reasons.DRIFT_HEALED, "NetworkPolicy saw-llm-allow came back")
    (event,) = written.manifests
    assert event["involvedObject"] == {
        "apiVersion": "secureai.dev/v1alpha1",
        "kind": "SecureAIWorkload",
        "namespace": "team-a",
        "name": "llm",
        "uid": "uid-1",
    }
    assert (event["reason"], event["type"], event["count"]) == ("DriftHealed", "Warning", 1)
    assert event["reportingComponent"] == "secureai-operator"
    assert event["reportingInstance"] == "pod-1"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (reasons.KEY_RETAINED, "Normal"),
        (reasons.PROGRESSING, "Normal"),
        (reasons.ORPHANED, "Warning"),
        (reasons.KEY_EXPOSED, "Warning"),
    ],
)
async def test_the_type_follows_the_severity(reason: reasons.Reason, kind: str) -> None:
    written = Written()
    async with running(written) as recorder:
        recorder.record(LLM, reason, "m")
    assert written.manifests[0]["type"] == kind


async def test_a_message_is_bounded_and_holds_no_secret() -> None:
    written = Written()
    async with running(written) as recorder:
        recorder.record(LLM, reasons.ORPHANED, f"{TOKEN} {'x' * 5000}")
    message = written.manifests[0]["message"]
    assert len(message) == MESSAGE_MAX
    assert TOKEN not in message


async def test_repeats_are_written_once_more_with_their_number() -> None:
    written = Written()
    settings = EventSettings(aggregation=AggregationSettings(window=0.05))
    async with running(written, settings) as recorder:
        for _ in range(4):
            recorder.record(LLM, reasons.DRIFT_HEALED, "m")
        await until(lambda: len(written.manifests) == 2)
    assert [event["count"] for event in written.manifests] == [1, 3]
    assert len({event["metadata"]["name"] for event in written.manifests}) == 2


async def test_a_failed_write_is_tried_again() -> None:
    written = Written(errors.KubeUnavailable("KubernetesUnavailable", "no answer"))
    results: Counter[str] = Counter()
    async with running(written, results=results) as recorder:
        recorder.record(LLM, reasons.DRIFT_HEALED, "m")
        await until(lambda: bool(written.manifests))
    assert results == {"created": 1}


async def test_a_conflict_means_that_it_did_arrive() -> None:
    results: Counter[str] = Counter()
    written = Written(errors.KubeConflict("KubernetesConflict", "exists"))
    async with running(written, results=results) as recorder:
        recorder.record(LLM, reasons.DRIFT_HEALED, "m")
    assert (results, written.requests) == ({"created": 1}, 1)


async def test_a_refusal_is_counted_and_the_next_event_is_written() -> None:
    results: Counter[str] = Counter()
    written = Written(errors.KubeForbidden("KubernetesForbidden", "no"))
    async with running(written, results=results) as recorder:
        recorder.record(LLM, reasons.DRIFT_HEALED, "first")
        recorder.record(LLM, reasons.DRIFT_HEALED, "second")
        await until(lambda: bool(written.manifests))
    assert results == {"failed": 1, "created": 1}


async def test_a_full_queue_drops_and_counts_but_keeps_room_for_security() -> None:
    results: Counter[str] = Counter()
    written = Written()
    written.gate.clear()
    settings = EventSettings(queue=5, reserved_for_security=2)
    async with running(written, settings, results) as recorder:
        for n in range(10):
            recorder.record(replace(LLM, uid=f"uid-{n}"), reasons.DRIFT_HEALED, "m")
        recorder.record(LLM, reasons.KEY_EXPOSED, "m")
        assert results == {"dropped": 7}
    assert [event["reason"] for event in written.manifests].count("KeyExposed") == 1


async def test_a_flood_of_one_object_is_counted_as_suppressed() -> None:
    results: Counter[str] = Counter()
    settings = EventSettings(aggregation=AggregationSettings(burst=2))
    async with running(Written(), settings, results) as recorder:
        for n in range(5):
            recorder.record(LLM, reasons.DRIFT_HEALED, str(n))
    assert results == {"suppressed": 3, "created": 2}


async def test_the_rate_is_kept() -> None:
    written = Written()
    settings = EventSettings(per_second=100, burst=1)
    loop = asyncio.get_running_loop()
    async with running(written, settings) as recorder:
        recorder.record(LLM, reasons.DRIFT_HEALED, "warm up")
        await until(lambda: len(written.manifests) == 1)
        started = loop.time()
        for n in range(5):
            recorder.record(LLM, reasons.DRIFT_HEALED, str(n))
        await until(lambda: len(written.manifests) == 6)
        # Lower bound only: a slow machine makes it longer, never shorter.
        assert loop.time() - started >= 0.035


async def test_closing_writes_what_was_recorded_and_takes_nothing_more() -> None:
    written = Written()
    results: Counter[str] = Counter()
    async with running(written, results=results) as recorder:
        recorder.record(LLM, reasons.DRIFT_HEALED, "m")
        recorder.record(LLM, reasons.DRIFT_HEALED, "m")
        await recorder.close()
        recorder.record(LLM, reasons.DRIFT_HEALED, "late")
    assert sum(event["count"] for event in written.manifests) == 2
    assert results == {"created": 2, "dropped": 1}


async def test_closing_does_not_wait_for_an_api_server_that_hangs() -> None:
    written = Written()
    written.gate.clear()
    results: Counter[str] = Counter()
    async with running(written, results=results) as recorder:
        recorder.record(LLM, reasons.DRIFT_HEALED, "in flight")
        recorder.record(LLM, reasons.DRIFT_HEALED, "waiting")
        await asyncio.sleep(0)
        async with asyncio.timeout(2):
            await recorder.close(deadline=0.01)
        assert results["dropped"] == 1
