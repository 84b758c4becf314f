"""The operator restarts on the lab's cluster, with its own token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab import Lab
from secureai_operator import names
from secureai_operator.clients.kube import AioKube, Json, KubeSettings, ScopedKube
from secureai_operator.controllers.rollouts import SETTLE, Restarted, restart_consumers
from secureai_operator.controllers.world import live_pod
from secureai_operator.core.facts import PodFacts
from secureai_operator.core.restarts import second_of
from tests.integration.running import held_namespace, live_pods

Scope = Callable[[AioKube, str], ScopedKube]


@dataclass(frozen=True)
class Acting:
    """What the operator does in a namespace."""

    lab: Lab
    namespace: str
    kubeconfig: Path

    def restart(
        self,
        app: str,
        request: str,
        since: datetime,
        *,
        pods: tuple[PodFacts, ...] | None = None,
        now: datetime | None = None,
        scope: Scope = ScopedKube,
    ) -> Restarted:
        """One call for the pods of that label as they are now, or as they were."""
        seen = self.pods(app) if pods is None else pods
        # No test waits for clocks to agree: this machine has one.
        at = now or datetime.now(UTC) + SETTLE

        async def call() -> Restarted:
            async with await AioKube.connect(KubeSettings(kubeconfig=str(self.kubeconfig))) as api:
                return await restart_consumers(scope(api, self.namespace), seen, request, since=since, now=at)

        return asyncio.run(call())

    def pods(self, app: str) -> tuple[PodFacts, ...]:
        return tuple(_facts(item) for item in live_pods(self.lab, self.namespace, app).values())


def acting_in(lab: Lab, namespace: str) -> Acting:
    """The operator with its rights in a new namespace."""
    held_namespace(lab, namespace)
    return Acting(
        lab, namespace, lab.kubeconfig_for(names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT)
    )


def begun(lab: Lab) -> datetime:
    """Now, once its second is over: what is made from here on is younger."""
    since = datetime.now(UTC)
    lab.wait_for(
        lambda: second_of(datetime.now(UTC)) > second_of(since), 5, "the second of the request to be over"
    )
    return since


def mark(live: Json) -> str | None:
    """The request that its template was last restarted for."""
    annotations = live["spec"]["template"]["metadata"].get("annotations", {})
    found: str | None = annotations.get(names.RESTARTED_FOR_ANNOTATION)
    return found


def _facts(raw: Json) -> PodFacts:
    found = live_pod(raw)
    return PodFacts(
        found.namespace,
        found.name,
        found.uid,
        problem="",
        quarantined=False,
        controlled=found.controlled,
        owner=found.owner,
        created=found.created,
        runs_to_end=found.runs_to_end,
    )
