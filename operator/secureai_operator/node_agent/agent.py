"""The node agent: watches the quarantined pods of one node and has the kernel forget their connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from functools import partial

from secureai_operator import errors, names
from secureai_operator.api.resources import PODS
from secureai_operator.clients.kube import AioKube, KubeApi, KubeSettings, KubeSource
from secureai_operator.node_agent.conntrack import open_conntrack
from secureai_operator.node_agent.isolation import Isolation, QuarantinedPod, quarantined, still_there
from secureai_operator.runtime.informer import Informer

log = logging.getLogger(__name__)

USER_AGENT = "secureai-node-agent"


async def main(node: str, kubeconfig: str | None = None) -> int:
    """Run until SIGTERM or SIGINT; a part that ends otherwise ends the process, which is started again."""
    table = open_conntrack()
    kube = await AioKube.connect(KubeSettings(kubeconfig=kubeconfig, user_agent=USER_AGENT))
    isolation = Isolation(table, partial(_is_released, kube))
    informer = _pods_of(kube, node, isolation)
    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(informer.run(), name="informer-pods")
            cutting = group.create_task(isolation.run(), name="isolation")
            log.info("watching", extra={"node": node})
            await _stop_signal()
            log.info("stopping")
            informer.stop()
            cutting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
    finally:
        await kube.close()
        table.close()
    return 0


def _pods_of(kube: AioKube, node: str, isolation: Isolation) -> Informer[QuarantinedPod]:
    """Only the node's own, and only those with the label: nothing is held of any other pod."""
    source = KubeSource(
        kube, PODS, label_selector=names.QUARANTINE_LABEL, field_selector=f"spec.nodeName={node}"
    )
    return Informer("quarantined-pods", source, quarantined, lambda _: None, isolation.changed)


async def _is_released(kube: KubeApi, pod: QuarantinedPod) -> bool:
    """Asked of the API server: a watch by label tells of a release as it tells of a deletion. In doubt it is not."""
    try:
        live = await kube.get(PODS, pod.namespace, pod.name)
    except errors.OperatorError as error:
        log.warning("release is not known", extra={"pod": pod.name, "problem": error.message})
        return False
    return live is not None and still_there(live, pod)


async def _stop_signal() -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await stopping.wait()
