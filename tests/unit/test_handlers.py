"""The contract with Kopf: it watches, it never touches a CR, and it never takes our finalizer for its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kopf
import pytest

from secureai_operator import names
from secureai_operator.handlers import NoDiffBase, operator_settings, registry
from secureai_operator.settings import BindingBackend, Settings, WebhookSettings

BODY: Any = {
    "metadata": {"name": "llm", "namespace": "team-a", "uid": "u", "finalizers": [names.FINALIZER]},
    "spec": {"keys": {"type": "ed25519"}},
}
Json = dict[str, Any]


def no_event(kind: str | None, raw: Mapping[str, Any]) -> None:
    raise AssertionError((kind, raw))


def no_pod(pod: Mapping[str, Any], namespace: str) -> list[Json]:
    raise AssertionError((pod, namespace))


def settings(binding: BindingBackend = BindingBackend.POLICY, **webhook: Any) -> kopf.OperatorSettings:
    return operator_settings(Settings(binding=binding, webhook=WebhookSettings(**webhook)))


def test_kopf_s_own_finalizer_is_never_ours() -> None:
    """Kopf removes its finalizer from what has no deletion handler: our revocation would be skipped."""
    finalizer = settings().persistence.finalizer
    assert finalizer != names.FINALIZER
    assert not finalizer.startswith(names.FINALIZER)


def test_nothing_is_kept_in_an_annotation() -> None:
    storage = settings().persistence.diffbase_storage
    assert isinstance(storage, NoDiffBase)
    patch = kopf.Patch()
    body = kopf.Body(BODY)
    storage.store(body=body, patch=patch, essence=storage.build(body=body))
    assert dict(patch) == {}
    assert storage.fetch(body=body) == {}
    assert not isinstance(settings().persistence.progress_storage, kopf.AnnotationsProgressStorage)


def test_kopf_neither_posts_events_nor_joins_peers_nor_scans() -> None:
    found = settings()
    assert not found.posting.enabled
    assert found.peering.standalone
    assert found.scanning.disabled


def test_a_thousand_objects_do_not_wait_for_idle_workers() -> None:
    queueing = settings().queueing
    assert queueing.worker_limit is not None
    assert queueing.worker_limit / queueing.idle_timeout >= 1000


def test_kopf_does_not_wait_long_once_the_api_server_is_back() -> None:
    backoffs = settings().networking.error_backoffs
    assert isinstance(backoffs, tuple)
    assert max(backoffs) <= 2
    assert sum(backoffs) > 60


def test_a_silent_watch_ends_before_it_is_taken_for_dead() -> None:
    watching = settings().watching
    assert watching.server_timeout is not None
    assert watching.server_timeout < 300
    assert watching.connect_timeout


# What Kopf calls ----------------------------------------------------------------------------------------------


def handlers(found: kopf.OperatorRegistry) -> list[Any]:
    return [
        handler
        for part in (found._watching, found._changing, found._spawning, found._webhooks)
        for handler in part._handlers
    ]


def test_there_are_no_handlers_that_make_kopf_write_to_a_cr() -> None:
    found = registry(no_event, no_pod)
    assert not found._changing._handlers
    assert not found._spawning._handlers
    assert len(found._watching._handlers) == 1
    assert all(
        handler.requires_finalizer is not True
        for handler in handlers(found)
        if hasattr(handler, "requires_finalizer")
    )


async def test_an_event_is_handed_on_as_it_came() -> None:
    seen: list[tuple[str | None, Mapping[str, Any]]] = []
    (handler,) = registry(lambda kind, raw: seen.append((kind, raw)), None)._watching._handlers
    function: Any = handler.fn
    for kind in (None, "ADDED", "MODIFIED", "DELETED"):
        await function(event={"type": kind, "object": BODY}, memo=None)
    assert [kind for kind, _ in seen] == [None, "ADDED", "MODIFIED", "DELETED"]
    assert all(raw is BODY for _, raw in seen)


# Admission ----------------------------------------------------------------------------------------------------


def test_the_webhook_is_served_only_where_the_policy_is_not() -> None:
    assert not registry(no_event, None)._webhooks._handlers
    assert settings().admission.server is None
    found = settings(BindingBackend.WEBHOOK, host="h", port=9443, certificate_file=Path("/c"))
    server = found.admission.server
    assert isinstance(server, kopf.WebhookServer)
    assert (server.host, server.port, server.certfile) == ("h", 9443, "/c")
    # A configuration that Kopf manages goes when the operator stops, and pods start unbound.
    assert found.admission.managed is None


def binder(bind_pod: Any) -> Any:
    (handler,) = registry(no_event, bind_pod)._webhooks._handlers
    return handler.fn


async def bound(operations: list[Json], pod: Json) -> Json:
    """What the pod becomes when Kopf has carried out the handler's changes."""
    patch = kopf.Patch()
    await binder(lambda *_: operations)(body=pod, namespace="team-a", patch=patch)
    body = {**pod}
    for change in patch.fns:
        change(body)  # type: ignore[arg-type]
    return body


async def test_a_new_pod_gets_what_the_binding_says() -> None:
    pod = {"metadata": {"labels": {}}, "spec": {"nodeSelector": {"a": "b"}}}
    operations = [
        {"op": "add", "path": "/spec/serviceAccountName", "value": "saw-llm"},
        {"op": "add", "path": "/metadata/labels/secureai.dev~1workload", "value": "llm"},
    ]
    assert await bound(operations, pod) == {
        "metadata": {"labels": {names.WORKLOAD_LABEL: "llm"}},
        "spec": {"nodeSelector": {"a": "b"}, "serviceAccountName": "saw-llm"},
    }
    assert await bound([], pod) == pod


async def test_a_pod_that_cannot_be_bound_is_refused_in_our_words() -> None:
    def refuse(*_: object) -> list[Json]:
        raise PermissionError("SecureAIWorkload team-a/llm is not ready for pods")

    with pytest.raises(kopf.AdmissionError, match="not ready for pods") as error:
        await binder(refuse)(body={"metadata": {}}, namespace="team-a", patch=kopf.Patch())
    assert error.value.code == 403
