"""The only file that knows Kopf, besides the composition root: settings, login, the watch of the kind, admission.

It enqueues and decides nothing. Kopf's own finalizer and change handlers are not used: a deletion that waits for Vault would
occupy one of Kopf's workers for as long, and enough of them would hold up every other workload.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import jsonpatch
import kopf

from secureai_operator import names
from secureai_operator.settings import BindingBackend, Settings

OnEvent = Callable[[str | None, Mapping[str, Any]], None]
"""(ADDED, MODIFIED, DELETED, or None for the first list; the object)."""

BindPod = Callable[[Mapping[str, Any], str], list[dict[str, Any]]]
"""(pod, namespace) → JSON patch; raises PermissionError with a message for the user."""


def registry(on_workload: OnEvent, bind_pod: BindPod | None) -> kopf.OperatorRegistry:
    """Everything that Kopf calls."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        in_pod = kopf.login_with_service_account(**kwargs)
        return by_address(in_pod, os.environ) if in_pod else kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, "secureaiworkloads", registry=handlers)
    async def workload(event: Any, **_: Any) -> None:
        on_workload(event["type"], event["object"])

    if bind_pod is not None:
        _register_admission(handlers, bind_pod)
    return handlers


def by_address(found: kopf.ConnectionInfo, environment: Mapping[str, str]) -> kopf.ConnectionInfo:
    """The API server at the address that the kubelet tells a pod, as our own client has it.

    Kopf would ask DNS for `kubernetes.default.svc`: a cluster without DNS had no operator.
    """
    host, port = (environment.get(f"KUBERNETES_SERVICE_{part}") for part in ("HOST", "PORT"))
    if not host or not port:
        return found
    return replace(found, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")


def _register_admission(handlers: kopf.OperatorRegistry, bind_pod: BindPod) -> None:
    @kopf.on.mutate("", "v1", "pods", id="bind", operations=["CREATE"], registry=handlers)
    async def bind(body: Any, namespace: str | None, patch: kopf.Patch, **_: Any) -> None:
        try:
            operations = bind_pod(dict(body), namespace or "")
        except PermissionError as error:
            raise kopf.AdmissionError(str(error), code=403) from None
        _into(patch, dict(body), operations)


def _into(patch: kopf.Patch, pod: dict[str, Any], operations: Collection[Mapping[str, Any]]) -> None:
    """Kopf makes its own JSON patch from a function's changes: carry the operations out on its copy."""
    if not operations:
        return

    def change(body: Any) -> None:
        changed = jsonpatch.apply_patch(pod, list(operations))
        body.clear()
        body.update(changed)

    patch.fns.append(change)


def operator_settings(settings: Settings) -> kopf.OperatorSettings:
    """Kopf's settings, each measured or argued in its documentation; what is not here is its default."""
    ours = kopf.OperatorSettings()
    # No cluster-wide list of CRDs and namespaces for discovery that we do not need.
    ours.scanning.disabled = True
    ours.posting.enabled = False
    ours.peering.standalone = True
    ours.watching.chunk_size = 500
    ours.watching.server_timeout = 290
    ours.watching.connect_timeout = 10
    # Throughput is worker_limit / idle_timeout: with the default of 5 s a thousand objects take half a minute.
    ours.queueing.worker_limit = 200
    ours.queueing.idle_timeout = 0.05
    ours.networking.request_timeout = 30
    # None is long: what changed while the API server was away waits for it. Together a minute, then the process begins anew.
    ours.networking.error_backoffs = (0.5, 1, *[2] * 30)
    # Kopf removes its own finalizer from objects without deletion handlers: it must never be the name of ours.
    ours.persistence.finalizer = f"{names.GROUP}/kopf"
    ours.persistence.diffbase_storage = NoDiffBase()
    ours.persistence.progress_storage = kopf.StatusProgressStorage(name=names.GROUP)
    if settings.binding is not BindingBackend.POLICY:
        _serve_webhook(ours, settings)
    return ours


def _serve_webhook(ours: kopf.OperatorSettings, settings: Settings) -> None:
    # The webhook's configuration comes with the manifests: one that Kopf manages needs rights on all of them, looks at
    # the system's pods as well, and goes when the operator stops.
    webhook = settings.webhook
    ours.admission.server = kopf.WebhookServer(
        host=webhook.host,
        port=webhook.port,
        certfile=str(webhook.certificate_file) if webhook.certificate_file else None,
        pkeyfile=str(webhook.key_file) if webhook.key_file else None,
        cafile=str(webhook.ca_file) if webhook.ca_file else None,
    )


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing: Kopf would copy every spec into an annotation, and we never ask it for differences."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return kopf.BodyEssence()

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing."""
